//! SQL of the settings. Must not know their types.

use serde_json::Value;
use sqlx::PgExecutor;

use super::CHANNEL;

pub(super) async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<(String, Value)>> {
    let rows = sqlx::query!("SELECT key, value FROM settings")
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
}

/// The stored value, which nobody else changes before this transaction ends.
pub(super) async fn lock(db: impl PgExecutor<'_>, key: &str) -> sqlx::Result<Option<Value>> {
    sqlx::query_scalar!("SELECT value FROM settings WHERE key = $1 FOR UPDATE", key)
        .fetch_optional(db)
        .await
}

pub(super) async fn set(db: impl PgExecutor<'_>, key: &str, value: &Value) -> sqlx::Result<()> {
    sqlx::query!(
        r#"WITH kept AS (
               INSERT INTO settings (key, value)
               VALUES ($1, $2)
               ON CONFLICT (key) DO UPDATE
                  SET value = excluded.value, updated_at = now())
           SELECT pg_notify($3, $1) AS "told: ()""#,
        key,
        value,
        CHANNEL,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

pub(super) async fn delete(db: impl PgExecutor<'_>, key: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"WITH gone AS (DELETE FROM settings WHERE key = $1)
           SELECT pg_notify($2, $1) AS "told: ()""#,
        key,
        CHANNEL,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}
