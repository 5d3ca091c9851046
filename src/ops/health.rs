//! Probes (S31): `/health/live`, `/health/ready` and `/health`. Must not know sessions, limits or pages.
//!
//! They are answered by a middleware outside of everything else, so that they tell of a process whose other parts are in
//! trouble. They say no details: who probes is not asked who they are.

use std::time::{Duration, Instant};

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    web::Data,
};
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::web::state::State;

/// When the process began to serve; uptime counts from here.
static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

/// No check takes longer.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// Marks the begin of the uptime; later calls change nothing.
pub fn mark_started() {
    STARTED.get_or_init(Instant::now);
}

fn uptime() -> f64 {
    STARTED.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Middleware function, see the module.
pub async fn probes<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let asked = matches!(*request.method(), Method::GET | Method::HEAD);
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let answer = match request.path() {
        "/health/live" if asked => live(),
        "/health/ready" if asked => ready(&state).await,
        "/health" if asked => whole(&state).await,
        _ => return Ok(next.call(request).await?.map_into_left_body()),
    };
    Ok(request.into_response(answer).map_into_right_body())
}

fn live() -> HttpResponse {
    answer(true, json!({ "status": "alive", "uptime": uptime() }))
}

async fn ready(state: &State) -> HttpResponse {
    if state.shutting_down.is_set() {
        return answer(false, json!({ "status": "shutting-down" }));
    }
    match database(state).await {
        true => answer(true, json!({ "status": "ready" })),
        false => answer(false, json!({ "status": "unhealthy" })),
    }
}

/// Unhealthy when a critical part is (the database), degraded when another is (Redis).
async fn whole(state: &State) -> HttpResponse {
    let (database, redis) = tokio::join!(database(state), redis(state));
    let checks = [
        Some(("database", true, database)),
        redis.map(|up| ("redis", false, up)),
    ];
    let checks: Vec<_> = checks.into_iter().flatten().collect();
    let word = |critical: bool, up: bool| match (critical, up) {
        (_, true) => "healthy",
        (true, false) => "unhealthy",
        (false, false) => "degraded",
    };
    let count = |status: &str| {
        checks
            .iter()
            .filter(|(_, critical, up)| word(*critical, *up) == status)
            .count()
    };
    let status = ["unhealthy", "degraded"]
        .into_iter()
        .find(|s| count(s) > 0)
        .unwrap_or("healthy");
    let each: serde_json::Map<String, Value> = checks
        .iter()
        .map(|(name, critical, up)| {
            (
                (*name).to_owned(),
                json!({ "status": word(*critical, *up) }),
            )
        })
        .collect();
    answer(
        status != "unhealthy",
        json!({
            "status": status,
            "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            "uptime": uptime(),
            "checks": each,
            "summary": {
                "total": checks.len(),
                "healthy": count("healthy"),
                "degraded": count("degraded"),
                "unhealthy": count("unhealthy"),
            },
        }),
    )
}

async fn database(state: &State) -> bool {
    state.db.ping(CHECK_LIMIT).await.is_ok()
}

async fn redis(state: &State) -> Option<bool> {
    let kv = state.kv.as_ref()?;
    Some(
        kv.query::<String>(&deadpool_redis::redis::cmd("PING"))
            .await
            .is_ok(),
    )
}

fn answer(good: bool, body: Value) -> HttpResponse {
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
