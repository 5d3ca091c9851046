//! The span that what is logged below belongs to (S44): which request it was for. Its own line is written by
//! [`record`](super::record). Must not know sessions, and never holds a query string, nor a path that holds a secret.

use std::borrow::Cow;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
};
use tracing::{
    Span,
    field::{Empty, display},
};
use tracing_actix_web::RootSpanBuilder;

use crate::{platform::observe::otlp, web::context::Context};

/// Addresses below which the last part is a secret: a link sent by mail.
const SECRET_PATHS: [&str; 2] = ["/password/reset/", "/email/verify/"];

/// A path as it may be written down; whatever is logged or kept of a request goes through here.
pub fn path_to_log(path: &str) -> Cow<'_, str> {
    match SECRET_PATHS
        .iter()
        .find(|prefix| path.starts_with(**prefix))
    {
        Some(prefix) => Cow::Owned(format!("{prefix}{{token}}")),
        None => Cow::Borrowed(path),
    }
}

/// Builds the span of a request for `tracing-actix-web`.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let context = Context::get(request.request());
        let span = tracing::info_span!(
            "request",
            otel.kind = "server",
            otel.status_code = Empty,
            request.id = %context.id,
            correlation.id = Empty,
            trace.id = Empty,
            span.id = Empty,
            http.method = %request.method(),
            http.path = %path_to_log(request.path()),
            http.route = Empty,
            http.response.status_code = Empty,
            client.address = %context.address,
        );
        let trace = otlp::adopt(&span, context.trace.get());
        context.trace.set(trace);
        span.record("trace.id", display(trace.trace_text()));
        span.record("span.id", display(trace.span_text()));
        if *context.correlation != *context.id {
            span.record("correlation.id", display(&context.correlation));
        }
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let _entered = span.enter();
        match outcome {
            Ok(response) => end(&span, response),
            Err(error) => tracing::error!(error = %error, "a middleware answered with an error"),
        }
    }
}

/// What the span of a request is told of its answer, where spans are exported.
pub fn end<B>(span: &Span, response: &ServiceResponse<B>) {
    if !otlp::is_exporting() {
        return;
    }
    let request = response.request();
    let context = Context::get(request);
    let pattern = request.match_pattern().unwrap_or_default();
    let route: &str = context.route.get().map_or(&pattern, |route| route);
    otlp::rename(span, format!("{} {route}", request.method()));
    span.record("http.route", route);
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_path_is_not_written_down() {
        assert_eq!(
            path_to_log("/password/reset/abc"),
            "/password/reset/{token}"
        );
        assert_eq!(
            path_to_log("/email/verify/abc/def"),
            "/email/verify/{token}"
        );
        assert_eq!(path_to_log("/password/forgot"), "/password/forgot");
    }
}
