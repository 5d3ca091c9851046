//! SQL of the activity log. Must not know when it runs.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::Record;

/// Names the advisory lock of the upkeep: "activity" as a number.
const LOCK: i64 = 0x6163_7469_7669;

/// A crash of the server may take the last half second of the log, and no write waits for the disk.
pub(super) async fn relax(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('synchronous_commit', 'off', false)")
        .fetch_one(db)
        .await?;
    Ok(())
}

pub(super) async fn insert(db: &mut PgConnection, batch: &[Record]) -> sqlx::Result<()> {
    fn column<'a, T>(batch: &'a [Record], read: impl Fn(&'a Record) -> T) -> Vec<T> {
        batch.iter().map(read).collect()
    }
    sqlx::query!(
        "INSERT INTO activity
                (at, user_id, action, resource, resource_id, method, route, path, query, status, duration_us, address,
                 agent, request_id)
         SELECT at, user_id, action, resource, resource_id, method, route, path, query, status, duration_us, address::inet,
                agent, request_id
           FROM unnest($1::timestamptz[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
                       $8::text[], $9::text[], $10::smallint[], $11::bigint[], $12::text[], $13::text[], $14::text[])
             AS r (at, user_id, action, resource, resource_id, method, route, path, query, status, duration_us, address,
                   agent, request_id)",
        &column(batch, |r| r.at),
        &column(batch, |r| r.user_id) as &[Option<i64>],
        &column(batch, |r| r.action.as_str()) as &[&str],
        &column(batch, |r| r.resource) as &[Option<&str>],
        &column(batch, |r| r.resource_id) as &[Option<i64>],
        &column(batch, |r| r.method.as_str()) as &[&str],
        &column(batch, |r| &*r.route) as &[&str],
        &column(batch, |r| r.path.as_str()) as &[&str],
        &column(batch, |r| r.query.as_str()) as &[&str],
        &column(batch, |r| i16::try_from(r.status).unwrap_or_default()),
        &column(batch, |r| i64::try_from(r.duration.as_micros()).unwrap_or(i64::MAX)),
        &column(batch, |r| r.address.to_string()),
        &column(batch, |r| r.agent.as_str()) as &[&str],
        &column(batch, |r| r.request_id.as_str()) as &[&str],
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn ensure_months(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    // 32 days on is the next month, or the one after it: never this one.
    sqlx::query!(
        r#"SELECT activity_ensure_month($1)::text AS "this", activity_ensure_month($2)::text AS "next""#,
        now,
        now + TimeDelta::days(32),
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

pub(super) async fn lock(db: impl PgExecutor<'_>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, LOCK)
        .fetch_one(db)
        .await
}

pub(super) async fn drop_old(db: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("SELECT activity_drop_months_before($1)", before)
        .fetch_one(&mut *db)
        .await?;
    // What is left of the month on the edge.
    sqlx::query!("DELETE FROM activity WHERE at < $1", before)
        .execute(db)
        .await?;
    Ok(())
}

/// An IPv4 address keeps 24 bits, an IPv6 address 48.
pub(super) async fn shorten(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "UPDATE activity
            SET address = network(set_masklen(address, CASE family(address) WHEN 4 THEN 24 ELSE 48 END))
          WHERE at < $1
            AND masklen(address) = CASE family(address) WHEN 4 THEN 32 ELSE 128 END",
        before,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
