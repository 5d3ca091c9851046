//! SQL of domains. Must not know lists.

use sqlx::PgExecutor;

/// Whether any post has ever linked there.
pub async fn exists(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM domains WHERE name = $1) AS "exists!""#,
        name
    )
    .fetch_one(db)
    .await
}
