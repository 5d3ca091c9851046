//! The net under handlers, and the one under everything (S05): a deadline, and a panic that is an answer instead of a
//! broken connection. Must not know what runs inside.
//!
//! `bounded` stands on the route, because only behind the router may a request be kept aside while the handler runs: a
//! panic unwinds the handler's copy, and the answer needs one. `caught` stands outside of every other middleware; what
//! unwinds as far as there has lost its request, so that its answer is made without one.

use std::{any::Any, fmt, future::Future, panic::AssertUnwindSafe, rc::Rc, time::Duration};

use actix_web::{
    Error as ActixError, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
};
use futures_util::FutureExt;

use super::headers;
use crate::web::{context::Context, envelope, error::Error};

/// Time that a handler has, and time that a body may take to arrive.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Middleware function for a route without a guard; see the module.
///
/// # Errors
/// None: what fails is an answer.
pub async fn net(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, ActixError> {
    Ok(bounded(request, next).await)
}

/// Runs the handler, within the deadline and with a net under a panic.
pub(super) async fn bounded<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> ServiceResponse<BoxBody> {
    let kept = request.request().clone();
    let answer = AssertUnwindSafe(tokio::time::timeout(DEADLINE, next.call(request)))
        .catch_unwind()
        .await;
    let error = match answer {
        Ok(Ok(Ok(response))) => return response.map_into_boxed_body(),
        Ok(Ok(Err(error))) => return ServiceResponse::from_err(error, kept),
        Ok(Err(_)) => Error::Unavailable("the handler met its deadline".into()),
        Err(panic) => Error::Internal(anyhow::anyhow!("panic: {}", message(&*panic))),
    };
    ServiceResponse::from_err(error, kept)
}

/// Runs everything below the outermost middleware.
///
/// # Errors
/// As `work`; a panic is a [`Panicked`], which is a whole answer.
pub(super) async fn caught<T>(
    context: &Rc<Context>,
    asked: Asked,
    work: impl Future<Output = Result<T, ActixError>>,
) -> Result<T, ActixError> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => {
            tracing::error!(request.id = %context.id, panic = message(&*panic), "panic in a middleware");
            Err(Panicked {
                request_id: context.id.clone(),
                asked,
            }
            .into())
        }
    }
}

/// What the answer to a panic must know of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// By a program: it gets the envelope.
    pub(super) by_program: bool,
    /// Over https.
    pub(super) is_secure: bool,
}

/// A panic outside of any handler.
#[derive(Debug)]
struct Panicked {
    request_id: String,
    asked: Asked,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("panic in a middleware")
    }
}

impl ResponseError for Panicked {
    fn status_code(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }

    /// The layers that would have dressed it are gone; so it is whole by itself, and rendered by nothing that could fail.
    fn error_response(&self) -> HttpResponse {
        let mut answer = if self.asked.by_program {
            envelope::failure(self.status_code(), None)
        } else {
            HttpResponse::InternalServerError()
                .content_type("text/html; charset=utf-8")
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .body(format!(
                    "<!doctype html><html lang=\"en\"><title>Something broke</title><h1>Something broke</h1>\
                     <p>The fault is ours, and it has been noted. <a href=\"/\">To the front page</a></p>\
                     <p>Request {}</p></html>",
                    self.request_id
                ))
        };
        headers::add(answer.headers_mut(), self.asked.is_secure);
        if let Ok(id) = self.request_id.parse() {
            answer
                .headers_mut()
                .insert(header::HeaderName::from_static("x-request-id"), id);
        }
        answer
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App, HttpServer,
        middleware::from_fn,
        web::{self, Data},
    };

    use super::*;
    use crate::web::middleware::context::context;

    async fn breaks(
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, ActixError> {
        assert!(!request.query_string().contains("break"), "as asked");
        next.call(request).await
    }

    #[actix_web::test]
    async fn s05_a_panic_in_a_middleware_is_a_500_with_headers_and_the_process_lives() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = HttpServer::new(|| {
            App::new()
                .app_data(Data::new(()))
                .default_service(web::to(async || "well"))
                .wrap(from_fn(breaks))
                .wrap(from_fn(context))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .expect("it listens")
        .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        for (path, kind) in [
            ("/?break", "text/html"),
            ("/api/v1/x?break", "application/json"),
        ] {
            let broken = client
                .get(format!("http://{address}{path}"))
                .send()
                .await
                .expect("an answer");
            assert_eq!(broken.status(), 500);
            let header = |name: &str| {
                broken
                    .headers()
                    .get(name)
                    .and_then(|v| v.to_str().ok())
                    .unwrap_or_default()
                    .to_owned()
            };
            assert!(header("content-type").starts_with(kind), "{path}");
            assert!(header("content-security-policy").contains("default-src"));
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert!(broken.headers().contains_key("x-request-id"));
            let well = client
                .get(format!("http://{address}/"))
                .send()
                .await
                .expect("an answer");
            assert_eq!(well.status(), 200);
        }
        handle.stop(false).await;
    }
}
