//! The rules and states of a breaker, pure: time is an argument. Must not know the clock, nor who waits.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Counts, Snapshot};
use crate::platform::resilience::seconds;

/// When a breaker opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Failures in a row that open it.
    pub in_a_row: u32,
    /// Share of failures within `window` that opens it, 0 to 1.
    pub rate: f64,
    /// Time over which the share is taken.
    #[serde(with = "seconds")]
    pub window: Duration,
    /// Calls within `window` below which the share says nothing.
    pub min_calls: u32,
    /// How long it stays open before a call may try.
    #[serde(with = "seconds")]
    pub reset: Duration,
    /// Successful tries that close it.
    pub successes: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            in_a_row: 5,
            rate: 0.5,
            window: Duration::from_secs(60),
            min_calls: 10,
            reset: Duration::from_secs(60),
            successes: 3,
        }
    }
}

/// Whether calls pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// They pass.
    Closed,
    /// They are refused.
    Open,
    /// One at a time passes, to see.
    HalfOpen,
}

/// A state that an operator holds a breaker in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forced {
    /// Every call is refused.
    Open,
    /// Every call passes, whatever fails.
    Closed,
}

/// A call that was let through; its outcome is told with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Outcomes of calls that began before the state changed do not change it again.
    generation: u64,
    is_probe: bool,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The dependency did what it is there for.
    Success,
    /// It did not.
    Failure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed { failed_in_a_row: u32 },
    Open { since: Duration },
    HalfOpen { probing: bool, successes: u32 },
}

/// The rules and the state; times are measured from any fixed moment.
#[derive(Clone, Debug)]
pub struct Machine {
    rules: Rules,
    phase: Phase,
    generation: u64,
    forced: Option<Forced>,
    counts: Counts,
}

