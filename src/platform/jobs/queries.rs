//! SQL of jobs. Must not know what they do.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;

use super::{CHANNEL, Job, LEASE, NewJob};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for its time or a worker.
    Queued,
    /// Is at work.
    Running,
    /// Is done.
    Done,
    /// Was given up.
    Dead,
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Done, Self::Dead];

    /// The word in the table and in the console's address.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One job, as the console shows it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// Which handler does it.
    pub kind: String,
    /// What about.
    pub payload: Value,
    /// A [`State::name`].
    pub state: String,
    /// Attempts begun.
    pub attempts: i32,
    /// When it may begin; while it runs, when its worker is taken for dead.
    pub run_at: DateTime<Utc>,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When the last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was done or given up.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long the last attempt took.
    pub duration_ms: Option<i32>,
}

/// Figures of one kind; those of done jobs reach back as far as these are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct KindStats {
    /// Which.
    pub kind: String,
    /// Waiting.
    pub queued: i64,
    /// At work.
    pub running: i64,
    /// Done.
    pub done: i64,
    /// Given up.
    pub dead: i64,
    /// Waiting after a failure.
    pub retrying: i64,
    /// When the last one was done or given up.
    pub last_at: Option<DateTime<Utc>>,
    /// Mean time of the done ones, in milliseconds.
    pub mean_ms: Option<f64>,
    /// For how long the oldest one that is due has waited, in seconds.
    pub overdue_seconds: Option<f64>,
}

/// How the queue is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backlog {
    /// Jobs that are due and wait for a worker.
    pub due: i64,
    /// For how long the oldest of them has waited, in seconds.
    pub oldest_seconds: f64,
    /// Jobs at work.
    pub running: i64,
    /// Jobs that were given up in the last hour.
    pub given_up: i64,
}

/// One periodic job.
#[derive(Clone, Debug)]
pub struct ScheduleRow {
    /// The kind of job that it writes.
    pub kind: String,
    /// Its cron pattern, in UTC.
    pub pattern: String,
    /// When it comes next.
    pub next_at: DateTime<Utc>,
    /// When it came last.
    pub last_at: Option<DateTime<Utc>>,
}

/// Writes a job as part of the trace `traceparent`; `None` where one with its unique key waits or runs.
pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    job: &NewJob<'_>,
    traceparent: Option<&str>,
) -> sqlx::Result<Option<i64>> {
    let row = sqlx::query!(
        r#"WITH written AS (
               INSERT INTO jobs (kind, payload, unique_key, run_at, traceparent)
               VALUES ($1, $2, $3, $4, $6)
               ON CONFLICT (kind, unique_key) WHERE state IN ('queued', 'running') DO NOTHING
               RETURNING id)
           SELECT id, pg_notify($5, '') AS "told: ()" FROM written"#,
        job.kind,
        job.payload,
        job.unique_key,
        job.run_at,
        CHANNEL,
        traceparent,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| row.id))
}

/// Takes up to `limit` jobs that are due, of the kinds that this process can do; those of workers that have died too.
pub(super) async fn claim(
    db: impl PgExecutor<'_>,
    kinds: &[String],
    limit: i64,
) -> sqlx::Result<Vec<Job>> {
    let rows = sqlx::query!(
        "WITH due AS (
             SELECT id
               FROM jobs
              WHERE state IN ('queued', 'running')
                AND run_at <= now()
                AND kind = ANY ($1)
              ORDER BY run_at, id
              LIMIT $2
                FOR UPDATE SKIP LOCKED)
         UPDATE jobs j
            SET state = 'running',
                attempts = j.attempts + 1,
                started_at = now(),
                run_at = now() + make_interval(secs => $3)
           FROM due
          WHERE j.id = due.id
         RETURNING j.id, j.kind, j.payload, j.attempts, j.created_at, j.traceparent",
        kinds,
        limit,
        LEASE.as_secs_f64(),
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Job {
            id: row.id,
            kind: row.kind,
            payload: row.payload,
            attempt: row.attempts.unsigned_abs(),
            created_at: row.created_at,
            traceparent: row.traceparent,
        })
        .collect())
}

pub(super) async fn is_overtaken(
    db: impl PgExecutor<'_>,
    job: &Job,
    prefix: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1
                            FROM jobs
                           WHERE id > $1
                             AND kind = $2
                             AND starts_with(unique_key, $3)) AS "overtaken!""#,
        job.id,
        job.kind,
        prefix,
    )
    .fetch_one(db)
    .await
}

