//! The operators' own port (`OPS_BIND`): the same endpoints, asked for by whoever reaches it. Must not know sessions.
//!
//! It is to be bound where only operators reach it. A proxy that is pointed at it by mistake would open it to everyone,
//! so that whatever was forwarded is refused.

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap},
    middleware::Next,
    web::{self, Data, ServiceConfig},
};
use serde_json::json;

use super::{cache, dependencies, health, metrics};
use crate::web::state::State;

/// Every address of the port.
pub fn configure(config: &mut ServiceConfig) {
    config.route(
        "/health/live",
        web::get().to(async |state: Data<State>| health::live(&state)),
    );
    config.route(
        "/health/ready",
        web::get().to(async |state: Data<State>| health::ready(&state).await),
    );
    config.route(
        "/health",
        web::get().to(async |state: Data<State>| health::whole(&state, true).await),
    );
    config.route("/metrics", web::get().to(metrics::show));
    config.route("/dependencies", web::get().to(dependencies::list));
    config.route(
        "/dependencies/active",
        web::delete().to(dependencies::cancel),
    );
    config.route(
        "/dependencies/{name}/{state}",
        web::post().to(dependencies::force),
    );
    config.route("/cache/stats", web::get().to(cache::stats));
    config.route("/cache/tag/{tag}", web::delete().to(cache::delete_tag));
    config.route(
        "/cache/{pattern:.*}",
        web::delete().to(cache::delete_matching),
    );
}

/// Middleware function: refuses what a proxy has forwarded.
///
/// # Errors
/// As the rest of the stack.
pub async fn refuse_forwarded<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if !is_forwarded(request.headers()) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    tracing::warn!(
        http.path = request.path(),
        "a forwarded request to the operators' port was refused"
    );
    let body = json!({
        "success": false,
        "error": { "code": "AUTHORIZATION_ERROR", "message": "forwarded requests are refused here" },
    });
    let answer = HttpResponse::Forbidden()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body);
    Ok(request.into_response(answer).map_into_right_body())
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    const EXACT: [&str; 5] = [
        "forwarded",
        "via",
        "x-real-ip",
        "cf-connecting-ip",
        "true-client-ip",
    ];
    headers
        .keys()
        .any(|name| name.as_str().starts_with("x-forwarded") || EXACT.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn any_sign_of_a_proxy_is_seen() {
        let with = |name: &'static str| {
            is_forwarded(
                TestRequest::default()
                    .insert_header((name, "1"))
                    .to_http_request()
                    .headers(),
            )
        };
        for name in [
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Real-IP",
            "Via",
        ] {
            assert!(with(name), "{name}");
        }
        assert!(!with("Accept") && !with("X-Request-ID"));
    }
}
