//! What the cache counts. Must not know values.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::tiers::Memory;

#[derive(Debug, Default)]
pub(super) struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    stale: AtomicU64,
    sets: AtomicU64,
    invalidations: AtomicU64,
}

/// The tier behind memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// `redis` or `memory`.
    pub name: &'static str,
    /// `up` or `down`.
    pub status: &'static str,
    /// Of one round trip, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Values it holds; `None` where that cannot be told now.
    pub keys: Option<usize>,
}

impl Provider {
    pub(super) fn memory_only() -> Self {
        Self {
            name: "memory",
            status: "up",
            latency_ms: None,
            keys: None,
        }
    }
}

/// Figures since the start, and of this moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Whether caching is on.
    pub enabled: bool,
    /// Values found good.
    pub hits: u64,
    /// Values not found.
    pub misses: u64,
    /// Old values served while a new one was made.
    pub stale: u64,
    /// Values stored.
    pub sets: u64,
    /// Values dropped before their time.
    pub invalidations: u64,
    /// Hits of all that was asked, 0 to 1.
    pub hit_rate: f64,
    /// The rest of it.
    pub miss_rate: f64,
    /// Values in memory.
    pub keys: u64,
    /// Bytes they take, roughly.
    pub memory_bytes: u64,
    /// When the oldest of them was made, in milliseconds since 1970.
    pub oldest: Option<u64>,
    /// The same of the newest.
    pub newest: Option<u64>,
    /// The tier behind memory.
    pub provider: Provider,
    /// Whether invalidations of other instances come through.
    pub line_up: bool,
}

impl Counts {
    pub(super) fn asked(&self, found: bool) {
        if found { &self.hits } else { &self.misses }.fetch_add(1, Relaxed);
    }

    pub(super) fn stale(&self) {
        self.stale.fetch_add(1, Relaxed);
    }

    pub(super) fn set(&self) {
        self.sets.fetch_add(1, Relaxed);
    }

    pub(super) fn invalidated(&self, count: usize) {
        self.invalidations.fetch_add(count as u64, Relaxed);
    }

    pub(super) fn stats(
        &self,
        memory: &Memory,
        provider: Provider,
        line_up: bool,
        enabled: bool,
    ) -> Stats {
        let (hits, misses) = (self.hits.load(Relaxed), self.misses.load(Relaxed));
        let asked = hits + misses;
        let rate = |count: u64| {
            if asked == 0 {
                0.0
            } else {
                count as f64 / asked as f64
            }
        };
        let (oldest, newest) = memory.ages();
        Stats {
            enabled,
            hits,
            misses,
            stale: self.stale.load(Relaxed),
            sets: self.sets.load(Relaxed),
            invalidations: self.invalidations.load(Relaxed),
            hit_rate: rate(hits),
            miss_rate: rate(misses),
            keys: memory.count(),
            memory_bytes: memory.bytes(),
            oldest,
            newest,
            provider,
            line_up,
        }
    }
}
