//! When a job runs: again after a failure, and by the calendar. Pure; must not know the database.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(5);
/// The longest pause, before the random part.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The pause after the `attempt`th attempt (from 1) has failed: doubled each time, half of it at random (`random` is in
/// [0, 1)), so that what failed together does not return together ("equal jitter", AWS Architecture Blog, 2015).
pub fn backoff(attempt: u32, random: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    doubled
        .min(LONGEST)
        .mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

/// A cron pattern of five fields, in UTC.
#[derive(Clone, Debug)]
pub struct Pattern(Cron);

impl Pattern {
    /// Reads a pattern such as `17 * * * *`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        pattern
            .parse()
            .map(Self)
            .map_err(|e: croner::errors::CronError| e.to_string())
    }

    /// The first moment after `now` that fits; `None` if there is none.
    pub fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.find_next_occurrence(&now, false).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_names_the_next_moment() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let hourly = Pattern::parse("17 * * * *").expect("a pattern");
        assert_eq!(
            hourly.next(at("2026-03-01T10:16:59Z")),
            Some(at("2026-03-01T10:17:00Z"))
        );
        assert_eq!(
            hourly.next(at("2026-03-01T10:17:00Z")),
            Some(at("2026-03-01T11:17:00Z")),
            "never the same again"
        );
        assert!(Pattern::parse("61 * * * *").is_err());
    }

    proptest! {
        #[test]
        fn pauses_grow_and_are_bounded(attempt in 1_u32..200, random in 0.0_f64..1.0) {
            let pause = backoff(attempt, random);
            prop_assert!(pause >= FIRST / 2 && pause <= LONGEST);
            prop_assert!(backoff(attempt + 1, random) >= pause);
        }
    }
}
