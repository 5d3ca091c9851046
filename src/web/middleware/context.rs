//! Puts the request's metadata into its extensions, and its id on the answer (S01). Must not know what the request asks.

use std::rc::Rc;

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web::Data,
};

use crate::web::{context::Context, state::State};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Middleware function, see the module.
pub async fn context(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let context = match request.app_data::<Data<State>>() {
        Some(state) => Rc::new(Context::of(&request, &state.config.http)),
        None => Context::get(request.request()),
    };
    let id = HeaderValue::from_str(&context.id);
    request.extensions_mut().insert(context);
    let mut response = next.call(request).await?;
    if let Ok(id) = id {
        response.headers_mut().insert(REQUEST_ID.clone(), id);
    }
    Ok(response)
}
