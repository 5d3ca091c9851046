//! The stack that a request passes, and the ports that it comes in by. The order and its reasons stand in
//! `web/middleware/mod.rs`. Must not know SQL or HTML.

use std::{net::TcpListener, time::Duration};

use actix_identity::IdentityMiddleware;
use actix_session::{SessionMiddleware, config::PersistentSession};
use actix_web::{
    App, HttpServer,
    body::MessageBody,
    cookie::{self, Key, SameSite},
    dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web::{Data, PathConfig},
};
use anyhow::Context as _;
use tokio_util::task::AbortOnDropHandle;
use tracing_actix_web::TracingLogger;

use super::Slices;
use crate::{
    accounts::{self},
    ops::{health, listener},
    platform::shutdown::{Shutdown, Stage},
    routes,
    web::{
        cookies,
        error::Error,
        middleware::{
            boundary::boundary,
            compress::compress,
            condition::{is_for_members, require_member, when},
            context::context,
            cors::cors,
            headers::headers,
            limit::limit,
            log::RequestSpan,
            page_cache::page_cache,
            record::record,
        },
        session::{self, ActixStore},
        state::State,
    },
};

/// How long a request that was accepted may take to finish once the process is asked to stop.
pub(super) const DRAIN: Duration = Duration::from_secs(15);
/// Time for a request's head to arrive.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Binds the port and starts the workers. The order of the stack and its reasons stand in `web/middleware/mod.rs`.
pub(super) fn listen(state: &Data<State>, slices: &Slices) -> anyhow::Result<(u16, Server)> {
    let bind = state.config.http.bind;
    let listener = TcpListener::bind(bind).with_context(|| format!("cannot listen on {bind}"))?;
    let port = listener.local_addr()?.port();
    let workers = state.config.http.workers;
    tracing::debug!(web = ?WEB, ops = ?OPS, "stacks, from the outside in");
    let (state, slices) = (state.clone(), slices.clone());
    let server = HttpServer::new(move || {
        if state.config.observe.monitoring {
            actix_web::rt::spawn(state.system.watch());
        }
        site(&state, &slices)
    })
    .workers(workers)
    // Head and body leave in two writes: without this the second waits 40 ms for the other side's acknowledgement.
    .tcp_nodelay(true)
    .client_request_timeout(HEAD_LIMIT)
    .shutdown_timeout(DRAIN.as_secs())
    .disable_signals()
    .listen(listener)?
    .run();
    Ok((port, server))
}

/// A named stack: the names of its layers from the outside in, and the function that wraps an application in them. One list
/// makes both, so that neither can say other than what is. (actix runs the last `wrap` first, hence the recursion.)
macro_rules! stack {
    ($(#[$about:meta])* $names:ident, $compose:ident($state:ident) = $($name:literal => $layer:expr,)+) => {
        $(#[$about])*
        const $names: &[&str] = &[$($name),+];

        fn $compose<T, B>(app: App<T>, $state: &Data<State>) -> App<
            impl ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse<impl MessageBody + use<T, B>>,
                Error = actix_web::Error,
                InitError = (),
            > + use<T, B>,
        >
        where
            T: ServiceFactory<
                    ServiceRequest,
                    Config = (),
                    Response = ServiceResponse<B>,
                    Error = actix_web::Error,
                    InitError = (),
                > + 'static,
            B: MessageBody + 'static,
        {
            stack!(@wrap app $($layer,)+)
        }
    };
    (@wrap $app:ident) => { $app };
    (@wrap $app:ident $outer:expr, $($inner:expr,)*) => { stack!(@wrap $app $($inner,)*).wrap($outer) };
}

stack! {
    /// What everything passes that comes by the site's port: pages, `/api` and the console alike. What is theirs alone is
    /// decided by address within it (`cors`), or stands on each route (`ROUTE`), because only the router knows the route.
    WEB, web(state) =
    "context" => from_fn(context),
    "headers" => from_fn(headers),
    "probes" => from_fn(health::probes),
    "record" => from_fn(record),
    "cors" => cors(&state.config.http.cors_origins),
    "limit" => from_fn(limit),
    "page_cache" => from_fn(page_cache),
    "span" => TracingLogger::<RequestSpan>::new(),
    "compress" => from_fn(compress),
    "boundary" => from_fn(boundary),
    "session" => sessions(state),
    "identity" => IdentityMiddleware::default(),
    "viewer" => from_fn(accounts::middleware::viewer),
    "members" => from_fn(when(is_for_members, require_member)),
}

stack! {
    /// What passes by the operators' own port: no session, no limit, nothing kept, and nothing that was forwarded.
    OPS, ops(_state) =
    "context" => from_fn(context),
    "headers" => from_fn(headers),
    "forwarded" => from_fn(listener::refuse_forwarded),
    "probes" => from_fn(listener::probes),
    "record" => from_fn(record),
    "span" => TracingLogger::<RequestSpan>::new(),
    "boundary" => from_fn(boundary),
}

/// The whole site.
pub(super) fn site(
    state: &Data<State>,
    slices: &Slices,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    let app = App::new()
        .app_data(state.clone())
        .app_data(slices.viewers.clone())
        .app_data(slices.previews.clone())
        .app_data(PathConfig::default().error_handler(|_, _| Error::NotFound.into()))
        .configure(routes::configure);
    web(app, state)
}

/// The crate signs its cookie; here the signature adds nothing, since the token is 256 random bits looked up by their
/// hash. Its key is fixed, so that rotating `SECRET_KEY` logs nobody out.
fn sessions(state: &Data<State>) -> SessionMiddleware<ActixStore> {
    let secure = state.config.http.secure();
    let lifetime = cookie::time::Duration::seconds(session::LONGEST.num_seconds());
    SessionMiddleware::builder(ActixStore(state.sessions.clone()), Key::from(&[0; 64]))
        .cookie_name(cookies::name(session::COOKIE, secure))
        .cookie_secure(secure)
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_path("/".to_owned())
        .session_lifecycle(PersistentSession::default().session_ttl(lifetime))
        .build()
}

/// The operators' own port, where one is wanted: the same endpoints, no sessions, nothing forwarded.
pub(super) fn listen_to_operators(
    state: &Data<State>,
    shutdown: &mut Shutdown,
) -> anyhow::Result<Option<u16>> {
    let Some(bind) = state.config.http.ops_bind else {
        return Ok(None);
    };
    let listener = TcpListener::bind(bind)
        .with_context(|| format!("cannot listen on {bind} for operators"))?;
    let port = listener.local_addr()?.port();
    let state = state.clone();
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(state.clone())
            .configure(listener::configure);
        ops(app, &state)
    })
    .workers(1)
    .client_request_timeout(HEAD_LIMIT)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    let task = AbortOnDropHandle::new(tokio::spawn(server));
    // Last of all: operators watch the end, too.
    shutdown.register(
        "operators' port",
        Stage::Disconnect,
        Duration::from_secs(1),
        move || async move {
            handle.stop(false).await;
            drop(task);
            Ok::<_, std::convert::Infallible>(())
        },
    );
    Ok(Some(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever moves a layer says here why it may stand there; the reasons are in `web/middleware/mod.rs`.
    #[test]
    fn s03_the_order_of_the_stacks_is_pinned() {
        let web = "context headers probes record cors limit page_cache span compress boundary session identity viewer members";
        assert_eq!(WEB.join(" "), web);
        assert_eq!(
            OPS.join(" "),
            "context headers forwarded probes record span boundary"
        );
    }
}
