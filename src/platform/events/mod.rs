//! The event store (S37): streams of what happened, with expected versions. Must not know what the events mean.
//!
//! An event and the projections that follow from it are written in one transaction by the slice that appends it.

mod queries;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number in the order of the whole store.
    pub id: i64,
    /// What it happened to, such as `post-42`.
    pub stream: String,
    /// Its number in the stream, from 1.
    pub version: i32,
    /// What happened, such as `PostRemoved`.
    pub kind: String,
    /// When.
    pub time: DateTime<Utc>,
    /// What about it; never personal data.
    pub data: Value,
    /// Who did it, and by which request.
    pub meta: Value,
}

/// An event that is about to be appended.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    /// As [`Event::stream`].
    pub stream: &'a str,
    /// As [`Event::kind`].
    pub kind: &'a str,
    /// As [`Event::data`].
    pub data: Value,
    /// As [`Event::meta`].
    pub meta: Value,
}

/// Why an event was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream has grown since it was read: someone else was faster.
    #[error("the stream {stream} is not at version {expected} any more")]
    Conflict {
        /// Which stream.
        stream: String,
        /// The version that was expected.
        expected: i32,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The version that a stream is at; 0 before its first event.
///
/// # Errors
/// What the database said.
pub async fn version(db: impl PgExecutor<'_>, stream: &str) -> sqlx::Result<i32> {
    queries::version(db, stream).await
}

/// Appends an event to a stream that is expected to be at `expected`, and gives it back as stored. The constraint
/// `events_stream_version_key` settles races.
///
/// # Errors
/// [`AppendError::Conflict`] if the stream is elsewhere.
pub async fn append(
    db: impl PgExecutor<'_>,
    event: NewEvent<'_>,
    expected: i32,
) -> Result<Event, AppendError> {
    match queries::insert(db, &event, expected + 1).await {
        Ok(event) => Ok(event),
        Err(sqlx::Error::Database(e)) if e.constraint() == Some("events_stream_version_key") => {
            Err(AppendError::Conflict {
                stream: event.stream.to_owned(),
                expected,
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// The events of a stream from a version on, oldest first.
///
/// # Errors
/// What the database said.
pub async fn read(
    db: impl PgExecutor<'_>,
    stream: &str,
    from_version: i32,
) -> sqlx::Result<Vec<Event>> {
    queries::list_stream(db, stream, from_version).await
}

/// Up to `limit` events of the whole store after `after`, oldest first; for rebuilding projections.
///
/// # Errors
/// What the database said.
pub async fn read_all(db: &mut PgConnection, after: i64, limit: i64) -> sqlx::Result<Vec<Event>> {
    queries::list_all(db, after, limit).await
}
