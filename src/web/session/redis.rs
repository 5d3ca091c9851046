//! Sessions in Redis. Must not know cookies.
//!
//! `session:{hash}` holds a record as JSON and expires with it; `user-sessions:{id}` is the set of a user's hashes, so
//! that listing never scans (`KEYS`). A member whose session has expired is dropped when the list is next read.

use chrono::{DateTime, Utc};
use deadpool_redis::redis::{Pipeline, cmd, pipe};

use super::{Found, LONGEST, Lifetimes, Record, StoreError, TokenHash};
use crate::platform::kv::Kv;

/// Sessions behind a Redis handle.
#[derive(Clone)]
pub struct RedisStore {
    kv: Kv,
}

impl RedisStore {
    pub(super) fn new(kv: Kv) -> Self {
        Self { kv }
    }

    fn session_key(&self, hash: TokenHash) -> String {
        self.kv.key(&format!("session:{hash}"))
    }

    fn user_key(&self, user_id: i64) -> String {
        self.kv.key(&format!("user-sessions:{user_id}"))
    }

    pub(super) async fn find(
        &self,
        hash: TokenHash,
        now: DateTime<Utc>,
        lifetimes: &Lifetimes,
    ) -> Result<Option<Found>, StoreError> {
        let key = self.session_key(hash);
        let text: Option<String> = self.kv.query(cmd("GET").arg(&key)).await?;
        let Some(text) = text else {
            return Ok(None);
        };
        let record = serde_json::from_str::<Record>(&text)
            .ok()
            .filter(|r| r.is_live(now, lifetimes));
        let Some(record) = record else {
            self.kv.query::<()>(cmd("DEL").arg(&key)).await?;
            return Ok(None);
        };
        let record = match record.used(now, lifetimes) {
            Some(used) => {
                // XX: a session that was ended meanwhile stays ended.
                let text = serde_json::to_string(&used)?;
                let expiry = used.expires_at.timestamp_millis();
                let mut set = cmd("SET");
                set.arg(&key).arg(text).arg("XX").arg("PXAT").arg(expiry);
                if self.kv.query::<Option<String>>(&set).await?.is_some() {
                    let mut pipeline = pipe();
                    self.index(&mut pipeline, hash, used.user_id);
                    self.kv.pipeline::<()>(&pipeline).await?;
                }
                used
            }
            None => record,
        };
        Ok(Some(Found {
            hash,
            record,
            viewer: None,
        }))
    }

    pub(super) async fn insert(&self, hash: TokenHash, record: &Record) -> Result<(), StoreError> {
        let text = serde_json::to_string(record)?;
        let mut pipeline = pipe();
        pipeline
            .atomic()
            .cmd("SET")
            .arg(self.session_key(hash))
            .arg(text)
            .arg("PXAT")
            .arg(record.expires_at.timestamp_millis())
            .ignore();
        self.index(&mut pipeline, hash, record.user_id);
        self.kv.pipeline::<()>(&pipeline).await?;
        Ok(())
    }

    /// Enters a session into the index by which all of a user's are found, which lives longer than any of them.
    fn index(&self, pipeline: &mut Pipeline, hash: TokenHash, user_id: i64) {
        let key = self.user_key(user_id);
        pipeline
            .cmd("SADD")
            .arg(&key)
            .arg(hash.to_string())
            .ignore()
            .cmd("EXPIRE")
            .arg(&key)
            .arg(LONGEST.num_seconds())
            .ignore();
    }

    async fn hashes(&self, user_id: i64) -> Result<Vec<TokenHash>, StoreError> {
        let members: Vec<String> = self
            .kv
            .query(cmd("SMEMBERS").arg(self.user_key(user_id)))
            .await?;
        Ok(members.iter().filter_map(|m| TokenHash::parse(m)).collect())
    }

    pub(super) async fn list(&self, user_id: i64) -> Result<Vec<(TokenHash, Record)>, StoreError> {
        let hashes = self.hashes(user_id).await?;
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = cmd("MGET");
        for hash in &hashes {
            get.arg(self.session_key(*hash));
        }
        let texts: Vec<Option<String>> = self.kv.query(&get).await?;
        let mut sessions = Vec::new();
        let mut gone = cmd("SREM");
        gone.arg(self.user_key(user_id));
        let mut any_gone = false;
        for (hash, text) in hashes.into_iter().zip(texts) {
            match text.and_then(|t| serde_json::from_str::<Record>(&t).ok()) {
                Some(record) => sessions.push((hash, record)),
                None => {
                    gone.arg(hash.to_string());
                    any_gone = true;
                }
            }
        }
        if any_gone {
            self.kv.query::<i64>(&gone).await?;
        }
        Ok(sessions)
    }

    pub(super) async fn end(&self, user_id: i64, hash: TokenHash) -> Result<bool, StoreError> {
        let mut remove = cmd("SREM");
        remove.arg(self.user_key(user_id)).arg(hash.to_string());
        let mut ask = cmd("SISMEMBER");
        ask.arg(self.user_key(user_id)).arg(hash.to_string());
        let theirs: bool = self.kv.query(&ask).await?;
        if !theirs {
            return Ok(false);
        }
        // The session goes first: if Redis goes away between the two, nothing stays usable.
        let ended: i64 = self
            .kv
            .query(cmd("DEL").arg(self.session_key(hash)))
            .await?;
        self.kv.query::<i64>(&remove).await?;
        Ok(ended > 0)
    }

    pub(super) async fn end_all(
        &self,
        user_id: i64,
        except: Option<TokenHash>,
    ) -> Result<u64, StoreError> {
        let mut ended = 0;
        for hash in self.hashes(user_id).await? {
            if Some(hash) != except && self.end(user_id, hash).await? {
                ended += 1;
            }
        }
        Ok(ended)
    }

    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.kv.query::<String>(&cmd("PING")).await?;
        Ok(())
    }
}