impl Machine {
    /// A closed breaker.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            phase: Phase::Closed { failed_in_a_row: 0 },
            generation: 0,
            forced: None,
            counts: Counts::default(),
        }
    }

    /// Whether [`Machine::admit`] would let a call begin now; changes nothing.
    pub fn would_admit(&self, now: Duration) -> bool {
        match (self.forced, self.phase) {
            (Some(forced), _) => forced == Forced::Closed,
            (None, Phase::Closed { .. }) => true,
            (None, Phase::Open { since }) => now >= since + self.rules.reset,
            (None, Phase::HalfOpen { probing, .. }) => !probing,
        }
    }

    /// Whether a call may begin.
    ///
    /// # Errors
    /// The time after which asking again makes sense.
    pub fn admit(&mut self, now: Duration) -> Result<Ticket, Duration> {
        let is_probe = match (self.forced, self.phase) {
            (Some(Forced::Closed), _) | (None, Phase::Closed { .. }) => false,
            (Some(Forced::Open), _) => return self.refuse(self.rules.reset),
            (None, Phase::Open { since }) => {
                let left = (since + self.rules.reset).saturating_sub(now);
                if !left.is_zero() {
                    return self.refuse(left);
                }
                self.enter(Phase::HalfOpen {
                    probing: true,
                    successes: 0,
                });
                true
            }
            (None, Phase::HalfOpen { probing: true, .. }) => {
                return self.refuse(Duration::from_secs(1));
            }
            (None, Phase::HalfOpen { successes, .. }) => {
                self.phase = Phase::HalfOpen {
                    probing: true,
                    successes,
                };
                true
            }
        };
        Ok(Ticket {
            generation: self.generation,
            is_probe,
        })
    }

    fn refuse(&mut self, wait: Duration) -> Result<Ticket, Duration> {
        self.counts.add_refused();
        Err(wait)
    }

    /// Takes in how a call went and how long it took.
    pub fn record(&mut self, ticket: Ticket, now: Duration, took: Duration, outcome: Outcome) {
        self.counts.add(now, took, outcome, self.rules.window);
        if ticket.generation != self.generation || self.forced.is_some() {
            return;
        }
        match (self.phase, outcome) {
            (Phase::Closed { .. }, Outcome::Success) => {
                self.phase = Phase::Closed { failed_in_a_row: 0 }
            }
            (Phase::Closed { failed_in_a_row }, Outcome::Failure) => {
                let failed_in_a_row = failed_in_a_row + 1;
                if failed_in_a_row >= self.rules.in_a_row || self.too_many_fail(now) {
                    self.enter(Phase::Open { since: now });
                } else {
                    self.phase = Phase::Closed { failed_in_a_row };
                }
            }
            (Phase::HalfOpen { .. }, Outcome::Failure) => self.enter(Phase::Open { since: now }),
            (Phase::HalfOpen { successes, .. }, Outcome::Success) => {
                let successes = successes + 1;
                if successes >= self.rules.successes {
                    self.counts.forget_window();
                    self.enter(Phase::Closed { failed_in_a_row: 0 });
                } else {
                    self.phase = Phase::HalfOpen {
                        probing: false,
                        successes,
                    };
                }
            }
            (Phase::Open { .. }, _) => {}
        }
    }

    /// A call ended without saying anything about the dependency: it was cancelled, or never got so far.
    pub fn abandon(&mut self, ticket: Ticket) {
        if let Phase::HalfOpen { successes, .. } = self.phase
            && ticket.is_probe
            && ticket.generation == self.generation
        {
            self.phase = Phase::HalfOpen {
                probing: false,
                successes,
            };
        }
    }

    /// Holds the breaker in a state, or lets it go: it then begins anew, closed.
    pub fn force(&mut self, forced: Option<Forced>) {
        self.forced = forced;
        self.forgive();
    }

    /// Other rules from now on; the state stays.
    pub fn tune(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Keeps why the newest failure was one.
    pub fn note_failure(&mut self, now: Duration, reason: String) {
        self.counts.note_failure(now, reason);
    }

    /// Begins anew, closed, where no operator holds it: what failed before is over for another reason.
    pub fn forgive(&mut self) {
        self.counts.forget_window();
        self.enter(Phase::Closed { failed_in_a_row: 0 });
    }

    /// Counts a call that was not let through for another reason than this breaker.
    pub fn note_refused(&mut self) {
        self.counts.add_refused();
    }

    /// A state that an operator holds it in.
    pub fn forced(&self) -> Option<Forced> {
        self.forced
    }

    /// The figures; `began` is the moment that times are measured from.
    pub fn snapshot(&mut self, now: Duration, began: DateTime<Utc>) -> Snapshot {
        let (state, window) = (self.state(), self.rules.window);
        self.counts.snapshot(state, self.forced, now, window, began)
    }

    /// Whether calls pass now.
    pub fn state(&self) -> State {
        match (self.forced, self.phase) {
            (Some(Forced::Open), _) => State::Open,
            (Some(Forced::Closed), _) => State::Closed,
            (None, Phase::Closed { .. }) => State::Closed,
            (None, Phase::Open { .. }) => State::Open,
            (None, Phase::HalfOpen { .. }) => State::HalfOpen,
        }
    }

    fn too_many_fail(&mut self, now: Duration) -> bool {
        let (calls, failed) = self.counts.within(now, self.rules.window);
        calls >= self.rules.min_calls && f64::from(failed) >= self.rules.rate * f64::from(calls)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn call(machine: &mut Machine, now: Duration, outcome: Outcome) -> bool {
        match machine.admit(now) {
            Ok(ticket) => {
                machine.record(ticket, now, SECOND, outcome);
                true
            }
            Err(_) => false,
        }
    }

    #[test]
    fn s18_five_failures_in_a_row_open_it_and_three_successes_close_it() {
        let mut machine = Machine::new(Rules::default());
        for _ in 0..5 {
            assert!(call(&mut machine, SECOND, Outcome::Failure));
        }
        assert_eq!(machine.state(), State::Open);
        assert_eq!(machine.admit(SECOND * 31), Err(SECOND * 30));
        let probe = machine.admit(SECOND * 61).expect("a probe");
        assert!(machine.admit(SECOND * 61).is_err(), "one at a time");
        machine.abandon(probe);
        for done in 1..=3 {
            assert_eq!(machine.state(), State::HalfOpen);
            assert!(call(&mut machine, SECOND * (61 + done), Outcome::Success));
        }
        assert_eq!(machine.state(), State::Closed);
    }

    #[test]
    fn s18_half_of_ten_calls_within_a_minute_open_it() {
        let mut machine = Machine::new(Rules::default());
        for n in 0..9 {
            let outcome = if n % 2 == 0 {
                Outcome::Failure
            } else {
                Outcome::Success
            };
            assert!(call(&mut machine, SECOND * n, outcome));
        }
        assert_eq!(machine.state(), State::Closed, "nine calls say nothing");
        assert!(call(&mut machine, SECOND * 10, Outcome::Success));
        assert!(call(&mut machine, SECOND * 10, Outcome::Failure));
        assert_eq!(machine.state(), State::Open);
    }

    #[test]
    fn s18_a_failed_probe_opens_it_again_and_a_late_outcome_changes_nothing() {
        let mut machine = Machine::new(Rules::default());
        let late = machine.admit(SECOND).expect("closed");
        for _ in 0..5 {
            call(&mut machine, SECOND, Outcome::Failure);
        }
        assert!(call(&mut machine, SECOND * 62, Outcome::Failure));
        assert_eq!(machine.state(), State::Open);
        machine.record(late, SECOND * 63, SECOND, Outcome::Success);
        assert_eq!(machine.state(), State::Open);
        assert_eq!(machine.admit(SECOND * 63), Err(SECOND * 59));
    }

    #[test]
    fn s18_a_forced_state_holds_whatever_happens() {
        let mut machine = Machine::new(Rules::default());
        machine.force(Some(Forced::Closed));
        for _ in 0..50 {
            assert!(call(&mut machine, SECOND, Outcome::Failure));
        }
        machine.force(Some(Forced::Open));
        assert!(!call(&mut machine, SECOND * 1_000, Outcome::Success));
        machine.force(None);
        assert!(call(&mut machine, SECOND * 1_000, Outcome::Success));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Begin,
        End(usize, bool),
        GiveUp(usize),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Begin),
            3 => (0..8_usize, any::<bool>()).prop_map(|(n, ok)| Step::End(n, ok)),
            1 => (0..8_usize).prop_map(Step::GiveUp),
            1 => (0..90_u64).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        #[test]
        fn s18_open_admits_nothing_and_half_open_one(steps in steps()) {
            let mut machine = Machine::new(Rules::default());
            let mut now = Duration::ZERO;
            let mut running: Vec<Ticket> = Vec::new();
            let mut opened_at = None;
            for step in steps {
                let before = machine.state();
                match step {
                    Step::Wait(seconds) => now += SECOND * u32::try_from(seconds).expect("small"),
                    Step::Begin => match (before, machine.admit(now)) {
                        (State::Open, Ok(_)) => {
                            let since = opened_at.expect("it was opened");
                            prop_assert!(now - since >= Rules::default().reset);
                            running.clear();
                            running.push(Ticket { generation: machine.generation, is_probe: true });
                        }
                        (_, Ok(ticket)) => running.push(ticket),
                        (State::Closed, Err(_)) => prop_assert!(false, "a closed breaker refuses nothing"),
                        (_, Err(wait)) => prop_assert!(!wait.is_zero()),
                    },
                    Step::End(n, ok) if n < running.len() => {
                        let outcome = if ok { Outcome::Success } else { Outcome::Failure };
                        machine.record(running.remove(n), now, SECOND, outcome);
                    }
                    Step::GiveUp(n) if n < running.len() => machine.abandon(running.remove(n)),
                    Step::End(..) | Step::GiveUp(_) => {}
                }
                if before != State::Open && machine.state() == State::Open {
                    opened_at = Some(now);
                }
                let probes = running.iter().filter(|t| t.is_probe && t.generation == machine.generation).count();
                if machine.state() == State::HalfOpen {
                    prop_assert!(probes <= 1, "{probes} probes at once");
                }
                prop_assert!(machine.counts.seconds() <= 62, "memory is bounded");
            }
        }

        #[test]
        fn s18_only_failures_open_it(outcomes in proptest::collection::vec(any::<bool>(), 0..200)) {
            let mut machine = Machine::new(Rules::default());
            let mut in_a_row = 0;
            for (n, ok) in outcomes.iter().enumerate() {
                let now = Duration::from_secs(n as u64 * 30);
                in_a_row = if *ok { 0 } else { in_a_row + 1 };
                call(&mut machine, now, if *ok { Outcome::Success } else { Outcome::Failure });
                // Two calls a minute never make ten, so that only the run counts.
                prop_assert_eq!(machine.state() == State::Open, in_a_row >= 5);
                if in_a_row >= 5 {
                    break;
                }
            }
        }
    }
}
