//! When to try again (S19): the schedule, the budget, and what an error must tell. Must not know what is tried.
//!
//! Why not the crate `backon`: its jitter is added to the delay and not taken over all of it ("full jitter", M. Brooker,
//! "Exponential Backoff And Jitter", AWS 2015), and it knows no budget.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::seconds;

/// What an error says about trying again, and about whom to blame.
pub trait Fault {
    /// Whether the same call may succeed soon: a timeout, 429, 502-504, a lost connection.
    fn is_retryable(&self) -> bool;

    /// How long the other side asked to be left alone.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// Whom it speaks about.
    fn blame(&self) -> Blame;
}

/// Whom an error speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The dependency is not well.
    Dependency,
    /// It is well, and its answer was no (a page that does not exist).
    Nobody,
    /// It was not even asked: the call itself was at fault (an address that is not allowed).
    Caller,
}

/// How often, and after which delays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Longest delay before the second attempt.
    #[serde(with = "seconds")]
    pub base: Duration,
    /// By how much it grows with each.
    pub factor: f64,
    /// Longest delay at all.
    #[serde(with = "seconds")]
    pub max: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 3,
            base: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(30),
        }
    }
}

impl Policy {
    /// The delay after so many failed attempts (1 or more), or `None` when that was the last. `unit` is random within
    /// 0 and 1. What the other side asked for is waited out; where it asks for more than `max`, nothing is tried again.
    pub fn delay(&self, failed: u32, unit: f64, asked: Option<Duration>) -> Option<Duration> {
        if failed >= self.attempts || asked.is_some_and(|asked| asked > self.max) {
            return None;
        }
        let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let bound = (self.base.as_secs_f64() * self.factor.max(1.0).powi(exponent))
            .min(self.max.as_secs_f64());
        let delay = Duration::from_secs_f64(bound * unit.clamp(0.0, 1.0));
        Some(asked.map_or(delay, |asked| delay.max(asked)))
    }
}

/// Bounds retries by the calls that are made: when all fails, retries add a tenth and not double the load (as gRPC's
/// retry throttling and the AWS SDKs do). Times are measured from any fixed moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    tokens: f64,
    refilled: Duration,
}

/// Most retries that may be saved up.
const SAVED: f64 = 10.0;
/// What a first attempt adds.
const PER_CALL: f64 = 0.1;
/// What a second adds, so that something called rarely may be tried again too.
const PER_SECOND: f64 = 0.1;

impl Default for Budget {
    fn default() -> Self {
        Self {
            tokens: SAVED,
            refilled: Duration::ZERO,
        }
    }
}

impl Budget {
    /// A call makes its first attempt.
    pub fn deposit(&mut self, now: Duration) {
        self.refill(now);
        self.tokens = (self.tokens + PER_CALL).min(SAVED);
    }

    /// Whether one more retry may be made; it is then spent.
    pub fn withdraw(&mut self, now: Duration) -> bool {
        self.refill(now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    /// Retries that are left, as it was when last asked.
    pub fn left(&self) -> u32 {
        self.tokens as u32
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.refilled).as_secs_f64();
        self.refilled = self.refilled.max(now);
        self.tokens = (self.tokens + passed * PER_SECOND).min(SAVED);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn s19_three_attempts_and_the_delays_double() {
        let policy = Policy::default();
        assert_eq!(policy.delay(1, 1.0, None), Some(Duration::from_secs(1)));
        assert_eq!(policy.delay(2, 1.0, None), Some(Duration::from_secs(2)));
        assert_eq!(policy.delay(3, 1.0, None), None);
        assert_eq!(
            policy.delay(1, 0.0, None),
            Some(Duration::ZERO),
            "full jitter"
        );
    }

    #[test]
    fn s19_what_the_other_side_asks_for_is_waited_out_or_not_tried() {
        let policy = Policy::default();
        let asked = |seconds| policy.delay(1, 0.5, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(7), Some(Duration::from_secs(7)));
        assert_eq!(asked(31), None);
    }

    proptest! {
        #[test]
        fn s19_a_delay_is_bounded(attempts in 1..1_000_u32, failed in 1..1_000_u32, unit in 0.0..1.0, factor in 0.0..10.0) {
            let policy = Policy { attempts, factor, ..Policy::default() };
            match policy.delay(failed, unit, None) {
                Some(delay) => prop_assert!(failed < attempts && delay <= policy.max),
                None => prop_assert!(failed >= attempts),
            }
        }

        #[test]
        fn s19_retries_are_bounded_by_calls_and_time(steps in proptest::collection::vec((any::<bool>(), 0..3_u64), 0..500)) {
            let mut budget = Budget::default();
            let (mut now, mut calls, mut retries) = (0, 0.0, 0.0);
            for (retry, wait) in steps {
                now += wait;
                if retry {
                    retries += f64::from(u8::from(budget.withdraw(Duration::from_secs(now))));
                } else {
                    budget.deposit(Duration::from_secs(now));
                    calls += 1.0;
                }
                prop_assert!(retries <= SAVED + PER_CALL * calls + PER_SECOND * now as f64 + 1e-6);
            }
        }
    }
}
