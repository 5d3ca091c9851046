//! The standing of an account: which roles it holds, and whether it is banned. It is a projection of the events of the
//! account's stream; each event and what follows from it are written in one transaction. Must not know pages.
//!
//! **Architecture invariant:** the site writes no row of `user_roles` and no `users.banned_*` without an event. What
//! stands without one all the same (from a dump, or written by hand) is recorded by `betternews events rebuild`.

pub mod queries;
pub mod roles;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    platform::{
        db::Conn,
        events::{self, AppendError, Event, NewEvent},
    },
    web::{error::Error, viewer::Viewer},
};

/// A role was given: `{role, reason}`.
pub const ROLE_GRANTED: &str = "RoleGranted";
/// A role was taken away: `{role, reason}`.
pub const ROLE_REVOKED: &str = "RoleRevoked";
/// The account was banned: `{until, reason}`; `until` is null for ever.
pub const USER_BANNED: &str = "UserBanned";
/// The ban was lifted: `{reason}`.
pub const USER_UNBANNED: &str = "UserUnbanned";

/// A role was found that no event had told of: `{role}`.
pub const ROLE_RECORDED: &str = "RoleRecorded";
/// A ban was found that no event had told of: `{at, until, reason}`.
pub const BAN_RECORDED: &str = "BanRecorded";

/// The stream of an account.
pub fn stream(user_id: i64) -> String {
    format!("user-{user_id}")
}

/// The account whose stream this is.
pub fn user_of(stream: &str) -> Option<i64> {
    stream.strip_prefix("user-")?.parse().ok()
}

/// What is kept beside an event: who caused it (none is the site itself) and by which request.
pub fn meta(actor: Option<i64>, request_id: &str) -> Value {
    json!({ "actor": actor, "request": request_id })
}

/// A ban that was imposed; whether it is still in force is a matter of the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banned {
    /// When it began.
    pub at: DateTime<Utc>,
    /// When it ends by itself; `None` is never.
    pub until: Option<DateTime<Utc>>,
    /// The moderator's words.
    pub reason: String,
}

/// What the events of one account come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Names of the roles held.
    pub roles: BTreeSet<String>,
    /// The ban, if there is one.
    pub banned: Option<Banned>,
}

impl Standing {
    /// The standing after one more event; kinds that mean nothing here change nothing.
    pub fn apply(&mut self, event: &Event) {
        let text = |name: &str| event.data.get(name).and_then(Value::as_str);
        match event.kind.as_str() {
            ROLE_GRANTED | ROLE_RECORDED => self.roles.extend(text("role").map(str::to_owned)),
            ROLE_REVOKED => {
                text("role").map(|role| self.roles.remove(role));
            }
            USER_BANNED | BAN_RECORDED => {
                self.banned = Some(Banned {
                    at: text("at")
                        .and_then(|at| at.parse().ok())
                        .unwrap_or(event.time),
                    until: text("until").and_then(|until| until.parse().ok()),
                    reason: text("reason").unwrap_or_default().to_owned(),
                });
            }
            USER_UNBANNED => self.banned = None,
            _ => {}
        }
    }
}

/// Whether `viewer` may act on an account of this rank: nobody acts on someone of their own rank or above.
///
/// # Errors
/// [`Error::Forbidden`] with a sentence.
pub fn require_above(viewer: &Viewer, rank: i16) -> Result<(), Error> {
    if viewer.rank > rank {
        return Ok(());
    }
    tracing::warn!(user.id = viewer.id, target.rank = rank, "denied");
    Err(Error::forbidden(
        "You cannot act on someone of your own rank or above.",
    ))
}

/// Appends an event to the stream of an account, inside the caller's transaction.
///
/// # Errors
/// [`Error::Conflict`] if the account changes at the same time.
pub async fn append(
    conn: &mut Conn,
    user_id: i64,
    kind: &str,
    data: Value,
    meta: Value,
) -> Result<(), Error> {
    let stream = stream(user_id);
    let version = events::version(&mut *conn, &stream).await?;
    let event = NewEvent {
        stream: &stream,
        kind,
        data,
        meta,
    };
    events::append(conn, event, version)
        .await
        .map_err(append_failed)?;
    Ok(())
}

/// What an append that failed means to the one who asked for it.
pub fn append_failed(error: AppendError) -> Error {
    match error {
        AppendError::Conflict { .. } => {
            Error::Conflict("Somebody else has just acted here. See how it stands now.".into())
        }
        AppendError::Database(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: Value) -> Event {
        Event {
            id: 1,
            stream: stream(7),
            version: 1,
            kind: kind.into(),
            time: DateTime::UNIX_EPOCH,
            data,
            meta: meta(Some(1), "a-request"),
        }
    }

    #[test]
    fn a_standing_is_what_its_events_come_to() {
        let mut standing = Standing::default();
        standing.apply(&event(
            ROLE_GRANTED,
            json!({ "role": "moderator", "reason": "helps" }),
        ));
        standing.apply(&event(
            USER_BANNED,
            json!({ "until": "2026-01-02T00:00:00Z", "reason": "spam" }),
        ));
        standing.apply(&event("SomethingElse", json!({})));
        assert_eq!(standing.roles, BTreeSet::from(["moderator".to_owned()]));
        assert_eq!(
            standing.banned.as_ref().map(|b| b.until.is_some()),
            Some(true)
        );
        standing.apply(&event(ROLE_REVOKED, json!({ "role": "moderator" })));
        standing.apply(&event(USER_UNBANNED, json!({ "reason": "served" })));
        assert_eq!(standing, Standing::default());
    }

    #[test]
    fn a_stream_names_its_account() {
        assert_eq!(user_of(&stream(42)), Some(42));
        assert_eq!(user_of("post-42"), None);
    }
}
