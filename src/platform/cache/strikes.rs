//! What was invalidated a short while ago. It settles the race between a computation that has read the old state and a
//! write that came after: what was struck since the computation began is not kept. Must not know who keeps what.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Longer than any computation runs: the deadline of a handler is ten seconds.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How many are remembered before old ones are looked for.
const SWEEP_AT: usize = 1_024;

/// A moment in the order of strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

#[derive(Debug, Default)]
struct Log {
    count: u64,
    everything: u64,
    by_tag: HashMap<Box<str>, (u64, Instant)>,
}

/// The newest strike on each tag.
#[derive(Debug, Default)]
pub struct Strikes(Mutex<Log>);

impl Strikes {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This moment; taken before a computation reads anything.
    pub fn mark(&self) -> Mark {
        Mark(self.log().count)
    }

    /// Notes that these tags are struck now.
    pub fn strike(&self, tags: &[&str]) {
        let mut log = self.log();
        log.count += 1;
        let (count, now) = (log.count, Instant::now());
        if log.by_tag.len() > SWEEP_AT {
            log.by_tag
                .retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED);
        }
        for tag in tags {
            log.by_tag.insert((*tag).into(), (count, now));
        }
    }

    /// Notes that everything is struck now.
    pub fn strike_everything(&self) {
        let mut log = self.log();
        log.count += 1;
        log.everything = log.count;
        log.by_tag.clear();
    }

    /// Whether any of `tags` was struck after `mark`.
    pub fn since<T: AsRef<str>>(&self, mark: Mark, tags: &[T]) -> bool {
        let log = self.log();
        log.everything > mark.0
            || tags.iter().any(|tag| {
                log.by_tag
                    .get(tag.as_ref())
                    .is_some_and(|(count, _)| *count > mark.0)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_struck_after_the_mark_counts() {
        let strikes = Strikes::default();
        strikes.strike(&["post:1"]);
        let mark = strikes.mark();
        assert!(!strikes.since(mark, &["post:1"]));
        strikes.strike(&["post:2"]);
        assert!(!strikes.since(mark, &["post:1"]));
        assert!(strikes.since(mark, &["post:1", "post:2"]));
        strikes.strike_everything();
        assert!(strikes.since(mark, &["post:1"]));
    }
}
