//! Supervised background tasks: what fails or panics is logged and counted, and the task goes on, until all are stopped
//! together. Must not know what the tasks do.

use std::{
    collections::BTreeMap,
    fmt::Display,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::time::MissedTickBehavior;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Pauses before a task that ended is begun again: doubled each time, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A task that ran for so long is well again.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// What became of one task so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Times it was run.
    pub runs: u64,
    /// Of these, how many gave an error.
    pub failed: u64,
    /// Of these, how many panicked.
    pub panicked: u64,
    /// How long the last run took, in milliseconds.
    pub last_ms: u64,
    /// When the last run ended.
    pub last_at: Option<DateTime<Utc>>,
    /// What the last failure said.
    pub last_error: Option<String>,
}

/// A cloneable handle to all tasks of the process.
#[derive(Clone, Default)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
    counts: Arc<Mutex<BTreeMap<&'static str, Count>>>,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the tasks are to stop.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Runs `work` once in each `period`, the first time after one period. A run that has begun is finished.
    pub fn every<F, Fut, E>(&self, name: &'static str, period: Duration, work: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                tokio::select! {
                    () = tasks.token.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                tasks.run(name, work()).await;
            }
        });
    }

    /// Keeps `work` running: when it ends, fails or panics it is begun again, after a pause that grows. It must end by
    /// itself once the token that it is given is cancelled.
    pub fn forever<F, Fut, E>(&self, name: &'static str, work: F)
    where
        F: Fn(CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let mut pause = PAUSE_MIN;
            loop {
                let begun = Instant::now();
                tasks.run(name, work(tasks.token.clone())).await;
                pause = if begun.elapsed() >= WELL_AFTER {
                    PAUSE_MIN
                } else {
                    (pause * 2).min(PAUSE_MAX)
                };
                tokio::select! {
                    () = tasks.token.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// Runs `work` once; [`Tasks::stop`] waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(work);
    }

    /// One run, in a task of its own, so that a panic stays inside.
    async fn run<E: Display + Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let begun = Instant::now();
        let task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(work));
        let (failed, panicked) = match task.await {
            Ok(Ok(())) => (None, None),
            Ok(Err(error)) => (Some(error.to_string()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name).or_default();
        count.runs += 1;
        count.failed += u64::from(failed.is_some());
        count.panicked += u64::from(panicked.is_some());
        count.last_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        count.last_at = Some(Utc::now());
        if let Some(error) = &failed {
            tracing::warn!(task.name = name, error, "a background task failed");
        }
        if let Some(error) = &panicked {
            tracing::error!(task.name = name, error, "a background task panicked");
        }
        if let Some(error) = failed.or(panicked) {
            count.last_error = Some(error);
        }
    }

    /// What became of each task so far, by name.
    pub fn counts(&self) -> BTreeMap<&'static str, Count> {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Tells all tasks to stop, and waits until they have.
    pub async fn stop(&self) {
        self.token.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_fails_or_panics_goes_on_and_is_counted() {
        let tasks = Tasks::new();
        let rounds = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&rounds);
        tasks.every("shaky", Duration::from_secs(1), move || {
            let round = seen.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(round != 0, "on purpose");
                if round == 1 { Err("not now") } else { Ok(()) }
            }
        });
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        tasks.stop().await;
        let counts = tasks.counts();
        let shaky = &counts["shaky"];
        assert_eq!((shaky.runs, shaky.failed, shaky.panicked), (3, 1, 1));
        assert_eq!(shaky.last_error.as_deref(), Some("not now"));
        let before = rounds.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(rounds.load(Ordering::SeqCst), before, "stopped is stopped");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_is_begun_again_ever_more_slowly() {
        let tasks = Tasks::new();
        let rounds = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&rounds);
        tasks.forever("brief", move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
            async { Err::<(), _>("lost") }
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        let rounds = rounds.load(Ordering::SeqCst);
        assert!((5..=10).contains(&rounds), "{rounds} rounds in a minute");
    }
}
