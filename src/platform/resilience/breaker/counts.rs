//! The figures of a breaker: since the start, and within a sliding window of one entry a second. Must not know the clock.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Forced, Outcome, State};

/// What was counted of the calls.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    successes: u64,
    failures: u64,
    refused: u64,
    took: Duration,
    /// One entry a second, the newest last: its number, successes, failures.
    window: VecDeque<(u64, u32, u32)>,
    last_failure: Option<(Duration, String)>,
}

impl Counts {
    /// Counts one more call; `window` is how far back [`Counts::within`] will look.
    pub fn add(&mut self, now: Duration, took: Duration, outcome: Outcome, window: Duration) {
        self.took += took;
        self.prune(now, window);
        let (ok, failed) = match outcome {
            Outcome::Success => (1, 0),
            Outcome::Failure => (0, 1),
        };
        self.successes += u64::from(ok);
        self.failures += u64::from(failed);
        match self.window.back_mut() {
            Some(newest) if newest.0 == now.as_secs() => {
                newest.1 += ok;
                newest.2 += failed;
            }
            _ => self.window.push_back((now.as_secs(), ok, failed)),
        }
    }

    /// Counts a call that was not let through.
    pub fn add_refused(&mut self) {
        self.refused += 1;
    }

    /// Keeps why the newest failure was one.
    pub fn note_failure(&mut self, now: Duration, reason: String) {
        self.last_failure = Some((now, reason));
    }

    /// Calls and failures within the last `window`.
    pub fn within(&mut self, now: Duration, window: Duration) -> (u32, u32) {
        self.prune(now, window);
        let failed = self.window.iter().map(|second| second.2).sum();
        let calls = self.window.iter().map(|second| second.1 + second.2).sum();
        (calls, failed)
    }

    /// Forgets the window: what failed before a new beginning does not count after it.
    pub(super) fn forget_window(&mut self) {
        self.window.clear();
    }

    /// Entries of the window.
    #[cfg(test)]
    pub(super) fn seconds(&self) -> usize {
        self.window.len()
    }

    fn prune(&mut self, now: Duration, window: Duration) {
        let oldest = now.saturating_sub(window);
        while self
            .window
            .front()
            .is_some_and(|second| Duration::from_secs(second.0 + 1) <= oldest)
        {
            self.window.pop_front();
        }
    }

    /// The figures as they are shown; `began` is the moment that times are measured from.
    pub fn snapshot(
        &mut self,
        state: State,
        forced: Option<Forced>,
        now: Duration,
        window: Duration,
        began: DateTime<Utc>,
    ) -> Snapshot {
        let (calls, failed) = self.within(now, window);
        let ended = self.successes + self.failures;
        Snapshot {
            state,
            forced,
            successes: self.successes,
            failures: self.failures,
            refused: self.refused,
            failure_rate: if calls == 0 {
                0.0
            } else {
                f64::from(failed) / f64::from(calls)
            },
            mean_ms: if ended == 0 {
                0.0
            } else {
                self.took.as_secs_f64() * 1_000.0 / ended as f64
            },
            last_failure: self.last_failure.as_ref().map(|(at, reason)| LastFailure {
                at: began + *at,
                reason: reason.clone(),
            }),
        }
    }
}

/// A breaker as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Whether calls pass.
    pub state: State,
    /// Held there by an operator.
    pub forced: Option<Forced>,
    /// Calls that went well, since the start.
    pub successes: u64,
    /// Calls that failed, since the start.
    pub failures: u64,
    /// Calls that were not let through, since the start.
    pub refused: u64,
    /// Share of failures within the window, 0 to 1.
    pub failure_rate: f64,
    /// Mean time of a call, in milliseconds.
    pub mean_ms: f64,
    /// The newest failure.
    pub last_failure: Option<LastFailure>,
}

/// When a call failed, and why.
#[derive(Clone, Debug, Serialize)]
pub struct LastFailure {
    /// When it was noticed.
    pub at: DateTime<Utc>,
    /// What was noticed, without secrets.
    pub reason: String,
}
