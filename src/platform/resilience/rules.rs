//! All the numbers of one dependency, and how an operator changes them. Must not know what they are applied to.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{breaker, bulkhead, retry, seconds};

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
