//! The cache of values (S17): a small one in memory over a shared one in Redis. Must not know what is cached, nor pages.
//!
//! - What is found in Redis is promoted into memory; where there is no Redis, or it is away, memory serves alone.
//! - [`Cache::get_or`] computes a missing value once, however many ask; [`Cache::get_or_refresh`] serves an old value while
//!   a new one is made.
//! - [`Cache::invalidate_tag`] and its like reach every instance within a second over the [`bus`].
//!
//! **Architecture invariant:** a value that was computed from what has been invalidated meanwhile is never stored.

pub mod bus;
pub mod flight;
pub mod glob;
pub mod purge;
mod stats;
mod stored;
pub mod strikes;
mod tiers;

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use self::{
    bus::{Bus, Message},
    flight::{Flights, Lead, Turn},
    stats::Counts,
    stored::{Stored, now_ms},
    strikes::{Mark, Strikes},
    tiers::{Memory, Shared},
};
use super::{
    kv::{self, Kv},
    settings::Settings,
};

pub use stats::{Provider, Stats};

/// Longer keys are hashed, in bytes.
const KEY_MAX: usize = 250;
/// How much of such a key stays readable, so that patterns still find it.
const KEY_KEPT: usize = 150;

/// How long a value is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ttl {
    /// By the setting `cache.ttl`.
    Usual,
    /// By the setting `cache.ttl_user`.
    User,
    /// By what its owner says.
    Own(Duration),
}

/// How a value is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    ttl: Ttl,
    stale: Duration,
    tags: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ttl: Ttl::Usual,
            stale: Duration::ZERO,
            tags: Vec::new(),
        }
    }
}

impl Options {
    /// Good for `ttl` instead of what the settings say.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Ttl::Own(ttl);
        self
    }

    /// After that, for `stale` longer it may be served while a new one is made.
    pub fn stale_for(mut self, stale: Duration) -> Self {
        self.stale = stale;
        self
    }

    /// Dropped by [`Cache::invalidate_tag`] of this tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Dropped when this event [happens](Cache::happened).
    pub fn invalidate_on(self, event: &str) -> Self {
        self.tag(event_tag(event))
    }
}

fn event_tag(event: &str) -> String {
    format!("on:{event}")
}

/// The key of something that belongs to one person; to be kept by [`Cache::user_options`].
pub fn user_key(user_id: i64, name: &str) -> String {
    format!("user:{user_id}:{name}")
}

fn user_tag(user_id: i64) -> String {
    format!("user:{user_id}")
}

/// A cloneable handle to the cache.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    enabled: bool,
    /// An operator has switched it off for now.
    is_off: AtomicBool,
    settings: Settings,
    memory: Memory,
    shared: Option<Shared>,
    bus: Bus,
    strikes: Strikes,
    flights: Flights<Stored>,
    counts: Counts,
}

/// A long key as it is kept: its begin, and the hash of the whole.
fn kept_key(key: &str) -> std::borrow::Cow<'_, str> {
    if key.len() <= KEY_MAX {
        return key.into();
    }
    let mut end = KEY_KEPT;
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    let hash: String = Sha256::digest(key.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}#{hash}", &key[..end]).into()
}

/// What a computation that was struck while it ran is told by.
fn struck_by(key: &str, tags: &[String]) -> Vec<String> {
    let mut all = tags.to_vec();
    all.push(format!("key:{key}"));
    all
}

impl Cache {
    /// The cache; switched off, everything is computed each time.
    pub fn new(kv: Option<Kv>, bus: Bus, settings: Settings, enabled: bool) -> Self {
        Self(Arc::new(Inner {
            enabled,
            is_off: AtomicBool::new(false),
            settings,
            memory: Memory::new(),
            shared: kv.map(Shared::new),
            bus,
            strikes: Strikes::default(),
            flights: Flights::default(),
            counts: Counts::default(),
        }))
    }

    /// The options for what belongs to one person: the setting `cache.ttl_user`, and dropped by [`Cache::forget_user`].
    pub fn user_options(user_id: i64) -> Options {
        let options = Options::default().tag(user_tag(user_id));
        Options {
            ttl: Ttl::User,
            ..options
        }
    }

    fn ttl_of(&self, ttl: Ttl) -> Duration {
        let seconds = match ttl {
            Ttl::Own(ttl) => return ttl,
            Ttl::Usual => self.0.settings.get().cache_ttl,
            Ttl::User => self.0.settings.get().cache_ttl_user,
        };
        Duration::from_secs(seconds.into())
    }

