//! The innermost middleware, one on every route: who may call it, the form's body and token, the deadline, and the net
//! under a panic. Must not know what the handler does.
//!
//! It stands on the route and not on the application, because only behind the router may a request be kept aside while
//! the handler runs: a panic unwinds the handler's copy, and the answer needs one.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, rc::Rc, time::Duration};

use actix_web::{
    Error as ActixError, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web::Data,
};
use futures_util::{FutureExt, StreamExt};

use super::limit;
use crate::web::{
    csrf,
    envelope::WantsEnvelope,
    error::Error,
    form::Fields,
    state::State,
    viewer::{Caller, Scope},
};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone. A form sent by a guest carries a guest's token.
    Guest,
    /// Anyone, and the form needs no token, since it changes nothing but the sender's own cookie.
    GuestWithoutToken,
    /// Who is signed in; to change anything, not banned.
    Member,
    /// Who is signed in, banned or not.
    EvenBanned,
    /// Whose roles allow this action on this resource.
    May(&'static str, &'static str),
    /// Whose roles allow this action on `ops`. Programs call these: what is refused is an envelope, not a page.
    Operator(&'static str),
}

/// Longest body that a form may have, in bytes.
pub const BODY_MAX: usize = 512 * 1024;

/// How much of a body that is too long is still read, in bytes: a browser that is cut off while it sends shows its own
/// error and not our page.
const DRAIN_MAX: usize = 16 * BODY_MAX;

/// Time that a handler has, and time that a body may take to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// What [`guard`] answers with.
type Guarded = Pin<Box<dyn Future<Output = Result<ServiceResponse<BoxBody>, ActixError>>>>;

/// What a route is wrapped with; `access` says who may call it.
pub fn guard<B>(access: Access) -> impl Fn(ServiceRequest, Next<B>) -> Guarded + Clone + 'static
where
    B: MessageBody + 'static,
{
    move |request, next| Box::pin(guarded(access, request, next))
}

async fn guarded<B: MessageBody + 'static>(
    access: Access,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, ActixError> {
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        let error = Error::Internal(anyhow::anyhow!("no state in the application"));
        return Ok(ServiceResponse::from_err(error, request.into_parts().0));
    };
    let most = limit::max_of(&state, &request);
    let (decision, checked) = match check(access, &request) {
        Ok(()) => match limit::count(&state, &request).await {
            Ok(decision) if request.method().is_safe() => (decision, Ok(())),
            Ok(decision) => (decision, take_form(&state, access, &mut request).await),
            Err(error) => (None, Err(error)),
        },
        Err(error) => (None, Err(error)),
    };
    let mut response = match checked {
        Ok(()) => handle(request, next).await,
        Err(error) => {
            if matches!(access, Access::Operator(_)) {
                request.extensions_mut().insert(WantsEnvelope);
            }
            ServiceResponse::from_err(error, request.into_parts().0)
        }
    };
    limit::tell(&mut response, decision, most);
    Ok(response)
}

/// Runs the handler, within the deadline and with a net under a panic.
async fn handle<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> ServiceResponse<BoxBody> {
    let kept = request.request().clone();
    let answer = AssertUnwindSafe(tokio::time::timeout(DEADLINE, next.call(request)))
        .catch_unwind()
        .await;
    let error = match answer {
        Ok(Ok(Ok(response))) => return response.map_into_boxed_body(),
        Ok(Ok(Err(error))) => return ServiceResponse::from_err(error, kept),
        Ok(Err(_)) => Error::Unavailable("the handler met its deadline".into()),
        Err(panic) => Error::Internal(anyhow::anyhow!("panic: {}", panic_message(&*panic))),
    };
    ServiceResponse::from_err(error, kept)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

fn check(access: Access, request: &ServiceRequest) -> Result<(), Error> {
    // Nothing here is named with control characters, and the database takes no NUL.
    let path = percent_encoding::percent_decode_str(request.path()).decode_utf8();
    if path.map_or(true, |path| path.chars().any(char::is_control)) {
        return Err(Error::NotFound);
    }
    let caller = Caller::get(request.request());
    let changes = !request.method().is_safe();
    caller.require_scope(if changes { Scope::Write } else { Scope::Read })?;
    match access {
        Access::Guest | Access::GuestWithoutToken => Ok(()),
        Access::EvenBanned => caller.viewer().map(|_| ()),
        Access::Member | Access::May(..) | Access::Operator(_) => {
            let viewer = caller.viewer()?;
            if let (true, Some(ban)) = (changes, &viewer.ban) {
                let end = ban
                    .until
                    .map(|t| format!(" until {}", t.format("%-d %B %Y")))
                    .unwrap_or_default();
                return Err(Error::forbidden(format!(
                    "This account is banned{end}: {}",
                    ban.reason
                )));
            }
            match access {
                Access::May(resource, action) if !viewer.may_any(resource, action) => {
                    viewer.require(resource, action, &Default::default())
                }
                Access::Operator(action) if !viewer.may_any("ops", action) => {
                    viewer.require("ops", action, &Default::default())
                }
                _ => Ok(()),
            }
        }
    }
}

/// Reads the body, and checks that it was sent from this site. A request with a key of a program needs no such proof: no
/// browser adds that header by itself.
async fn take_form(
    state: &State,
    access: Access,
    request: &mut ServiceRequest,
) -> Result<(), Error> {
    if Caller::get(request.request()).scopes.is_some() {
        let fields = read_fields(request).await?;
        request.extensions_mut().insert(Rc::new(fields));
        return Ok(());
    }
    let own_origin = state.config.http.base_url.origin().ascii_serialization();
    if csrf::from_another_site(request.request(), &own_origin) {
        return Err(Error::Csrf);
    }
    let fields = read_fields(request).await?;
    if access != Access::GuestWithoutToken {
        check_token(state, request, &fields)?;
    }
    request.extensions_mut().insert(Rc::new(fields));
    Ok(())
}

async fn read_fields(request: &mut ServiceRequest) -> Result<Fields, Error> {
    let mut payload = request.take_payload();
    let body = tokio::time::timeout(DEADLINE, collect(&mut payload))
        .await
        .map_err(|_| Error::bad_request("The request took too long to arrive."))??;
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if body.is_empty() {
        return Ok(Fields::default());
    }
    if kind != "application/x-www-form-urlencoded" {
        return Err(Error::UnsupportedMediaType);
    }
    Fields::parse(&body)
}

async fn collect(payload: &mut Payload) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let mut read = 0;
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|_| Error::bad_request("The request broke off before its end."))?;
        read += chunk.len();
        if read > DRAIN_MAX {
            break;
        }
        if read <= BODY_MAX {
            body.extend_from_slice(&chunk);
        }
    }
    if read > BODY_MAX {
        Err(Error::TooLarge)
    } else {
        Ok(body)
    }
}

fn check_token(state: &State, request: &ServiceRequest, fields: &Fields) -> Result<(), Error> {
    let header = request
        .headers()
        .get("x-csrf-token")
        .and_then(|v| v.to_str().ok());
    let token = fields.get("csrf_token").or(header).unwrap_or_default();
    let good = match &Caller::get(request.request()).session {
        Some(session) => csrf::verify_session(&state.keys, session, token),
        None => csrf::verify_guest(
            &state.keys,
            request.request(),
            token,
            state.config.http.secure(),
        ),
    };
    if good { Ok(()) } else { Err(Error::Csrf) }
}
