//! What stands between us and everything we depend on (S18-S23): each mechanism alone, and [`call`], which puts them
//! together. Must not know what is called.
//!
//! The rules are pure state machines that take time and randomness as arguments (`breaker::Machine`, `retry::Policy`,
//! `bulkhead::Queue`, `health::Record`); around each stands a thin shell with the clock, the lock and the waiting.

pub mod breaker; // S18: stop asking what does not answer
pub mod bulkhead; // S21: at most so many at once, the rest by priority
pub mod call; // S22: all of them as one call
pub mod coalesce; // S23: equal work once, lookups together
pub mod dependencies; // every outbound dependency by its name
pub mod health; // S22: the last 100 calls
pub mod retry; // S19: again, later, and not too often
pub mod rules; // the numbers of all of them, and how an operator changes them
pub mod timeout; // S20: what runs under a limit, and how to end it

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// A duration as a number of seconds, as settings and the console write it.
pub mod seconds {
    use super::*;

    /// Writes seconds with their fraction.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    /// Reads seconds.
    ///
    /// # Errors
    /// For what is negative, no number, or more than a day.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        const MAX: f64 = 86_400.0;
        let seconds = f64::deserialize(from)?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(value) if seconds <= MAX => Ok(value),
            _ => Err(D::Error::custom("a time is between 0 and 86400 seconds")),
        }
    }
}
