//! The checks that every site has: database, Redis, memory, disk, jobs, mail, what it calls, and addresses that the
//! operator names (S30). Must not know who asks.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use deadpool_redis::redis::cmd;
use reqwest::{Client, redirect::Policy};
use sysinfo::{Disks, MemoryRefreshKind, RefreshKind, System};

use super::{Check, Outcome, Pace};
use crate::platform::{
    db::Db,
    jobs,
    kv::Kv,
    notify::Mailer,
    resilience::{breaker::State, dependencies::Dependencies},
    settings::{Settings, Values},
    tls,
};
use url::Url;

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

/// PostgreSQL, critical.
pub fn database(db: Db, settings: Settings) -> Check {
    let paced_by = settings.clone();
    let run = move || {
        let (db, values) = (db.clone(), settings.get());
        async move {
            let limit = Duration::from_secs(values.health_database_limit.into());
            let slow = Duration::from_millis(values.health_database_slow.into());
            let started = Instant::now();
            let outcome = match db.ping(limit).await {
                Ok(()) if started.elapsed() >= slow => Outcome::degraded("It answers slowly."),
                Ok(()) => Outcome::healthy(),
                Err(error) => Outcome::unhealthy(error.to_string()),
            };
            let pool = db.status();
            outcome
                .with("latencyMs", ms(started.elapsed()))
                .with("connections", pool.open)
                .with("idle", pool.idle)
                .with("waiting", pool.waiting)
                .with("max", pool.max)
        }
    };
    Check::new("database", run)
        .paced_by(move || {
            let values = paced_by.get();
            Pace::seconds(
                values.health_database_limit.into(),
                values.health_database_every.into(),
            )
        })
        .critical()
}

/// Redis: 2 s at most, though each command ends after 200 ms (`kv::Options`). Without it a site is slower, not down.
pub fn redis(kv: Kv, settings: Settings) -> Check {
    let run = move || {
        let kv = kv.clone();
        async move {
            let started = Instant::now();
            match kv.query::<String>(&cmd("PING")).await {
                Ok(_) => Outcome::healthy().with("latencyMs", ms(started.elapsed())),
                Err(error) => Outcome::unhealthy(error.to_string()),
            }
        }
    };
    Check::new("redis", run)
        .paced_by(move || {
            let values = settings.get();
            Pace::seconds(2, values.health_redis_every.into())
        })
        .on_demand()
}

/// Degraded, and unhealthy, above these percentages.
fn graded(percent: f64, bounds: (u32, u32), what: &str) -> Outcome {
    let sentence = || format!("{what} is {percent:.0} % full.");
    match percent {
        p if p > bounds.1.into() => Outcome::unhealthy(sentence()),
        p if p > bounds.0.into() => Outcome::degraded(sentence()),
        _ => Outcome::healthy(),
    }
}

/// The machine's memory.
pub fn memory(settings: Settings) -> Check {
    let paced_by = settings.clone();
    let run = move || {
        let values = settings.get();
        let bounds = (
            values.health_memory_degraded,
            values.health_memory_unhealthy,
        );
        look_at_memory(bounds)
    };
    Check::new("memory", run).paced_by(move || machine_pace(1, &paced_by))
}

/// What looks at the machine may take so many seconds.
fn machine_pace(limit: u64, settings: &Settings) -> Pace {
    Pace::seconds(limit, settings.get().health_machine_every.into())
}

async fn look_at_memory(bounds: (u32, u32)) -> Outcome {
    let looked = tokio::task::spawn_blocking(|| {
        let wanted = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(wanted);
        (system.total_memory(), system.available_memory())
    });
    let Ok((total, free)) = looked.await else {
        return Outcome::degraded("The memory cannot be looked at.");
    };
    let used = total.saturating_sub(free);
    let percent = if total == 0 {
        0.0
    } else {
        used as f64 * 100.0 / total as f64
    };
    graded(percent, bounds, "The memory")
        .with("usedBytes", used)
        .with("totalBytes", total)
        .with("usedPercent", percent.round())
}

/// The disk that holds `folder`.
pub fn disk(folder: PathBuf, settings: Settings) -> Check {
    let paced_by = settings.clone();
    let run = move || {
        let (folder, values) = (folder.clone(), settings.get());
        let bounds = (values.health_disk_degraded, values.health_disk_unhealthy);
        async move {
            let looked = tokio::task::spawn_blocking(move || {
                // A folder that is not there yet will be made below one that is.
                let folder = std::path::absolute(folder).ok()?;
                let folder = folder.ancestors().find_map(|f| f.canonicalize().ok())?;
                let disks = Disks::new_with_refreshed_list();
                let of_folder = disks.iter().filter(|d| folder.starts_with(d.mount_point()));
                let disk = of_folder.max_by_key(|d| d.mount_point().as_os_str().len())?;
                Some((disk.total_space(), disk.available_space()))
            });
            let Some((total, free)) = looked.await.ok().flatten().filter(|(total, _)| *total > 0)
            else {
                // Some containers' file systems do not tell.
                return Outcome::healthy().with("known", false);
            };
            let percent = (total.saturating_sub(free)) as f64 * 100.0 / total as f64;
            graded(percent, bounds, "The disk")
                .with("freeBytes", free)
                .with("totalBytes", total)
                .with("usedPercent", percent.round())
        }
    };
    Check::new("disk", run).paced_by(move || machine_pace(5, &paced_by))
}

