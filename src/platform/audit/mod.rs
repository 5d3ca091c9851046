//! The audit: who changed what in the console, before and after. Must not know what the values mean; they must hold no
//! secret and no personal data.

mod queries;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;

/// Who changes something, and by which request.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The account; `None` is the command line.
    pub actor_id: Option<i64>,
    /// The request's id; empty without one.
    pub request_id: &'a str,
}

/// A change that is about to be written down, in the transaction that makes it.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// Kind and name of what is changed, such as `setting:site.name`.
    pub subject: &'a str,
    /// What is done to it, such as `set`.
    pub action: &'a str,
    /// How it was; `None` where it was not.
    pub before: Option<Value>,
    /// How it is; `None` where it is no more.
    pub after: Option<Value>,
}

/// A change as it was written down.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// When.
    pub time: DateTime<Utc>,
    /// Who, by name; `None` is the command line, or an account that is gone.
    pub actor: Option<String>,
    /// As [`Change::subject`].
    pub subject: String,
    /// As [`Change::action`].
    pub action: String,
    /// As [`Change::before`].
    pub before: Option<Value>,
    /// As [`Change::after`].
    pub after: Option<Value>,
    /// The request's id.
    pub request_id: String,
}

/// What to look for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// How the subject begins; empty is any.
    pub subject: &'a str,
    /// The user name of who did it; empty is any.
    pub actor: &'a str,
    /// Only what is older than this entry.
    pub before: Option<i64>,
}

/// Writes a change down.
///
/// # Errors
/// What the database said.
pub async fn record(db: impl PgExecutor<'_>, who: Who<'_>, change: Change<'_>) -> sqlx::Result<()> {
    queries::insert(db, who, change).await
}

/// The newest `limit` changes that fit.
///
/// # Errors
/// What the database said.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: Filter<'_>,
    limit: i64,
) -> sqlx::Result<Vec<Entry>> {
    queries::list(db, filter, limit).await
}
