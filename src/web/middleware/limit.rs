//! Too much is refused (S12): here the cheap limit on whatever an address asks for, which stands before everything that
//! costs anything; what a route's guard counts by class; and what a handler counts itself. Must not know what is asked for.

use actix_web::{
    Error as ActixError, HttpMessage, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header::HeaderName},
    middleware::Next,
    web::Data,
};

use super::boundary::dress;
use crate::{
    platform::limits::{Class, Decision},
    web::{cache::Made, context::Context, error::Error, state::State, viewer::Caller},
};

/// Middleware function: counts every request but those for the page's own files. It counts in this process alone, and
/// says nothing on answers that pass, so that it costs next to nothing.
pub async fn limit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, ActixError> {
    let refused = match request.app_data::<Data<State>>() {
        // What the site asks of itself is nobody's.
        Some(state) if !request.path().starts_with("/static/") && !request.extensions().contains::<Made>() => state
            .limiter
            .admit(&Context::get(request.request()).limit_address())
            .err()
            .map(|wait| Error::Limited {
                retry_after: wait,
                limit: state.limiter.rate(Class::Read).max,
                class: Class::Read,
                message: "There have been very many requests from your address in a short time, so this one was not answered.".into(),
            }),
        _ => None,
    };
    match refused {
        None => Ok(next.call(request).await?.map_into_boxed_body()),
        Some(error) => Ok(dress(ServiceResponse::from_err(
            error,
            request.into_parts().0,
        ))),
    }
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

/// Counts a request under its class: for its address, and for who is signed in. Reading is counted for the latter here.
///
/// # Errors
/// [`Error::Limited`] when it is one too many.
pub(super) async fn count(state: &State, request: &ServiceRequest) -> Result<(), Error> {
    let user = Caller::get(request.request()).id();
    let Some(class) = class_of(request) else {
        let is_own_file = request.path().starts_with("/static/");
        return match user {
            Some(id) if !is_own_file => count_read(state, id),
            _ => Ok(()),
        };
    };
    let request = request.request();
    let address = Context::get(request).limit_address().to_string();
    let user = user.map(|id| format!("user-{id}"));
    let mut keys = vec![address.as_str()];
    keys.extend(user.as_deref());
    let message = match class {
        Class::Write => {
            "There have been many changes from you in a short time, so this one was not made."
        }
        _ => {
            "There have been many requests from you in a short time, so this one was not answered."
        }
    };
    spend(request, state, class, &keys, message).await
}

/// Counts what somebody who is signed in reads from all their addresses together; what each address reads is counted by
/// [`limit`] already.
fn count_read(state: &State, user_id: i64) -> Result<(), Error> {
    let admitted = state.limiter.admit(&("user", user_id));
    admitted.map(drop).map_err(|wait| Error::Limited {
        retry_after: wait,
        limit: state.limiter.rate(Class::Read).max,
        class: Class::Read,
        message: "There have been very many requests from your account in a short time, so this one was not answered.".into(),
    })
}

/// Counts one more of `class` for each of `keys`, and notes for the answer how they stand; `message` is for the person who
/// met the limit.
///
/// # Errors
/// [`Error::Limited`] when it is one too many for any; then it counts for none.
pub async fn spend(
    request: &HttpRequest,
    state: &State,
    class: Class,
    keys: &[&str],
    message: &'static str,
) -> Result<(), Error> {
    match state.limiter.check_all(class, keys).await {
        Ok(None) => Ok(()),
        Ok(Some(decision)) => {
            let mut noted = request.extensions_mut();
            let tighter = noted
                .get::<Decision>()
                .is_some_and(|known| known.remaining < decision.remaining);
            if !tighter {
                noted.insert(decision);
            }
            Ok(())
        }
        Err(wait) => Err(Error::Limited {
            retry_after: wait,
            limit: state.limiter.rate(class).max,
            class,
            message: message.into(),
        }),
    }
}

static LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
static REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
static RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Says on an answer how its sender stands in the class that has least left (`RateLimit-Limit`, `-Remaining`, `-Reset`, in
/// seconds: the fields of draft-ietf-httpapi-ratelimit-headers-06, which clients know). A refusal says so by itself.
pub(super) fn tell(response: &mut ServiceResponse<BoxBody>) {
    let noted = response.request().extensions().get::<Decision>().copied();
    let Some(decision) = noted.filter(|_| response.status() != StatusCode::TOO_MANY_REQUESTS)
    else {
        return;
    };
    let headers = response.headers_mut();
    headers.insert(LIMIT.clone(), decision.limit.into());
    headers.insert(REMAINING.clone(), decision.remaining.into());
    let reset = decision.reset.as_secs().saturating_add(1);
    headers.insert(RESET.clone(), reset.into());
}
