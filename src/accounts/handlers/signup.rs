//! `/signup`: making an account, which signs in. Must not know how a password is hashed.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use serde::Deserialize;

use super::guest_form;
use crate::{
    accounts::{
        letters, lifecycle,
        new_account::{self, NewAccount, TAKEN},
        password, queries, sign_in,
        views::SignupPage,
    },
    platform::{limits::Class, settings::SignupMode},
    web::{
        activity, chrome,
        context::Context,
        error::Error,
        form::{Form, FormErrors, Query, local_path},
        middleware::limit,
        page::Page,
        render,
        state::State,
        viewer::Caller,
    },
};

/// Where to go afterwards, as the link to the form says.
#[derive(Deserialize)]
pub struct NextQuery {
    #[serde(default)]
    next: String,
}

impl NextQuery {
    /// The path, unchecked.
    pub fn next(&self) -> &str {
        &self.next
    }
}

/// What a person fills in.
#[derive(Deserialize)]
pub struct SignupForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

/// `GET /signup`
///
/// # Errors
/// 403 while sign-ups are closed.
pub async fn new_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<NextQuery>,
) -> Result<HttpResponse, Error> {
    if caller.viewer.is_some() {
        return Ok(render::see_other(local_path(&query.next)));
    }
    require_open(&state)?;
    let form = SignupForm {
        username: String::new(),
        email: String::new(),
        password: String::new(),
        next: query.next,
    };
    page(
        &request,
        &state,
        StatusCode::OK,
        form,
        FormErrors::default(),
    )
}

/// `POST /signup`
///
/// # Errors
/// 403 while sign-ups are closed, 429 for too many from one address, 503 while sessions cannot be kept.
pub async fn create(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Form(form): Form<SignupForm>,
) -> Result<HttpResponse, Error> {
    if caller.viewer.is_some() {
        return Ok(render::see_other(local_path(&form.next)));
    }
    require_open(&state)?;
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
    // Told before it is counted and hashed; the constraint below settles who was first.
    let taken = account.username.is_reserved()
        || queries::is_taken(&mut state.db.conn().await?, &account.username.key()).await?;
    if taken {
        return refuse_name(&request, &state, form);
    }
    let address = Context::get(&request).limit_address().to_string();
    limit::spend(
        &request,
        &state,
        Class::Signup,
        &[&address],
        "Several accounts have been made from your address in a short time, so this one was not.",
    )
    .await?;
    let hash = password::hash(account.password.clone()).await?;
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    let user_id = match queries::insert(&mut conn, &account.username, account.email.as_ref(), &hash)
        .await
    {
        Ok(id) => id,
        Err(error) if new_account::is_taken(&error) => return refuse_name(&request, &state, form),
        Err(error) => return Err(error.into()),
    };
    lifecycle::signed_up(
        &mut conn,
        user_id,
        Some(user_id),
        &Context::get(&request).id,
    )
    .await?;
    if account.email.is_some() && state.mailer.is_on() {
        letters::ask_verification(&mut conn, user_id).await?;
    }
    conn.commit().await?;
    activity::did(&request, "user.sign_up", "user", user_id);
    sign_in::begin(&request, &state, user_id, false).await?;
    let welcome = format!("Welcome, {}. Your account is ready.", account.username);
    Ok(render::see_other_saying(
        &state,
        local_path(&form.next),
        &welcome,
    ))
}

fn require_open(state: &State) -> Result<(), Error> {
    match state.settings.get().signup_mode {
        SignupMode::Open => Ok(()),
        SignupMode::Closed => Err(Error::forbidden(
            "New accounts are not being taken just now. You can read everything without one.",
        )),
    }
}

fn refuse_name(
    request: &HttpRequest,
    state: &State,
    form: SignupForm,
) -> Result<HttpResponse, Error> {
    let mut errors = FormErrors::default();
    errors.add("username", "taken", TAKEN);
    page(
        request,
        state,
        StatusCode::UNPROCESSABLE_ENTITY,
        form,
        errors,
    )
}

/// The form, with all that was typed but the password.
fn page(
    request: &HttpRequest,
    state: &State,
    status: StatusCode,
    form: SignupForm,
    errors: FormErrors,
) -> Result<HttpResponse, Error> {
    guest_form(request, state, status, |csrf_token| SignupPage {
        page: Page::of(request, "Sign up"),
        csrf_token,
        username: form.username,
        email: form.email,
        next_encoded: chrome::encode(local_path(&form.next)),
        next: form.next,
        errors,
    })
}