/// The job queue: each 30 s. Degraded while work piles up, nobody takes it, or much of it is given up.
pub fn jobs(db: Db, settings: Settings) -> Check {
    let run = move || {
        let (db, values) = (db.clone(), settings.get());
        async move {
            let backlog = match db.conn().await {
                Ok(mut conn) => jobs::backlog(&mut conn).await,
                Err(error) => Err(error),
            };
            match backlog {
                Ok(backlog) => of_backlog(&backlog, &values),
                Err(error) => Outcome::unhealthy(error.to_string()),
            }
        }
    };
    Check::new("jobs", run).needs("database")
}

fn of_backlog(backlog: &jobs::Backlog, values: &Values) -> Outcome {
    let outcome = if backlog.oldest_seconds > values.health_jobs_late.into() {
        Outcome::degraded(format!(
            "A job has waited for {:.0} minutes.",
            backlog.oldest_seconds / 60.0
        ))
    } else if backlog.due > values.health_jobs_due.into() {
        Outcome::degraded(format!("{} jobs wait.", backlog.due))
    } else if backlog.given_up >= values.health_jobs_given_up.into() {
        Outcome::degraded(format!(
            "{} jobs were given up within an hour.",
            backlog.given_up
        ))
    } else {
        Outcome::healthy()
    };
    outcome
        .with("due", backlog.due)
        .with("oldestSeconds", backlog.oldest_seconds.round())
        .with("running", backlog.running)
        .with("givenUpLastHour", backlog.given_up)
}

/// The mail server: each 60 s. Only where letters leave by one.
pub fn mail(mailer: Mailer) -> Check {
    let run = move || {
        let mailer = mailer.clone();
        async move {
            match mailer.probe().await {
                Some(Err(error)) => Outcome::unhealthy(error.to_string()),
                Some(Ok(())) | None => Outcome::healthy(),
            }
        }
    };
    Check::new("mail", run).paced(Duration::from_secs(10), Duration::from_secs(60))
}

/// Everything outside that is called: degraded while a breaker is open. Each 5 s, since it only looks at what is known.
pub fn dependencies(dependencies: Dependencies) -> Check {
    let run = move || {
        let list = dependencies.list();
        let open: Vec<String> = list
            .iter()
            .filter(|dependency| dependency.breaker.state == State::Open)
            .map(|dependency| dependency.name.clone())
            .collect();
        let outcome = if open.is_empty() {
            Outcome::healthy()
        } else {
            Outcome::degraded(format!("Not called at present: {}.", open.join(", ")))
        };
        std::future::ready(outcome.with("open", open).with("total", list.len()))
    };
    Check::new("dependencies", run)
        .paced(Duration::from_secs(1), Duration::from_secs(5))
        .on_demand()
}

/// A client for the addresses that the operator names: these may be private, so that nothing guards it; it follows no
/// redirect, and keeps no connection.
///
/// # Errors
/// What is wrong with the machine's TLS, in a sentence.
pub fn url_client(agent: &str) -> anyhow::Result<Client> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls::client()?)
        .user_agent(agent)
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(0)
        .build()?;
    Ok(client)
}

/// An address that the operator names: degraded unless it answers 2xx. Strangers see `name`; the address is for operators.
pub fn url(name: String, url: Url, client: Client, settings: Settings) -> Check {
    let paced_by = settings.clone();
    let run = move || {
        let (url, client) = (url.clone(), client.clone());
        let limit = Duration::from_secs(settings.get().health_urls_limit.into());
        async move {
            let started = Instant::now();
            // The path and the query may hold a key.
            let host = url.host_str().unwrap_or_default().to_owned();
            let outcome = match client.get(url).timeout(limit).send().await {
                Ok(answer) if answer.status().is_success() => Outcome::healthy(),
                Ok(answer) => {
                    Outcome::degraded(format!("{host} answers {}.", answer.status().as_u16()))
                }
                Err(error) if error.is_timeout() => {
                    Outcome::degraded(format!("{host} does not answer in time."))
                }
                Err(error) if error.is_connect() => {
                    Outcome::degraded(format!("{host} cannot be reached."))
                }
                Err(error) => Outcome::degraded(format!("{host}: {}.", error.without_url())),
            };
            outcome
                .with("host", host)
                .with("latencyMs", ms(started.elapsed()))
        }
    };
    Check::new(name, run).paced_by(move || {
        let values = paced_by.get();
        Pace::seconds(
            values.health_urls_limit.into(),
            values.health_urls_every.into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::health::Status;

    #[test]
    fn s30_fullness_is_graded_as_the_specification_says() {
        let status = |percent| graded(percent, (80, 90), "It").status;
        assert_eq!(status(80.0), Status::Healthy);
        assert_eq!(status(80.1), Status::Degraded);
        assert_eq!(status(90.1), Status::Unhealthy);
    }

    #[test]
    fn s30_a_queue_is_degraded_while_it_grows_stalls_or_fails() {
        let values = Values::default();
        let (due, given_up) = (
            values.health_jobs_due.into(),
            values.health_jobs_given_up.into(),
        );
        let well = jobs::Backlog {
            due,
            oldest_seconds: 300.0,
            running: 4,
            given_up: given_up - 1,
        };
        assert_eq!(of_backlog(&well, &values).status, Status::Healthy);
        for backlog in [
            jobs::Backlog {
                due: due + 1,
                ..well
            },
            jobs::Backlog {
                oldest_seconds: 301.0,
                ..well
            },
            jobs::Backlog { given_up, ..well },
        ] {
            assert_eq!(of_backlog(&backlog, &values).status, Status::Degraded);
        }
    }
}
