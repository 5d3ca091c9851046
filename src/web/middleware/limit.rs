//! Too much is refused (S12): here the cheap limit on whatever an address asks for, which stands before everything that
//! costs anything; and what a route's guard counts by class. Must not know what is asked for.

use actix_web::{
    Error as ActixError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Data,
};

use super::boundary::dress;
use crate::{
    platform::limits::{Class, Decision},
    web::{context::Context, error::Error, state::State, viewer::Caller},
};

/// Middleware function: counts every request but those for the page's own files. It counts in this process alone, and
/// says nothing on answers that pass, so that it costs next to nothing.
pub async fn limit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, ActixError> {
    let admitted = match request.app_data::<Data<State>>() {
        Some(state) if !request.path().starts_with("/static/") => state
            .limiter
            .admit(&Context::get(request.request()).limit_address()),
        _ => Ok(None),
    };
    let Err(retry_after) = admitted else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let error = Error::Limited {
        retry_after,
        message: "There have been very many requests from your address in a short time, so this one was not answered.".into(),
    };
    Ok(dress(ServiceResponse::from_err(
        error,
        request.into_parts().0,
    )))
}

/// Which class a request is counted under besides; reading is not.
fn class_of(request: &ServiceRequest) -> Option<Class> {
    match request.path() {
        path if path.starts_with("/api/") => Some(Class::Api),
        _ if !request.method().is_safe() => Some(Class::Write),
        "/search" => Some(Class::Search),
        // It asks somebody else's site.
        "/submit/title" => Some(Class::Api),
        _ => None,
    }
}

/// Counts a request under its class: for its address, and for who is signed in.
///
/// # Errors
/// [`Error::Limited`] when it is one too many.
pub(super) async fn count(
    state: &State,
    request: &ServiceRequest,
) -> Result<Option<Decision>, Error> {
    let Some(class) = class_of(request) else {
        return Ok(None);
    };
    let address = Context::get(request.request()).limit_address().to_string();
    let user = Caller::get(request.request())
        .id()
        .map(|id| format!("user-{id}"));
    let mut keys = vec![address.as_str()];
    keys.extend(user.as_deref());
    state.limiter.check_all(class, &keys).await.map_err(|retry_after| Error::Limited {
        retry_after,
        message: match class {
            Class::Write => "There have been many changes from you in a short time, so this one was not made.".into(),
            _ => "There have been many requests from you in a short time, so this one was not answered.".into(),
        },
    })
}

/// Says on an answer how its sender stands (`RateLimit-Limit`, `-Remaining`, `-Reset`, in seconds: the fields of
/// draft-ietf-httpapi-ratelimit-headers-06, which clients know).
pub(super) fn tell(response: &mut ServiceResponse<BoxBody>, decision: Option<Decision>, max: u32) {
    let waits = response.headers().get(header::RETRY_AFTER).cloned();
    let limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let (limit, remaining, reset) = match (decision, limited) {
        (_, true) => (max, 0, waits.unwrap_or(HeaderValue::from_static("1"))),
        (Some(decision), false) => (
            decision.limit,
            decision.remaining,
            decision.reset.as_secs().saturating_add(1).into(),
        ),
        (None, false) => return,
    };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("ratelimit-limit"), limit.into());
    headers.insert(
        HeaderName::from_static("ratelimit-remaining"),
        remaining.into(),
    );
    headers.insert(HeaderName::from_static("ratelimit-reset"), reset);
}

/// How many a class allows, for an answer that refuses.
pub(super) fn max_of(state: &State, request: &ServiceRequest) -> u32 {
    state
        .limiter
        .rate(class_of(request).unwrap_or(Class::Write))
        .max
}
