//! The circuit breaker (S18; M. Nygard, "Release It!"): what fails again and again is left alone for a while, then
//! tried by one call at a time. Must not know what is called.

mod counts; // what was counted
mod machine; // the rules and the states

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

pub use counts::{Counts, LastFailure, Snapshot};
pub use machine::{Forced, Machine, Outcome, Rules, State, Ticket};

/// The breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit is open")]
pub struct Refused {
    /// When asking again makes sense.
    pub retry_after: Duration,
}

/// A cloneable breaker with a clock.
#[derive(Clone, Debug)]
pub struct Breaker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: String,
    started: Instant,
    began: DateTime<Utc>,
    machine: Mutex<Machine>,
}

impl Breaker {
    /// A closed breaker; its name is for the log.
    pub fn new(name: impl Into<String>, rules: Rules) -> Self {
        Self(Arc::new(Shared {
            name: name.into(),
            started: Instant::now(),
            began: Utc::now(),
            machine: Mutex::new(Machine::new(rules)),
        }))
    }

    /// Lets a call begin; its outcome is told to the permit.
    ///
    /// # Errors
    /// [`Refused`] while it is open.
    pub fn admit(&self) -> Result<Permit, Refused> {
        let now = self.0.started.elapsed();
        let ticket = self
            .changing(|machine| machine.admit(now))
            .map_err(|retry_after| Refused { retry_after })?;
        Ok(Permit {
            breaker: self.clone(),
            ticket: Some(ticket),
            began: Instant::now(),
        })
    }

    /// Holds it in a state, or lets it go.
    pub fn force(&self, forced: Option<Forced>) {
        self.changing(|machine| machine.force(forced));
    }

    /// Other rules from now on.
    pub fn tune(&self, rules: Rules) {
        self.machine().tune(rules);
    }

    /// The figures as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.0.started.elapsed();
        self.machine().snapshot(now, self.0.began)
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0
            .machine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a change, and logs the state if it is another one after it.
    fn changing<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        let (outcome, before, after) = {
            let mut machine = self.machine();
            let before = machine.state();
            (change(&mut machine), before, machine.state())
        };
        match (before == after, after) {
            (true, _) => {}
            (false, State::Open) => {
                tracing::warn!(dependency.name = self.0.name, "the circuit is open")
            }
            (false, State::HalfOpen) => {
                tracing::info!(dependency.name = self.0.name, "the circuit is tried")
            }
            (false, State::Closed) => {
                tracing::info!(dependency.name = self.0.name, "the circuit is closed")
            }
        }
        outcome
    }
}

/// A call that was let through. Dropped without an outcome, it says nothing about the dependency.
#[derive(Debug)]
pub struct Permit {
    breaker: Breaker,
    ticket: Option<Ticket>,
    began: Instant,
}

impl Permit {
    /// The call went well.
    pub fn success(self) {
        self.end(Outcome::Success, None);
    }

    /// The call failed; the reason is shown to operators and must hold no secret.
    pub fn failure(self, reason: impl Into<String>) {
        self.end(Outcome::Failure, Some(reason.into()));
    }

    fn end(mut self, outcome: Outcome, reason: Option<String>) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let now = self.breaker.0.started.elapsed();
        let took = self.began.elapsed();
        self.breaker.changing(|machine| {
            if let Some(reason) = reason {
                machine.note_failure(now, reason);
            }
            machine.record(ticket, now, took, outcome);
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.machine().abandon(ticket);
        }
    }
}
