//! The one error type of handlers, and the status each variant means. Must not know how an error page looks.
//!
//! An `Error` leaves a handler without a body: the boundary (`middleware/boundary.rs`) gives people a page and programs
//! an envelope, and logs what is ours to fix, once.

use std::{borrow::Cow, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};

use super::form::FormErrors;
use crate::platform::{db, jobs::Failure, limits::Class};

/// What a handler may answer besides success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 400: the request makes no sense; the sentence says why, for the person who sent it.
    #[error("{0}")]
    BadRequest(Cow<'static, str>),
    /// 400: values break rules; programs get each with its field and code. (A person's form is shown again instead.)
    #[error("{}", sentences(.0))]
    Invalid(FormErrors),
    /// 303 to the login page, 401 on the API: this needs an account.
    #[error("you need to log in for this")]
    LoginRequired,
    /// 401: a program's key that there is not, or that has ended.
    #[error("this token is not, or no longer, valid")]
    BadCredentials,
    /// 403: this account may not do this; the sentence says why.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// 403: the form's token is missing, stale or not of this session, or the request came from another site.
    #[error("the form was not sent from this site, or has grown old")]
    Csrf,
    /// 404: there is nothing here, or nothing that this visitor may know of.
    #[error("there is nothing here")]
    NotFound,
    /// 405: the address exists, but not for this method.
    #[error("this address does not take this kind of request")]
    MethodNotAllowed,
    /// 409: someone else was faster, or the state has changed; the sentence says what.
    #[error("{0}")]
    Conflict(Cow<'static, str>),
    /// 413: the request's body is larger than this site takes.
    #[error("this is larger than the site takes")]
    TooLarge,
    /// 415: the body is not of the kind this address takes.
    #[error("this kind of content is not taken here")]
    UnsupportedMediaType,
    /// 429: too much in too short a time.
    #[error("{message}")]
    Limited {
        /// How long to wait.
        retry_after: Duration,
        /// How many there may be.
        limit: u32,
        /// What was counted.
        class: Class,
        /// What was limited, in a sentence for the person who met it.
        message: Cow<'static, str>,
    },
    /// 503: a part that this needs is away; worth trying again soon. The text is for the log only.
    #[error("unavailable: {0}")]
    Unavailable(Cow<'static, str>),
    /// 503: somebody else's site, whose answer this is about, does not give one; all of ours is well. The text is for the
    /// log only.
    #[error("somebody else's site: {0}")]
    Elsewhere(Cow<'static, str>),
    /// 500: our fault. The cause is for the log only.
    #[error("internal error: {0:#}")]
    Internal(anyhow::Error),
}

/// Seconds after which an unavailable part is worth another try.
const RETRY_UNAVAILABLE: u64 = 5;

impl Error {
    /// A 400 with a sentence for the person.
    pub fn bad_request(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::BadRequest(sentence.into())
    }

    /// A 403 with a sentence for the person.
    pub fn forbidden(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::Forbidden(sentence.into())
    }

    /// Seconds for `Retry-After`, where waiting helps.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Limited { retry_after, .. } => {
                Some(retry_after.as_secs_f64().ceil().max(1.0) as u64)
            }
            Self::Unavailable(_) | Self::Elsewhere(_) => Some(RETRY_UNAVAILABLE),
            _ => None,
        }
    }

    /// The code that API clients and tests rely on (SPEC section 0).
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_)
            | Self::Invalid(_)
            | Self::TooLarge
            | Self::UnsupportedMediaType => "VALIDATION_ERROR",
            Self::LoginRequired | Self::BadCredentials => "AUTHENTICATION_ERROR",
            Self::Forbidden(_) | Self::Csrf => "AUTHORIZATION_ERROR",
            Self::NotFound | Self::MethodNotAllowed => "NOT_FOUND",
            Self::Conflict(_) => "CONFLICT",
            Self::Limited { .. } => "RATE_LIMITED",
            Self::Unavailable(_) | Self::Elsewhere(_) => "UNAVAILABLE",
            Self::Internal(_) => "INTERNAL_ERROR",
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::LoginRequired | Self::BadCredentials => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::Csrf => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) | Self::Elsewhere(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after() {
            response.insert_header((header::RETRY_AFTER, seconds));
            if let Self::Limited { limit, .. } = self {
                response.insert_header(("ratelimit-limit", *limit));
                response.insert_header(("ratelimit-remaining", 0));
                response.insert_header(("ratelimit-reset", seconds));
            }
        }
        response.finish()
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound,
            e if db::is_unavailable(&e) => Self::Unavailable(format!("database: {e}").into()),
            e => Self::Internal(e.into()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::again(error)
    }
}

impl From<askama::Error> for Error {
    fn from(error: askama::Error) -> Self {
        Self::Internal(error.into())
    }
}

fn sentences(errors: &FormErrors) -> String {
    let all: Vec<&str> = errors.0.iter().map(|e| e.message.as_str()).collect();
    all.join(" ")
}

/// The name of the constraint that a statement violated, if that is why it failed. Handlers turn names into field
/// errors, so that the database settles races and not an earlier SELECT.
pub fn violated(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|e| e.constraint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_told_in_whole_seconds_and_never_zero() {
        let error = Error::Limited {
            retry_after: Duration::from_millis(20),
            limit: 5,
            class: Class::Write,
            message: "".into(),
        };
        let response = error.error_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(
            response
                .headers()
                .get(header::RETRY_AFTER)
                .map(|v| v.as_bytes()),
            Some(&b"1"[..])
        );
        let told = |name: &str| {
            response
                .headers()
                .get(name)
                .map(|v| v.as_bytes().to_owned())
        };
        assert_eq!(told("ratelimit-limit").as_deref(), Some(&b"5"[..]));
        assert_eq!(told("ratelimit-remaining").as_deref(), Some(&b"0"[..]));
    }

    #[test]
    fn no_row_is_a_404_and_a_full_pool_a_503() {
        assert!(matches!(
            Error::from(sqlx::Error::RowNotFound),
            Error::NotFound
        ));
        assert!(matches!(
            Error::from(sqlx::Error::PoolTimedOut),
            Error::Unavailable(_)
        ));
    }
}
