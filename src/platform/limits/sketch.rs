//! A count of very many keys in fixed memory, for limits that must cost next to nothing: a count-min sketch (Cormode and
//! Muthukrishnan, 2005) of GCRA's arrival times. Two keys that share a cell in every row share a limit; with few
//! thousand keys at a time that is rare, and errs on the strict side. Must not know what is counted.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::{Decision, Rate, decide};

/// Rows, each with hashes of its own.
const ROWS: usize = 3;
/// Cells in a row; with [`ROWS`], 786 kB in all.
const CELLS: usize = 32_768;

/// Arrival times in microseconds since the start.
pub(super) struct Sketch {
    rows: Vec<AtomicU64>,
    hashers: [RandomState; ROWS],
    started: Instant,
}

impl Sketch {
    pub(super) fn new() -> Self {
        Self {
            rows: (0..ROWS * CELLS).map(|_| AtomicU64::new(0)).collect(),
            hashers: std::array::from_fn(|_| RandomState::new()),
            started: Instant::now(),
        }
    }

    /// Counts one for `key`, unless it is one too many.
    pub(super) fn check(&self, key: &impl Hash, rate: Rate) -> Result<Decision, Duration> {
        self.check_at(key, rate, self.started.elapsed())
    }

    fn check_at(&self, key: &impl Hash, rate: Rate, now: Duration) -> Result<Decision, Duration> {
        let cells = self.cells(key);
        // The least of the cells is the nearest to the truth: what shares a cell can only have raised it.
        let arrival = cells
            .iter()
            .map(|cell| cell.load(Ordering::Relaxed))
            .min()
            .unwrap_or(0);
        let (next, decision) = decide(Some(Duration::from_micros(arrival)), now, rate)?;
        let next = u64::try_from(next.as_micros()).unwrap_or(u64::MAX);
        for cell in cells {
            cell.fetch_max(next, Ordering::Relaxed);
        }
        Ok(decision)
    }

    fn cells(&self, key: &impl Hash) -> [&AtomicU64; ROWS] {
        std::array::from_fn(|row| {
            let hash = usize::try_from(self.hashers[row].hash_one(key) % CELLS as u64).unwrap_or(0);
            &self.rows[row * CELLS + hash]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_keep_apart() {
        let sketch = Sketch::new();
        let rate = Rate {
            max: 10,
            window: Duration::from_secs(60),
        };
        let now = Duration::from_secs(1);
        let refused = (0_u32..1_000)
            .filter(|key| (0..10).any(|_| sketch.check_at(key, rate, now).is_err()))
            .count();
        assert!(
            refused <= 2,
            "{refused} of 1000 keys were refused for another's sake"
        );
        assert!(
            sketch.check_at(&7_u32, rate, now).is_err(),
            "the eleventh is one too many"
        );
        assert!(
            sketch
                .check_at(&7_u32, rate, now + Duration::from_secs(6))
                .is_ok()
        );
    }
}
