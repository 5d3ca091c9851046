//! Where values are kept: in this process, and in Redis for all instances. Must not know when they are invalid.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool_redis::redis::{self, cmd};
use moka::{Expiry, sync::Cache as Moka};

use super::{
    glob,
    stats::Provider,
    stored::{Stored, now_ms},
};
use crate::platform::kv::{self, Kv};

/// Most values in memory.
const ENTRIES_MAX: u64 = 1_000;
/// Most bytes in memory: 1,000 values of 32 KiB.
const BYTES_MAX: u64 = 32 * 1_024 * 1_024;
/// The least that a value counts for, so that both bounds are one.
const WEIGHT_MIN: u64 = BYTES_MAX / ENTRIES_MAX;

/// A value leaves memory when it would not be served any more.
struct Kept;

impl Expiry<Arc<str>, Stored> for Kept {
    fn expire_after_create(&self, _: &Arc<str>, stored: &Stored, _: Instant) -> Option<Duration> {
        Some(stored.kept_for(now_ms()))
    }

    fn expire_after_update(
        &self,
        _: &Arc<str>,
        stored: &Stored,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(stored.kept_for(now_ms()))
    }
}

/// The tier in this process; the least used leave first.
pub(super) struct Memory(Moka<Arc<str>, Stored>);

impl Memory {
    pub(super) fn new() -> Self {
        let weigh = |key: &Arc<str>, stored: &Stored| {
            u32::try_from((key.len() + stored.size()).max(WEIGHT_MIN as usize)).unwrap_or(u32::MAX)
        };
        Self(
            Moka::builder()
                .max_capacity(WEIGHT_MIN * ENTRIES_MAX)
                .weigher(weigh)
                .expire_after(Kept)
                .build(),
        )
    }

    pub(super) fn get(&self, key: &str) -> Option<Stored> {
        self.0.get(key)
    }

    pub(super) fn insert(&self, key: &str, stored: Stored) {
        self.0.insert(key.into(), stored);
    }

    pub(super) fn remove(&self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    fn remove_where(&self, wanted: impl Fn(&str, &Stored) -> bool) -> BTreeSet<String> {
        let keys: Vec<Arc<str>> = self
            .0
            .iter()
            .filter(|(k, s)| wanted(k, s))
            .map(|(k, _)| (*k).clone())
            .collect();
        keys.into_iter()
            .filter(|key| self.remove(key))
            .map(|key| key.to_string())
            .collect()
    }

    pub(super) fn remove_tagged(&self, tag: &str) -> BTreeSet<String> {
        self.remove_where(|_, stored| stored.tags().iter().any(|t| t == tag))
    }

    pub(super) fn remove_matching(&self, pattern: &str) -> BTreeSet<String> {
        self.remove_where(|key, _| glob::matches(pattern, key))
    }

    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }

    pub(super) fn sweep(&self) {
        self.0.run_pending_tasks();
    }

    pub(super) fn count(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0
            .iter()
            .map(|(key, stored)| (key.len() + stored.size()) as u64)
            .sum()
    }

    /// When the oldest and the newest were made.
    pub(super) fn ages(&self) -> (Option<u64>, Option<u64>) {
        let made = || self.0.iter().map(|(_, stored)| stored.made_ms());
        (made().min(), made().max())
    }
}

/// A tag's set of keys lives this long after the last key came, in seconds: longer than any value by any setting.
const TAG_TTL: u64 = 2 * 24 * 3_600;
/// Keys asked for in one step of a scan.
const SCAN_COUNT: u32 = 500;

/// The tier that all instances share. What fails is not there: callers compute.
pub(super) struct Shared(Kv);

impl Shared {
    pub(super) fn new(kv: Kv) -> Self {
        Self(kv)
    }

    fn value_key(&self, key: &str) -> String {
        self.0.key(&format!("cache:v:{key}"))
    }

    fn tag_key(&self, tag: &str) -> String {
        self.0.key(&format!("cache:t:{tag}"))
    }

