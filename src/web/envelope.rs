//! The JSON envelope of the API (SPEC section 0). Must not know which endpoints there are.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use serde::Serialize;
use serde_json::json;

use super::error::Error;

/// Stands in the extensions of a request whose failure is for programs, although it is not below `/api`.
#[derive(Clone, Copy, Debug)]
pub struct WantsEnvelope;

/// The envelope of what was asked for.
pub fn success(found: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
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
    answer.json(json!({
        "success": false,
        "error": { "code": code, "message": message },
    }))
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
