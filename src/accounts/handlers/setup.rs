//! `/setup`: making the first administrator by the one-time link from the terminal. Must not know how the secret is kept.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use serde::Deserialize;
use serde_json::json;

use super::guest_form;
use crate::{
    accounts::{
        letters,
        new_account::{NewAccount, TAKEN},
        password,
        setup::{self, Redeemed},
        sign_in,
        views::SetupPage,
    },
    platform::audit::{self, Change, Who},
    web::{
        activity,
        context::Context,
        error::Error,
        form::{Form, FormErrors, Query},
        page::Page,
        render,
        state::State,
    },
};

/// The link's secret.
#[derive(Deserialize)]
pub struct SetupQuery {
    #[serde(default)]
    token: String,
}

/// What the operator fills in.
#[derive(Deserialize)]
pub struct SetupForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

/// `GET /setup?token=…`
///
/// # Errors
/// 403 for a secret that is not (or no longer) waiting.
pub async fn new_form(
    request: HttpRequest,
    state: Data<State>,
    Query(query): Query<SetupQuery>,
) -> Result<HttpResponse, Error> {
    if !setup::is_waiting(&state.db, &query.token).await? {
        return Err(stale());
    }
    let form = SetupForm {
        token: query.token,
        username: String::new(),
        email: String::new(),
        password: String::new(),
    };
    page(
        &request,
        &state,
        StatusCode::OK,
        form,
        FormErrors::default(),
    )
}

/// `POST /setup`
///
/// # Errors
/// As [`new_form`], and 503 while sessions cannot be kept.
pub async fn create(
    request: HttpRequest,
    state: Data<State>,
    Form(form): Form<SetupForm>,
) -> Result<HttpResponse, Error> {
    // Before anything is hashed: without the secret this form does nothing at all.
    if !setup::is_waiting(&state.db, &form.token).await? {
        return Err(stale());
    }
    state.sessions.probe().await?;
    let site_name = state.settings.get().site_name.clone();
    let account = match NewAccount::parse(&form.username, &form.email, &form.password, &site_name) {
        Ok(account) => account,
        Err(errors) => {
            return page(
                &request,
                &state,
                StatusCode::UNPROCESSABLE_ENTITY,
                form,
                errors,
            );
        }
    };
    let hash = password::hash(account.password.clone()).await?;
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    let request_id = &Context::get(&request).id;
    match setup::redeem(&mut conn, &form.token, &account, &hash, request_id).await? {
        Redeemed::Made(user_id) => {
            if account.email.is_some() && state.mailer.is_on() {
                letters::ask_verification(&mut conn, user_id).await?;
            }
            let who = Who {
                actor_id: Some(user_id),
                request_id,
            };
            let change = Change {
                subject: &format!("user:{user_id}"),
                action: "set up",
                before: None,
                after: Some(json!(["admin"])),
            };
            audit::record(&mut conn, who, change).await?;
            conn.commit().await?;
            drop(conn);
            activity::did(&request, "user.set_up", "user", user_id);
            sign_in::begin(&request, &state, user_id, false).await?;
            let sentence = "You are the administrator of this site. The console is in your menu.";
            Ok(render::see_other_saying(&state, "/", sentence))
        }
        Redeemed::Stale => {
            conn.rollback().await?;
            Err(stale())
        }
        Redeemed::Taken => {
            conn.rollback().await?;
            let mut errors = FormErrors::default();
            errors.add("username", "taken", TAKEN);
            page(
                &request,
                &state,
                StatusCode::UNPROCESSABLE_ENTITY,
                form,
                errors,
            )
        }
    }
}

fn stale() -> Error {
    Error::forbidden(
        "This link has been used, or a newer one has taken its place. The newest stands on the terminal that the site was started in.",
    )
}

/// The form, with all that was typed but the password.
fn page(
    request: &HttpRequest,
    state: &State,
    status: StatusCode,
    form: SetupForm,
    errors: FormErrors,
) -> Result<HttpResponse, Error> {
    guest_form(request, state, status, |csrf_token| SetupPage {
        page: Page {
            robots: Some("noindex"),
            ..Page::of(request, "Set up")
        },
        csrf_token,
        setup_token: form.token,
        username: form.username,
        email: form.email,
        errors,
    })
}
