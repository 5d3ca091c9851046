//! `/settings/email` and the link that proves an address. Must not tell whether another account has an address: only
//! whoever reads its mail learns that.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Path},
};
use serde::Deserialize;

use super::guest_form;
use crate::{
    accounts::{
        email::Email,
        letters::{
            self, Change,
            queries::{self, Addresses, Purpose},
        },
        lifecycle, reauthentication,
        views::{EmailVerifyPage, SettingsEmailPage},
    },
    platform::limits::Class,
    web::{
        activity,
        context::Context,
        error::{Error, violated},
        form::{Form, FormErrors},
        middleware::limit,
        page::Page,
        render,
        signing::token_hash,
        state::State,
        viewer::{Caller, Viewer},
    },
};

/// What a person fills in.
#[derive(Deserialize)]
pub struct EmailForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    current_password: String,
}

/// `GET /settings/email`
///
/// # Errors
/// As the database said.
pub async fn edit_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
) -> Result<HttpResponse, Error> {
    let addresses =
        queries::get_addresses(&mut state.db.conn().await?, caller.viewer()?.id).await?;
    let typed = addresses
        .pending
        .clone()
        .or_else(|| addresses.email.clone())
        .unwrap_or_default();
    render::page(
        &request,
        &page(&request, &state, addresses, typed, FormErrors::default()),
    )
}

/// `POST /settings/email`: the new address is used once it is proven; none at all is forgotten at once.
///
/// # Errors
/// 429 for too many wrong passwords or letters.
pub async fn update(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Form(form): Form<EmailForm>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut errors = FormErrors::default();
    let address = Email::parse_optional(&form.email)
        .map_err(|sentence| errors.add("email", "format", sentence));
    reauthentication::check(
        &request,
        &state,
        viewer,
        &form.current_password,
        &mut errors,
    )
    .await?;
    let address = match address {
        Ok(address) if errors.is_empty() => address,
        _ => {
            let addresses = queries::get_addresses(&mut state.db.conn().await?, viewer.id).await?;
            return render::invalid(
                &request,
                &page(&request, &state, addresses, form.email, errors),
            );
        }
    };
    if address.is_some() {
        limit(&request, &state, viewer).await?;
    }
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    let before = queries::get_addresses(&mut conn, viewer.id).await?;
    // A link to an address that is no longer wanted must not bring it back.
    queries::delete_tokens(&mut conn, viewer.id, Purpose::VerifyEmail).await?;
    let sentence = match &address {
        None => {
            queries::delete_tokens(&mut conn, viewer.id, Purpose::ResetPassword).await?;
            queries::delete_addresses(&mut conn, viewer.id).await?;
            "Your address is forgotten.".to_owned()
        }
        Some(address)
            if before.is_verified && before.email.as_deref() == Some(address.as_str()) =>
        {
            queries::set_address(&mut conn, viewer.id, address.as_str()).await?;
            queries::set_verified(&mut conn, viewer.id, address.as_str()).await?;
            "This is your address already, and it is confirmed.".to_owned()
        }
        Some(address) => {
            queries::set_address(&mut conn, viewer.id, address.as_str()).await?;
            ask(&state, &mut conn, viewer.id).await?;
            said(&state, address.as_str())
        }
    };
    conn.commit().await?;
    activity::did(&request, "email.set", "user", viewer.id);
    Ok(render::see_other_saying(
        &state,
        "/settings/email",
        &sentence,
    ))
}

/// `POST /settings/email/resend`: the letter once more.
///
/// # Errors
/// 429 for too many letters.
pub async fn resend(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    limit(&request, &state, viewer).await?;
    let mut conn = state.db.conn().await?;
    let sentence = match queries::find_unproven(&mut conn, viewer.id).await? {
        Some(to) => {
            ask(&state, &mut conn, viewer.id).await?;
            activity::did(&request, "email.ask", "user", viewer.id);
            said(&state, &to.email)
        }
        None => "There is no address that waits to be confirmed.".to_owned(),
    };
    Ok(render::see_other_saying(
        &state,
        "/settings/email",
        &sentence,
    ))
}

