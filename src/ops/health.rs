//! Probes (S31) and health (S30): `/health/live`, `/health/ready`, `/health`, `/api/health`. Must not know what the checks
//! look at.
//!
//! The probes are answered by a middleware outside of everything else, so that they tell of a process whose other parts
//! are in trouble. They say no details: who probes is not asked who they are. Somebody with a session or a token is let
//! through to [`show`], where operators see what each check found; where anything stands in their way (a session that has
//! ended, a wrong token, a limit), they are answered like anybody else.

use std::time::Duration;

use actix_web::{
    Error as ActixError, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    web::Data,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    platform::health::Status,
    web::{context::is_probe, cookies, error::Error, session, state::State, viewer::Caller},
};

/// No probe takes longer, whatever the checks do.
const LIMIT: Duration = Duration::from_secs(10);

/// Middleware function, see the module.
pub async fn probes<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, ActixError> {
    if !is_probe(request.path()) || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let answer = match request.path() {
        "/health/live" => live(&state),
        "/health/ready" => ready(&state).await,
        "/health" if is_somebody(&request, &state) => {
            let response = next.call(request).await?;
            if response.response().extensions().contains::<Told>() {
                return Ok(response.map_into_left_body());
            }
            let plain = whole(&state, false).await;
            return Ok(response.into_response(plain).map_into_right_body());
        }
        "/health" => whole(&state, false).await,
        // Who is somebody sees more; a page of another origin is told whether it may look.
        "/api/health"
            if !is_somebody(&request, &state)
                && !request.headers().contains_key(header::ORIGIN) =>
        {
            parts(&state, false).await
        }
        _ => return Ok(next.call(request).await?.map_into_left_body()),
    };
    Ok(request.into_response(answer).map_into_right_body())
}

/// Marks an answer that [`show`] gave.
struct Told;

fn is_somebody(request: &ServiceRequest, state: &State) -> bool {
    let session = cookies::name(session::COOKIE, state.config.http.secure());
    request.headers().contains_key(header::AUTHORIZATION) || request.cookie(&session).is_some()
}

fn may_see_details(request: &HttpRequest) -> bool {
    Caller::get(request).operates("read")
}

/// `GET /health`, for somebody who may be an operator.
///
/// # Errors
/// None; the signature is a handler's.
pub async fn show(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let mut answer = whole(&state, may_see_details(&request)).await;
    answer.extensions_mut().insert(Told);
    Ok(answer)
}

/// `GET /api/health`: each part by its name; details for operators.
///
/// # Errors
/// None; the signature is a handler's.
pub async fn services(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    Ok(parts(&state, may_see_details(&request)).await)
}

/// Each part by its name.
async fn parts(state: &State, details: bool) -> HttpResponse {
    let Ok(report) = tokio::time::timeout(LIMIT, state.checks.report(details)).await else {
        return answer(false, &json!({ "services": [] }));
    };
    let services: Vec<_> = report
        .checks
        .iter()
        .map(|(name, check)| json!({ "service": name, "status": check.status, "details": check.details }))
        .collect();
    answer(
        report.status != Status::Unhealthy,
        &json!({ "services": services }),
    )
}

/// Whether the process runs at all.
pub(super) fn live(state: &State) -> HttpResponse {
    answer(
        true,
        &json!({ "status": "alive", "uptime": state.checks.uptime() }),
    )
}

/// Whether the site can serve.
pub(super) async fn ready(state: &State) -> HttpResponse {
    if state.shutting_down.is_set() {
        return answer(false, &json!({ "status": "shutting-down" }));
    }
    match tokio::time::timeout(LIMIT, state.checks.is_ready()).await {
        Ok(true) => answer(true, &json!({ "status": "ready" })),
        Ok(false) | Err(_) => answer(false, &json!({ "status": "unhealthy" })),
    }
}

/// The report of all checks.
pub(super) async fn whole(state: &State, details: bool) -> HttpResponse {
    match tokio::time::timeout(LIMIT, state.checks.report(details)).await {
        Ok(report) => answer(report.status != Status::Unhealthy, &report),
        Err(_) => answer(false, &json!({ "status": "unhealthy" })),
    }
}

fn answer(good: bool, body: &impl Serialize) -> HttpResponse {
    let mut response = if good {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    if !good {
        response.insert_header((header::RETRY_AFTER, 5));
    }
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body)
}
