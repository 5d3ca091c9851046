//! Redis as one of the dependencies: seen with its figures, and held open or closed by an operator. Its circuit is not
//! closed after a time but by the probe, which asks in the background, so that no request is spent on finding out. Must
//! not know what is stored.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Kv;
use crate::platform::resilience::breaker::{Counts, Forced, Outcome, State};
use crate::platform::resilience::dependencies::{Guarded, Status};
use crate::platform::resilience::health::{Record, Sample};

/// Time over which the share of failures is taken.
const WINDOW: Duration = Duration::from_secs(60);

/// How the calls went.
pub(super) struct Guard {
    started: Instant,
    began: DateTime<Utc>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    counts: Counts,
    record: Record,
    forced: Option<Forced>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            began: Utc::now(),
            inside: Mutex::default(),
        }
    }
}

impl Guard {
    /// What an operator has set.
    pub(super) fn forced(&self) -> Option<Forced> {
        self.inside().forced
    }

    /// Counts a call that was made.
    pub(super) fn note(&self, took: Duration, outcome: Outcome, reason: Option<&str>) {
        let now = self.started.elapsed();
        let mut inside = self.inside();
        inside.counts.add(now, took, outcome, WINDOW);
        inside.record.add(match outcome {
            Outcome::Success => Sample::Ok(took),
            Outcome::Failure => Sample::Failed(took),
        });
        if let Some(reason) = reason {
            inside.counts.note_failure(now, reason.to_owned());
        }
    }

    /// Counts a call that was not let through.
    pub(super) fn note_refused(&self) {
        let mut inside = self.inside();
        inside.counts.add_refused();
        inside.record.add(Sample::Refused);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guarded for Kv {
    fn status(&self) -> Status {
        let state = if self.is_up() {
            State::Closed
        } else {
            State::Open
        };
        let guard = &self.inner.guard;
        let now = guard.started.elapsed();
        let inside = &mut *guard.inside();
        Status {
            name: "redis".to_owned(),
            breaker: inside
                .counts
                .snapshot(state, inside.forced, now, WINDOW, guard.began),
            health: inside.record.health(),
            bulkhead: None,
            retries: None,
            rules: None,
        }
    }

    fn force(&self, forced: Option<Forced>) {
        self.inner.guard.inside().forced = forced;
        // Let go, it is as it is.
        self.inner.probe.suspect();
    }

    /// Its rules are the connection's (`kv::Options`), not settings.
    fn tune(&self, _: Option<&Value>) {}
}
