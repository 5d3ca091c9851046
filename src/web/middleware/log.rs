//! One span and one line a request (S44). Must not know sessions, and never writes a query string: it may hold secrets.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use crate::web::context::Context;

/// Builds the span of a request for `tracing-actix-web`, and writes its line when the answer is ready.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let context = Context::get(request.request());
        tracing::info_span!(
            "request",
            request.id = %context.id,
            http.method = %request.method(),
            http.path = request.path(),
            client.address = %context.address,
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let _entered = span.enter();
        match outcome {
            Ok(response) => {
                let context = Context::get(response.request());
                tracing::info!(
                    http.status = response.status().as_u16(),
                    http.route = response.request().match_pattern().unwrap_or_default(),
                    duration_ms = context.started.elapsed().as_secs_f64() * 1_000.0,
                    "answered"
                );
            }
            Err(error) => tracing::error!(error = %error, "a middleware answered with an error"),
        }
    }
}
