//! `/settings/password`: a new password, by someone who knows the old one. Must not know how passwords are kept.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Deserialize;

use crate::{
    accounts::{
        letters::{self, Change},
        password::{self, NewPassword},
        queries, reauthentication, sign_in,
        views::SettingsPasswordPage,
    },
    web::{
        activity,
        error::Error,
        form::{Form, FormErrors},
        page::Page,
        render,
        state::State,
        viewer::Caller,
    },
};

/// What a person fills in.
#[derive(Deserialize)]
pub struct PasswordForm {
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    new_password: String,
}

/// `GET /settings/password`
///
/// # Errors
/// None of its own.
pub async fn edit_form(request: HttpRequest) -> Result<HttpResponse, Error> {
    let page = SettingsPasswordPage {
        page: Page::of(&request, "Password"),
        errors: FormErrors::default(),
    };
    render::page(&request, &page)
}

/// `POST /settings/password`: every other session of the account ends.
///
/// # Errors
/// 429 for too many wrong guesses at the current one, 503 while sessions cannot be ended.
pub async fn update(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Form(form): Form<PasswordForm>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut errors = FormErrors::default();
    let site_name = state.settings.get().site_name.clone();
    let new = NewPassword::parse(&form.new_password, &[&viewer.name, &site_name])
        .map_err(|sentence| errors.add("new_password", "strength", sentence));
    reauthentication::check(
        &request,
        &state,
        viewer,
        &form.current_password,
        &mut errors,
    )
    .await?;
    let new = match new {
        Ok(new) if errors.is_empty() => new,
        _ => {
            let page = SettingsPasswordPage {
                page: Page::of(&request, "Password"),
                errors,
            };
            return render::invalid(&request, &page);
        }
    };
    state.sessions.probe().await?;
    let hash = password::hash(new).await?;
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    queries::set_password(&mut conn, viewer.id, &hash).await?;
    if state.mailer.is_on() {
        letters::ask_telling(&mut conn, viewer.id, Change::Password).await?;
    }
    conn.commit().await?;
    activity::did(&request, "password.set", "user", viewer.id);
    state
        .sessions
        .end_all(viewer.id, sign_in::session_of(&caller))
        .await?;
    let sentence = "Your password is changed, and every other session has ended.";
    Ok(render::see_other_saying(
        &state,
        "/settings/password",
        sentence,
    ))
}
