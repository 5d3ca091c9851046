//! The composition root: builds what handlers reach, draws the middleware order, starts background tasks, runs and stops.
//! Must not know SQL or HTML.

use std::{io::Write, net::TcpListener, os::unix::fs::OpenOptionsExt, sync::Arc, time::Duration};

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
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing_actix_web::TracingLogger;

use crate::{
    accounts::{self, viewers::Viewers},
    config::{Config, Environment},
    news::{self, previews::Previews},
    ops::{health, listener},
    platform::{
        activity::{self, Activity},
        cache::{Cache, bus::Bus},
        db::{self, Db, migrate},
        fetch::{self, Fetcher, address::Allowance},
        flags::{self, Flags},
        health::{Checks, checks},
        jobs::{self, Failure, Limits, Registry, Runner},
        kv::{self, Kv},
        limits::{Limiter, Rate},
        notify::{Mailer, mail},
        observe::{
            metrics::{self, Metrics},
            system::{self, System},
        },
        process::home::Home,
        resilience::{dependencies::Dependencies, rules::Rules},
        settings::{self, Settings},
        shutdown::{Outcome, Shutdown, Signals, Stage, TOTAL},
        tasks::Tasks,
    },
    routes,
    web::{
        assets,
        cache::{Pages, renderer},
        cookies,
        error::Error,
        middleware::{
            boundary::boundary,
            compress::compress,
            condition::{is_for_members, require_member, when},
            context::context,
            headers::headers,
            limit::limit,
            log::RequestSpan,
            page_cache::page_cache,
            record::record,
        },
        session::{self, ActixStore, Store},
        signing::{Keys, random_token},
        state::State,
    },
};

/// How often each instance reads the settings anew.
const SETTINGS_EVERY: Duration = Duration::from_secs(5);
/// How often the activity log gets its next month, and loses its oldest.
const ACTIVITY_EVERY: Duration = Duration::from_secs(3_600);
/// How often caches are rid of what is over.
const CACHE_SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often what the routes did is stored.
const MINUTE: Duration = Duration::from_secs(60);
/// How long the start waits for the line to other instances, and for the first pages: not at the price of the start.
const LINE_LIMIT: Duration = Duration::from_millis(300);
const WARM_LIMIT: Duration = Duration::from_secs(2);
/// How long writing the last of the activity log may take.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// How often it is noted when flags were last asked for.
const FLAGS_NOTED_EVERY: Duration = Duration::from_secs(60);
/// Deletes what has run out: sessions, form nonces, mailed links, old jobs.
const SWEEP: &str = "sweep";
/// When that is done, every hour.
const SWEEP_AT: &str = "17 * * * *";
/// Jobs that one process does at once.
const JOBS_AT_ONCE: usize = 4;
/// Time that jobs at work have to finish at the end; then they are given back.
const JOBS_LIMIT: Duration = Duration::from_secs(8);
/// How long a request that was accepted may take to finish once the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(15);
/// Time for an embedded database to stop.
const CHILD_LIMIT: Duration = Duration::from_secs(20);
/// Time for a request's head to arrive.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// The databases a site runs on.
pub struct Databases {
    /// PostgreSQL.
    pub db: Db,
    /// Redis, where there is one.
    pub kv: Option<Kv>,
}

/// Reaches the databases of the configuration. Where none is configured, the embedded ones are started, and `shutdown`
/// learns how to stop them.
///
/// # Errors
/// What is in the way, in a sentence for the operator.
pub async fn connect(config: &Config, shutdown: &mut Shutdown) -> anyhow::Result<Databases> {
    let wanted = &config.databases;
    let (url, redis_url) = match &wanted.database_url {
        Some(url) => (url.clone(), wanted.redis_url.clone()),
        None => embedded(config, shutdown).await?,
    };
    let mut options = db::Options::new(&url).context("DATABASE_URL cannot be read")?;
    options.max_connections = wanted.max_connections;
    let db = Db::connect(&options)
        .await
        .context("the database cannot be reached")?;
    let kv = redis_url
        .map(|url| {
            let mut options = kv::Options::new(url);
            options.prefix.clone_from(&wanted.redis_prefix);
            Kv::open(&options).context("REDIS_URL cannot be read")
        })
        .transpose()?;
    if kv.is_none() {
        tracing::info!("without Redis: sessions live in PostgreSQL, limits count in this process");
    }
    Ok(Databases { db, kv })
}

