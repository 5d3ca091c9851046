//! The operators' own port (`OPS_BIND`): the same endpoints, asked for by whoever reaches it. Must not know sessions.
//!
//! It is to be bound where only operators reach it. A proxy that is pointed at it by mistake would open it to everyone,
//! so that whatever was forwarded is refused.

use actix_web::{
    Error, HttpMessage, HttpResponse, Resource, Responder, Route,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap},
    },
    middleware::{Next, from_fn},
    web::{self, Data, ServiceConfig},
};
use serde_json::json;

use super::{cache, dependencies, health, metrics};
use crate::web::{
    envelope::WantsEnvelope, error::Error as Failure, middleware::net::net, state::State,
};

/// Every address of the port; the probes are answered before. Each handler has its deadline and its net.
pub fn configure(config: &mut ServiceConfig) {
    let show_health = async |state: Data<State>| health::whole(&state, true).await;
    config
        .service(one("/health", Method::GET, web::get().to(show_health)))
        .service(one("/metrics", Method::GET, web::get().to(metrics::show)))
        .service(one(
            "/dependencies",
            Method::GET,
            web::get().to(dependencies::list),
        ))
        .service(one(
            "/dependencies/active",
            Method::DELETE,
            web::delete().to(dependencies::cancel),
        ))
        .service(one(
            "/dependencies/{name}/{state}",
            Method::POST,
            web::post().to(dependencies::force),
        ))
        .service(one(
            "/cache/stats",
            Method::GET,
            web::get().to(cache::stats),
        ))
        .service(one(
            "/cache/tag/{tag}",
            Method::DELETE,
            web::delete().to(cache::delete_tag),
        ))
        .service(one(
            "/cache/{pattern:.*}",
            Method::DELETE,
            web::delete().to(cache::delete_matching),
        ))
        .default_service(web::to(async || Err::<String, _>(Failure::NotFound)));
}

/// An address with one method; any other is told which.
fn one(path: &str, method: Method, route: Route) -> Resource {
    web::resource(path)
        .route(route.wrap(from_fn(net)))
        .default_service(web::to(move || {
            let allowed = method.to_string();
            async move {
                HttpResponse::from_error(Failure::MethodNotAllowed)
                    .customize()
                    .insert_header((header::ALLOW, allowed))
            }
        }))
}

/// Middleware function: alive and ready are told whatever state the rest is in.
///
/// # Errors
/// As the rest of the stack.
pub async fn probes<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let state = request.app_data::<Data<State>>().cloned();
    let answer = match (request.path(), state) {
        ("/health/live", Some(state)) => health::live(&state),
        ("/health/ready", Some(state)) => health::ready(&state).await,
        _ => return Ok(next.call(request).await?.map_into_left_body()),
    };
    Ok(request.into_response(answer).map_into_right_body())
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
        request.extensions_mut().insert(WantsEnvelope);
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
