//! Jobs (S39): work that must not be lost, as rows in PostgreSQL, written in the transaction of their cause and done at
//! least once by a worker of any instance. Must not know what the jobs do.
//!
//! Why a store of our own: the crates that fit sqlx 0.9 (graphile_worker, apalis-postgres) want sqlx's pool, which stays
//! wedged after a frozen server (see `db/pool.rs`), and bring schemas with migrations of their own, which neither the
//! check for a schema newer than the binary nor `sqlx migrate run` would know.
//!
//! **Architecture invariant:** no job is taken before the transaction that wrote it has committed, and none leaves the
//! table before its work is done or given up; a worker that dies keeps its job for [`LEASE`] only.

mod queries;
mod registry;
mod runner;
pub mod schedule;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;

pub use queries::{Backlog, KindStats, Row, ScheduleRow, State};
pub use registry::{Limits, Registry};
pub use runner::Runner;

use super::observe::trace;

/// The channel of `NOTIFY` that wakes the workers of all instances.
pub const CHANNEL: &str = "jobs";

/// A job that has run for so long is taken for lost with its worker, and begun again; every kind's time limit is below.
pub const LEASE: Duration = Duration::from_secs(120);

/// How long jobs that are done, and those that were given up, are kept to be looked at.
pub const KEEP_DONE_DAYS: i32 = 7;
/// See [`KEEP_DONE_DAYS`].
pub const KEEP_DEAD_DAYS: i32 = 60;

/// A job that is about to be written.
#[derive(Clone, Debug)]
pub struct NewJob<'a> {
    /// Which handler does it.
    pub kind: &'a str,
    /// What about; never a secret.
    pub payload: Value,
    /// While a job of this kind with this key waits or runs, another is not written.
    pub unique_key: Option<&'a str>,
    /// When it may begin; now is in time.
    pub run_at: DateTime<Utc>,
}

impl<'a> NewJob<'a> {
    /// A job to be done as soon as possible.
    pub fn new(kind: &'a str, payload: Value) -> Self {
        Self {
            kind,
            payload,
            unique_key: None,
            run_at: Utc::now(),
        }
    }

    /// The same, once at a time.
    #[must_use]
    pub fn unique(self, key: &'a str) -> Self {
        Self {
            unique_key: Some(key),
            ..self
        }
    }
}

/// A job at work.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// As it was written.
    pub kind: String,
    /// As it was written.
    pub payload: Value,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// The trace of what caused it, where it has a cause.
    pub traceparent: Option<String>,
}

impl Job {
    /// The payload's number of this name.
    ///
    /// # Errors
    /// A failure that no second attempt helps, where there is none.
    pub fn number(&self, name: &str) -> Result<i64, Failure> {
        self.payload[name]
            .as_i64()
            .ok_or_else(|| Failure::never(format!("the payload has no number {name}")))
    }

    /// The payload's text of this name.
    ///
    /// # Errors
    /// As [`Job::number`].
    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        self.payload[name]
            .as_str()
            .ok_or_else(|| Failure::never(format!("the payload has no text {name}")))
    }
}

/// Why a job was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened, for the operator.
    pub sentence: String,
    /// Whether trying again may help.
    pub again: bool,
}

impl Failure {
    /// Something that may pass.
    pub fn again(cause: impl std::fmt::Display) -> Self {
        Self {
            sentence: cause.to_string(),
            again: true,
        }
    }

    /// Something that will not pass by itself: the job is given up at once.
    pub fn never(cause: impl std::fmt::Display) -> Self {
        Self {
            sentence: cause.to_string(),
            again: false,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::again(error)
    }
}

/// Writes a job, in the caller's transaction where there is one, and gives its number; `None` where one with its unique
/// key waits or runs already. Workers hear of it when the transaction commits; the job goes on in the trace of the caller.
///
/// # Errors
/// What the database said.
pub async fn enqueue(db: impl PgExecutor<'_>, job: &NewJob<'_>) -> sqlx::Result<Option<i64>> {
    queries::insert(db, job, trace::traceparent().as_deref()).await
}

/// Whether a later job of the same kind was written whose unique key begins with `prefix`.
///
/// # Errors
/// What the database said.
pub async fn is_overtaken(db: impl PgExecutor<'_>, job: &Job, prefix: &str) -> sqlx::Result<bool> {
    queries::is_overtaken(db, job, prefix).await
}

/// Figures by kind, for the console and metrics.
///
/// # Errors
/// What the database said.
pub async fn stats(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<KindStats>> {
    queries::stats(db).await
}

/// What waits and what was given up lately, for health.
///
/// # Errors
/// What the database said.
pub async fn backlog(db: impl PgExecutor<'_>) -> sqlx::Result<Backlog> {
    queries::backlog(db).await
}

/// Up to `limit` jobs in one state (in any, for `None`) before the job `before`, newest first.
///
/// # Errors
/// What the database said.
pub async fn list(
    db: impl PgExecutor<'_>,
    state: Option<State>,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    queries::list(db, state, before, limit).await
}

/// The periodic jobs.
///
/// # Errors
/// What the database said.
pub async fn schedules(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<ScheduleRow>> {
    queries::list_schedules(db).await
}

/// Lets a job that waits or was given up run now, with all its attempts before it; false where it is in neither state.
///
/// # Errors
/// What the database said; `jobs_unique_key` is violated where one with its unique key waits or runs.
pub async fn run_now(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
    queries::run_now(db, id).await
}

/// Deletes a job that does not run; false where there is none.
///
/// # Errors
/// What the database said.
pub async fn delete(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
    queries::delete(db, id).await
}

/// Deletes what has been kept long enough, and gives the count.
///
/// # Errors
/// What the database said.
pub async fn sweep(db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    queries::delete_old(db, KEEP_DONE_DAYS, KEEP_DEAD_DAYS).await
}
