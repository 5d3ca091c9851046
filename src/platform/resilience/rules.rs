//! All the numbers of one dependency, and how an operator changes them. Must not know what they are applied to.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{breaker, bulkhead, health::Bounds, retry, seconds};

/// Most calls of one dependency at once.
const RUNNING_MAX: usize = 1_000;
/// Most calls that wait for one dependency.
const QUEUED_MAX: usize = 10_000;
/// Most calls that a breaker counts before it opens, closes, or judges a share.
const COUNT_MAX: u32 = 10_000;
/// Most attempts: each is another call of something that fails.
const ATTEMPTS_MAX: u32 = 20;
/// By how much delays grow, at most.
const FACTOR_MAX: f64 = 10.0;
/// The longest time, in seconds.
const DAY: f64 = 86_400.0;
/// Shorter than this nothing outside answers, in seconds.
const TIME_MIN: f64 = 0.01;

/// All the numbers of one dependency; the operator changes them by the setting `resilience.{name}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// How many at once.
    pub bulkhead: bulkhead::Size,
    /// When it is left alone.
    pub breaker: breaker::Rules,
    /// How long it may take.
    pub timeout: Limits,
    /// How often it is tried.
    pub retry: retry::Policy,
    /// When it is said not to be well.
    pub health: Bounds,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// One attempt.
    #[serde(with = "seconds")]
    pub attempt: Duration,
    /// All attempts and the delays between them.
    #[serde(with = "seconds")]
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            total: Duration::from_secs(30),
        }
    }
}

impl Rules {
    /// These rules with what `changes` names put in place: `{"breaker":{"reset":30}}`.
    ///
    /// # Errors
    /// For names that are none, and values of the wrong kind or range.
    pub fn changed_by(&self, changes: &Value) -> Result<Self, serde_json::Error> {
        let mut all = serde_json::to_value(self)?;
        merge(&mut all, changes);
        serde_json::from_value(all)
    }

    /// Whether an operator's changes make sense for any dependency.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(changes: &Value) -> Result<(), String> {
        if !changes.is_object() {
            return Err("It must be an object, such as {\"breaker\":{\"reset\":30}}.".to_owned());
        }
        let rules = Self::default()
            .changed_by(changes)
            .map_err(|error| format!("It cannot be applied: {error}."))?;
        let (breaker, retry, health) = (&rules.breaker, &rules.retry, &rules.health);
        let count = |name, value: usize, min: usize, max: usize| {
            (name, value as f64, min as f64, max as f64)
        };
        let time = |name, value: Duration, min: f64| (name, value.as_secs_f64(), min, DAY);
        let numbers = [
            count("bulkhead.running", rules.bulkhead.running, 1, RUNNING_MAX),
            count("bulkhead.queued", rules.bulkhead.queued, 0, QUEUED_MAX),
            (
                "breaker.in_a_row",
                breaker.in_a_row.into(),
                1.0,
                COUNT_MAX.into(),
            ),
            ("breaker.rate", breaker.rate, 0.01, 1.0),
            time("breaker.window", breaker.window, 1.0),
            (
                "breaker.min_calls",
                breaker.min_calls.into(),
                1.0,
                COUNT_MAX.into(),
            ),
            time("breaker.reset", breaker.reset, TIME_MIN),
            (
                "breaker.successes",
                breaker.successes.into(),
                1.0,
                COUNT_MAX.into(),
            ),
            time("timeout.attempt", rules.timeout.attempt, TIME_MIN),
            time("timeout.total", rules.timeout.total, TIME_MIN),
            (
                "retry.attempts",
                retry.attempts.into(),
                1.0,
                ATTEMPTS_MAX.into(),
            ),
            time("retry.base", retry.base, 0.0),
            ("retry.factor", retry.factor, 1.0, FACTOR_MAX),
            time("retry.max", retry.max, 0.0),
            ("health.warning_errors", health.warning_errors, 0.0, 1.0),
            (
                "health.warning_availability",
                health.warning_availability,
                0.0,
                1.0,
            ),
            ("health.critical_errors", health.critical_errors, 0.0, 1.0),
            (
                "health.critical_availability",
                health.critical_availability,
                0.0,
                1.0,
            ),
            time("health.slow", health.slow, TIME_MIN),
        ];
        let wrong = numbers
            .iter()
            .find(|(_, value, min, max)| !(min..=max).contains(&value));
        match wrong {
            None => Ok(()),
            Some((name, value, min, max)) => Err(format!(
                "{name} is {value}, but must be from {min} to {max}."
            )),
        }
    }
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, value) in changes {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn s22_what_is_named_is_changed_and_the_rest_stays() {
        let changes = json!({ "breaker": { "reset": 0.5 }, "bulkhead": { "running": 2 } });
        let rules = Rules::default().changed_by(&changes).expect("valid");
        assert_eq!(rules.breaker.reset, Duration::from_millis(500));
        assert_eq!((rules.bulkhead.running, rules.bulkhead.queued), (2, 100));
        assert_eq!(rules.retry, Rules::default().retry);
    }

    #[test]
    fn s33_an_operators_changes_are_checked_and_the_mistake_is_named() {
        assert_eq!(
            Rules::check(&json!({ "breaker": { "reset": 0.2 } })),
            Ok(())
        );
        assert_eq!(Rules::check(&json!({})), Ok(()));
        for (changes, named) in [
            (json!(7), "an object"),
            (json!({ "braeker": {} }), "braeker"),
            (json!({ "breaker": { "rate": 2 } }), "breaker.rate"),
            (json!({ "bulkhead": { "running": 0 } }), "bulkhead.running"),
            (json!({ "retry": { "attempts": 1_000 } }), "retry.attempts"),
            (json!({ "timeout": { "attempt": 0 } }), "timeout.attempt"),
            (
                json!({ "health": { "warning_errors": 5 } }),
                "health.warning_errors",
            ),
        ] {
            let told = Rules::check(&changes).expect_err("it makes no sense");
            assert!(told.contains(named), "{told}");
        }
    }

    #[test]
    fn s22_what_makes_no_sense_changes_nothing() {
        for changes in [
            json!({ "braeker": {} }),
            json!({ "breaker": { "reset": -1 } }),
            json!({ "breaker": { "reset": 1e300 } }),
            json!({ "retry": { "attempts": "many" } }),
            json!(7),
        ] {
            assert!(Rules::default().changed_by(&changes).is_err(), "{changes}");
        }
    }
}
