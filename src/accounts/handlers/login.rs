//! `/login` and `/logout`. Must not tell whether an account exists: a name that nobody has gets the same answer, in the
//! same time, under the same limits, as a wrong password.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Deserialize;

use super::{guest_form, signup::NextQuery};
use crate::{
    accounts::{
        password::{self, Verdict},
        queries::{self, Credentials},
        sign_in,
        views::LoginPage,
    },
    platform::limits::Class,
    web::{
        activity, chrome,
        context::Context,
        error::Error,
        form::{Form, FormErrors, Query, local_path},
        middleware::limit,
        page::Page,
        render,
        session::TokenHash,
        state::State,
        viewer::Caller,
    },
};

/// What somebody is told whose attempt is one too many.
const TOO_MANY: &str = "There have been many attempts to log in, so this one was not looked at.";
/// What the activity log calls an attempt that did not lead in, for whatever reason.
const LOGIN_FAILED: &str = "session.login_failed";

/// What a person fills in.
#[derive(Deserialize)]
pub struct LoginForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    remember: String,
    #[serde(default)]
    next: String,
}

/// `GET /login`
///
/// # Errors
/// None of its own.
pub async fn new_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<NextQuery>,
) -> Result<HttpResponse, Error> {
    if caller.viewer.is_some() {
        return Ok(render::see_other(local_path(query.next())));
    }
    let form = LoginForm {
        username: String::new(),
        password: String::new(),
        remember: String::new(),
        next: query.next().to_owned(),
    };
    page(
        &request,
        &state,
        StatusCode::OK,
        form,
        FormErrors::default(),
    )
}

/// `POST /login`
///
/// # Errors
/// 403 with the reason for a banned account (and the right password), 429 for too many attempts, 503 while sessions cannot
/// be kept.
pub async fn create(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Form(form): Form<LoginForm>,
) -> Result<HttpResponse, Error> {
    if caller.viewer.is_some() {
        return Ok(render::see_other(local_path(&form.next)));
    }
    let name = form.username.trim();
    let address = Context::get(&request).limit_address().to_string();
    // Until it has succeeded.
    activity::did(&request, LOGIN_FAILED, "user", None);
    // Hashed, since it may be an e-mail address or of any length; counted whether or not anyone has that name.
    let named = TokenHash::of(&name.to_lowercase()).to_string();
    // With the address, so that a stranger's attempts lock nobody out.
    let account_key = format!("{named}:{address}");
    for (class, key) in [
        (Class::LoginAddress, &address),
        (Class::LoginAccount, &account_key),
    ] {
        limit::spend(&request, &state, class, &[key], TOO_MANY).await?;
    }
    // From wherever they come: these are looked at all the same, but one after the other.
    let turn = state
        .limiter
        .take_turn(Class::LoginEverywhere, &named)
        .await;
    turn.map_err(|wait| Error::Limited {
        retry_after: wait,
        limit: state.limiter.rate(Class::LoginEverywhere).max,
        class: Class::LoginEverywhere,
        message: TOO_MANY.into(),
    })?;
    state.sessions.probe().await?;
    let found = queries::find_credentials(&mut state.db.conn().await?, name).await?;
    activity::did(
        &request,
        LOGIN_FAILED,
        "user",
        found.as_ref().map(|account| account.id),
    );
    let stored = found
        .as_ref()
        .and_then(|account| account.password_hash.clone());
    let verdict = password::verify(form.password.as_str().into(), stored).await?;
    let account = match found {
        Some(account) if verdict != Verdict::Wrong => account,
        _ => {
            let mut errors = FormErrors::default();
            errors.add(
                "",
                "credentials",
                "This name and this password do not belong together.",
            );
            return page(
                &request,
                &state,
                StatusCode::UNPROCESSABLE_ENTITY,
                form,
                errors,
            );
        }
    };
    state
        .limiter
        .forget(Class::LoginAccount, &account_key)
        .await;
    require_not_banned(&account, Context::get(&request).now)?;
    let account = match verdict {
        Verdict::RightButOld => {
            with_new_hash(&state, account, form.password.as_str().into()).await?
        }
        _ => account,
    };
    let session = sign_in::begin(&request, &state, account.id, !form.remember.is_empty()).await?;
    still_the_same(&state, &account, session).await?;
    activity::did(&request, "session.login", "user", account.id);
    Ok(render::see_other(local_path(&form.next)))
}

/// `POST /logout`
///
/// # Errors
/// 503 while the session cannot be ended.
pub async fn delete(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
) -> Result<HttpResponse, Error> {
    sign_in::end(&request, &state).await?;
    activity::did(&request, "session.logout", "user", caller.id());
    Ok(render::see_other_saying(
        &state,
        "/",
        "You are logged out. See you soon.",
    ))
}

fn require_not_banned(account: &Credentials, now: DateTime<Utc>) -> Result<(), Error> {
    let banned =
        account.banned_at.is_some() && account.banned_until.is_none_or(|until| until > now);
    if !banned {
        return Ok(());
    }
    let end = account
        .banned_until
        .map(|until| format!(" until {}", until.format("%-d %B %Y")))
        .unwrap_or_default();
    let reason = account.ban_reason.as_deref().unwrap_or_default();
    Err(Error::forbidden(format!(
        "This account is banned{end}: {reason}"
    )))
}

/// Keeps the password's hash with today's parameters.
async fn with_new_hash(
    state: &State,
    account: Credentials,
    password: SecretString,
) -> Result<Credentials, Error> {
    let new = password::rehash(password).await?;
    let old = account.password_hash.clone().unwrap_or_default();
    queries::replace_hash(&mut state.db.conn().await?, account.id, &old, &new).await?;
    Ok(Credentials {
        password_hash: Some(new),
        ..account
    })
}

/// A ban or a new password ends every session; one that begins in the same moment must not slip past. So the account is
/// read once more now that the session can be found by whoever ends sessions.
async fn still_the_same(
    state: &State,
    account: &Credentials,
    session: TokenHash,
) -> Result<(), Error> {
    let now = queries::find_credentials_by_id(&mut state.db.conn().await?, account.id).await?;
    if now.as_ref() == Some(account) {
        return Ok(());
    }
    state.sessions.end(account.id, session).await?;
    Err(Error::Conflict(
        "This account has just been changed. Log in again.".into(),
    ))
}

/// The form, with all that was typed but the password.
fn page(
    request: &HttpRequest,
    state: &State,
    status: StatusCode,
    form: LoginForm,
    errors: FormErrors,
) -> Result<HttpResponse, Error> {
    guest_form(request, state, status, |csrf_token| LoginPage {
        page: Page::of(request, "Log in"),
        csrf_token,
        username: form.username,
        remember: !form.remember.is_empty(),
        next_encoded: chrome::encode(local_path(&form.next)),
        next: form.next,
        errors,
    })
}
