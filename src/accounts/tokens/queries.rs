//! SQL of the keys of programs. Must not know what a scope allows.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// A key, as its owner sees it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// What its owner calls it.
    pub name: String,
    /// What it is good for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends; `None` is never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute or so.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A new key.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// What it is good for.
    pub scopes: &'a [String],
    /// In how many days it ends; `None` is never.
    pub days: Option<i32>,
}

pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    user_id: i64,
    token_hash: &[u8],
    new: &New<'_>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO api_tokens (token_hash, user_id, name, scopes, expires_at)
         VALUES ($1, $2, $3, $4, now() + make_interval(days => $5))
         RETURNING id",
        token_hash,
        user_id,
        new.name,
        new.scopes,
        new.days,
    )
    .fetch_one(db)
    .await
}

/// The keys of an account, newest first.
pub async fn list(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT id, name, scopes, created_at, expires_at, last_used_at
           FROM api_tokens
          WHERE user_id = $1
          ORDER BY id DESC",
        user_id,
    )
    .fetch_all(db)
    .await
}

/// Ends a key; false where the account has none of this number.
pub async fn delete(db: impl PgExecutor<'_>, user_id: i64, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM api_tokens WHERE id = $1 AND user_id = $2",
        id,
        user_id
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes keys that have ended long ago.
pub async fn delete_old(db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM api_tokens WHERE expires_at < now() - interval '30 days'")
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}

/// Whose key it is, if it works, and what for.
#[derive(Debug)]
pub(crate) struct Bearer {
    /// The key.
    pub(crate) id: i64,
    /// What it is good for.
    pub(crate) scopes: Vec<String>,
    /// Whether it is time to note that it is in use.
    pub(crate) is_stale: bool,
    /// Its owner.
    pub(crate) user_id: i64,
}

pub(crate) async fn find_bearer(
    db: impl PgExecutor<'_>,
    token_hash: &[u8],
) -> sqlx::Result<Option<Bearer>> {
    sqlx::query_as!(
        Bearer,
        r#"SELECT id, user_id, scopes,
                  (last_used_at IS NULL OR last_used_at < now() - interval '1 minute') AS "is_stale!"
             FROM api_tokens
            WHERE token_hash = $1
              AND (expires_at IS NULL OR expires_at > now())"#,
        token_hash,
    )
    .fetch_optional(db)
    .await
}

pub(crate) async fn set_used(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE api_tokens SET last_used_at = now() WHERE id = $1",
        id
    )
    .execute(db)
    .await?;
    Ok(())
}
