//! Which other sites' pages may call the API from a browser (S14): those of `CORS_ORIGINS`, with a token and never with a
//! cookie. Must not know which endpoints there are.
//!
//! It stands outside of limits and errors, so that a page over there can read a refusal, too. All but the API goes past it
//! untouched.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use actix_cors::Cors;
use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    http::header::HeaderName,
};
use futures_util::{
    TryFutureExt,
    future::{Either, LocalBoxFuture, MapOk},
};

use crate::config::Origin;

/// What a page may send and read beyond what any page may.
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const SENT: [&str; 4] = [
    "content-type",
    "authorization",
    "x-api-version",
    "x-correlation-id",
];
const READ: [&str; 7] = [
    "x-request-id",
    "x-correlation-id",
    "x-trace-id",
    "retry-after",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
];
/// How long a browser may remember what it was allowed, in seconds.
const REMEMBERED: usize = 3_600;

/// The middleware for these origins; for none, it does nothing.
pub fn cors(origins: &[Origin]) -> ApiCors {
    let cors = (!origins.is_empty()).then(|| {
        let cors = origins.iter().fold(Cors::default(), |cors, origin| {
            cors.allowed_origin(origin.as_str())
        });
        let sent = SENT.map(HeaderName::from_static);
        cors.allowed_methods(METHODS)
            .allowed_headers(sent)
            .expose_headers(READ)
            .max_age(REMEMBERED)
    });
    ApiCors(cors)
}

/// See [`cors`].
pub struct ApiCors(Option<Cors>);

/// The crate's middleware around a service that is shared with whoever goes past it.
type Inside<S> = <Cors as Transform<Rc<S>, ServiceRequest>>::Transform;
/// The answer with the crate's body or without.
type Answer<B> = ServiceResponse<EitherBody<EitherBody<B>, B>>;

impl<S, B> Transform<S, ServiceRequest> for ApiCors
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = Answer<B>;
    type Error = Error;
    type Transform = ApiCorsService<S>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let past = Rc::new(service);
        let inside = self
            .0
            .as_ref()
            .map(|cors| cors.new_transform(Rc::clone(&past)));
        Box::pin(async move {
            let inside = match inside {
                Some(inside) => Some(inside.await?),
                None => None,
            };
            Ok(ApiCorsService { inside, past })
        })
    }
}

/// The middleware of one worker.
pub struct ApiCorsService<S>
where
    S: Service<ServiceRequest>,
    Cors: Transform<Rc<S>, ServiceRequest>,
{
    inside: Option<Inside<S>>,
    past: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for ApiCorsService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = Answer<B>;
    type Error = Error;
    // No box: every kept page passes here.
    type Future = Either<
        MapOk<
            <Inside<S> as Service<ServiceRequest>>::Future,
            fn(ServiceResponse<EitherBody<B>>) -> Answer<B>,
        >,
        MapOk<S::Future, fn(ServiceResponse<B>) -> Answer<B>>,
    >;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.past.poll_ready(context)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        match &self.inside {
            Some(inside) if request.path().starts_with("/api/") => Either::Left(
                inside
                    .call(request)
                    .map_ok(ServiceResponse::map_into_left_body),
            ),
            _ => Either::Right(
                self.past
                    .call(request)
                    .map_ok(ServiceResponse::map_into_right_body),
            ),
        }
    }
}
