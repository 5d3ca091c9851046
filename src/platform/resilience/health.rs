//! How a dependency has been over its last 100 calls (S22). Must not know the clock.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use super::seconds;

/// Calls that are looked at.
const CALLS: usize = 100;
/// Fewer calls than this are never called critical: one bad start is no outage.
const ENOUGH: usize = 10;

/// What makes a verdict; shares from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// A larger share of failures is a warning.
    pub warning_errors: f64,
    /// A smaller share of successes is a warning.
    pub warning_availability: f64,
    /// A larger share of failures is critical.
    pub critical_errors: f64,
    /// A smaller share of successes is critical.
    pub critical_availability: f64,
    /// Above this mean time it is slow.
    #[serde(with = "seconds")]
    pub slow: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            warning_errors: 0.05,
            warning_availability: 0.99,
            critical_errors: 0.10,
            critical_availability: 0.95,
            slow: Duration::from_secs(5),
        }
    }
}

/// One call, as far as health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// It went well, in this time.
    Ok(Duration),
    /// It failed, after this time.
    Failed(Duration),
    /// It was not let through: the dependency was not there for us.
    Refused,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// All is well.
    Healthy,
    /// More errors or less availability than is well: by default over 5 %, or under 99 %.
    Warning,
    /// Far more: by default over 10 % errors, or under 95 % availability.
    Critical,
}

/// The figures behind a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Health {
    /// The verdict.
    pub level: Level,
    /// Whether calls take longer in the mean than [`Bounds::slow`].
    pub slow: bool,
    /// Calls looked at, at most 100.
    pub calls: usize,
    /// Share of failures among the calls that were made, 0 to 1.
    pub error_rate: f64,
    /// Share of successes among all calls, refused ones included, 0 to 1.
    pub availability: f64,
    /// Mean time of the calls that were made, in milliseconds.
    pub mean_ms: f64,
}

/// The last 100 calls.
#[derive(Clone, Debug, Default)]
pub struct Record(VecDeque<Sample>);

impl Record {
    /// Adds the newest call; the oldest is forgotten.
    pub fn add(&mut self, sample: Sample) {
        if self.0.len() == CALLS {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The verdict, and what it rests on.
    pub fn health(&self, bounds: &Bounds) -> Health {
        let (mut ok, mut failed, mut took) = (0_usize, 0_usize, Duration::ZERO);
        for sample in &self.0 {
            match sample {
                Sample::Ok(time) => (ok, took) = (ok + 1, took + *time),
                Sample::Failed(time) => (failed, took) = (failed + 1, took + *time),
                Sample::Refused => {}
            }
        }
        let share = |part: usize, whole: usize, none: f64| {
            if whole == 0 {
                none
            } else {
                part as f64 / whole as f64
            }
        };
        let error_rate = share(failed, ok + failed, 0.0);
        let availability = share(ok, self.0.len(), 1.0);
        let mean = took
            .checked_div(u32::try_from(ok + failed).unwrap_or(u32::MAX))
            .unwrap_or_default();
        let beyond = |errors, available| error_rate > errors || availability < available;
        let is_critical = beyond(bounds.critical_errors, bounds.critical_availability);
        let is_warning = beyond(bounds.warning_errors, bounds.warning_availability);
        Health {
            level: match () {
                () if is_critical && self.0.len() >= ENOUGH => Level::Critical,
                () if is_warning => Level::Warning,
                () => Level::Healthy,
            },
            slow: mean > bounds.slow,
            calls: self.0.len(),
            error_rate,
            availability,
            mean_ms: mean.as_secs_f64() * 1_000.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(ok: usize, failed: usize, refused: usize) -> Health {
        let mut record = Record::default();
        let second = Duration::from_secs(1);
        (0..ok).for_each(|_| record.add(Sample::Ok(second)));
        (0..failed).for_each(|_| record.add(Sample::Failed(second)));
        (0..refused).for_each(|_| record.add(Sample::Refused));
        record.health(&Bounds::default())
    }

    #[test]
    fn s22_errors_and_refusals_make_the_verdict() {
        assert_eq!(of(0, 0, 0).level, Level::Healthy);
        assert_eq!(of(99, 1, 0).level, Level::Healthy);
        assert_eq!(of(98, 2, 0).level, Level::Warning, "98 % available");
        assert_eq!(of(94, 6, 0).level, Level::Critical, "94 % available");
        assert_eq!(of(97, 0, 3).level, Level::Warning, "refused calls count");
        assert_eq!(of(90, 0, 10).level, Level::Critical);
        assert_eq!(of(0, 1, 0).level, Level::Warning, "one bad start");
    }

    #[test]
    fn s22_over_five_seconds_is_slow() {
        let mut record = Record::default();
        record.add(Sample::Ok(Duration::from_secs(5)));
        assert!(!record.health(&Bounds::default()).slow);
        record.add(Sample::Ok(Duration::from_secs(6)));
        assert!(record.health(&Bounds::default()).slow);
    }

    proptest! {
        #[test]
        fn s22_only_the_last_hundred_count(before in 0..300_usize) {
            let mut record = Record::default();
            (0..before).for_each(|_| record.add(Sample::Refused));
            (0..CALLS).for_each(|_| record.add(Sample::Ok(Duration::ZERO)));
            prop_assert_eq!(record.health(&Bounds::default()), of(100, 0, 0).clone_with_mean(0.0));
        }
    }

    impl Health {
        fn clone_with_mean(mut self, mean_ms: f64) -> Self {
            self.mean_ms = mean_ms;
            self
        }
    }
}
