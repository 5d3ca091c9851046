//! `/settings/preferences` and the theme buttons in the footer: how the site is to look and behave for one person. Must
//! not know what the preferences do.

use actix_web::{
    HttpRequest, HttpResponse, cookie::Cookie, cookie::SameSite, cookie::time::Duration, web::Data,
};
use chrono_tz::{TZ_VARIANTS, Tz};
use serde::Deserialize;

use super::signup::NextQuery;
use crate::{
    accounts::{
        queries::{self, Preferences},
        viewers,
        views::SettingsPreferencesPage,
    },
    web::{
        activity,
        chrome::THEME_COOKIE,
        csrf,
        error::Error,
        form::{Form, FormErrors, Query, local_path},
        page::{Page, Theme},
        render,
        state::State,
        viewer::Caller,
    },
};

/// How long a guest's browser keeps the theme.
const THEME_LIFETIME: Duration = Duration::days(365);

/// What a person fills in.
#[derive(Deserialize)]
pub struct PreferencesForm {
    #[serde(default)]
    theme: String,
    #[serde(default)]
    compact: String,
    #[serde(default)]
    shortcuts: String,
    #[serde(default)]
    time_zone: String,
}

/// `GET /settings/preferences`
///
/// # Errors
/// None of its own.
pub async fn edit_form(request: HttpRequest, caller: Caller) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let page = SettingsPreferencesPage {
        page: Page::of(&request, "Preferences"),
        theme: Theme::parse(&viewer.theme).unwrap_or_default(),
        compact: viewer.compact,
        shortcuts: viewer.shortcuts,
        time_zone: viewer.time_zone.clone(),
        time_zones: time_zones(&viewer.time_zone),
        errors: FormErrors::default(),
    };
    render::page(&request, &page)
}

/// `POST /settings/preferences`
///
/// # Errors
/// As the database said.
pub async fn update(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Form(form): Form<PreferencesForm>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut errors = FormErrors::default();
    let theme = Theme::parse(&form.theme);
    if theme.is_none() {
        errors.add("theme", "choice", "Choose one of the themes.");
    }
    if !form.time_zone.is_empty() && form.time_zone.parse::<Tz>().is_err() {
        errors.add("time_zone", "choice", "Choose one of the time zones.");
    }
    let (compact, shortcuts) = (!form.compact.is_empty(), !form.shortcuts.is_empty());
    if !errors.is_empty() {
        let page = SettingsPreferencesPage {
            page: Page::of(&request, "Preferences"),
            theme: theme.unwrap_or_default(),
            compact,
            shortcuts,
            time_zones: time_zones(""),
            time_zone: form.time_zone,
            errors,
        };
        return render::invalid(&request, &page);
    }
    let chosen = Preferences {
        theme: theme.unwrap_or_default().name(),
        compact,
        shortcuts,
        time_zone: &form.time_zone,
    };
    queries::set_preferences(&mut state.db.conn().await?, viewer.id, &chosen).await?;
    viewers::forget(&state.cache, viewer.id).await;
    activity::did(&request, "preferences.set", "user", viewer.id);
    Ok(render::see_other_saying(
        &state,
        "/settings/preferences",
        "Your preferences are saved.",
    ))
}

/// The zones that are offered: UTC and those named after a place. The database of zones holds others for old programs'
/// sake (`GMT+0`, `Cuba`); who has one keeps it.
fn time_zones(chosen: &str) -> Vec<String> {
    let is_place =
        |name: &str| name.contains('/') && !name.starts_with("Etc/") && !name.starts_with("US/");
    TZ_VARIANTS
        .iter()
        .map(|zone| zone.name())
        .filter(|name| *name == "UTC" || *name == chosen || is_place(name))
        .map(str::to_owned)
        .collect()
}

/// What a theme button sends.
#[derive(Deserialize)]
pub struct ThemeForm {
    #[serde(default)]
    theme: String,
    csrf_token: Option<String>,
}

/// `POST /theme`: a guest's theme is kept in a cookie, anyone else's with the account.
///
/// # Errors
/// 400 for a theme that there is not, 403 for a signed-in person's form without its token.
pub async fn set_theme(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<NextQuery>,
    Form(form): Form<ThemeForm>,
) -> Result<HttpResponse, Error> {
    let theme =
        Theme::parse(&form.theme).ok_or_else(|| Error::bad_request("There is no such theme."))?;
    let mut answer = render::see_other(local_path(query.next()));
    match (&caller.viewer, &caller.session) {
        (Some(viewer), Some(session)) => {
            // The route asks for no token, for the guests' sake; what is kept with an account needs one all the same.
            if !csrf::verify_session(
                &state.keys,
                session,
                form.csrf_token.as_deref().unwrap_or_default(),
            ) {
                return Err(Error::Csrf);
            }
            queries::set_theme(&mut state.db.conn().await?, viewer.id, theme.name()).await?;
            viewers::forget(&state.cache, viewer.id).await;
            activity::did(&request, "preferences.set_theme", "user", viewer.id);
        }
        _ => {
            let cookie = Cookie::build(THEME_COOKIE, theme.name())
                .path("/")
                .http_only(true)
                .secure(state.config.http.secure())
                .same_site(SameSite::Lax)
                .max_age(THEME_LIFETIME)
                .finish();
            answer
                .add_cookie(&cookie)
                .map_err(|e| Error::Internal(e.into()))?;
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_places_and_the_one_somebody_has() {
        let zones = time_zones("Cuba");
        for zone in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Cuba",
        ] {
            assert!(zones.iter().any(|z| z == zone), "{zone}");
        }
        assert!(!zones.iter().any(|z| z.starts_with("Etc/") || z == "GMT0"));
    }
}
