//! `/password/forgot` and the link from its letter. Must not tell whether an account exists: the answer is the same, and
//! the work is done later, by a job.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Path},
};
use serde::Deserialize;

use super::guest_form;
use crate::{
    accounts::{
        letters::{
            self, Change,
            queries::{self as links, Purpose},
        },
        password::{self, NewPassword},
        queries,
        views::{PasswordForgotPage, PasswordResetPage},
    },
    platform::limits::Class,
    web::{
        activity,
        context::Context,
        error::Error,
        form::{Form, FormErrors},
        middleware::limit,
        page::Page,
        render,
        signing::token_hash,
        state::State,
    },
};

/// Longest name or address that is looked at, in characters; nobody has a longer one.
const TYPED_MAX: usize = 254;

/// What a person fills in.
#[derive(Deserialize)]
pub struct ForgotForm {
    #[serde(default)]
    username: String,
}

/// `GET /password/forgot`
///
/// # Errors
/// None of its own.
pub async fn forgot_form(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    forgot_page(
        &request,
        &state,
        StatusCode::OK,
        String::new(),
        FormErrors::default(),
    )
}

/// `POST /password/forgot`
///
/// # Errors
/// 429 for too many from one address.
pub async fn forgot(
    request: HttpRequest,
    state: Data<State>,
    Form(form): Form<ForgotForm>,
) -> Result<HttpResponse, Error> {
    if !state.mailer.is_on() {
        return forgot_page(
            &request,
            &state,
            StatusCode::SERVICE_UNAVAILABLE,
            form.username,
            FormErrors::default(),
        );
    }
    let typed = form.username.trim().to_owned();
    if typed.is_empty() || typed.chars().count() > TYPED_MAX {
        let mut errors = FormErrors::default();
        errors.add(
            "username",
            "required",
            "Give your user name or your e-mail address.",
        );
        return forgot_page(
            &request,
            &state,
            StatusCode::UNPROCESSABLE_ENTITY,
            form.username,
            errors,
        );
    }
    let address = Context::get(&request).limit_address().to_string();
    // Not by account: a stranger could keep its owner out. The job bounds how often one account is written to.
    limit::spend(
        &request,
        &state,
        Class::Letter,
        &[&address],
        "A new password has been asked for several times, so no further letter was sent.",
    )
    .await?;
    letters::ask_reset(&mut state.db.conn().await?, &typed).await?;
    // Whose it is the log must not tell either: only a letter does.
    activity::did(&request, "password.ask", "user", None);
    let sentence = "If there is such an account, and its e-mail address is confirmed, a letter is on its way. Its link \
                    works for one hour.";
    Ok(render::see_other_saying(&state, "/login", sentence))
}

/// What a person fills in.
#[derive(Deserialize)]
pub struct ResetForm {
    #[serde(default)]
    new_password: String,
}

/// `GET /password/reset/{token}`
///
/// # Errors
/// As the database said.
pub async fn reset_form(
    request: HttpRequest,
    state: Data<State>,
    token: Path<String>,
) -> Result<HttpResponse, Error> {
    let found =
        letters::find_link(&mut state.db.conn().await?, Purpose::ResetPassword, &token).await?;
    match found {
        Some(to) => reset_page(
            &request,
            &state,
            StatusCode::OK,
            &token,
            to.username,
            FormErrors::default(),
        ),
        None => stale(&request, &state),
    }
}

/// `POST /password/reset/{token}`: every session of the account ends.
///
/// # Errors
/// 503 while sessions cannot be ended.
pub async fn reset(
    request: HttpRequest,
    state: Data<State>,
    token: Path<String>,
    Form(form): Form<ResetForm>,
) -> Result<HttpResponse, Error> {
    let found =
        letters::find_link(&mut state.db.conn().await?, Purpose::ResetPassword, &token).await?;
    let Some(to) = found else {
        return stale(&request, &state);
    };
    let site_name = state.settings.get().site_name.clone();
    let new = match NewPassword::parse(&form.new_password, &[&to.username, &to.email, &site_name]) {
        Ok(new) => new,
        Err(sentence) => {
            let mut errors = FormErrors::default();
            errors.add("new_password", "strength", sentence);
            return reset_page(
                &request,
                &state,
                StatusCode::UNPROCESSABLE_ENTITY,
                &token,
                to.username,
                errors,
            );
        }
    };
    state.sessions.probe().await?;
    let hash = password::hash(new).await?;
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    // Whoever is second finds it used, however close behind.
    if !links::delete_token(&mut conn, Purpose::ResetPassword, &token_hash(&token)).await? {
        drop(conn);
        return stale(&request, &state);
    }
    queries::set_password(&mut conn, to.user_id, &hash).await?;
    letters::ask_telling(&mut conn, to.user_id, Change::Password).await?;
    conn.commit().await?;
    activity::did(&request, "password.reset", "user", to.user_id);
    state.sessions.end_all(to.user_id, None).await?;
    tracing::info!(user.id = to.user_id, "password reset by mail");
    let sentence =
        "Your password is changed, and every session has ended. Log in with the new one.";
    Ok(render::see_other_saying(&state, "/login", sentence))
}

fn stale(request: &HttpRequest, state: &State) -> Result<HttpResponse, Error> {
    let mut errors = FormErrors::default();
    errors.add(
        "",
        "stale",
        "This link has been used or is too old. You can ask for a new one.",
    );
    forgot_page(request, state, StatusCode::NOT_FOUND, String::new(), errors)
}

fn forgot_page(
    request: &HttpRequest,
    state: &State,
    status: StatusCode,
    username: String,
    errors: FormErrors,
) -> Result<HttpResponse, Error> {
    guest_form(request, state, status, |csrf_token| PasswordForgotPage {
        page: Page {
            next: String::new(),
            ..Page::of(request, "Forgotten password")
        },
        csrf_token,
        username,
        mail_is_on: state.mailer.is_on(),
        contact: state.settings.get().site_contact.clone(),
        errors,
    })
}

fn reset_page(
    request: &HttpRequest,
    state: &State,
    status: StatusCode,
    token: &str,
    username: String,
    errors: FormErrors,
) -> Result<HttpResponse, Error> {
    guest_form(request, state, status, |csrf_token| PasswordResetPage {
        page: super::secret_page(request, "Choose a new password"),
        csrf_token,
        action: format!("/password/reset/{token}"),
        username,
        errors,
    })
}
