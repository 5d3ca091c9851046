//! The JSON envelope of the API (SPEC section 0). Must not know which endpoints there are.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::error::Error;

/// Stands in the extensions of a request whose failure is for programs, whatever its path: on the operators' own port.
#[derive(Clone, Copy, Debug)]
pub struct WantsEnvelope;

/// What programs ask for: the API, and what operators' tools call.
const PLACES: [&str; 6] = [
    "/api",
    "/cache",
    "/dependencies",
    "/health",
    "/instances",
    "/metrics",
];

/// Whether a path is for programs: they come with a token instead of a session, and are answered in JSON, failures too.
pub fn is_for_programs(path: &str) -> bool {
    PLACES.iter().any(|place| {
        path.strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The envelope of what was asked for.
pub fn success(found: &impl Serialize) -> HttpResponse {
    with(StatusCode::OK, found)
}

/// The envelope of what was made, 201.
pub fn created(made: &impl Serialize) -> HttpResponse {
    with(StatusCode::CREATED, made)
}

fn with(status: StatusCode, found: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "success": true, "data": found }))
}

/// The envelope of a failure; a 5xx says nothing of its cause.
pub fn failure(status: StatusCode, error: Option<&Error>) -> HttpResponse {
    let code = error.map_or_else(|| code(status), Error::code);
    let message = match error {
        Some(error) if !status.is_server_error() => error.to_string(),
        _ if status == StatusCode::SERVICE_UNAVAILABLE => {
            "Service temporarily unavailable".to_owned()
        }
        _ => status.canonical_reason().unwrap_or("failed").to_owned(),
    };
    let mut answer = HttpResponse::build(status);
    answer.insert_header((header::CACHE_CONTROL, "no-store"));
    if status == StatusCode::UNAUTHORIZED {
        answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    let mut body = json!({ "code": code, "message": message });
    if let Some(details) = error.and_then(details) {
        body["details"] = details;
    }
    answer.json(json!({ "success": false, "error": body }))
}

/// What a program can act on beyond the code.
fn details(error: &Error) -> Option<Value> {
    match error {
        Error::Invalid(errors) => {
            let errors: Vec<_> = errors
                .0
                .iter()
                .map(|e| json!({ "field": e.field, "code": e.code, "message": e.message }))
                .collect();
            Some(json!({ "errors": errors }))
        }
        Error::Limited { limit, class, .. } => Some(
            json!({ "class": class.name(), "limit": limit, "retryAfter": error.retry_after() }),
        ),
        _ => None,
    }
}

fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "AUTHENTICATION_ERROR",
        403 => "AUTHORIZATION_ERROR",
        404 | 405 => "NOT_FOUND",
        409 => "CONFLICT",
        429 => "RATE_LIMITED",
        503 => "UNAVAILABLE",
        500.. => "INTERNAL_ERROR",
        _ => "VALIDATION_ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_have_places_of_their_own() {
        for path in [
            "/api/v1/posts",
            "/metrics",
            "/cache/tag/a",
            "/health",
            "/instances/1",
        ] {
            assert!(is_for_programs(path), "{path}");
        }
        for path in ["/", "/apis", "/metricsx", "/posts/1/health"] {
            assert!(!is_for_programs(path), "{path}");
        }
    }
}
