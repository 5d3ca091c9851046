//! One store of sessions, in Redis or in PostgreSQL, and the adaptor through which `actix-session` reads it. Must not
//! know pages.

use std::collections::HashMap;

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;
use chrono::{DateTime, Utc};

use super::{Lifetimes, Record, TokenHash, postgres::PostgresStore, redis::RedisStore};
use crate::{
    platform::{db::Db, kv::Kv, settings::Settings},
    web::{error::Error, signing::random_token},
};

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL.
    #[error("sessions in PostgreSQL: {0}")]
    Postgres(#[from] sqlx::Error),
    /// Redis.
    #[error("sessions in Redis: {0}")]
    Redis(#[from] crate::platform::kv::Error),
    /// A record that cannot be written as JSON.
    #[error("a session's record: {0}")]
    Record(#[from] serde_json::Error),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Record(e) => Self::Internal(e.into()),
            away => Self::Unavailable(away.to_string().into()),
        }
    }
}

/// A session that was found.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub hash: TokenHash,
    /// What is kept of it, as it stands after this use.
    pub record: Record,
    /// The row of the view `viewers`, where it came with the session in the same query.
    pub viewer: Option<serde_json::Value>,
}

/// Where sessions live, and how long.
#[derive(Clone)]
pub struct Store {
    place: Place,
    settings: Settings,
}

#[derive(Clone)]
enum Place {
    /// Shared by all instances.
    Redis(RedisStore),
    /// Where there is no Redis.
    Postgres(PostgresStore),
}

macro_rules! on_either {
    ($self:ident, $store:ident => $call:expr) => {
        match &$self.place {
            Place::Redis($store) => $call,
            Place::Postgres($store) => $call,
        }
    };
}

impl Store {
    /// Sessions in Redis if there is one, else in PostgreSQL.
    pub fn new(kv: Option<&Kv>, db: &Db, settings: Settings) -> Self {
        let place = match kv {
            Some(kv) => Place::Redis(RedisStore::new(kv.clone())),
            None => Place::Postgres(PostgresStore::new(db.clone())),
        };
        Self { place, settings }
    }

    /// How long sessions live, as it is set now.
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes::of(&self.settings.get())
    }

    /// The live session with this token; one that has expired is deleted, one in use is renewed when it is time.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn find(&self, token: &str, now: DateTime<Utc>) -> Result<Option<Found>, StoreError> {
        let hash = TokenHash::of(token);
        on_either!(self, store => store.find(hash, now, &self.lifetimes()).await)
    }

    /// Begins a session and gives its token: 256 random bits that are stored nowhere.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away; then nobody is logged in.
    pub async fn begin(&self, record: &Record) -> Result<String, StoreError> {
        let token = random_token(32);
        let hash = TokenHash::of(&token);
        on_either!(self, store => store.insert(hash, record).await)?;
        Ok(token)
    }

    /// A user's sessions, the last used first.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn list(
        &self,
        user_id: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<(TokenHash, Record)>, StoreError> {
        let mut sessions = on_either!(self, store => store.list(user_id).await)?;
        let lifetimes = self.lifetimes();
        sessions.retain(|(_, record)| record.is_live(now, &lifetimes));
        sessions.sort_by_key(|(_, record)| std::cmp::Reverse(record.last_seen_at));
        Ok(sessions)
    }

    /// Ends one of a user's sessions; false if it was not theirs or was over.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn end(&self, user_id: i64, hash: TokenHash) -> Result<bool, StoreError> {
        on_either!(self, store => store.end(user_id, hash).await)
    }

    /// Ends all of a user's sessions but one, and says how many.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn end_all(
        &self,
        user_id: i64,
        except: Option<TokenHash>,
    ) -> Result<u64, StoreError> {
        on_either!(self, store => store.end_all(user_id, except).await)
    }

    /// Whether the store answers; asked before a password is checked, so that nobody logs in into nothing.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        on_either!(self, store => store.probe().await)
    }

    /// Deletes what has expired and was never met again; Redis does so by itself.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        match &self.place {
            Place::Redis(_) => Ok(0),
            Place::Postgres(store) => store.sweep().await,
        }
    }
}

/// Key of the session's state under which a handler leaves the token of the session it has begun.
pub const PENDING_TOKEN: &str = "token";
/// Key under which the adaptor gives the name (hash) of the session that was loaded.
pub const SESSION_KEY: &str = "session";
/// Key under which the adaptor gives the [`Record`].
pub const RECORD_KEY: &str = "record";
/// Key under which the adaptor gives the viewer's row, where it came along.
pub const VIEWER_KEY: &str = "viewer";
/// Key that `actix-identity` reads.
const IDENTITY_KEY: &str = "actix_identity.user_id";
/// Key that says the store is away.
pub const AWAY_KEY: &str = "away";

/// What `actix-session` is given: it loads for real; saving and deleting has been done by the handler.
#[derive(Clone)]
pub struct ActixStore(pub Store);

type State = HashMap<String, String>;

impl SessionStore for ActixStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        let found = match self.0.find(key.as_ref(), Utc::now()).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                tracing::warn!(error = %error, "a session could not be read: its owner is a guest for now");
                return Ok(Some(State::from([(AWAY_KEY.into(), "true".into())])));
            }
        };
        let mut state = State::from([
            (IDENTITY_KEY.into(), format!("\"{}\"", found.record.user_id)),
            (SESSION_KEY.into(), format!("\"{}\"", found.hash)),
        ]);
        if let Ok(record) = serde_json::to_string(&found.record) {
            state.insert(RECORD_KEY.into(), record);
        }
        if let Some(viewer) = found.viewer {
            state.insert(VIEWER_KEY.into(), viewer.to_string());
        }
        Ok(Some(state))
    }

    /// Gives the token of the session that the handler has begun.
    async fn save(&self, state: State, _ttl: &Duration) -> Result<SessionKey, SaveError> {
        let token = state
            .get(PENDING_TOKEN)
            .and_then(|json| serde_json::from_str::<String>(json).ok());
        token
            .unwrap_or_default()
            .try_into()
            .map_err(|e| SaveError::Serialization(anyhow::Error::new(e)))
    }

    /// Nothing: a session's record changes only by use.
    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        if !state.contains_key(PENDING_TOKEN) {
            return Ok(key);
        }
        self.save(state, ttl)
            .await
            .map_err(|e| UpdateError::Other(e.into()))
    }

    async fn update_ttl(&self, _key: &SessionKey, _ttl: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    /// Nothing: logout has ended it.
    async fn delete(&self, _key: &SessionKey) -> Result<(), anyhow::Error> {
        Ok(())
    }
}
