//! The span that what is logged below belongs to (S44): which request it was for. Its own line is written by
//! [`record`](super::record). Must not know sessions, and never holds a query string: it may hold secrets.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use crate::web::context::Context;

/// Builds the span of a request for `tracing-actix-web`.
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
        if let Err(error) = outcome {
            let _entered = span.enter();
            tracing::error!(error = %error, "a middleware answered with an error");
        }
    }
}
