//! A route behind a circuit breaker (S18): while what it needs keeps failing, it is answered at once with 503. Must not
//! know what the route does.

use std::time::{Duration, Instant};

use actix_web::{
    Error as ActixError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web::Data,
};
use futures_util::future::LocalBoxFuture;

use super::net::DEADLINE;
use crate::{
    platform::resilience::{breaker::Permit, call::Dependency, health::Sample, rules::Rules},
    web::{error::Error, state::State},
};

/// The deadline began a little earlier than the route.
const SLACK: Duration = Duration::from_millis(500);

type Answer = LocalBoxFuture<'static, Result<ServiceResponse<BoxBody>, ActixError>>;

/// What a route is wrapped with, inside its guard; `name` is that of the breaker among the dependencies. A status of 500
/// or above is a failure, unless somebody else's site is the reason ([`Error::Elsewhere`]): whoever asks chooses that, and
/// must not be able to close the route for all.
pub fn circuit<B>(
    name: &'static str,
) -> impl Fn(ServiceRequest, Next<B>) -> Answer + Clone + 'static
where
    B: MessageBody + 'static,
{
    move |request, next| Box::pin(guarded(name, request, next))
}

async fn guarded<B: MessageBody + 'static>(
    name: &'static str,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, ActixError> {
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let dependency = state.dependencies.register(name, Rules::default());
    let permit = match dependency.breaker().admit() {
        Ok(permit) => permit,
        Err(refused) => {
            dependency.note(Sample::Refused);
            let error = Error::Unavailable(format!("{name}: {refused}").into());
            let mut response = ServiceResponse::from_err(error, request.into_parts().0);
            let seconds = refused.retry_after.as_secs_f64().ceil() as u64;
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.max(1).into());
            return Ok(response);
        }
    };
    let mut open = Unfinished {
        dependency: dependency.clone(),
        permit: Some(permit),
        began: Instant::now(),
    };
    let response = next.call(request).await?.map_into_boxed_body();
    let error = response.response().error();
    let elsewhere = error
        .and_then(|error| error.as_error::<Error>())
        .is_some_and(|error| matches!(error, Error::Elsewhere(_)));
    let began = open.began;
    let Some(permit) = open.permit.take() else {
        return Ok(response);
    };
    if elsewhere {
        drop(permit);
    } else if response.status().is_server_error() {
        permit.failure(
            response
                .response()
                .error()
                .map_or_else(|| response.status().to_string(), ToString::to_string),
        );
        dependency.note(Sample::Failed(began.elapsed()));
    } else {
        permit.success();
        dependency.note(Sample::Ok(began.elapsed()));
    }
    Ok(response)
}

/// A request that is under way. Dropped before its answer, it has panicked, has run out of its time, or nobody waits for
/// it any more; the first two are the route's failure.
struct Unfinished {
    dependency: Dependency,
    permit: Option<Permit>,
    began: Instant,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let took = self.began.elapsed();
        let why = if std::thread::panicking() {
            "it panicked"
        } else if took + SLACK >= DEADLINE {
            "it took too long"
        } else {
            return;
        };
        permit.failure(why);
        self.dependency.note(Sample::Failed(took));
    }
}
