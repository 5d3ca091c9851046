//! `/settings/sessions`: where one is logged in, and ending that. Must not know where sessions are kept.

use actix_web::{HttpRequest, HttpResponse, web::Data, web::Path};

use crate::{
    accounts::{
        sign_in,
        views::{SessionItem, SettingsSessionsPage},
    },
    web::{
        activity, context::Context, error::Error, page::Page, render, session::TokenHash,
        state::State, viewer::Caller,
    },
};

/// `GET /settings/sessions`
///
/// # Errors
/// 503 while sessions cannot be read.
pub async fn list(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let current = sign_in::session_of(&caller);
    let found = state
        .sessions
        .list(viewer.id, Context::get(&request).now)
        .await?;
    let mut sessions: Vec<SessionItem> = found
        .into_iter()
        .map(|(name, record)| SessionItem {
            id: name.to_string(),
            device: record.device,
            address: record.address,
            created_at: record.created_at,
            last_seen_at: record.last_seen_at,
            is_current: Some(name) == current,
        })
        .collect();
    sessions.sort_by_key(|session| !session.is_current);
    let page = SettingsSessionsPage {
        page: Page::of(&request, "Sessions"),
        sessions,
    };
    render::page(&request, &page)
}

/// `POST /settings/sessions/{id}/end`
///
/// # Errors
/// 404 for a session that is not one's own or is over, 503 while sessions cannot be ended.
pub async fn end(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let name = TokenHash::parse(&id).ok_or(Error::NotFound)?;
    if sign_in::session_of(&caller) == Some(name) {
        sign_in::end(&request, &state).await?;
        activity::did(&request, "session.end", "user", viewer.id);
        return Ok(render::see_other("/"));
    }
    if !state.sessions.end(viewer.id, name).await? {
        return Err(Error::NotFound);
    }
    activity::did(&request, "session.end", "user", viewer.id);
    Ok(render::see_other_saying(
        &state,
        "/settings/sessions",
        "That session has ended.",
    ))
}

/// `POST /settings/sessions/end-others`
///
/// # Errors
/// 503 while sessions cannot be ended.
pub async fn end_others(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let ended = state
        .sessions
        .end_all(viewer.id, sign_in::session_of(&caller))
        .await?;
    activity::did(&request, "session.end_others", "user", viewer.id);
    let sentence = match ended {
        1 => "One other session has ended.".to_owned(),
        ended => format!("{ended} other sessions have ended."),
    };
    Ok(render::see_other_saying(
        &state,
        "/settings/sessions",
        &sentence,
    ))
}
