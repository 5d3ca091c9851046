//! What runs beside the requests: jobs, refreshing, looking and writing down; and how each ends. Must not know SQL or HTML.

use std::{sync::Arc, time::Duration};

use actix_web::{dev::Server, web::Data};
use anyhow::Context as _;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Slices, outside,
    stack::{DRAIN, site},
};
use crate::{
    accounts::{self},
    news::{self},
    ops::tell,
    platform::{
        activity::{self},
        db::{self},
        flags::{self},
        health::checks,
        jobs::{self, Failure, Limits, Registry, Runner},
        notify::webhook,
        observe::{
            metrics::{self, Minutes},
            system::{self},
        },
        settings::{self},
        shutdown::{Shutdown, Stage},
    },
    web::{
        cache::{Pages, renderer},
        error::Error,
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

/// What happens at the end, and what runs meanwhile.
pub(super) fn register(
    state: &Data<State>,
    slices: &Slices,
    server: &Server,
    instance: String,
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
    let told = state.clone();
    tasks.forever("changes of health", move |token| {
        tell::health_changes(told.clone(), instance.clone(), token)
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
    registry.counted_by(state.metrics.clone());
    accounts::letters::register(&mut registry, state);
    news::previews::register(&mut registry, state, &slices.previews);
    webhook::register(&mut registry, &state.db, state.webhook.as_ref());
    let swept = state.clone();
    registry.on(SWEEP, Limits::default(), move |_| {
        let state = swept.clone();
        async move {
            state.sessions.sweep().await.map_err(Failure::again)?;
            let mut conn = state.db.conn().await?;
            news::posts::queries::delete_old_submissions(&mut conn).await?;
            accounts::letters::queries::delete_old_tokens(&mut conn).await?;
            accounts::tokens::queries::delete_old(&mut conn).await?;
            metrics::delete_old(&mut conn, state.settings.get().metrics_keep).await?;
            jobs::sweep(&mut conn).await?;
            Ok(())
        }
    });
    registry.cron(SWEEP, SWEEP_AT).map_err(anyhow::Error::msg)?;
    Ok(registry)
}

/// The checks that every site has; others are registered by their owners.
///
/// # Errors
/// What is wrong with the machine's TLS, in a sentence.
pub(super) fn register_checks(state: &State) -> anyhow::Result<()> {
    let (checks, settings) = (&state.checks, || state.settings.clone());
    checks.register(checks::database(state.db.clone(), settings()));
    if let Some(kv) = &state.kv {
        checks.register(checks::redis(kv.clone(), settings()));
    }
    checks.register(checks::memory(settings()));
    let folder = state.config.databases.data_dir.clone();
    checks.register(checks::disk(folder, settings()));
    checks.register(checks::jobs(state.db.clone(), settings()));
    if state.config.mail.smtp_url.is_some() {
        checks.register(checks::mail(state.mailer.clone()));
    }
    checks.register(checks::dependencies(state.dependencies.clone()));
    let urls = &state.config.outside.health_urls;
    if !urls.is_empty() {
        let client = checks::url_client(&outside::agent(&state.config))?;
        for (at, url) in urls.iter().enumerate() {
            let name = format!("url-{}", at + 1);
            checks.register(checks::url(name, url.clone(), client.clone(), settings()));
        }
    }
    Ok(())
}

/// Starts the thread that makes guests' pages which nobody waits for.
pub(super) fn start_renderer(
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
pub(super) fn observe_all(state: &Data<State>, instance: String, shutdown: &mut Shutdown) {
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
        let minutes = Arc::new(Minutes::new(instance));
        let (stored, kept) = (state.clone(), Arc::clone(&minutes));
        state.tasks.every("minutes", MINUTE, move || {
            let (state, minutes) = (stored.clone(), Arc::clone(&kept));
            async move { store_minute(&state, &minutes).await }
        });
        let last = state.clone();
        shutdown.register(
            "minutes",
            Stage::Flush,
            Duration::from_secs(3),
            move || async move { store_minute(&last, &minutes).await },
        );
    }
    let mut writer = None;
    if state.activity.is_on() {
        let maintained = state.clone();
        let maintain = move || {
            let state = maintained.clone();
            async move { activity::maintain(&state.db, &state.settings, chrono::Utc::now()).await }
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
        activity
            .flush(db, FLUSH_LIMIT - Duration::from_millis(500))
            .await
    });
}

async fn store_minute(state: &State, minutes: &Minutes) -> sqlx::Result<()> {
    if !state.flags.is_on("monitoring", None) {
        // What is not stored now is not part of a later minute either.
        drop(state.metrics.routes().take_minute());
        return Ok(());
    }
    let at = chrono::Utc::now() - chrono::TimeDelta::seconds(30);
    minutes.take(state.metrics.routes(), at);
    minutes.write(&state.db).await
}
