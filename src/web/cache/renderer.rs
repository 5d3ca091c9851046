//! Makes pages that nobody waits for: those that grow old, and the first ones before a site is ready. It asks the
//! application itself, in this process and without a socket, on a thread of its own. Must not know what the pages are.

use std::rc::Rc;

use actix_http::Request;
use actix_service::{IntoServiceFactory, Service, ServiceFactory};
use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{AppConfig, ServiceResponse},
    http::{Method, Uri, header},
};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::web::page::Theme;

/// Pages made at once, at most: they share the database with those who wait.
const AT_ONCE: usize = 4;

/// Stands in the extensions of the renderer's own requests: they are neither visits nor served from what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Made;

/// One page to be made.
#[derive(Debug)]
pub struct Job {
    /// Path and query.
    pub uri: String,
    /// For guests with this theme.
    pub theme: Theme,
    /// Told when it is done.
    pub done: Option<oneshot::Sender<()>>,
}

/// Works until the last sender is gone; to be run on a thread of its own.
pub async fn renderer<F, S, B>(application: F, mut jobs: mpsc::Receiver<Job>)
where
    F: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error>,
    S::Service: 'static,
    B: MessageBody,
{
    let Ok(service) = application
        .into_factory()
        .new_service(AppConfig::default())
        .await
    else {
        tracing::error!("the renderer does not start: pages are made by those who ask for them");
        return;
    };
    let service = Rc::new(service);
    let places = std::sync::Arc::new(Semaphore::new(AT_ONCE));
    while let Some(job) = jobs.recv().await {
        let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let service = Rc::clone(&service);
        actix_web::rt::spawn(async move {
            if let Some(request) = request(&job) {
                // The middleware that keeps pages stands in the application itself.
                if let Err(error) = service.call(request).await {
                    tracing::warn!(error = %error, "a page was not made");
                }
            }
            drop(place);
            if let Some(done) = job.done {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        });
    }
}

fn request(job: &Job) -> Option<Request> {
    let mut request = Request::new();
    let uri: Uri = job.uri.parse().ok()?;
    let head = request.head_mut();
    head.method = Method::GET;
    head.uri = uri;
    if job.theme != Theme::System {
        let cookie = format!("theme={}", job.theme.name());
        head.headers.insert(header::COOKIE, cookie.parse().ok()?);
    }
    request.extensions_mut().insert(Made);
    Some(request)
}
