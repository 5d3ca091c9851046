//! What the activity log costs and loses at a steady rate: the same requests at the same times, with the log and without
//! it. Must not know what the log is made of, beyond the table it fills.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{database::Database, site::Site};

/// Requests a second, all together.
pub const RATE: u64 = 2_000;
/// Clients that share them.
const CLIENTS: u64 = 40;

/// One run at the steady rate.
#[derive(Clone, Copy, Serialize)]
pub struct Steady {
    /// Requests that were answered well.
    pub answered: u64,
    /// Requests that were not.
    pub failed: u64,
    /// Processor time that the site took, in seconds.
    pub cpu_seconds: f64,
    /// How long it went on, in seconds.
    pub seconds: f64,
    /// Rows of the activity log for the address asked for, once the site had ended.
    pub logged: u64,
}

/// Runs without the log and with it, alternating, and the median of each by processor time.
#[derive(Serialize)]
pub struct SteadyResult {
    /// The log off.
    pub without: Steady,
    /// The log on.
    pub with: Steady,
}

impl SteadyResult {
    /// The processor time that the log takes, as a part of what the machine's cores had to give.
    pub fn cost(&self, cores: usize) -> f64 {
        let share = |run: &Steady| run.cpu_seconds / run.seconds / cores as f64;
        share(&self.with) - share(&self.without)
    }
}

/// Measures both, three times each.
///
/// # Errors
/// When the site does not start or the database does not answer.
pub async fn run(
    start: impl AsyncFn(&[(&str, &str)]) -> Result<Site>,
    database: &Database,
    duration: Duration,
) -> Result<SteadyResult> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        for (runs, log) in [(&mut without, "false"), (&mut with, "true")] {
            let site = start(&[("ACTIVITY_LOG", log)]).await?;
            let path = format!("/?steady={}", uuid::Uuid::new_v4().simple());
            let mut measured = load(&site, &path, duration).await?;
            // Its last batch is written when it ends.
            site.stop()?;
            measured.logged = database.count_activity(&path).await?;
            runs.push(measured);
        }
    }
    Ok(SteadyResult {
        without: median(without),
        with: median(with),
    })
}

/// The run in the middle by processor time; what any of them lost counts.
fn median(mut runs: Vec<Steady>) -> Steady {
    runs.sort_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds));
    Steady {
        answered: runs.iter().map(|run| run.answered).sum(),
        failed: runs.iter().map(|run| run.failed).sum(),
        logged: runs.iter().map(|run| run.logged).sum(),
        ..runs[runs.len() / 2]
    }
}

async fn load(site: &Site, path: &str, duration: Duration) -> Result<Steady> {
    let url = format!("{}{path}", site.url);
    let [answered, failed] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let each = Duration::from_nanos(1_000_000_000 * CLIENTS / RATE);
    let begun = Instant::now();
    let before = site.cpu_seconds()?;
    let clients = (0..CLIENTS).map(|nth| {
        let (url, answered, failed) = (url.clone(), Arc::clone(&answered), Arc::clone(&failed));
        tokio::spawn(async move {
            let client = reqwest::Client::new();
            let first = begun + each * u32::try_from(nth).unwrap_or(0) / (CLIENTS as u32);
            let mut turns = interval_at(first, each);
            turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
            while begun.elapsed() < duration {
                turns.tick().await;
                let is_well = match client.get(&url).send().await {
                    Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
                    Err(_) => false,
                };
                let counter = if is_well { &answered } else { &failed };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await?;
    }
    Ok(Steady {
        answered: answered.load(Ordering::Relaxed),
        failed: failed.load(Ordering::Relaxed),
        cpu_seconds: site.cpu_seconds()? - before,
        seconds: begun.elapsed().as_secs_f64(),
        logged: 0,
    })
}
