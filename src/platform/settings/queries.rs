//! SQL of the settings. Must not know their types.

use sqlx::PgExecutor;

pub(super) async fn list(
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<(String, serde_json::Value)>> {
    let rows = sqlx::query!("SELECT key, value FROM settings")
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
}
