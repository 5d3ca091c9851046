//! Sessions in PostgreSQL, where Redis is not used. Must not know cookies.

use chrono::{DateTime, Utc};

use super::{Found, Lifetimes, Record, StoreError, TokenHash, queries};
use crate::platform::db::Db;

/// Sessions in the table `sessions`.
#[derive(Clone)]
pub struct PostgresStore {
    db: Db,
}

impl PostgresStore {
    pub(super) fn new(db: Db) -> Self {
        Self { db }
    }

    pub(super) async fn find(
        &self,
        hash: TokenHash,
        now: DateTime<Utc>,
        lifetimes: &Lifetimes,
    ) -> Result<Option<Found>, StoreError> {
        let mut conn = self.db.conn().await?;
        let Some(row) = queries::find(&mut conn, &hash.0).await? else {
            return Ok(None);
        };
        let record: Option<Record> = serde_json::from_value(row.state).ok();
        let Some(record) = record.filter(|r| r.is_live(now, lifetimes)) else {
            queries::delete(&mut conn, None, &hash.0).await?;
            return Ok(None);
        };
        let record = match record.used(now, lifetimes) {
            Some(used) => {
                let state = serde_json::to_value(&used)?;
                queries::set_used(
                    &mut conn,
                    &hash.0,
                    &state,
                    used.last_seen_at,
                    used.expires_at,
                )
                .await?;
                used
            }
            None => record,
        };
        Ok(Some(Found {
            hash,
            record,
            viewer: row.viewer,
        }))
    }

    pub(super) async fn insert(&self, hash: TokenHash, record: &Record) -> Result<(), StoreError> {
        let mut conn = self.db.conn().await?;
        let state = serde_json::to_value(record)?;
        queries::insert(
            &mut conn,
            &hash.0,
            record.user_id,
            &state,
            record.created_at,
            record.expires_at,
        )
        .await?;
        Ok(())
    }

    pub(super) async fn list(&self, user_id: i64) -> Result<Vec<(TokenHash, Record)>, StoreError> {
        let mut conn = self.db.conn().await?;
        let rows = queries::list(&mut conn, user_id).await?;
        let read = |(hash, state): (Vec<u8>, serde_json::Value)| {
            Some((
                TokenHash(hash.try_into().ok()?),
                serde_json::from_value(state).ok()?,
            ))
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    pub(super) async fn end(&self, user_id: i64, hash: TokenHash) -> Result<bool, StoreError> {
        let mut conn = self.db.conn().await?;
        Ok(queries::delete(&mut conn, Some(user_id), &hash.0).await?)
    }

    pub(super) async fn end_all(
        &self,
        user_id: i64,
        except: Option<TokenHash>,
    ) -> Result<u64, StoreError> {
        let mut conn = self.db.conn().await?;
        Ok(queries::delete_all(&mut conn, user_id, except.as_ref().map(|h| &h.0[..])).await?)
    }

    pub(super) async fn sweep(&self) -> Result<u64, StoreError> {
        let mut conn = self.db.conn().await?;
        Ok(queries::delete_expired(&mut conn).await?)
    }

    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.db.conn().await?;
        Ok(())
    }
}