/// Starts PostgreSQL, and Redis unless one is configured, side by side; gives their URLs.
async fn embedded(
    config: &Config,
    shutdown: &mut Shutdown,
) -> anyhow::Result<(SecretString, Option<SecretString>)> {
    let wanted = &config.databases;
    let home = Home::settle(&wanted.data_dir)?;
    let options = db::embedded::Options {
        home: home.clone(),
        bin: wanted.pg_bin.clone(),
        max_connections: wanted.max_connections,
    };
    let redis = async {
        match wanted.redis_url {
            Some(_) => Ok(None),
            None => kv::embedded::Embedded::start(&home).await,
        }
    };
    let (postgres, redis) = tokio::join!(db::embedded::Embedded::start(&options), redis);
    let redis_url = match redis {
        Ok(Some(redis)) => {
            let url = redis.url().clone();
            shutdown.register("redis", Stage::Children, CHILD_LIMIT, move || redis.stop());
            Some(url)
        }
        Ok(None) => wanted.redis_url.clone(),
        Err(error) => {
            tracing::warn!(error = %error, "the embedded Redis does not start");
            None
        }
    };
    let postgres = postgres?;
    let url = postgres.url().clone();
    shutdown.register("postgres", Stage::Children, CHILD_LIMIT, move || {
        postgres.stop()
    });
    Ok((url, redis_url))
}

/// The secret of a development site: made once, kept in the data folder, readable by its owner only.
///
/// # Errors
/// When it can be neither read nor written.
pub fn kept_secret(config: &Config) -> anyhow::Result<SecretString> {
    let folder = &config.databases.data_dir;
    let path = folder.join("secret_key");
    if let Ok(secret) = std::fs::read_to_string(&path)
        && secret.trim().len() >= 32
    {
        return Ok(secret.trim().to_owned().into());
    }
    let secret = random_token(48);
    std::fs::create_dir_all(folder)
        .and_then(|()| {
            std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
        })
        .and_then(|mut file| file.write_all(secret.as_bytes()))
        .with_context(|| {
            format!(
                "no secret can be kept in {}; set SECRET_KEY",
                path.display()
            )
        })?;
    Ok(secret.into())
}

/// A site that listens.
pub struct Application {
    state: Data<State>,
    port: u16,
    ops_port: Option<u16>,
    server: Server,
}

impl Application {
    /// Migrates, reads the settings, binds the port (0 is any free one) and begins to serve; what must be undone at the
    /// end is registered with `shutdown`, also when the start fails half-way.
    ///
    /// # Errors
    /// What stopped the start, in a sentence.
    pub async fn build(
        config: Config,
        databases: Databases,
        shutdown: &mut Shutdown,
    ) -> anyhow::Result<Self> {
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
        settings
            .refresh(&db)
            .await
            .context("the settings cannot be read")?;
        let flags = Flags::new(match config.environment {
            Environment::Development => flags::Environment::Development,
            Environment::Staging => flags::Environment::Staging,
            Environment::Production => flags::Environment::Production,
        });
        flags
            .refresh(&db)
            .await
            .context("the flags cannot be read")?;
        let dependencies = dependencies(kv.as_ref());
        let fetcher = fetcher(&config)?;
        assets::read_from_disk(config.dev);
        let instance = random_token(9);
        let bus = Bus::open(kv.as_ref(), &db, instance.clone());
        let observe = &config.observe;
        let pages = Pages::new(bus.clone(), observe.caching, observe.cache_pages_bytes);
        pages.set_wanted(settings.get().cache_pages && flags.is_on("caching", None));
        let cache = Cache::new(kv.clone(), bus.clone(), observe.caching);
        let (heard_pages, heard_cache) = (pages.clone(), cache.clone());
        bus.listen(move |message| {
            heard_pages.hear(message);
            heard_cache.hear(message);
        });
        let state = Data::new(State {
            sessions: Store::new(kv.as_ref(), &db),
            limiter: Limiter::new(
                kv.clone(),
                config.limits.enabled,
                Rate {
                    max: config.limits.max,
                    window: config.limits.window,
                },
                settings.clone(),
                flags.clone(),
            ),
            keys: Keys::new(&config.secret_keys),
            mailer: mailer(&config, &settings.get().site_name)?
                .guarded_by(dependencies.register(mail::DEPENDENCY, mail::rules())),
            tasks: Tasks::new(),
            shutting_down: shutdown.flag(),
            pages,
            cache,
            activity: Activity::new(config.observe.activity),
            metrics: Metrics::default(),
            system: System::default(),
            checks: Checks::default(),
            dependencies,
            fetcher,
            settings,
            flags,
            db,
            kv,
            config: Arc::new(config),
        });
        let slices = Slices::of(&state);
        state.dependencies.tune(&state.settings.resilience());
        register_checks(&state);
        bus.wait_up(LINE_LIMIT).await;
        start_renderer(&state, &slices, shutdown)?;
        observe_all(&state, instance, shutdown);
        state.pages.warm(routes::PARAMETERLESS, WARM_LIMIT).await;
        let (port, server) = listen(&state, &slices)?;
        register(&state, &slices, &server, shutdown)?;
        let ops_port = listen_to_operators(&state, shutdown)?;
        Ok(Self {
            state,
            port,
            ops_port,
            server,
        })
    }

