//! Why nothing came back from outside. Must not know what was asked for.

use std::time::Duration;

use crate::platform::resilience::retry::{Blame, Fault};

/// Why a fetch gave nothing. The texts are for operators and hold neither path nor query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The guard did not let it out.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The text is no URL.
    #[error("not a URL")]
    NotAUrl,
    /// The name leads nowhere.
    #[error("the name cannot be resolved")]
    Unresolved,
    /// No connection, or one that broke off.
    #[error("no connection: {0}")]
    Connection(String),
    /// It took longer than this.
    #[error("no answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// The body is longer than was wanted, in bytes, once unpacked.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// More redirects than are followed.
    #[error("too many redirects")]
    TooManyRedirects,
    /// The answer breaks the rules of HTTP, or of its encoding.
    #[error("a broken answer: {0}")]
    Broken(String),
    /// Another kind of content than was wanted.
    #[error("unwanted content: {0}")]
    WrongType(String),
    /// An answer that is not a success.
    #[error("status {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long the other side asked to be left alone.
        retry_after: Option<Duration>,
    },
}

impl Fault for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(_) | Self::TooSlow(_) => true,
            Self::Status { status, .. } => matches!(status, 429 | 502..=504),
            Self::Refused(_)
            | Self::NotAUrl
            | Self::Unresolved
            | Self::TooLarge(_)
            | Self::TooManyRedirects
            | Self::Broken(_)
            | Self::WrongType(_) => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Refused(_) | Self::NotAUrl => Blame::Caller,
            Self::TooLarge(_)
            | Self::TooManyRedirects
            | Self::WrongType(_)
            | Self::Broken(_)
            | Self::Unresolved => Blame::Nobody,
            Self::Status { status, .. } if *status < 500 && *status != 429 => Blame::Nobody,
            Self::Connection(_) | Self::TooSlow(_) | Self::Status { .. } => Blame::Dependency,
        }
    }
}
