//! Security headers on every answer (S14). Must not know what the answer is.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web::Data,
};

use crate::web::state::State;

/// No inline script or style, nothing from elsewhere, nothing framed.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ALWAYS: [(&str, &str); 7] = [
    ("content-security-policy", CSP),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Two years, as the preload list asks; only sent over https.
const HSTS: &str = "max-age=63072000; includeSubDomains";

/// Middleware function, see the module.
pub async fn headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let secure = request
        .app_data::<Data<State>>()
        .is_some_and(|s| s.config.http.secure());
    let mut response = next.call(request).await?;
    add(response.headers_mut(), secure);
    Ok(response)
}

fn add(headers: &mut HeaderMap, secure: bool) {
    let hsts = secure.then_some(("strict-transport-security", HSTS));
    for (name, value) in ALWAYS.into_iter().chain(hsts) {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
}
