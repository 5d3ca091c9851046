//! The composition root: builds what handlers reach, draws the middleware order, starts background tasks, runs and stops.
//! Must not know SQL or HTML.

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_identity::IdentityMiddleware;
use actix_session::{SessionMiddleware, config::PersistentSession};
use actix_web::{
    App, HttpServer,
    cookie::{self, Key, SameSite},
    dev::Server,
    middleware::{Compress, from_fn},
    web::{Data, PathConfig},
};
use anyhow::Context as _;
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tracing_actix_web::TracingLogger;

use crate::{
    accounts,
    config::Config,
    ops::health,
    platform::{
        db::{Db, migrate},
        kv::Kv,
        limits::{Limiter, Rate},
        settings::Settings,
        shutdown::{Outcome, Shutdown, Signals, Stage, TOTAL},
    },
    routes,
    web::{
        assets, cookies,
        error::Error,
        middleware::{boundary::boundary, context::context, headers::headers, log::RequestSpan},
        session::{self, ActixStore, Store},
        signing::Keys,
        state::State,
    },
};

/// How often each instance reads the settings anew.
const SETTINGS_EVERY: Duration = Duration::from_secs(5);
/// How often expired sessions and used form nonces are swept.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// How long a request that was accepted may take to finish once the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(15);
/// Time for a request's head to arrive.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// The databases a site runs on.
pub struct Databases {
    /// PostgreSQL.
    pub db: Db,
    /// Redis, where there is one.
    pub kv: Option<Kv>,
}

/// A site that listens.
pub struct Application {
    state: Data<State>,
    port: u16,
    server: Server,
}

impl Application {
    /// Migrates, reads the settings, binds the port (0 is any free one) and begins to serve; what must be undone at the
    /// end is registered with `shutdown`, also when the start fails half-way.
    ///
    /// # Errors
    /// What stopped the start, in a sentence.
    pub async fn build(config: Config, databases: Databases, shutdown: &mut Shutdown) -> anyhow::Result<Self> {
        let Databases { db, kv } = databases;
        let applied = migrate::run(&db).await?;
        if applied.migrations + applied.seeds > 0 {
            tracing::info!(
                migrations = applied.migrations,
                seeds = applied.seeds,
                "the schema has been brought up to date"
            );
        }
        let settings = Settings::default();
        settings.refresh(&db).await.context("the settings cannot be read")?;
        assets::read_from_disk(config.dev);
        health::mark_started();
        let state = Data::new(State {
            sessions: Store::new(kv.as_ref(), &db),
            limiter: Limiter::new(
                kv.clone(),
                config.limits.enabled,
                Rate {
                    max: config.limits.max,
                    window: config.limits.window,
                },
            ),
            keys: Keys::new(&config.secret_keys),
            shutting_down: shutdown.flag(),
            settings,
            db,
            kv,
            config: Arc::new(config),
        });
        let (port, server) = listen(&state)?;
        register(&state, &server, shutdown);
        Ok(Self { state, port, server })
    }

    /// The port that was bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What handlers reach; for the command line and for tests.
    pub fn state(&self) -> &Data<State> {
        &self.state
    }

    /// Serves until a signal comes or the server fails, then shuts down in order; a second signal forces.
    ///
    /// # Errors
    /// When the server itself failed.
    pub async fn run_until_stopped(self, mut signals: Signals, shutdown: Shutdown) -> anyhow::Result<Outcome> {
        let delay = self.state.config.http.shutdown_delay;
        let mut server = tokio::spawn(self.server);
        let ended = tokio::select! {
            signal = signals.next() => {
                tracing::info!(signal, "stopping");
                Ok(())
            }
            ended = &mut server => ended.context("the server's task")?.context("the server"),
        };
        let flag = shutdown.flag();
        flag.set();
        if ended.is_ok() && !delay.is_zero() {
            // Whoever balances the load sees "not ready" before the door closes.
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = signals.next() => {}
            }
        }
        let outcome = shutdown.run(TOTAL, async { signals.next().await }).await;
        ended.map(|()| outcome)
    }
}

/// What happens at the end, and what runs meanwhile.
fn register(state: &Data<State>, server: &Server, shutdown: &mut Shutdown) {
    let handle = server.handle();
    shutdown.register("http", Stage::Drain, DRAIN, move || async move {
        handle.stop(true).await;
        Ok::<_, std::convert::Infallible>(())
    });
    let settings = spawn_every(SETTINGS_EVERY, "settings", state, |state| async move {
        state.settings.refresh(&state.db).await.map_err(Error::from)
    });
    let sweep = spawn_every(SWEEP_EVERY, "sweep", state, |state| async move {
        state.sessions.sweep().await?;
        Ok(())
    });
    shutdown.register("tasks", Stage::Work, Duration::from_secs(1), move || async move {
        settings.abort();
        sweep.abort();
        Ok::<_, std::convert::Infallible>(())
    });
    let db = state.db.clone();
    shutdown.register("database", Stage::Disconnect, Duration::from_secs(2), move || async move {
        db.close();
        Ok::<_, std::convert::Infallible>(())
    });
}

/// Runs `work` again and again; what fails is logged, and the task goes on.
fn spawn_every<F, Fut>(every: Duration, name: &'static str, state: &Data<State>, work: F) -> JoinHandle<()>
where
    F: Fn(Data<State>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    let state = state.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            // A task of its own, so that a panic stays inside.
            match tokio::spawn(work(state.clone())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(task = name, error = %error, "a background task failed"),
                Err(error) => tracing::error!(task = name, error = %error, "a background task broke"),
            }
        }
    })
}

/// Binds the port and starts the workers. The order of the stack and its reasons stand in `web/middleware/mod.rs`.
fn listen(state: &Data<State>) -> anyhow::Result<(u16, Server)> {
    let bind = state.config.http.bind;
    let listener = TcpListener::bind(bind).with_context(|| format!("cannot listen on {bind}"))?;
    let port = listener.local_addr()?.port();
    let state = state.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(PathConfig::default().error_handler(|_, _| Error::NotFound.into()))
            .configure(routes::configure)
            .wrap(from_fn(accounts::middleware::viewer))
            .wrap(IdentityMiddleware::default())
            .wrap(sessions(&state))
            .wrap(from_fn(boundary))
            .wrap(Compress::default())
            .wrap(from_fn(headers))
            .wrap(TracingLogger::<RequestSpan>::new())
            .wrap(from_fn(context))
            .wrap(from_fn(health::probes))
    })
    .client_request_timeout(HEAD_LIMIT)
    .shutdown_timeout(DRAIN.as_secs())
    .disable_signals()
    .listen(listener)?
    .run();
    Ok((port, server))
}

/// The crate signs its cookie; here the signature adds nothing, since the token is 256 random bits looked up by their
/// hash. Its key is fixed, so that rotating `SECRET_KEY` logs nobody out.
fn sessions(state: &Data<State>) -> SessionMiddleware<ActixStore> {
    let secure = state.config.http.secure();
    let lifetime = cookie::time::Duration::seconds(session::LIFETIME_ABSOLUTE.num_seconds());
    SessionMiddleware::builder(ActixStore(state.sessions.clone()), Key::from(&[0; 64]))
        .cookie_name(cookies::name(session::COOKIE, secure))
        .cookie_secure(secure)
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_path("/".to_owned())
        .session_lifecycle(PersistentSession::default().session_ttl(lifetime))
        .build()
}
