//! `/metrics` (S24-S26): what was counted, as text for Prometheus or as JSON. Must not know routes.

use actix_web::{HttpRequest, HttpResponse, http::header, web::Data};
use chrono::{SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{deeds, dependencies, labels, prometheus};
use crate::{
    platform::{
        audit::Change,
        observe::metrics::{self, Family, RouteStats},
    },
    web::{error::Error, form::Query, state::State},
};

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
            "routes": state.metrics.routes().stats(wanted).iter().map(route).collect::<Vec<_>>(),
            "system": system(&state),
            "counted": state.metrics.registry().families().iter().map(family).collect::<Vec<_>>(),
            "cache": { "pages": state.pages.stats(), "values": state.cache.stats(false).await },
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

/// A route's figures, with its version and its part of the site; its key is `METHOD:pattern`, and `:version` where there is
/// one.
fn route(stats: &RouteStats) -> Value {
    let pattern = stats
        .route
        .split_once(':')
        .map_or("", |(_, pattern)| pattern);
    let version = labels::version(pattern);
    let mut value = json!(stats);
    value["key"] = match version {
        Some(version) => format!("{}:{version}", stats.route).into(),
        None => stats.route.clone().into(),
    };
    value["version"] = version.into();
    value["tags"] = json!([labels::tag(pattern)]);
    value
}

/// What a part of the program has counted by itself.
fn family(family: &Family) -> Value {
    let sample = |sample: &metrics::Sample| {
        let labels: serde_json::Map<String, Value> = sample
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        match &sample.value {
            metrics::Value::Number(number) => json!({ "labels": labels, "value": number }),
            metrics::Value::Buckets(buckets, sum) => json!({
                "labels": labels,
                "count": buckets.last().map_or(0, |(_, count)| *count),
                "sum": sum,
            }),
        }
    };
    json!({
        "name": family.name,
        "kind": family.kind.word(),
        "samples": family.samples.iter().map(sample).collect::<Vec<_>>(),
    })
}

/// `DELETE /metrics`: what was counted by route is forgotten, here and not on other instances; the minutes that are stored
/// stay.
///
/// # Errors
/// 503 where it cannot be written down who did; it is done all the same.
pub async fn reset(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let routes = state.metrics.routes();
    let count = routes.stats(|_| true).len();
    routes.reset();
    let change = Change {
        subject: "metrics:routes",
        action: "reset",
        before: Some(json!({ "routes": count })),
        after: None,
    };
    deeds::note(&request, &state, ("metrics.reset", "metrics"), change).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "count": count })))
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