/// Notes that an attempt has succeeded, unless the job has been begun again meanwhile. What it was about is forgotten.
pub(super) async fn set_done(
    db: impl PgExecutor<'_>,
    job: &Job,
    duration_ms: i32,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE jobs
            SET state = 'done', finished_at = now(), duration_ms = $3, payload = '{}', last_error = NULL
          WHERE id = $1
            AND state = 'running'
            AND attempts = $2",
        job.id,
        job.attempt.cast_signed(),
        duration_ms,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that an attempt has failed: the job comes again after `pause_seconds`, or is given up where there is none.
pub(super) async fn set_failed(
    db: impl PgExecutor<'_>,
    job: &Job,
    duration_ms: i32,
    sentence: &str,
    pause_seconds: Option<f64>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE jobs
            SET state = CASE WHEN $5::float8 IS NULL THEN 'dead' ELSE 'queued' END,
                finished_at = CASE WHEN $5::float8 IS NULL THEN now() END,
                run_at = now() + make_interval(secs => coalesce($5, 0)),
                duration_ms = $3,
                last_error = left($4, 1000)
          WHERE id = $1
            AND state = 'running'
            AND attempts = $2",
        job.id,
        job.attempt.cast_signed(),
        duration_ms,
        sentence,
        pause_seconds,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives back jobs that were cut off by the end of the process: the attempt does not count.
pub(super) async fn release(db: impl PgExecutor<'_>, jobs: &[(i64, i32)]) -> sqlx::Result<u64> {
    let (ids, attempts): (Vec<i64>, Vec<i32>) = jobs.iter().copied().unzip();
    let done = sqlx::query!(
        "UPDATE jobs j
            SET state = 'queued', attempts = j.attempts - 1, run_at = now()
           FROM unnest($1::bigint[], $2::integer[]) AS mine (id, attempts)
          WHERE j.id = mine.id
            AND j.attempts = mine.attempts
            AND j.state = 'running'",
        &ids,
        &attempts,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Notes a periodic job; a changed pattern begins anew.
pub(super) async fn set_schedule(
    db: impl PgExecutor<'_>,
    kind: &str,
    pattern: &str,
    next_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO job_schedules (kind, pattern, next_at)
         VALUES ($1, $2, $3)
         ON CONFLICT (kind) DO UPDATE
            SET pattern = excluded.pattern, next_at = excluded.next_at
          WHERE job_schedules.pattern <> excluded.pattern",
        kind,
        pattern,
        next_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Moves a periodic job that is due on to its next time, and writes the job, in one statement; false where it is not
/// due, or another instance was faster.
pub(super) async fn advance(
    db: impl PgExecutor<'_>,
    kind: &str,
    next_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        r#"WITH moved AS (
               UPDATE job_schedules
                  SET next_at = $2, last_at = now()
                WHERE kind = $1
                  AND next_at <= now()
               RETURNING kind),
           written AS (
               INSERT INTO jobs (kind, unique_key)
               SELECT kind, 'cron' FROM moved
               ON CONFLICT (kind, unique_key) WHERE state IN ('queued', 'running') DO NOTHING)
           SELECT kind FROM moved"#,
        kind,
        next_at,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

pub(super) async fn list_schedules(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<ScheduleRow>> {
    sqlx::query_as!(
        ScheduleRow,
        "SELECT kind, pattern, next_at, last_at
           FROM job_schedules
          ORDER BY kind"
    )
    .fetch_all(db)
    .await
}

pub(super) async fn stats(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<KindStats>> {
    sqlx::query_as!(
        KindStats,
        r#"SELECT kind,
                  count(*) FILTER (WHERE state = 'queued') AS "queued!",
                  count(*) FILTER (WHERE state = 'running') AS "running!",
                  count(*) FILTER (WHERE state = 'done') AS "done!",
                  count(*) FILTER (WHERE state = 'dead') AS "dead!",
                  count(*) FILTER (WHERE state = 'queued' AND attempts > 0) AS "retrying!",
                  max(finished_at) AS last_at,
                  (avg(duration_ms) FILTER (WHERE state = 'done'))::float8 AS mean_ms,
                  extract(epoch FROM now() - min(run_at) FILTER (WHERE state = 'queued' AND run_at <= now()))::float8
                      AS overdue_seconds
             FROM jobs
            GROUP BY kind
            ORDER BY kind"#
    )
    .fetch_all(db)
    .await
}

/// Reads two partial indexes, however many jobs are done.
pub(super) async fn backlog(db: impl PgExecutor<'_>) -> sqlx::Result<Backlog> {
    sqlx::query_as!(
        Backlog,
        r#"SELECT count(*) FILTER (WHERE state = 'queued' AND run_at <= now()) AS "due!",
                  coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE state = 'queued' AND run_at <= now())), 0)::float8
                      AS "oldest_seconds!",
                  count(*) FILTER (WHERE state = 'running') AS "running!",
                  (SELECT count(*)
                     FROM jobs
                    WHERE state IN ('done', 'dead')
                      AND state = 'dead'
                      AND finished_at > now() - interval '1 hour') AS "given_up!"
             FROM jobs
            WHERE state IN ('queued', 'running')"#
    )
    .fetch_one(db)
    .await
}

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    state: Option<State>,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT id, kind, payload, state, attempts, run_at, last_error, created_at, started_at, finished_at, duration_ms
           FROM jobs
          WHERE ($1::text IS NULL OR state = $1)
            AND ($2::bigint IS NULL OR id < $2)
          ORDER BY id DESC
          LIMIT $3",
        state.map(State::name),
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn run_now(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        r#"WITH again AS (
               UPDATE jobs
                  SET state = 'queued', attempts = 0, run_at = now(), finished_at = NULL
                WHERE id = $1
                  AND state IN ('queued', 'dead')
               RETURNING id)
           SELECT id, pg_notify($2, '') AS "told: ()" FROM again"#,
        id,
        CHANNEL,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

pub(super) async fn delete(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!("DELETE FROM jobs WHERE id = $1 AND state <> 'running'", id)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn delete_old(
    db: impl PgExecutor<'_>,
    done_days: i32,
    dead_days: i32,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM jobs
          WHERE (state = 'done' AND finished_at < now() - make_interval(days => $1))
             OR (state = 'dead' AND finished_at < now() - make_interval(days => $2))",
        done_days,
        dead_days,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
