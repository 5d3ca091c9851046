//! Enriched users by id (S09, S23): lookups of many requests at once are one query. Must not know sessions.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{model::ViewerRow, queries};
use crate::{
    platform::{
        db::{Db, is_unavailable},
        resilience::coalesce::{Batch, LookupError},
    },
    web::error::Error,
};

/// A request's time for the database (`db::Options`), the wait for an earlier lookup included.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Looks up viewers; one a process, so that the requests of all workers are gathered.
pub struct Viewers(Batch<i64, ViewerRow, Arc<sqlx::Error>>);

impl Viewers {
    /// Viewers of this database.
    pub fn new(db: Db) -> Self {
        Self(Batch::new(move |ids: Vec<i64>| {
            let db = db.clone();
            async move { list(&db, &ids).await.map_err(Arc::new) }
        }))
    }

    /// The account of this id, unless there is none.
    ///
    /// # Errors
    /// As any query.
    pub async fn find(&self, id: i64) -> Result<Option<ViewerRow>, Error> {
        // One who waits for a lookup that began before theirs waits no longer for it.
        let found = tokio::time::timeout(PATIENCE, self.0.load(id)).await;
        let found =
            found.map_err(|_| Error::Unavailable("database: too many wait for it".into()))?;
        found.map_err(|error| match error {
            LookupError::Failed(error) if is_unavailable(&error) => {
                Error::Unavailable(format!("database: {error}").into())
            }
            other => Error::Internal(other.into()),
        })
    }
}

async fn list(db: &Db, ids: &[i64]) -> sqlx::Result<HashMap<i64, ViewerRow>> {
    let rows = queries::list_viewers(&mut db.conn().await?, ids).await?;
    Ok(rows.into_iter().collect())
}
