//! `/cache/stats`, `DELETE /cache/tag/{tag}`, `DELETE /cache/{pattern}` (S17). Must not know what is cached.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Path},
};
use serde_json::json;

use super::deeds;
use crate::{
    platform::audit::Change,
    web::{error::Error, state::State},
};

/// What patterns of pages begin with: `page:/newest*`.
const PAGE: &str = "page:";

fn answer(body: &serde_json::Value) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body)
}

/// Writes down what an operator dropped, and answers with it.
async fn dropped(
    request: &HttpRequest,
    state: &State,
    what: &str,
    pages: usize,
    values: usize,
) -> Result<HttpResponse, Error> {
    let change = Change {
        subject: &format!("cache:{what}"),
        action: "delete",
        before: Some(json!({ "pages": pages, "values": values })),
        after: None,
    };
    deeds::note(request, state, ("cache.delete", "cache"), change).await?;
    Ok(answer(
        &json!({ "count": pages + values, "pages": pages, "values": values }),
    ))
}

/// `GET /cache/stats`
///
/// # Errors
/// None; the signature is a handler's.
pub async fn stats(state: Data<State>) -> Result<HttpResponse, Error> {
    Ok(answer(
        &json!({ "pages": state.pages.stats(), "values": state.cache.stats(true).await }),
    ))
}

/// `DELETE /cache/tag/{tag}`: drops all pages and values with this tag, and answers their number.
///
/// # Errors
/// 503 where it cannot be written down who did; it is dropped all the same.
pub async fn delete_tag(
    request: HttpRequest,
    state: Data<State>,
    tag: Path<String>,
) -> Result<HttpResponse, Error> {
    let pages = state.pages.remove(&[tag.as_str()]);
    let values = state.cache.invalidate_tag(&tag).await;
    tracing::info!(
        cache.tag = tag.as_str(),
        cache.dropped = pages + values,
        "an operator dropped a tag"
    );
    dropped(&request, &state, &format!("tag/{tag}"), pages, values).await
}

/// `DELETE /cache/{pattern}`: drops all pages (`page:` and their path) and values whose keys fit, and answers their number.
/// `*` is any run of characters; alone, it is everything.
///
/// # Errors
/// As [`delete_tag`]; 503 where Redis fails, so that some may be left there.
pub async fn delete_matching(
    request: HttpRequest,
    state: Data<State>,
    pattern: Path<String>,
) -> Result<HttpResponse, Error> {
    let pages = match pattern.strip_prefix(PAGE) {
        Some(pattern) => state.pages.remove_matching(pattern),
        None if *pattern == "*" => state.pages.remove_matching("*"),
        None => 0,
    };
    let found = state.cache.invalidate_pattern(&pattern).await;
    let values = found.as_ref().copied().unwrap_or_default();
    tracing::info!(
        cache.pattern = pattern.as_str(),
        cache.dropped = pages + values,
        "an operator dropped a pattern"
    );
    let answer = dropped(&request, &state, &pattern, pages, values).await?;
    match found {
        Ok(_) => Ok(answer),
        Err(error) => Err(Error::Unavailable(format!("Redis: {error}").into())),
    }
}
