//! The checks that every site has: database, Redis, memory, disk (S30). Must not know who asks.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use deadpool_redis::redis::cmd;
use sysinfo::{Disks, MemoryRefreshKind, RefreshKind, System};

use super::{Check, Outcome};
use crate::platform::{db::Db, kv::Kv};

/// A database that takes longer to answer is degraded.
const DATABASE_SLOW: Duration = Duration::from_millis(100);
/// Memory in use, in percent, from which on the machine is degraded.
const MEMORY_DEGRADED: f64 = 80.0;
/// The same for unhealthy.
const MEMORY_UNHEALTHY: f64 = 90.0;
/// Disk in use, in percent.
const DISK_DEGRADED: f64 = 85.0;
const DISK_UNHEALTHY: f64 = 95.0;

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

/// PostgreSQL: 5 s at most, each 30 s, critical.
pub fn database(db: Db) -> Check {
    const LIMIT: Duration = Duration::from_secs(5);
    let run = move || {
        let db = db.clone();
        async move {
            let started = Instant::now();
            let outcome = match db.ping(LIMIT).await {
                Ok(()) if started.elapsed() >= DATABASE_SLOW => {
                    Outcome::degraded("It answers slowly.")
                }
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
        .paced(LIMIT, Duration::from_secs(30))
        .critical()
}

/// Redis: 2 s at most, each 15 s. Without it a site is slower, not down.
pub fn redis(kv: Kv) -> Check {
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
    Check::new("redis", run).paced(Duration::from_secs(2), Duration::from_secs(15))
}

fn graded(percent: f64, degraded: f64, unhealthy: f64, what: &str) -> Outcome {
    let sentence = || format!("{what} is {percent:.0} % full.");
    match percent {
        p if p > unhealthy => Outcome::unhealthy(sentence()),
        p if p > degraded => Outcome::degraded(sentence()),
        _ => Outcome::healthy(),
    }
}

/// The machine's memory: each 60 s.
pub fn memory() -> Check {
    let run = || async {
        let looked = tokio::task::spawn_blocking(|| {
            let wanted =
                RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
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
        graded(percent, MEMORY_DEGRADED, MEMORY_UNHEALTHY, "The memory")
            .with("usedBytes", used)
            .with("totalBytes", total)
            .with("usedPercent", percent.round())
    };
    Check::new("memory", run).paced(Duration::from_secs(1), Duration::from_secs(60))
}

/// The disk that holds `folder`: each 60 s.
pub fn disk(folder: PathBuf) -> Check {
    let run = move || {
        let folder = folder.clone();
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
            graded(percent, DISK_DEGRADED, DISK_UNHEALTHY, "The disk")
                .with("freeBytes", free)
                .with("totalBytes", total)
                .with("usedPercent", percent.round())
        }
    };
    Check::new("disk", run).paced(Duration::from_secs(5), Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::health::Status;

    #[test]
    fn fullness_is_graded_as_the_specification_says() {
        let status = |percent| graded(percent, MEMORY_DEGRADED, MEMORY_UNHEALTHY, "It").status;
        assert_eq!(status(80.0), Status::Healthy);
        assert_eq!(status(80.1), Status::Degraded);
        assert_eq!(status(90.1), Status::Unhealthy);
    }
}
