//! What an `sqlx::Error` says about the database being away. Must not know HTTP: that an absent
//! database is a 503 is `web::Error`'s business.

use std::io;

use sqlx::Error;

/// The source of the `sqlx::Error::Io` (kind `TimedOut`) that a [`Conn`](super::Conn) gives once its
/// time is used up. [`is_deadline`] recognises it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the time allowed for the database is used up")]
pub struct DeadlineExceeded;

/// The error of a used-up deadline.
pub(super) fn deadline_exceeded() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, DeadlineExceeded))
}

/// Whether the error is a [`Conn`](super::Conn)'s deadline.
pub fn is_deadline(error: &Error) -> bool {
    match error {
        Error::Io(io) => io
            .get_ref()
            .is_some_and(|source| source.is::<DeadlineExceeded>()),
        _ => false,
    }
}

/// SQLSTATE codes that mean "not now", by <https://www.postgresql.org/docs/current/errcodes-appendix.html>:
/// beside class 08 (connection), those of a server that is overloaded, ending, starting, or that cut a
/// statement off for its time.
const NOT_NOW: &[&str] = &[
    "40001", // serialization_failure: after several attempts
    "40P01", // deadlock_detected: likewise
    "25P03", // idle_in_transaction_session_timeout
    "25006", // read_only_sql_transaction: a primary that has just become a standby
    "53000", // insufficient_resources
    "53100", // disk_full
    "53200", // out_of_memory
    "53300", // too_many_connections
    "55P03", // lock_not_available: lock_timeout
    "57014", // query_canceled: statement_timeout
    "57P01", // admin_shutdown
    "57P02", // crash_shutdown
    "57P03", // cannot_connect_now
    "57P05", // idle_session_timeout
];

/// SQLSTATE codes after which the connection itself is gone.
const CONNECTION_LOST: &[&str] = &["25P03", "57P01", "57P02", "57P03", "57P05"];

/// Whether the database cannot answer now, though the same request may succeed later: the pool is
/// exhausted, the connection is lost, the deadline or a server-side timeout has passed.
pub fn is_unavailable(error: &Error) -> bool {
    match error {
        Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("08") || NOT_NOW.contains(&code.as_ref())),
        other => {
            is_connection_lost(other) || matches!(other, Error::PoolTimedOut | Error::PoolClosed)
        }
    }
}

/// Whether the connection that gave this error must not be used again.
pub(super) fn is_connection_lost(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("08") || CONNECTION_LOST.contains(&code.as_ref())),
        _ => false,
    }
}

/// Why a transaction may succeed if it is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another one was in its way.
    Conflict,
    /// Its connection is gone.
    Lost,
}

impl Trouble {
    /// What this error says about another attempt, if anything.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Database(error)
                if matches!(error.code().as_deref(), Some("40001" | "40P01")) =>
            {
                Some(Self::Conflict)
            }
            error if is_connection_lost(error) && !is_deadline(error) => Some(Self::Lost),
            _ => None,
        }
    }
}

/// Whether a failed attempt to connect is worth repeating within moments: nobody listens yet, or the
/// server says that it is starting, ending or full.
pub(super) fn is_not_yet(error: &Error) -> bool {
    match error {
        Error::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
        ),
        Error::Database(error) => error
            .code()
            .is_some_and(|code| CONNECTION_LOST.contains(&code.as_ref()) || code == "53300"),
        Error::PoolTimedOut => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_is_recognised_and_unavailable() {
        let error = deadline_exceeded();
        assert!(is_deadline(&error));
        assert!(is_unavailable(&error));
        assert!(is_connection_lost(&error));
        assert!(!is_deadline(&Error::PoolTimedOut));
    }

    #[test]
    fn a_missing_row_is_not_unavailable() {
        assert!(!is_unavailable(&Error::RowNotFound));
        assert!(is_unavailable(&Error::PoolTimedOut));
        assert!(is_unavailable(&Error::Io(
            io::ErrorKind::ConnectionReset.into()
        )));
    }
}
