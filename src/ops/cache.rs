//! `/cache/stats`, `DELETE /cache/tag/{tag}`, `DELETE /cache/{pattern}` (S17). Must not know what is cached.

use actix_web::{
    HttpResponse,
    http::header,
    web::{Data, Path},
};
use serde_json::json;

use crate::web::{error::Error, state::State};

/// What patterns of pages begin with: `page:/newest*`.
const PAGE: &str = "page:";

fn answer(body: &serde_json::Value) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body)
}

/// `GET /cache/stats`
///
/// # Errors
/// None; the signature is a handler's.
pub async fn stats(state: Data<State>) -> Result<HttpResponse, Error> {
    Ok(answer(
        &json!({ "pages": state.pages.stats(), "values": state.cache.stats().await }),
    ))
}

/// `DELETE /cache/tag/{tag}`: drops all pages and values with this tag, and answers their number.
///
/// # Errors
/// None; the signature is a handler's.
pub async fn delete_tag(state: Data<State>, tag: Path<String>) -> Result<HttpResponse, Error> {
    let pages = state.pages.remove(&[tag.as_str()]);
    let values = state.cache.invalidate_tag(&tag).await;
    tracing::info!(
        cache.tag = tag.as_str(),
        cache.dropped = pages + values,
        "an operator dropped a tag"
    );
    Ok(answer(
        &json!({ "count": pages + values, "pages": pages, "values": values }),
    ))
}

/// `DELETE /cache/{pattern}`: drops all pages (`page:` and their path) and values whose keys fit, and answers their number.
/// `*` is any run of characters; alone, it is everything.
///
/// # Errors
/// None; the signature is a handler's.
pub async fn delete_matching(
    state: Data<State>,
    pattern: Path<String>,
) -> Result<HttpResponse, Error> {
    let pages = match pattern.strip_prefix(PAGE) {
        Some(pattern) => state.pages.remove_matching(pattern),
        None if *pattern == "*" => state.pages.remove_matching("*"),
        None => 0,
    };
    let values = state.cache.invalidate_pattern(&pattern).await;
    tracing::info!(
        cache.pattern = pattern.as_str(),
        cache.dropped = pages + values,
        "an operator dropped a pattern"
    );
    Ok(answer(
        &json!({ "count": pages + values, "pages": pages, "values": values }),
    ))
}
