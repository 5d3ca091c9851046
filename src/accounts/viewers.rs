//! Enriched users by id (S09, S23): kept for a moment in the cache of values, dropped when what they may or want changes;
//! lookups of many requests at once are one query. Must not know sessions, which are looked up each time.
//!
//! Whatever changes a role, a ban, preferences, a name or what somebody says of themselves calls [`forget`] after its commit.

use std::{cell::Cell, collections::HashMap, sync::Arc, time::Duration};

use super::{model::ViewerRow, queries};
use crate::{
    platform::{
        cache::{Cache, user_key},
        db::{Db, is_unavailable},
        resilience::coalesce::{Batch, LookupError},
    },
    web::error::Error,
};

/// A request's time for the database (`db::Options`), the wait for an earlier lookup included.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// For how long a viewer is kept at most: what nobody announces, such as karma, is not older than this.
const BRIEFLY: Duration = Duration::from_secs(60);
/// The name of a viewer among what is kept for a person.
const NAME: &str = "viewer";

/// Looks up viewers; one a process, so that the requests of all workers are gathered.
pub struct Viewers {
    batch: Batch<i64, ViewerRow, Arc<sqlx::Error>>,
    cache: Cache,
}

/// A viewer that was found.
pub(super) struct Found {
    /// Their row.
    pub(super) row: ViewerRow,
    /// Whether it has just been read, and not been kept.
    pub(super) is_new: bool,
}

enum Miss {
    Nobody,
    Failed(Error),
}

impl Viewers {
    /// Viewers of this database, kept in `cache`.
    pub fn new(db: Db, cache: Cache) -> Self {
        let batch = Batch::new(move |ids: Vec<i64>| {
            let db = db.clone();
            async move { list(&db, &ids).await.map_err(Arc::new) }
        });
        Self { batch, cache }
    }

    /// The account of this id, unless there is none. While changes on other instances are not heard of, nothing kept is
    /// believed.
    ///
    /// # Errors
    /// As any query.
    pub(super) async fn find(&self, id: i64) -> Result<Option<Found>, Error> {
        let is_new = Cell::new(false);
        let read = async {
            is_new.set(true);
            self.read(id).await?.ok_or(Miss::Nobody)
        };
        let kept_or_read = async {
            if !self.cache.is_in_step() {
                return read.await;
            }
            let options = Cache::user_options(id).ttl(BRIEFLY);
            self.cache.get_or(&user_key(id, NAME), &options, read).await
        };
        // One who waits for lookups that began before theirs waits no longer for them.
        match tokio::time::timeout(PATIENCE, kept_or_read).await {
            Ok(Ok(row)) => Ok(Some(Found {
                row,
                is_new: is_new.get(),
            })),
            Ok(Err(Miss::Nobody)) => Ok(None),
            Ok(Err(Miss::Failed(error))) => Err(error),
            Err(_) => Err(Error::Unavailable("database: too many wait for it".into())),
        }
    }

    async fn read(&self, id: i64) -> Result<Option<ViewerRow>, Miss> {
        let found = self.batch.load(id).await;
        found.map_err(|error| {
            Miss::Failed(match error {
                LookupError::Failed(error) if is_unavailable(&error) => {
                    Error::Unavailable(format!("database: {error}").into())
                }
                other => Error::Internal(other.into()),
            })
        })
    }
}

async fn list(db: &Db, ids: &[i64]) -> sqlx::Result<HashMap<i64, ViewerRow>> {
    let rows = queries::list_viewers(&mut db.conn().await?, ids).await?;
    Ok(rows.into_iter().collect())
}

/// What is kept of this person is worth nothing any more: their role, ban, preferences or name has changed, and the change
/// is committed.
pub async fn forget(cache: &Cache, user_id: i64) {
    cache.forget_user(user_id).await;
    // Another instance may have read the old row before the commit, and share it only now. No lookup takes longer.
    let cache = cache.clone();
    tokio::spawn(async move {
        tokio::time::sleep(PATIENCE * 2).await;
        cache.forget_user(user_id).await;
    });
}

/// The same for everyone: what a role allows has changed.
pub async fn forget_all(cache: &Cache) {
    let dropped = cache.invalidate_pattern(&format!("user:*:{NAME}")).await;
    if let Err(error) = dropped {
        tracing::warn!(error = %error, "what is kept of people may be believed for a minute");
    }
}
