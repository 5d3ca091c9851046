//! `/metrics` (S24-S26): what was counted, as text for Prometheus or as JSON. Must not know routes.

use actix_web::{HttpRequest, HttpResponse, http::header, web::Data};
use chrono::{SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{dependencies, prometheus};
use crate::web::{error::Error, form::Query, state::State};

/// The query of `/metrics`.
#[derive(Debug, Deserialize)]
pub struct MetricsQuery {
    /// Only routes whose name contains this, such as `GET:/posts`.
    route: Option<String>,
}

/// `GET /metrics`: JSON where `Accept` asks for it, else Prometheus' text.
///
/// # Errors
/// [`Error::NotFound`] where metrics are switched off.
pub async fn show(
    request: HttpRequest,
    state: Data<State>,
    Query(query): Query<MetricsQuery>,
) -> Result<HttpResponse, Error> {
    if !state.config.observe.metrics || !state.flags.is_on("metrics", None) {
        return Err(Error::NotFound);
    }
    let wanted = |route: &str| {
        query
            .route
            .as_deref()
            .is_none_or(|part| route.contains(part))
    };
    let accepted = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    if accepted.contains("application/json") {
        let body = json!({
            "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            "routes": state.metrics.routes().stats(wanted),
            "system": system(&state),
            "cache": { "pages": state.pages.stats(), "values": state.cache.stats().await },
            "alerts": [],
            "circuitBreakers": dependencies::all_as_json(&state),
        });
        return Ok(HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(body));
    }
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(prometheus::text(&state, wanted).await))
}

/// The machine, the process, its pools and its queues.
pub(super) fn system(state: &State) -> Value {
    let pool = state.db.status();
    let activity = state.activity.stats();
    json!({
        "sample": state.system.latest(),
        "uptime": state.checks.uptime(),
        "database": { "open": pool.open, "idle": pool.idle, "waiting": pool.waiting, "max": pool.max, "up": state.db.is_up() },
        "redis": state.kv.as_ref().map(|kv| json!({ "up": kv.is_up() })),
        "activity": {
            "queued": activity.queued,
            "written": activity.written,
            "lost": activity.lost,
            "failedBatches": activity.failed_batches,
        },
    })
}
