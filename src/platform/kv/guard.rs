//! Redis as one of the dependencies: seen with its figures, and held open or closed by an operator. Two things say that it
//! is away: the probe, which asks in the background, so that no request is spent on finding out; and a breaker fed with what
//! became of the commands, for a Redis that answers the probe and nothing else (read-only, out of memory, too slow). Must
//! not know what is stored.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Kv;
use crate::platform::resilience::breaker::{
    Forced, Machine, Outcome, Rules, Snapshot, State, Ticket,
};
use crate::platform::resilience::dependencies::{Guarded, Status};
use crate::platform::resilience::health::{Health, Record, Sample};
use crate::platform::resilience::rules;

/// A command is short, and what is lost by one that fails is little: the breaker tries again each second.
const RESET: Duration = Duration::from_secs(1);

/// How the calls went.
pub(super) struct Guard {
    started: Instant,
    began: DateTime<Utc>,
    inside: Mutex<Inside>,
}

struct Inside {
    machine: Machine,
    record: Record,
    rules: rules::Rules,
    /// Whether the probe has said that Redis is away, since the breaker last began anew.
    was_down: bool,
}

/// Its rules, unless the setting `resilience.redis` says otherwise.
fn built_in() -> rules::Rules {
    rules::Rules {
        breaker: Rules {
            reset: RESET,
            ..Rules::default()
        },
        ..rules::Rules::default()
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            began: Utc::now(),
            inside: Mutex::new(Inside {
                machine: Machine::new(built_in().breaker),
                record: Record::default(),
                rules: built_in(),
                was_down: false,
            }),
        }
    }
}

impl Guard {
    /// Whether a call would be let through, by what the probe says.
    pub(super) fn is_up(&self, probed: bool) -> bool {
        let inside = self.inside();
        match inside.machine.forced() {
            Some(forced) => forced == Forced::Closed,
            // Known to be back, it is trusted again at once.
            None if inside.was_down => probed,
            None => probed && inside.machine.would_admit(self.started.elapsed()),
        }
    }

    /// Lets a call begin, by what the probe says; `None` if it may not. What became of it is told to the pass.
    pub(super) fn admit(&self, probed: bool) -> Option<Pass<'_>> {
        let now = self.started.elapsed();
        let mut inside = self.inside();
        if !probed && inside.machine.forced() != Some(Forced::Closed) {
            inside.was_down = true;
            inside.machine.note_refused();
            inside.record.add(Sample::Refused);
            return None;
        }
        if std::mem::take(&mut inside.was_down) && probed {
            inside.machine.forgive();
        }
        match inside.machine.admit(now) {
            Ok(ticket) => Some(Pass {
                guard: self,
                ticket: Some(ticket),
                began: Instant::now(),
            }),
            Err(_) => {
                inside.record.add(Sample::Refused);
                None
            }
        }
    }

    fn snapshot(&self, probed: bool) -> (Snapshot, Health) {
        let mut inside = self.inside();
        let mut snapshot = inside.machine.snapshot(self.started.elapsed(), self.began);
        if !probed && snapshot.forced.is_none() {
            snapshot.state = State::Open;
        }
        let health = inside.record.health(&inside.rules.health);
        (snapshot, health)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was let through. Dropped without an outcome, it says nothing about Redis.
pub(super) struct Pass<'a> {
    guard: &'a Guard,
    ticket: Option<Ticket>,
    began: Instant,
}

impl Pass<'_> {
    /// Redis did what it was asked, or had good reason not to.
    pub(super) fn success(self) {
        self.end(Outcome::Success, None);
    }

    /// It was away.
    pub(super) fn failure(self, reason: &str) {
        self.end(Outcome::Failure, Some(reason));
    }

    fn end(mut self, outcome: Outcome, reason: Option<&str>) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let (now, took) = (self.guard.started.elapsed(), self.began.elapsed());
        let mut inside = self.guard.inside();
        let before = inside.machine.state();
        inside.machine.record(ticket, now, took, outcome);
        if let Some(reason) = reason {
            inside.machine.note_failure(now, reason.to_owned());
        }
        inside.record.add(match outcome {
            Outcome::Success => Sample::Ok(took),
            Outcome::Failure => Sample::Failed(took),
        });
        let after = inside.machine.state();
        drop(inside);
        if before == State::Closed && after == State::Open {
            tracing::warn!(
                dependency.name = "redis",
                reason,
                "commands keep failing: done without for a moment"
            );
        } else if before != State::Closed && after == State::Closed {
            tracing::info!(dependency.name = "redis", "commands succeed again");
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.guard.inside().machine.abandon(ticket);
        }
    }
}

impl Guarded for Kv {
    fn status(&self) -> Status {
        let (breaker, health) = self.inner.guard.snapshot(self.inner.probe.is_up());
        Status {
            name: "redis".to_owned(),
            breaker,
            health,
            bulkhead: None,
            retries: None,
            rules: Some(self.inner.guard.inside().rules),
        }
    }

    fn force(&self, forced: Option<Forced>) {
        self.inner.guard.inside().machine.force(forced);
        // Let go, it is as it is.
        self.inner.probe.suspect();
    }

    /// Of its rules only the breaker's are settings; how long a command may take is the connection's (`kv::Options`).
    fn tune(&self, changes: Option<&Value>) {
        let wanted = changes.map_or(Ok(built_in()), |changes| built_in().changed_by(changes));
        match wanted {
            Ok(wanted) => {
                let mut inside = self.inner.guard.inside();
                inside.rules = wanted;
                inside.machine.tune(wanted.breaker);
            }
            Err(error) => {
                tracing::warn!(dependency.name = "redis", error = %error, "its setting cannot be read: nothing is changed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(guard: &Guard) {
        if let Some(pass) = guard.admit(true) {
            pass.failure("for the test");
        }
    }

    #[test]
    fn s18_commands_that_fail_open_it_though_the_probe_is_answered() {
        let guard = Guard::default();
        for _ in 0..5 {
            assert!(guard.is_up(true));
            fail(&guard);
        }
        assert!(!guard.is_up(true) && guard.admit(true).is_none());
        assert_eq!(guard.snapshot(true).0.state, State::Open);
    }

    #[test]
    fn s18_once_the_probe_knew_better_commands_pass_at_once() {
        let guard = Guard::default();
        (0..5).for_each(|_| fail(&guard));
        assert!(guard.admit(false).is_none());
        assert!(!guard.is_up(false) && guard.is_up(true));
        let pass = guard.admit(true).expect("it is back");
        pass.success();
        assert_eq!(guard.snapshot(true).0.state, State::Closed);
        assert_eq!(guard.snapshot(false).0.state, State::Open);
    }
}
