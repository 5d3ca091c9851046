//! Which kinds of jobs there are, and when the periodic ones come. Must not know how they are stored.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{Failure, Job, LEASE, schedule::Pattern};
use crate::platform::observe::metrics::Metrics;

/// The bounds of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attempts before a job is given up.
    pub attempts: u32,
    /// The time of one attempt; at most three quarters of [`LEASE`].
    pub time: Duration,
    /// How many of this kind one process does at a time, 1 or more; the other workers are left to other kinds.
    pub at_once: usize,
}

impl Default for Limits {
    /// Ten attempts (spread over some three hours), a minute each, by as many workers as are free.
    fn default() -> Self {
        Self {
            attempts: 10,
            time: Duration::from_secs(60),
            at_once: usize::MAX,
        }
    }
}

type Handler = Arc<dyn Fn(Job) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

#[derive(Clone)]
pub(super) struct Kind {
    pub(super) limits: Limits,
    pub(super) handler: Handler,
}

/// The kinds and schedules, collected before the workers start.
#[derive(Clone, Default)]
pub struct Registry {
    pub(super) kinds: BTreeMap<&'static str, Kind>,
    pub(super) schedules: BTreeMap<&'static str, (&'static str, Pattern)>,
    pub(super) metrics: Metrics,
}

impl Registry {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has what becomes of jobs counted there.
    pub fn counted_by(&mut self, metrics: Metrics) {
        self.metrics = metrics;
    }

    /// Says who does jobs of `kind`. The handler may be run again after it was cut off anywhere, so it must do no harm
    /// twice.
    pub fn on<F, Fut>(&mut self, kind: &'static str, limits: Limits, handler: F)
    where
        F: Fn(Job) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let limits = Limits {
            attempts: limits.attempts.max(1),
            time: limits.time.min(LEASE * 3 / 4),
            at_once: limits.at_once.max(1),
        };
        let handler: Handler = Arc::new(move |job| Box::pin(handler(job)));
        self.kinds.insert(kind, Kind { limits, handler });
    }

    /// Says when a job of `kind` comes by itself, by a cron pattern in UTC, such as `17 * * * *`.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn cron(&mut self, kind: &'static str, pattern: &'static str) -> Result<(), String> {
        let parsed = Pattern::parse(pattern).map_err(|e| format!("the schedule of {kind}: {e}"))?;
        self.schedules.insert(kind, (pattern, parsed));
        Ok(())
    }
}
