//! SQL of the sessions that live in PostgreSQL. Must not know how a session is renewed.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;

/// A session and who it belongs to, in one row.
pub(super) struct Row {
    pub(super) state: Value,
    pub(super) viewer: Option<Value>,
}

pub(super) async fn find(db: impl PgExecutor<'_>, token_hash: &[u8]) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        r#"SELECT s.state,
                  to_jsonb(v) AS viewer
             FROM sessions s
             JOIN viewers v ON v.user_id = s.user_id
            WHERE s.token_hash = $1"#,
        token_hash,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    token_hash: &[u8],
    user_id: i64,
    state: &Value,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO sessions (token_hash, user_id, state, created_at, last_seen_at, expires_at)
         VALUES ($1, $2, $3, $4, $4, $5)",
        token_hash,
        user_id,
        state,
        created_at,
        expires_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes a used session back; one that was ended meanwhile stays ended.
pub(super) async fn set_used(
    db: impl PgExecutor<'_>,
    token_hash: &[u8],
    state: &Value,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sessions
            SET state = $2, last_seen_at = $3, expires_at = $4
          WHERE token_hash = $1",
        token_hash,
        state,
        last_seen_at,
        expires_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    user_id: i64,
) -> sqlx::Result<Vec<(Vec<u8>, Value)>> {
    let rows = sqlx::query!(
        "SELECT token_hash, state
           FROM sessions
          WHERE user_id = $1
          ORDER BY last_seen_at DESC
          LIMIT 200",
        user_id,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.token_hash, row.state))
        .collect())
}

pub(super) async fn delete(
    db: impl PgExecutor<'_>,
    user_id: Option<i64>,
    token_hash: &[u8],
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM sessions
          WHERE token_hash = $1
            AND ($2::bigint IS NULL OR user_id = $2)",
        token_hash,
        user_id,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn delete_all(
    db: impl PgExecutor<'_>,
    user_id: i64,
    except: Option<&[u8]>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM sessions
          WHERE user_id = $1
            AND ($2::bytea IS NULL OR token_hash <> $2)",
        user_id,
        except,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn delete_expired(db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM sessions WHERE expires_at <= now()")
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}