    pub(super) async fn get(&self, key: &str) -> Option<Stored> {
        let encoded: Option<Vec<u8>> = self
            .0
            .query(cmd("GET").arg(self.value_key(key)))
            .await
            .ok()?;
        encoded.as_deref().and_then(Stored::decode)
    }

    pub(super) async fn set(&self, key: &str, stored: &Stored) {
        let kept = stored.kept_for(now_ms()).as_millis().max(1);
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("SET")
            .arg(self.value_key(key))
            .arg(stored.encode())
            .arg("PX")
            .arg(u64::try_from(kept).unwrap_or(u64::MAX))
            .ignore();
        for tag in stored.tags() {
            let set = self.tag_key(tag);
            pipeline.cmd("SADD").arg(&set).arg(key).ignore();
            pipeline.cmd("EXPIRE").arg(&set).arg(TAG_TTL).ignore();
        }
        if let Err(error) = self.0.pipeline::<()>(&pipeline).await {
            tracing::debug!(error = %error, "a value was not shared");
        }
    }

    /// Says whether it was there.
    pub(super) async fn remove(&self, key: &str) -> bool {
        self.0
            .query::<u64>(cmd("UNLINK").arg(self.value_key(key)))
            .await
            .is_ok_and(|count| count > 0)
    }

    pub(super) async fn remove_tagged(&self, tag: &str) -> BTreeSet<String> {
        let set = self.tag_key(tag);
        let keys: Vec<String> = self
            .0
            .query(cmd("SMEMBERS").arg(&set))
            .await
            .unwrap_or_default();
        let removed = self.remove_all(keys).await;
        let _ = self.0.query::<u64>(cmd("UNLINK").arg(&set)).await;
        removed
    }

    /// All keys that fit, or as many as there were until Redis failed.
    pub(super) async fn remove_matching(
        &self,
        pattern: &str,
    ) -> Result<BTreeSet<String>, kv::Error> {
        let keys = self.scan(pattern).await?;
        Ok(self.remove_all(keys.into_iter().collect()).await)
    }

    async fn remove_all(&self, keys: Vec<String>) -> BTreeSet<String> {
        let mut removed = BTreeSet::new();
        for some in keys.chunks(SCAN_COUNT as usize) {
            let mut pipeline = redis::pipe();
            for key in some {
                pipeline.cmd("UNLINK").arg(self.value_key(key));
            }
            let counts: Vec<u64> = self.0.pipeline(&pipeline).await.unwrap_or_default();
            removed.extend(
                some.iter()
                    .zip(counts)
                    .filter(|(_, count)| *count > 0)
                    .map(|(key, _)| key.clone()),
            );
        }
        removed
    }

    /// The keys that fit, a few at a time: `KEYS` would stop Redis for everyone.
    async fn scan(&self, pattern: &str) -> Result<BTreeSet<String>, kv::Error> {
        let literal = self.value_key("");
        let glob = glob::for_redis(&literal, pattern);
        let mut found = BTreeSet::new();
        let mut cursor: u64 = 0;
        loop {
            let mut step = cmd("SCAN");
            step.arg(cursor)
                .arg("MATCH")
                .arg(&glob)
                .arg("COUNT")
                .arg(SCAN_COUNT);
            let (next, keys): (u64, Vec<String>) = self.0.query(&step).await?;
            found.extend(
                keys.iter()
                    .filter_map(|key| key.strip_prefix(&literal))
                    .map(str::to_owned),
            );
            cursor = next;
            if cursor == 0 {
                return Ok(found);
            }
        }
    }

    /// How it is; its keys are counted only `with_keys`, since that looks at every key.
    pub(super) async fn provider(&self, with_keys: bool) -> Provider {
        let started = Instant::now();
        let up = self.0.query::<String>(&cmd("PING")).await.is_ok();
        let latency = started.elapsed();
        Provider {
            name: "redis",
            status: if up { "up" } else { "down" },
            latency_ms: up.then_some(latency.as_secs_f64() * 1_000.0),
            keys: if up && with_keys {
                self.scan("*").await.ok().map(|keys| keys.len())
            } else {
                None
            },
        }
    }
}