async fn ask(
    state: &State,
    conn: &mut crate::platform::db::Conn,
    user_id: i64,
) -> Result<(), Error> {
    if state.mailer.is_on() {
        letters::ask_verification(conn, user_id).await?;
    }
    Ok(())
}

fn said(state: &State, address: &str) -> String {
    if state.mailer.is_on() {
        format!("A letter is on its way to {address}. Follow its link to confirm the address.")
    } else {
        format!(
            "{address} is noted, but this site cannot send mail just now, so it cannot be confirmed."
        )
    }
}

async fn limit(request: &HttpRequest, state: &State, viewer: &Viewer) -> Result<(), Error> {
    limit::spend(
        request,
        state,
        Class::Letter,
        &[&viewer.id.to_string()],
        "Several letters have been sent for your account in a short time, so this one was not.",
    )
    .await
}

/// `GET /email/verify/{token}`: programs that look into mail follow links, so that following it changes nothing yet.
///
/// # Errors
/// As the database said.
pub async fn verify_form(
    request: HttpRequest,
    state: Data<State>,
    token: Path<String>,
) -> Result<HttpResponse, Error> {
    let found =
        letters::find_link(&mut state.db.conn().await?, Purpose::VerifyEmail, &token).await?;
    let status = if found.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    guest_form(&request, &state, status, |csrf_token| EmailVerifyPage {
        page: super::secret_page(&request, "Confirm your address"),
        csrf_token,
        action: format!("/email/verify/{}", *token),
        to: found.map(|to| (to.username, to.email)),
    })
}

/// `POST /email/verify/{token}`
///
/// # Errors
/// 409 where another account has proven the address.
pub async fn verify(
    request: HttpRequest,
    state: Data<State>,
    token: Path<String>,
) -> Result<HttpResponse, Error> {
    let hash = token_hash(&token);
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    let link = queries::find_token(&mut conn, Purpose::VerifyEmail, &hash).await?;
    let Some(to) = link else {
        drop(conn);
        return verify_form(request, state, token).await;
    };
    if !queries::delete_token(&mut conn, Purpose::VerifyEmail, &hash).await? {
        return Err(Error::Conflict("This link has just been used.".into()));
    }
    let before = queries::get_addresses(&mut conn, to.user_id).await?;
    match queries::set_verified(&mut conn, to.user_id, &to.email).await {
        Ok(true) => {}
        Ok(false) => {
            return Err(Error::Conflict(
                "The account has been given another address since.".into(),
            ));
        }
        Err(error) if violated(&error) == Some("users_email_key") => {
            return Err(Error::Conflict(
                "Another account on this site has confirmed this address already. Log in with that one, or give this \
                 account another address."
                    .into(),
            ));
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(old) = before
        .email
        .filter(|old| before.is_verified && *old != to.email)
    {
        letters::ask_telling(&mut conn, to.user_id, Change::Email { old: &old }).await?;
    }
    lifecycle::email_verified(&mut conn, to.user_id, &Context::get(&request).id).await?;
    conn.commit().await?;
    activity::did(&request, "email.verify", "user", to.user_id);
    tracing::info!(user.id = to.user_id, "address confirmed");
    let back = if Caller::get(&request).viewer.is_some() {
        "/settings/email"
    } else {
        "/"
    };
    Ok(render::see_other_saying(
        &state,
        back,
        "Your address is confirmed.",
    ))
}

fn page(
    request: &HttpRequest,
    state: &State,
    addresses: Addresses,
    typed: String,
    errors: FormErrors,
) -> SettingsEmailPage {
    SettingsEmailPage {
        page: Page::of(request, "E-mail"),
        mail_is_on: state.mailer.is_on(),
        waits: addresses
            .pending
            .clone()
            .or_else(|| addresses.email.clone().filter(|_| !addresses.is_verified)),
        proven: addresses.email.filter(|_| addresses.is_verified),
        email: typed,
        errors,
    }
}
