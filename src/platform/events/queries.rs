//! SQL of the event store. Must not know what the events mean.

use sqlx::PgExecutor;

use super::{Event, NewEvent};

pub(super) async fn version(db: impl PgExecutor<'_>, stream: &str) -> sqlx::Result<i32> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(max(version), 0) AS "version!" FROM events WHERE stream = $1"#,
        stream
    )
    .fetch_one(db)
    .await
}

pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    event: &NewEvent<'_>,
    version: i32,
) -> sqlx::Result<Event> {
    sqlx::query_as!(
        Event,
        r#"INSERT INTO events (stream, version, type, data, meta)
           VALUES ($1, $2, $3, $4, $5)
           RETURNING id, stream, version, type AS "kind", time, data, meta"#,
        event.stream,
        version,
        event.kind,
        event.data,
        event.meta,
    )
    .fetch_one(db)
    .await
}

pub(super) async fn list_stream(
    db: impl PgExecutor<'_>,
    stream: &str,
    from: i32,
) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Event,
        r#"SELECT id, stream, version, type AS "kind", time, data, meta
             FROM events
            WHERE stream = $1
              AND version >= $2
            ORDER BY version"#,
        stream,
        from,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn list_all(
    db: impl PgExecutor<'_>,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Event,
        r#"SELECT id, stream, version, type AS "kind", time, data, meta
             FROM events
            WHERE id > $1
            ORDER BY id
            LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(db)
    .await
}
