//! Draws a page's chrome from its request: whose site it is, who reads, how it is to look. Must not know what the page
//! is about.

use actix_web::{HttpRequest, web::Data};

use super::{
    context::Context,
    cookies, csrf, flash,
    page::{Notice, NoticeKind, Page, PageViewer, Place, Theme},
    state::State,
    viewer::{Caller, Viewer},
};

/// The cookie that keeps a guest's theme.
pub const THEME_COOKIE: &str = "theme";

impl Page {
    /// The chrome of a page with this title.
    pub fn of(request: &HttpRequest, title: impl Into<String>) -> Self {
        let context = Context::get(request);
        let caller = Caller::get(request);
        let state = request.app_data::<Data<State>>();
        let settings = state.map(|s| s.settings.get()).unwrap_or_default();
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
        let viewer = caller.viewer.as_deref();
        Self {
            title: title.into(),
            site_name: settings.site_name.clone(),
            site_tagline: settings.site_tagline.clone(),
            description: String::new(),
            canonical: None,
            robots: None,
            viewer: viewer.map(|viewer| page_viewer(viewer, &caller, state)),
            next: encode(path),
            place: Place::Elsewhere,
            theme: theme(request, viewer),
            compact: viewer.is_some_and(|v| v.compact),
            shortcuts: viewer.is_none_or(|v| v.shortcuts),
            time_zone: viewer
                .map(|v| v.time_zone.clone())
                .filter(|z| !z.is_empty()),
            notice: notice(request, &caller, state),
            request_id: context.id.clone(),
            now: context.now,
        }
    }

    /// The same, standing at `place` of the navigation.
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }
}

/// Text as one value of a query.
pub fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn page_viewer(viewer: &Viewer, caller: &Caller, state: Option<&Data<State>>) -> PageViewer {
    let token = match (state, &caller.session) {
        (Some(state), Some(session)) => csrf::session_token(&state.keys, session),
        _ => String::new(),
    };
    PageViewer {
        name: viewer.name.clone(),
        csrf_token: token,
        unread: viewer.unread.into(),
        is_moderator: viewer.may_any("post", "remove"),
        is_admin: viewer.may_any("console", "read"),
    }
}

fn theme(request: &HttpRequest, viewer: Option<&Viewer>) -> Theme {
    match viewer {
        Some(viewer) => Theme::parse(&viewer.theme),
        None => request
            .cookie(THEME_COOKIE)
            .and_then(|c| Theme::parse(c.value())),
    }
    .unwrap_or_default()
}

fn notice(request: &HttpRequest, caller: &Caller, state: Option<&Data<State>>) -> Option<Notice> {
    if caller.sessions_away {
        return Some(Notice {
            kind: NoticeKind::Warning,
            text: "We cannot see who you are right now, so you are reading as a guest. Nothing is lost; try again in a moment."
                .into(),
        });
    }
    let state = state?;
    let secure = state.config.http.secure();
    request.cookie(&cookies::name("flash", secure))?;
    flash::take(&state.keys, request, secure).map(|text| Notice {
        kind: NoticeKind::Done,
        text,
    })
}
