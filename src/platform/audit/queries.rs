//! SQL of the audit. Must not know what was changed.

use sqlx::PgExecutor;

use super::{Change, Entry, Filter, Who};

pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    who: Who<'_>,
    change: Change<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO audit (actor_id, subject, action, before, after, request_id)
         VALUES ($1, $2, $3, $4, $5, $6)",
        who.actor_id,
        change.subject,
        change.action,
        change.before,
        change.after,
        who.request_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    filter: Filter<'_>,
    limit: i64,
) -> sqlx::Result<Vec<Entry>> {
    sqlx::query_as!(
        Entry,
        r#"SELECT a.id, a.time, u.username AS "actor?", a.subject, a.action, a.before, a.after, a.request_id
             FROM audit a
             LEFT JOIN users u ON u.id = a.actor_id
            WHERE starts_with(a.subject, $1)
              AND ($2 = '' OR a.actor_id = (SELECT id FROM users WHERE name_key = lower($2)))
              AND ($3::bigint IS NULL OR a.id < $3)
            ORDER BY a.id DESC
            LIMIT $4"#,
        filter.subject,
        filter.actor,
        filter.before,
        limit,
    )
    .fetch_all(db)
    .await
}
