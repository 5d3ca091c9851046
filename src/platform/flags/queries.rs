//! SQL of the flags. Must not know what they switch.

use sqlx::PgExecutor;

use super::{CHANNEL, Flag};

pub(super) async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Flag>> {
    sqlx::query_as!(
        Flag,
        "SELECT name, description, is_on, environments, segments, percentage, user_ids, is_built_in, updated_at,
                evaluated_at
           FROM flags
          ORDER BY name"
    )
    .fetch_all(db)
    .await
}

pub(super) async fn find(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<Flag>> {
    sqlx::query_as!(
        Flag,
        "SELECT name, description, is_on, environments, segments, percentage, user_ids, is_built_in, updated_at,
                evaluated_at
           FROM flags
          WHERE name = $1",
        name,
    )
    .fetch_optional(db)
    .await
}

/// The flag, which nobody else changes before this transaction ends.
pub(super) async fn lock(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<Flag>> {
    sqlx::query_as!(
        Flag,
        "SELECT name, description, is_on, environments, segments, percentage, user_ids, is_built_in, updated_at,
                evaluated_at
           FROM flags
          WHERE name = $1
            FOR UPDATE",
        name,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    name: &str,
    description: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"WITH made AS (INSERT INTO flags (name, description) VALUES ($1, $2))
           SELECT pg_notify($3, $1) AS "told: ()""#,
        name,
        description,
        CHANNEL,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

pub(super) async fn update(db: impl PgExecutor<'_>, flag: &Flag) -> sqlx::Result<()> {
    sqlx::query!(
        r#"WITH kept AS (
               UPDATE flags
                  SET description = $2, is_on = $3, environments = $4, segments = $5, percentage = $6, user_ids = $7,
                      updated_at = now()
                WHERE name = $1)
           SELECT pg_notify($8, $1) AS "told: ()""#,
        flag.name,
        flag.description,
        flag.is_on,
        &flag.environments,
        &flag.segments,
        flag.percentage,
        &flag.user_ids,
        CHANNEL,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

pub(super) async fn delete(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"WITH gone AS (DELETE FROM flags WHERE name = $1)
           SELECT pg_notify($2, $1) AS "told: ()""#,
        name,
        CHANNEL,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Notes when flags were last asked for, in seconds since 1970, where that is later than what is noted.
pub(super) async fn set_evaluated(
    db: impl PgExecutor<'_>,
    asked: Vec<(String, f64)>,
) -> sqlx::Result<()> {
    let (names, times): (Vec<String>, Vec<f64>) = asked.into_iter().unzip();
    sqlx::query!(
        "UPDATE flags f
            SET evaluated_at = greatest(f.evaluated_at, to_timestamp(asked.at))
           FROM unnest($1::text[], $2::float8[]) AS asked (name, at)
          WHERE f.name = asked.name",
        &names,
        &times,
    )
    .execute(db)
    .await?;
    Ok(())
}
