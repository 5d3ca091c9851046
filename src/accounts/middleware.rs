//! Fills in who calls (S09, S10): from the loaded session to one [`Caller`]. Must not know what the request asks.

use std::rc::Rc;

use actix_identity::IdentityExt;
use actix_session::SessionExt;
use actix_web::{
    Error as ActixError, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
    web::Data,
};
use chrono::Utc;

use super::{
    model::ViewerRow,
    queries, tokens,
    viewers::{Found, Viewers},
};
use crate::web::{
    context::Context,
    cookies,
    envelope::is_for_programs,
    error::Error,
    session::{self, AWAY_KEY, SESSION_KEY, VIEWER_KEY},
    signing::token_hash,
    state::State,
    viewer::{Caller, Viewer},
};

/// Middleware function, see the module. A guest without a cookie costs nothing.
pub async fn viewer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, ActixError> {
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if is_for_programs(request.path())
        && let Some(credentials) = request.headers().get(header::AUTHORIZATION).cloned()
    {
        return bearer(request, state, &credentials, next).await;
    }
    let name = cookies::name(session::COOKIE, state.config.http.secure());
    if request.cookie(&name).is_none() {
        let guest = guest(&request);
        request.extensions_mut().insert(Rc::new(guest));
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let (caller, active) = match resolve(&request).await {
        Ok(resolved) => resolved,
        Err(error) if does_without(&request, &error) => (unknown(&request), None),
        Err(error) => return Ok(ServiceResponse::from_err(error, request.into_parts().0)),
    };
    let stale = caller.viewer.is_none() && !caller.sessions_away;
    request.extensions_mut().insert(Rc::new(caller));
    let mut response = next.call(request).await?.map_into_boxed_body();
    if let Some(user_id) = active {
        note_active(state.clone(), user_id);
    }
    if stale && !sets_session(&response, &name) {
        let removal = cookies::removal(session::COOKIE, state.config.http.secure());
        if let Ok(value) = HeaderValue::from_str(&removal.to_string()) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    Ok(response)
}

/// A request of a program: its key says who it is for, and a cookie beside it says nothing. A bad key is never a guest.
async fn bearer(
    request: ServiceRequest,
    state: Data<State>,
    credentials: &HeaderValue,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, ActixError> {
    let caller = match find_bearer(&request, &state, credentials).await {
        Ok(Some(caller)) => caller,
        Err(error) if does_without(&request, &error) => unknown(&request),
        Ok(None) => {
            let error = Error::BadCredentials;
            return Ok(ServiceResponse::from_err(error, request.into_parts().0));
        }
        Err(error) => return Ok(ServiceResponse::from_err(error, request.into_parts().0)),
    };
    request.extensions_mut().insert(Rc::new(caller));
    Ok(next.call(request).await?.map_into_boxed_body())
}

async fn find_bearer(
    request: &ServiceRequest,
    state: &Data<State>,
    credentials: &HeaderValue,
) -> Result<Option<Caller>, Error> {
    let token = credentials
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(token) = token else {
        return Ok(None);
    };
    let hash = token_hash(token);
    let Some(found) = tokens::queries::find_bearer(&mut state.db.conn().await?, &hash).await?
    else {
        return Ok(None);
    };
    let now = Utc::now();
    // The key is looked up each time, its owner need not be.
    let Some(owner) = viewers(request)?.find(found.user_id).await? else {
        return Ok(None);
    };
    let active = owner.row.active_again(now).filter(|_| owner.is_new);
    let viewer = Viewer::from_row(owner.row, now);
    if !state.is_on(tokens::FLAG, Some(&viewer), now) {
        return Ok(None);
    }
    if let Some(user_id) = active {
        note_active(state.clone(), user_id);
    }
    if found.is_stale {
        note_used(state.clone(), found.id);
    }
    Ok(Some(Caller {
        viewer: Some(Rc::new(viewer)),
        scopes: Some(tokens::scopes(&found.scopes)),
        token: Some(found.id),
        ..guest(request)
    }))
}

/// Whether an answer is worth more than knowing for whom: how the site is, while the part is away that would tell. Who
/// asks then learns what anybody does.
fn does_without(request: &ServiceRequest, error: &Error) -> bool {
    matches!(error, Error::Unavailable(_)) && matches!(request.path(), "/health" | "/api/health")
}

/// Somebody, but what would tell who is away.
fn unknown(request: &ServiceRequest) -> Caller {
    Caller {
        sessions_away: true,
        ..guest(request)
    }
}

/// Nobody in particular, from where this request comes.
fn guest(request: &ServiceRequest) -> Caller {
    Caller {
        context: Some(Context::get(request.request())),
        ..Caller::default()
    }
}

/// Writes "last used" behind the answer, so that nobody waits for it; if it fails, the next request does it.
fn note_used(state: Data<State>, id: i64) {
    actix_web::rt::spawn(async move {
        let noted = match state.db.conn().await {
            Ok(mut conn) => tokens::queries::set_used(&mut conn, id).await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::debug!(error = %error, token.id = id, "last used was not noted");
        }
    });
}

/// Whether the handler has just begun a session: its cookie must not be taken away again.
fn sets_session(response: &ServiceResponse<BoxBody>, name: &str) -> bool {
    response
        .headers()
        .get_all(header::SET_COOKIE)
        .any(|v| v.as_bytes().starts_with(format!("{name}=").as_bytes()))
}

/// Writes "last active" behind the answer, so that nobody waits for it; if it fails, the next request does it.
fn note_active(state: Data<State>, user_id: i64) {
    actix_web::rt::spawn(async move {
        let noted = match state.db.conn().await {
            Ok(mut conn) => queries::set_active(&mut conn, user_id).await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::debug!(error = %error, user.id = user_id, "last active was not noted");
        }
    });
}

fn viewers(request: &ServiceRequest) -> Result<&Data<Viewers>, Error> {
    request
        .app_data()
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("no viewers in the application")))
}

/// Who calls, and their id if it is time to note that they are about.
async fn resolve(request: &ServiceRequest) -> Result<(Caller, Option<i64>), Error> {
    let session = request.get_session();
    if session.get::<bool>(AWAY_KEY).ok().flatten() == Some(true) {
        return Ok((unknown(request), None));
    }
    let id = request
        .get_identity()
        .ok()
        .and_then(|identity| identity.id().ok());
    let Some(id) = id.and_then(|id| id.parse::<i64>().ok()) else {
        return Ok((guest(request), None));
    };
    let found = match session.get::<ViewerRow>(VIEWER_KEY).ok().flatten() {
        Some(row) => Some(Found { row, is_new: true }),
        None => viewers(request)?.find(id).await?,
    };
    let Some(Found { row, is_new }) = found else {
        return Ok((guest(request), None));
    };
    let now = Utc::now();
    // A kept row does not know what was noted since.
    let active = row.active_again(now).filter(|_| is_new);
    let caller = Caller {
        viewer: Some(Rc::new(Viewer::from_row(row, now))),
        session: session.get::<String>(SESSION_KEY).ok().flatten(),
        ..guest(request)
    };
    Ok((caller, active))
}
