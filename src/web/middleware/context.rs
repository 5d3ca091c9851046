//! Puts the request's metadata into its extensions, and its ids on the answer (S01, S02); the outermost of all, so that it
//! also catches what panics below (S05). Must not know what the request asks.

use std::{rc::Rc, sync::Arc};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web::Data,
};

use super::net::{Asked, caught};
use crate::{
    platform::observe::trace,
    web::{context::Context, envelope::is_for_programs, state::State},
};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
static TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
static SPAN_ID: HeaderName = HeaderName::from_static("x-span-id");

/// Middleware function, see the module. What is asked of others meanwhile is part of the request's trace.
pub async fn context(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let state = request.app_data::<Data<State>>();
    let asked = Asked {
        by_program: is_for_programs(request.path()),
        is_secure: state.is_some_and(|state| state.config.http.secure()),
    };
    let context = match state {
        Some(state) => Rc::new(Context::of(&request, &state.config.http)),
        None => Context::get(request.request()),
    };
    request.extensions_mut().insert(Rc::clone(&context));
    let work = caught(&context, asked, next.call(request));
    let (correlation, baggage) = (Arc::clone(&context.correlation), context.baggage.clone());
    let mut response = trace::carry(context.trace.get(), correlation, baggage, work).await?;
    let headers = response.headers_mut();
    let trace = context.trace.get();
    for (name, value) in [
        (&REQUEST_ID, HeaderValue::from_str(&context.id)),
        (&CORRELATION_ID, HeaderValue::from_str(&context.correlation)),
        (&TRACE_ID, HeaderValue::try_from(trace.trace_text())),
        (&SPAN_ID, HeaderValue::try_from(trace.span_text())),
    ] {
        if let Ok(value) = value {
            headers.insert(name.clone(), value);
        }
    }
    Ok(response)
}