    /// From now on values are kept, or are not; what is kept is dropped all the same when it changes.
    pub fn set_wanted(&self, wanted: bool) {
        self.0.is_off.store(!wanted, Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.enabled && !self.0.is_off.load(Relaxed)
    }

    /// Whether this memory hears what other instances invalidate: else what it holds may be outdated until it ends.
    pub fn is_in_step(&self) -> bool {
        self.0.bus.is_up()
    }

    /// A value that is good, from memory or else from Redis.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let now = now_ms();
        let found = self
            .find(&kept_key(key))
            .await
            .filter(|stored| stored.is_fresh(now))
            .and_then(|s| s.value());
        self.0.counts.asked(found.is_some());
        found
    }

    async fn find(&self, key: &str) -> Option<Stored> {
        if !self.is_on() {
            return None;
        }
        let now = now_ms();
        if let Some(stored) = self.0.memory.get(key).filter(|stored| stored.is_kept(now)) {
            return Some(stored);
        }
        let mark = self.0.strikes.mark();
        let stored = self
            .0
            .shared
            .as_ref()?
            .get(key)
            .await
            .filter(|stored| stored.is_kept(now))?;
        if !self.0.strikes.since(mark, &struck_by(key, stored.tags())) {
            self.0.memory.insert(key, stored.clone());
        }
        Some(stored)
    }

    /// Keeps a value in both tiers.
    pub async fn set<T: Serialize>(&self, key: &str, value: &T, options: &Options) {
        let mark = self.0.strikes.mark();
        self.store(&kept_key(key), value, options, mark).await;
        self.0.bus.tell(Message::Key(kept_key(key).into_owned()));
    }