    /// The port that was bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The operators' port, where there is one.
    pub fn ops_port(&self) -> Option<u16> {
        self.ops_port
    }

    /// What handlers reach; for the command line and for tests.
    pub fn state(&self) -> &Data<State> {
        &self.state
    }

    /// Serves until a signal comes or the server fails, then shuts down in order; a second signal forces.
    ///
    /// # Errors
    /// When the server itself failed.
    pub async fn run_until_stopped(
        self,
        mut signals: Signals,
        shutdown: Shutdown,
    ) -> anyhow::Result<Outcome> {
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

/// What slices keep for the whole process, beside the [`State`] that all know.
#[derive(Clone)]
struct Slices {
    viewers: Data<Viewers>,
    previews: Data<Previews>,
}

impl Slices {
    fn of(state: &State) -> Self {
        Self {
            viewers: Data::new(Viewers::new(state.db.clone())),
            previews: Data::new(Previews::new(
                state.fetcher.clone(),
                &state.dependencies,
                state.settings.clone(),
            )),
        }
    }
}

/// The registry, with what guards itself and with the breakers of routes.
fn dependencies(kv: Option<&Kv>) -> Dependencies {
    let dependencies = Dependencies::default();
    if let Some(kv) = kv {
        dependencies.add("redis", Arc::new(kv.clone()));
    }
    dependencies.register(routes::LINK_PREVIEW, Rules::default());
    dependencies
}

/// The client for addresses that somebody else has chosen.
fn fetcher(config: &Config) -> anyhow::Result<Fetcher> {
    let options = fetch::Options {
        agent: format!(
            "BetterNews/{} (+{})",
            env!("CARGO_PKG_VERSION"),
            config.http.base_url
        ),
        allowance: Allowance {
            loopback_ports: config.outside.loopback_ports.clone(),
        },
    };
    Fetcher::new(&options).context("requests to the outside cannot be made")
}

/// What happens at the end, and what runs meanwhile.
fn register(
    state: &Data<State>,
    slices: &Slices,
    server: &Server,
    shutdown: &mut Shutdown,
) -> anyhow::Result<()> {
    let handle = server.handle();
    shutdown.register("http", Stage::Drain, DRAIN, move || async move {
        handle.stop(true).await;
        Ok::<_, std::convert::Infallible>(())
    });
    let tasks = state.tasks.clone();
    let runner = Runner::start(state.db.clone(), jobs(state, slices)?, &tasks, JOBS_AT_ONCE);
    let refreshed = state.clone();
    tasks.every("settings", SETTINGS_EVERY, move || {
        let state = refreshed.clone();
        async move { state.steer().await }
    });
    let noted = state.clone();
    tasks.every("flags asked for", FLAGS_NOTED_EVERY, move || {
        let state = noted.clone();
        async move { state.flags.note_asked(&state.db).await }
    });
    // What is heard is read anew by a task of its own: the line itself never waits.
    let steer = Arc::new(Notify::new());
    let (steered, heard) = (state.clone(), Arc::clone(&steer));
    tasks.forever("settings heard", move |token| {
        let (state, heard) = (steered.clone(), Arc::clone(&heard));
        async move {
            loop {
                tokio::select! {
                    () = token.cancelled() => return Ok::<_, sqlx::Error>(()),
                    () = heard.notified() => {}
                }
                state.steer().await?;
            }
        }
    });
    let (listening, woken) = (state.clone(), runner.clone());
    tasks.forever("notifications", move |token| {
        let (state, runner, steer) = (listening.clone(), woken.clone(), Arc::clone(&steer));
        async move {
            let hear = |channel: Option<&str>| {
                if channel.is_none_or(|name| name == jobs::CHANNEL) {
                    runner.wake();
                }
                if channel.is_none_or(|name| name != jobs::CHANNEL) {
                    steer.notify_one();
                }
            };
            tokio::select! {
                () = token.cancelled() => Ok(()),
                ended = db::listen(&state.db, &[jobs::CHANNEL, settings::CHANNEL, flags::CHANNEL], hear) => ended,
            }
        }
    });
    shutdown.register(
        "tasks",
        Stage::Work,
        JOBS_LIMIT + Duration::from_secs(2),
        move || async move {
            if tokio::time::timeout(JOBS_LIMIT, tasks.stop())
                .await
                .is_err()
            {
                runner.release().await?;
            }
            Ok::<_, sqlx::Error>(())
        },
    );
    let db = state.db.clone();
    shutdown.register(
        "database",
        Stage::Disconnect,
        Duration::from_secs(2),
        move || async move {
            db.close();
            Ok::<_, std::convert::Infallible>(())
        },
    );
    Ok(())
}

/// Every kind of job, and when the periodic ones come.
fn jobs(state: &Data<State>, slices: &Slices) -> anyhow::Result<Registry> {
    let mut registry = Registry::new();
    accounts::letters::register(&mut registry, state);
    news::previews::register(&mut registry, state, &slices.previews);
    let swept = state.clone();
    registry.on(SWEEP, Limits::default(), move |_| {
        let state = swept.clone();
        async move {
            state.sessions.sweep().await.map_err(Failure::again)?;
            let mut conn = state.db.conn().await?;
            news::posts::queries::delete_old_submissions(&mut conn).await?;
            accounts::letters::queries::delete_old_tokens(&mut conn).await?;
            accounts::tokens::queries::delete_old(&mut conn).await?;
            metrics::delete_old(&mut conn).await?;
            jobs::sweep(&mut conn).await?;
            Ok(())
        }
    });
    registry.cron(SWEEP, SWEEP_AT).map_err(anyhow::Error::msg)?;
    Ok(registry)
}

/// The way out for letters: the mail server; an outbox to read on a development site without one; else none.
fn mailer(config: &Config, site_name: &str) -> anyhow::Result<Mailer> {
    let way = match (&config.mail.smtp_url, config.environment) {
        (Some(url), _) => mail::Way::Smtp(url.clone()),
        (None, Environment::Development) => mail::Way::Outbox,
        (None, _) => mail::Way::Off,
    };
    if matches!(way, mail::Way::Off) {
        tracing::warn!(
            "SMTP_URL is not set: no mail leaves, so nobody can confirm an address or reset a password by mail"
        );
    }
    let from = match &config.mail.from {
        Some(from) => from.clone(),
        None => {
            let host = config.http.base_url.domain().unwrap_or("localhost");
            let address = format!("noreply@{host}")
                .parse()
                .context("MAIL_FROM is not set, and BASE_URL gives none")?;
            lettre::message::Mailbox::new(Some(site_name.to_owned()), address)
        }
    };
    Mailer::new(&way, from).context("SMTP_URL")
}

/// Binds the port and starts the workers. The order of the stack and its reasons stand in `web/middleware/mod.rs`.
fn listen(state: &Data<State>, slices: &Slices) -> anyhow::Result<(u16, Server)> {
    let bind = state.config.http.bind;
    let listener = TcpListener::bind(bind).with_context(|| format!("cannot listen on {bind}"))?;
    let port = listener.local_addr()?.port();
    let workers = state.config.http.workers;
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

/// The whole stack.
fn site(
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
    App::new()
        .app_data(state.clone())
        .app_data(slices.viewers.clone())
        .app_data(slices.previews.clone())
        .app_data(PathConfig::default().error_handler(|_, _| Error::NotFound.into()))
        .configure(routes::configure)
        .wrap(from_fn(when(is_for_members, require_member)))
        .wrap(from_fn(accounts::middleware::viewer))
        .wrap(IdentityMiddleware::default())
        .wrap(sessions(state))
        .wrap(from_fn(boundary))
        .wrap(from_fn(compress))
        .wrap(TracingLogger::<RequestSpan>::new())
        .wrap(from_fn(page_cache))
        .wrap(from_fn(limit))
        .wrap(from_fn(record))
        .wrap(from_fn(headers))
        .wrap(from_fn(context))
        .wrap(from_fn(health::probes))
}

/// The operators' own port, where one is wanted: the same endpoints, no sessions, nothing forwarded.
fn listen_to_operators(
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
        App::new()
            .app_data(state.clone())
            .configure(listener::configure)
            .wrap(from_fn(listener::refuse_forwarded))
            .wrap(from_fn(record))
            .wrap(from_fn(headers))
            .wrap(from_fn(context))
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

/// The checks that every site has; others are registered by their owners.
fn register_checks(state: &State) {
    state.checks.register(checks::database(state.db.clone()));
    if let Some(kv) = &state.kv {
        state.checks.register(checks::redis(kv.clone()));
    }
    state.checks.register(checks::memory());
    state
        .checks
        .register(checks::disk(state.config.databases.data_dir.clone()));
}

/// Starts the thread that makes guests' pages which nobody waits for.
fn start_renderer(
    state: &Data<State>,
    slices: &Slices,
    shutdown: &mut Shutdown,
) -> anyhow::Result<()> {
    if !state.config.observe.caching {
        return Ok(());
    }
    let jobs = state.pages.open();
    let (made_for, slices) = (state.clone(), slices.clone());
    std::thread::Builder::new()
        .name("renderer".to_owned())
        .spawn(move || match actix_web::rt::Runtime::new() {
            Ok(runtime) => runtime.block_on(renderer(site(&made_for, &slices), jobs)),
            Err(error) => tracing::error!(error = %error, "the renderer does not start"),
        })
        .context("the renderer's thread does not start")?;
    let closing = Closing(state.pages.clone());
    shutdown.register(
        "renderer",
        Stage::Work,
        Duration::from_secs(1),
        move || async move {
            drop(closing);
            Ok::<_, std::convert::Infallible>(())
        },
    );
    Ok(())
}

/// Ends the renderer when the shutdown is over, or was given up.
struct Closing(Pages);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What looks at the process while it runs, and writes down what it sees.
fn observe_all(state: &Data<State>, instance: String, shutdown: &mut Shutdown) {
    let swept = state.clone();
    state.tasks.every("cache", CACHE_SWEEP_EVERY, move || {
        let state = swept.clone();
        async move {
            state.pages.sweep();
            state.cache.sweep();
            Ok::<_, Error>(())
        }
    });
    if state.config.observe.monitoring {
        let watch = AbortOnDropHandle::new(tokio::spawn(state.system.watch()));
        shutdown.register(
            "watch",
            Stage::Work,
            Duration::from_secs(1),
            move || async move {
                drop(watch);
                Ok::<_, std::convert::Infallible>(())
            },
        );
        let sampled = state.clone();
        let sample = move || {
            let (system, is_on) = (
                sampled.system.clone(),
                sampled.flags.is_on("monitoring", None),
            );
            async move {
                if !is_on {
                    return Ok(());
                }
                let sample = tokio::task::spawn_blocking(move || system.sample());
                sample.await.map(|_| ())
            }
        };
        tokio::spawn(sample());
        state.tasks.every("system", system::EVERY, sample);
        let stored = state.clone();
        state.tasks.every("minutes", MINUTE, move || {
            let (state, instance) = (stored.clone(), instance.clone());
            async move { store_minute(&state, &instance).await }
        });
    }
    let mut writer = None;
    if state.activity.is_on() {
        let maintained = state.clone();
        let maintain = move || {
            let state = maintained.clone();
            async move { activity::maintain(&state.db, chrono::Utc::now()).await }
        };
        tokio::spawn(maintain());
        state.tasks.every("activity", ACTIVITY_EVERY, maintain);
        writer = Some(AbortOnDropHandle::new(tokio::spawn(
            state.activity.clone().run(state.db.clone()),
        )));
    }
    let (activity, db) = (state.activity.clone(), state.db.clone());
    shutdown.register("activity", Stage::Flush, FLUSH_LIMIT, move || async move {
        if let Some(writer) = writer {
            writer.abort();
            // Its batch is back in the queue once it is gone.
            let _ = writer.await;
        }
        activity.flush(db).await
    });
}

async fn store_minute(state: &State, instance: &str) -> Result<(), Error> {
    let minutes = state.metrics.routes().take_minute();
    if !minutes.is_empty() {
        let at = chrono::Utc::now() - chrono::TimeDelta::seconds(30);
        metrics::insert(&mut state.db.conn().await?, at, instance, &minutes).await?;
    }
    Ok(())
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
