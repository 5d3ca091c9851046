//! A cached value as it is kept in both tiers: when it was made, how long it is good, its tags, and its bytes, compressed
//! if they are many. Must not know where it is kept.

use std::{
    io::Read,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Longer values than this, in bytes, are compressed.
const COMPRESSED_FROM: usize = 1_024;
/// The compressor's default: values are made once and read often, but on a request's time.
const LEVEL: i32 = 3;
/// No value unpacks to more, in bytes.
const UNPACKED_MAX: u64 = 64 * 1_024 * 1_024;

/// What stands before the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// Milliseconds since 1970.
    made: u64,
    /// Until then it is good.
    fresh: u64,
    /// Until then it may be served while a new one is made.
    keep: u64,
    packed: bool,
    tags: Vec<String>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    head: Arc<Head>,
    bytes: Arc<[u8]>,
}

/// Milliseconds since 1970, by the clock that instances share.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Stored {
    pub(super) fn new<T: Serialize>(
        value: &T,
        ttl: Duration,
        stale: Duration,
        tags: Vec<String>,
    ) -> Result<Self, serde_json::Error> {
        let plain = serde_json::to_vec(value)?;
        let made = now_ms();
        let fresh = made.saturating_add(millis(ttl));
        let packed = (plain.len() > COMPRESSED_FROM)
            .then(|| zstd::bulk::compress(&plain, LEVEL).ok())
            .flatten();
        let head = Head {
            made,
            fresh,
            keep: fresh.saturating_add(millis(stale)),
            packed: packed.is_some(),
            tags,
        };
        Ok(Self {
            head: Arc::new(head),
            bytes: packed.unwrap_or(plain).into(),
        })
    }

    /// The value, unless it was written by another version of the program and cannot be read.
    pub(super) fn value<T: DeserializeOwned>(&self) -> Option<T> {
        let read = |bytes: &[u8]| serde_json::from_slice(bytes).ok();
        if !self.head.packed {
            return read(&self.bytes);
        }
        let mut plain = Vec::new();
        let unpacked = zstd::Decoder::new(&*self.bytes)
            .and_then(|decoder| decoder.take(UNPACKED_MAX).read_to_end(&mut plain));
        unpacked.ok().and_then(|_| read(&plain))
    }

    pub(super) fn made_ms(&self) -> u64 {
        self.head.made
    }

    pub(super) fn tags(&self) -> &[String] {
        &self.head.tags
    }

    pub(super) fn is_fresh(&self, now: u64) -> bool {
        now < self.head.fresh
    }

    pub(super) fn is_kept(&self, now: u64) -> bool {
        now < self.head.keep
    }

    /// How long it is good from now on.
    pub(super) fn fresh_for(&self, now: u64) -> Duration {
        Duration::from_millis(self.head.fresh.saturating_sub(now))
    }

    /// How long it is kept from now on.
    pub(super) fn kept_for(&self, now: u64) -> Duration {
        Duration::from_millis(self.head.keep.saturating_sub(now))
    }

    /// Bytes it takes, roughly: its own, its tags, its bookkeeping.
    pub(super) fn size(&self) -> usize {
        128 + self.bytes.len() + self.head.tags.iter().map(|t| t.len() + 24).sum::<usize>()
    }

    /// A line of JSON, then the bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoded = serde_json::to_vec(&*self.head).unwrap_or_default();
        encoded.push(b'\n');
        encoded.extend_from_slice(&self.bytes);
        encoded
    }

    pub(super) fn decode(encoded: &[u8]) -> Option<Self> {
        let end = encoded.iter().position(|b| *b == b'\n')?;
        Some(Self {
            head: Arc::new(serde_json::from_slice(&encoded[..end]).ok()?),
            bytes: encoded[end + 1..].into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_compressed_and_come_back_whole() {
        let long = "all work and no play ".repeat(500);
        let stored = Stored::new(
            &long,
            Duration::from_secs(1),
            Duration::ZERO,
            vec!["a".into()],
        )
        .expect("text");
        assert!(stored.head.packed && stored.bytes.len() < long.len() / 10);
        let back = Stored::decode(&stored.encode()).expect("our own");
        assert_eq!(back, stored);
        assert_eq!(back.value::<String>().as_deref(), Some(long.as_str()));
        assert_eq!(back.value::<u32>(), None, "another type is no value");
        assert_eq!(Stored::decode(b"garbage"), None);
        let short =
            Stored::new(&7, Duration::from_secs(1), Duration::ZERO, Vec::new()).expect("a number");
        assert!(
            !short.head.packed && short.is_fresh(now_ms()) && !short.is_fresh(now_ms() + 2_000)
        );
    }
}
