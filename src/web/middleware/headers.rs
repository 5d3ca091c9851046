//! Security headers on every answer (S14). Must not know what the answer is.

use std::sync::LazyLock;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
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

/// The same as typed names and values, made once.
static TYPED: LazyLock<Vec<(HeaderName, HeaderValue)>> = LazyLock::new(|| {
    let typed = |(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    ALWAYS.into_iter().map(typed).collect()
});

/// Middleware function, see the module. A kept page has them already.
pub async fn headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let secure = request
        .app_data::<Data<State>>()
        .is_some_and(|s| s.config.http.secure());
    let mut response = next.call(request).await?;
    if !response
        .headers()
        .contains_key(header::CONTENT_SECURITY_POLICY)
    {
        add(response.headers_mut(), secure);
    }
    Ok(response)
}

/// Puts them on an answer; `secure` is whether visitors come over https.
pub(super) fn add(headers: &mut HeaderMap, secure: bool) {
    for (name, value) in &*TYPED {
        headers.insert(name.clone(), value.clone());
    }
    if secure {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(HSTS),
        );
    }
}
