//! The composition root: builds what handlers reach, draws the middleware order, starts background tasks, runs and stops.
//! Must not know SQL or HTML.

mod background;
mod databases;
mod outside;
mod stack;

use std::{sync::Arc, time::Duration};

use actix_web::{dev::Server, web::Data};
use anyhow::Context as _;

use crate::{
    accounts::viewers::Viewers,
    config::{Config, Environment},
    news::previews::Previews,
    platform::{
        activity::Activity,
        cache::{
            Cache,
            bus::Bus,
            purge::{self, Purges},
        },
        db::migrate,
        flags::{self, Flags},
        health::Checks,
        limits::{Limiter, Rate},
        notify::mail,
        observe::{metrics::Metrics, system::System},
        resilience::rules::Rules,
        settings::Settings,
        shutdown::{Outcome, Shutdown, Signals, TOTAL},
        tasks::Tasks,
    },
    routes,
    web::{
        assets,
        cache::Pages,
        session::Store,
        signing::{Keys, random_token},
        state::State,
    },
};

use background::{observe_all, register, register_checks, start_renderer};
pub use databases::{Databases, connect, kept_secret};
use outside::{dependencies, fetcher, mailer, webhook};
use stack::{listen, listen_to_operators};

/// How long the start waits for the line to other instances, and for the first pages: not at the price of the start.
const LINE_LIMIT: Duration = Duration::from_millis(300);
const WARM_LIMIT: Duration = Duration::from_secs(2);

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
        let cdn = config.outside.cdn_purge_url.clone().map(|url| {
            let dependency = dependencies.register(purge::DEPENDENCY, Rules::default());
            Purges::new(url, fetcher.clone(), dependency)
        });
        let pages = Pages::new(
            bus.clone(),
            observe.caching,
            observe.cache_pages_bytes,
            cdn.clone(),
        );
        let cache = Cache::new(kv.clone(), bus.clone(), settings.clone(), observe.caching);
        let (heard_pages, heard_cache) = (pages.clone(), cache.clone());
        bus.listen(move |message| {
            heard_pages.hear(message);
            heard_cache.hear(message);
        });
        let tasks = Tasks::new();
        if let Some(cdn) = cdn {
            tasks.forever("cdn", move |token| cdn.clone().run(token));
        }
        let state = Data::new(State {
            sessions: Store::new(kv.as_ref(), &db, settings.clone()),
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
            webhook: webhook(&config, &fetcher, &dependencies),
            tasks,
            shutting_down: shutdown.flag(),
            pages,
            cache,
            activity: Activity::new(config.observe.activity, settings.clone()),
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
        state.obey();
        register_checks(&state)?;
        bus.wait_up(LINE_LIMIT).await;
        start_renderer(&state, &slices, shutdown)?;
        observe_all(&state, instance.clone(), shutdown);
        state.pages.warm(routes::PARAMETERLESS, WARM_LIMIT).await;
        let (port, server) = listen(&state, &slices)?;
        register(&state, &slices, &server, instance, shutdown)?;
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
            viewers: Data::new(Viewers::new(state.db.clone(), state.cache.clone())),
            previews: Data::new(Previews::new(
                state.fetcher.clone(),
                &state.dependencies,
                state.settings.clone(),
                state.cache.clone(),
            )),
        }
    }
}
