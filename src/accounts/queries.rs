//! SQL of accounts. Must not know passwords in the clear, or posts.

use sqlx::PgExecutor;

use super::model::ViewerRow;

/// Who this account is and what it may do, in one row.
pub async fn find_viewer(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Option<ViewerRow>> {
    let row = sqlx::query_scalar!(
        r#"SELECT to_jsonb(v) AS "viewer!: sqlx::types::Json<ViewerRow>"
             FROM viewers v
            WHERE v.user_id = $1"#,
        user_id,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|json| json.0))
}
