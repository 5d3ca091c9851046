//! `/dependencies`: everything outside that is called, its breaker, what runs now, and how an operator steers them
//! (S18-S22). Must not know what is called.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Path},
};
use serde_json::{Value, json};

use super::deeds;
use crate::{
    platform::{
        audit::Change,
        resilience::{breaker::Forced, dependencies::Status},
    },
    web::{error::Error, state::State},
};

fn answer(body: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body)
}

/// A dependency as programs read it.
pub(super) fn as_json(one: &Status) -> Value {
    let breaker = &one.breaker;
    json!({
        "name": one.name,
        "state": breaker.state,
        "forced": breaker.forced,
        "failureRate": breaker.failure_rate,
        "successes": breaker.successes,
        "failures": breaker.failures,
        "refused": breaker.refused,
        "meanMs": breaker.mean_ms,
        "lastFailure": breaker.last_failure,
        "health": {
            "level": one.health.level,
            "slow": one.health.slow,
            "calls": one.health.calls,
            "errorRate": one.health.error_rate,
            "availability": one.health.availability,
            "meanMs": one.health.mean_ms,
        },
        "bulkhead": one.bulkhead.map(|bulkhead| json!({
            "running": bulkhead.running,
            "queued": bulkhead.queued,
            "total": bulkhead.total,
            "refused": bulkhead.refused,
            "meanWaitMs": bulkhead.mean_wait_ms,
            "meanRunMs": bulkhead.mean_run_ms,
            "maxRunning": bulkhead.size.running,
            "maxQueued": bulkhead.size.queued,
        })),
        "retries": one.retries.map(|retries| json!({
            "attempts": retries.attempts,
            "retried": retries.retried,
            "overBudget": retries.over_budget,
            "budget": retries.budget,
        })),
    })
}

/// All of them.
pub(super) fn all_as_json(state: &State) -> Vec<Value> {
    state.dependencies.list().iter().map(as_json).collect()
}

/// `GET /dependencies`: each dependency, and the calls that run now.
///
/// # Errors
/// None; the signature is a handler's.
pub async fn list(state: Data<State>) -> Result<HttpResponse, Error> {
    let active: Vec<Value> = state
        .dependencies
        .active()
        .iter()
        .map(|call| json!({ "id": call.id, "context": call.context, "ageMs": call.age_ms, "limitMs": call.limit_ms }))
        .collect();
    Ok(answer(
        &json!({ "dependencies": all_as_json(&state), "active": active }),
    ))
}

/// `POST /dependencies/{name}/{state}`: holds a breaker `open` or `closed` in this process, or lets it go: `auto`.
///
/// # Errors
/// [`Error::NotFound`] where there is no such dependency or state; 503 where it cannot be written down who did, and it is
/// done all the same.
pub async fn force(
    request: HttpRequest,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let (name, wanted) = path.into_inner();
    let forced = match wanted.as_str() {
        "open" => Some(Forced::Open),
        "closed" => Some(Forced::Closed),
        "auto" => None,
        _ => return Err(Error::NotFound),
    };
    let before = state.dependencies.find(&name).ok_or(Error::NotFound)?;
    state.dependencies.force(&name, forced);
    let change = Change {
        subject: &format!("dependency:{name}"),
        action: "force",
        before: Some(json!({ "forced": before.breaker.forced })),
        after: Some(json!({ "forced": forced })),
    };
    deeds::note(&request, &state, ("dependency.force", "dependency"), change).await?;
    let status = state.dependencies.find(&name).ok_or(Error::NotFound)?;
    Ok(answer(&as_json(&status)))
}

/// `DELETE /dependencies/active`: ends every call that runs now, and answers their number.
///
/// # Errors
/// 503 where it cannot be written down who did; it is done all the same.
pub async fn cancel(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let count = state.dependencies.cancel_all();
    tracing::warn!(calls.cancelled = count, "an operator ended all calls");
    let change = Change {
        subject: "dependency:*",
        action: "cancel",
        before: Some(json!({ "active": count })),
        after: None,
    };
    deeds::note(
        &request,
        &state,
        ("dependency.cancel", "dependency"),
        change,
    )
    .await?;
    Ok(answer(&json!({ "count": count })))
}