    async fn store<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        options: &Options,
        mark: Mark,
    ) -> Option<Stored> {
        let stored = match Stored::new(
            value,
            self.ttl_of(options.ttl),
            options.stale,
            options.tags.clone(),
        ) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(cache.key = key, error = %error, "a value cannot be cached");
                return None;
            }
        };
        let struck_by = struck_by(key, &options.tags);
        if !self.is_on() || self.0.strikes.since(mark, &struck_by) {
            return Some(stored);
        }
        self.0.counts.set();
        self.0.memory.insert(key, stored.clone());
        if let Some(shared) = &self.0.shared {
            shared.set(key, &stored).await;
        }
        // It may have been struck while it was being stored.
        if self.0.strikes.since(mark, &struck_by) {
            self.remove(key).await;
        }
        Some(stored)
    }

    /// The value, or what `compute` gives; of all who miss it at once, one computes.
    ///
    /// # Errors
    /// As `compute`; nothing is kept then.
    pub async fn get_or<T, E, F>(&self, key: &str, options: &Options, compute: F) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, E>>,
    {
        let key = kept_key(key);
        loop {
            if let Some(value) = self.get::<T>(&key).await {
                return Ok(value);
            }
            match self.0.flights.join(&key) {
                Turn::Lead(lead) => {
                    let mark = self.0.strikes.mark();
                    let value = compute.await?;
                    let stored = self.store(&key, &value, options, mark).await;
                    self.land(lead, &key, options, mark, stored);
                    return Ok(value);
                }
                Turn::Follow(follow) => {
                    if let Some(value) = follow.landed().await.and_then(|stored| stored.value()) {
                        return Ok(value);
                    }
                }
            }
        }
    }

    /// Gives what was computed to those who wait for it. Overtaken by a change, it is good for who asked before that, and not
    /// for who has joined since: they compute anew.
    fn land(
        &self,
        lead: Lead<Stored>,
        key: &str,
        options: &Options,
        mark: Mark,
        stored: Option<Stored>,
    ) {
        let is_struck = self.0.strikes.since(mark, &struck_by(key, &options.tags));
        if let Some(stored) = stored.filter(|_| !is_struck) {
            lead.land(stored);
        }
    }

    /// As [`Cache::get_or`]; where an old value may still be served, it is, while a task makes the new one.
    ///
    /// # Errors
    /// As `compute`, where there is no old value.
    pub async fn get_or_refresh<T, E, F, Fut>(
        &self,
        key: &str,
        options: &Options,
        compute: F,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
        E: std::fmt::Display + Send + 'static,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let kept = kept_key(key).into_owned();
        let now = now_ms();
        let old = self
            .find(&kept)
            .await
            .filter(|stored| !stored.is_fresh(now))
            .and_then(|stored| stored.value::<T>());
        let Some(old) = old else {
            return self.get_or(&kept, options, compute()).await;
        };
        self.0.counts.stale();
        if let Turn::Lead(lead) = self.0.flights.join(&kept) {
            let (cache, options) = (self.clone(), options.clone());
            tokio::spawn(async move {
                let mark = cache.0.strikes.mark();
                match compute().await {
                    Ok(value) => {
                        let stored = cache.store(&kept, &value, &options, mark).await;
                        cache.land(lead, &kept, &options, mark, stored);
                    }
                    Err(error) => {
                        tracing::debug!(cache.key = kept, error = %error, "a value was not made anew")
                    }
                }
            });
        }
        Ok(old)
    }

    /// Whether there is a good value.
    pub async fn exists(&self, key: &str) -> bool {
        self.ttl(key).await.is_some()
    }

    /// How long the value is good from now on; `None` without one.
    pub async fn ttl(&self, key: &str) -> Option<Duration> {
        let now = now_ms();
        self.find(&kept_key(key))
            .await
            .filter(|s| s.is_fresh(now))
            .map(|s| s.fresh_for(now))
    }

    async fn remove(&self, key: &str) -> bool {
        let here = self.0.memory.remove(key);
        let there = match &self.0.shared {
            Some(shared) => shared.remove(key).await,
            None => false,
        };
        here || there
    }

    /// Drops one value everywhere; says whether there was one.
    pub async fn delete(&self, key: &str) -> bool {
        let key = kept_key(key);
        self.0.strikes.strike(&[&format!("key:{key}")]);
        let found = self.remove(&key).await;
        self.0.counts.invalidated(usize::from(found));
        self.0.bus.tell(Message::Key(key.into_owned()));
        found
    }

    /// Drops all values with a tag everywhere; gives their number.
    pub async fn invalidate_tag(&self, tag: &str) -> usize {
        self.0.strikes.strike(&[tag]);
        let mut keys = self.0.memory.remove_tagged(tag);
        if let Some(shared) = &self.0.shared {
            keys.extend(shared.remove_tagged(tag).await);
        }
        self.0.counts.invalidated(keys.len());
        self.0.bus.tell(Message::Tag(tag.to_owned()));
        keys.len()
    }

    /// Says that an event happened: what was kept [until then](Options::invalidate_on) is dropped.
    pub async fn happened(&self, event: &str) -> usize {
        self.invalidate_tag(&event_tag(event)).await
    }

    /// Drops all values whose keys fit a pattern (`*` is any run of characters); gives their number.
    ///
    /// # Errors
    /// When Redis fails: there, some may be left.
    pub async fn invalidate_pattern(&self, pattern: &str) -> Result<usize, kv::Error> {
        self.0.strikes.strike_everything();
        let mut keys = self.0.memory.remove_matching(pattern);
        let there = match &self.0.shared {
            Some(shared) => shared.remove_matching(pattern).await,
            None => Ok(BTreeSet::new()),
        };
        self.0.bus.tell(Message::Pattern(pattern.to_owned()));
        keys.extend(there?);
        self.0.counts.invalidated(keys.len());
        Ok(keys.len())
    }

    /// Drops all that belongs to one person, as far as it was kept by [`Cache::user_options`].
    pub async fn forget_user(&self, user_id: i64) -> usize {
        self.invalidate_tag(&user_tag(user_id)).await
    }

    /// Drops everything; gives the number of values.
    ///
    /// # Errors
    /// As [`Cache::invalidate_pattern`].
    pub async fn clear(&self) -> Result<usize, kv::Error> {
        self.invalidate_pattern("*").await
    }

    /// Hears what another instance has invalidated: Redis is done with by then, this memory is not.
    pub fn hear(&self, message: &Message) {
        match message {
            Message::Tag(tag) => {
                self.0.strikes.strike(&[tag]);
                self.0.memory.remove_tagged(tag);
            }
            Message::Key(key) => {
                self.0.strikes.strike(&[&format!("key:{key}")]);
                self.0.memory.remove(key);
            }
            Message::Pattern(pattern) => {
                self.0.strikes.strike_everything();
                self.0.memory.remove_matching(pattern);
            }
            Message::Everything => {
                self.0.strikes.strike_everything();
                self.0.memory.clear();
            }
            Message::Outdated(_) | Message::Gone(_) | Message::Beat => {}
        }
    }

    /// Drops from memory what nobody would be served any more; a task calls it each minute.
    pub fn sweep(&self) {
        self.0.memory.sweep();
    }

    /// Figures for operators; `with_keys` counts those in Redis, too, which looks at every key there.
    pub async fn stats(&self, with_keys: bool) -> Stats {
        let provider = match &self.0.shared {
            Some(shared) => shared.provider(with_keys).await,
            None => Provider::memory_only(),
        };
        self.0
            .counts
            .stats(&self.0.memory, provider, self.0.bus.is_up(), self.is_on())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_hashed_and_still_found_by_its_begin() {
        let (a, b) = (
            format!("search:{}a", "é".repeat(200)),
            format!("search:{}b", "é".repeat(200)),
        );
        let (kept_a, kept_b) = (kept_key(&a), kept_key(&b));
        assert_ne!(kept_a, kept_b);
        assert!(kept_a.len() <= KEY_MAX && glob::matches("search:*", &kept_a));
        assert_eq!(kept_key("short"), "short");
        assert_eq!(kept_key(&kept_a), kept_a, "a kept key stays itself");
    }
}
