//! The innermost middleware, one on every route: who may call it, the limits of its class, the body and its token; then the
//! handler, within the [net]. Must not know what the handler does.

use std::{future::Future, pin::Pin, rc::Rc};

use actix_web::{
    Error as ActixError, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web::Data,
};
use futures_util::StreamExt;

use super::{
    limit,
    net::{self, DEADLINE},
};
use crate::web::{
    csrf,
    envelope::is_for_programs,
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
    /// Whose roles allow this action on this resource, whatever its target.
    May(&'static str, &'static str),
    /// Whose roles allow this action on this resource under some condition; the handler holds it against the target.
    MaySome(&'static str, &'static str),
    /// Whose roles allow this action on `ops`; a program needs a key with that scope besides.
    Operator(&'static str),
    /// Anyone, with a key that is good for anything: the handler tells operators more.
    Probe,
}

/// Longest body that a form may have, in bytes.
pub const BODY_MAX: usize = 512 * 1024;

/// How much of a body that is too long is still read, in bytes: a browser that is cut off while it sends shows its own
/// error and not our page.
const DRAIN_MAX: usize = 16 * BODY_MAX;

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
    let mut response = match admit(&state, access, &mut request).await {
        Ok(()) => net::bounded(request, next).await,
        Err(error) => ServiceResponse::from_err(error, request.into_parts().0),
    };
    limit::tell(&mut response);
    Ok(response)
}

async fn admit(state: &State, access: Access, request: &mut ServiceRequest) -> Result<(), Error> {
    check(access, request)?;
    // How the site is may be asked as often as one likes: whoever watches is not to be locked out.
    if !matches!(access, Access::Probe) {
        limit::count(state, request).await?;
    }
    if request.method().is_safe() {
        return Ok(());
    }
    take_form(state, access, request).await
}

fn check(access: Access, request: &ServiceRequest) -> Result<(), Error> {
    // Nothing here is named with control characters, and the database takes no NUL.
    let path = percent_encoding::percent_decode_str(request.path()).decode_utf8();
    if path.map_or(true, |path| path.chars().any(char::is_control)) {
        return Err(Error::NotFound);
    }
    let caller = Caller::get(request.request());
    let changes = !request.method().is_safe();
    match access {
        Access::Probe => {}
        Access::Operator(_) => caller.require_scope(Scope::Ops)?,
        _ if changes => caller.require_scope(Scope::Write)?,
        _ => caller.require_scope(Scope::Read)?,
    }
    match access {
        Access::Guest | Access::GuestWithoutToken | Access::Probe => return Ok(()),
        Access::EvenBanned => return caller.viewer().map(drop),
        Access::Member | Access::May(..) | Access::MaySome(..) | Access::Operator(_) => {}
    }
    let viewer = caller.viewer()?;
    if changes {
        viewer.require_not_banned()?;
    }
    match access {
        Access::May(resource, action) => viewer.require_any(resource, action),
        Access::MaySome(resource, action) => viewer.require_some(resource, action),
        Access::Operator(action) => viewer.require_any("ops", action),
        _ => Ok(()),
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
    match kind.as_str() {
        "application/x-www-form-urlencoded" => Fields::parse(&body),
        "application/json" if is_for_programs(request.path()) => Fields::parse_json(&body),
        _ => Err(Error::UnsupportedMediaType),
    }
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
