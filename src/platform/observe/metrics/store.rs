//! Minutes of routes in the database. Must not know how they are counted.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::Minute;

/// Stores what one instance has counted in a minute; written twice, it stands there once.
///
/// # Errors
/// As the database said.
pub async fn insert(
    db: impl PgExecutor<'_>,
    at: DateTime<Utc>,
    instance: &str,
    minutes: &[Minute],
) -> sqlx::Result<()> {
    let routes: Vec<String> = minutes.iter().map(|m| m.route.clone()).collect();
    let column = |read: fn(&Minute) -> i64| minutes.iter().map(read).collect::<Vec<i64>>();
    sqlx::query!(
        "INSERT INTO route_minutes
                (at, instance, route, total, failed, server_errors, mean_us, p95_us, p99_us, max_us)
         SELECT date_trunc('minute', $1::timestamptz), $2, *
           FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
                       $10::bigint[])
             ON CONFLICT ON CONSTRAINT route_minutes_pkey DO NOTHING",
        at,
        instance,
        &routes,
        &column(|m| m.total),
        &column(|m| m.failed),
        &column(|m| m.server_errors),
        &column(|m| m.mean_us),
        &column(|m| m.p95_us),
        &column(|m| m.p99_us),
        &column(|m| m.max_us),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Drops minutes older than so many days.
///
/// # Errors
/// As the database said.
pub async fn delete_old(db: impl PgExecutor<'_>, days: u32) -> sqlx::Result<()> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    sqlx::query!(
        "DELETE FROM route_minutes WHERE at < now() - make_interval(days => $1)",
        days
    )
    .execute(db)
    .await?;
    Ok(())
}
