//! What moderation is about: reasons, states, and the log's rows as their events tell them. Must not know SQL or pages.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    accounts::standing::{USER_BANNED, USER_UNBANNED},
    platform::events::Event,
    web::{error::Error, viewer::Viewer},
};

/// A post was taken out of sight: `{reason}`.
pub const POST_REMOVED: &str = "PostRemoved";
/// A removed post was put back: `{reason}`.
pub const POST_RESTORED: &str = "PostRestored";
/// A comment was taken out of sight: `{reason}`.
pub const COMMENT_REMOVED: &str = "CommentRemoved";
/// A removed comment was put back: `{reason}`.
pub const COMMENT_RESTORED: &str = "CommentRestored";

/// Why something is done: 3 to 500 characters, blanks around them left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Reads what was typed.
    ///
    /// # Errors
    /// A sentence for the person.
    pub fn parse(typed: &str) -> Result<Self, &'static str> {
        let reason = typed.trim();
        match reason.chars().count() {
            0 => Err("Give a reason: it is how people learn what is welcome."),
            1..3 => Err("A reason has at least 3 characters."),
            501.. => Err("A reason has at most 500 characters."),
            _ => Ok(Self(reason.to_owned())),
        }
    }

    /// The reason's words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Longest ban that ends by itself, in days (ten years).
const DAYS_MAX: i64 = 3_650;

/// Reads after how many days a ban ends; nothing typed is never.
///
/// # Errors
/// A sentence for the person.
pub fn parse_days(typed: &str) -> Result<Option<i64>, &'static str> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(None);
    }
    match typed.parse() {
        Ok(days @ 1..=DAYS_MAX) => Ok(Some(days)),
        _ => Err("Give a number of days from 1 to 3650, or leave it empty for no end."),
    }
}

/// Who can see a post or a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everyone.
    Live,
    /// Nobody: its author took it back.
    Deleted,
    /// Nobody: a moderator took it away.
    Removed,
    /// Nobody: it came so with an import.
    Dead,
}

impl State {
    /// Reads the column `state`.
    pub fn parse(text: &str) -> Self {
        match text {
            "live" => Self::Live,
            "deleted" => Self::Deleted,
            "removed" => Self::Removed,
            _ => Self::Dead,
        }
    }

    /// Whether a moderator can take it away.
    ///
    /// # Errors
    /// [`Error::Conflict`] with how it stands instead.
    pub fn require_removable(self) -> Result<(), Error> {
        match self {
            Self::Live => Ok(()),
            Self::Removed => Err(Error::Conflict("This has been removed already.".into())),
            Self::Deleted => Err(Error::Conflict(
                "Its author has deleted this already.".into(),
            )),
            Self::Dead => Err(Error::Conflict(
                "This came hidden with an import: nobody sees it.".into(),
            )),
        }
    }

    /// Whether a moderator can put it back.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for what its author deleted, [`Error::Conflict`] for what is not away.
    pub fn require_restorable(self) -> Result<(), Error> {
        match self {
            Self::Removed => Ok(()),
            Self::Live => Err(Error::Conflict(
                "This is not removed, or has been restored already.".into(),
            )),
            Self::Deleted => Err(Error::forbidden(
                "Its author has deleted this, and that is theirs to decide.",
            )),
            Self::Dead => Err(Error::Conflict(
                "This came hidden with an import, and no moderator removed it.".into(),
            )),
        }
    }
}

/// Whether `viewer` may take away what this author wrote: their own, or that of someone below them in rank.
///
/// # Errors
/// [`Error::Forbidden`].
pub fn require_may_remove(
    viewer: &Viewer,
    author_id: Option<i64>,
    author_rank: i16,
) -> Result<(), Error> {
    if author_id == Some(viewer.id) {
        return Ok(());
    }
    crate::accounts::standing::require_above(viewer, author_rank)
}

/// Whether `viewer` may put back what this author wrote: never their own.
///
/// # Errors
/// [`Error::Forbidden`].
pub fn require_may_restore(
    viewer: &Viewer,
    author_id: Option<i64>,
    author_rank: i16,
) -> Result<(), Error> {
    if author_id == Some(viewer.id) {
        return Err(Error::forbidden(
            "Nobody restores what they wrote themselves: ask another moderator.",
        ));
    }
    crate::accounts::standing::require_above(viewer, author_rank)
}

/// A row of the public log; wholly told by its event, so that the log can be made anew.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// The event.
    pub event_id: i64,
    /// `removed`, `restored`, `banned` or `unbanned`.
    pub action: &'static str,
    /// Who; `None` is the site itself.
    pub actor_id: Option<i64>,
    /// `post`, `comment` or `user`.
    pub target: &'static str,
    /// Which.
    pub target_id: i64,
    /// Why.
    pub reason: String,
    /// `{days}` of a ban that ends.
    pub details: Value,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl LogRow {
    /// The row of an event, if the log tells of such events.
    pub fn of(event: &Event) -> Option<Self> {
        let (action, target) = match event.kind.as_str() {
            POST_REMOVED => ("removed", "post"),
            POST_RESTORED => ("restored", "post"),
            COMMENT_REMOVED => ("removed", "comment"),
            COMMENT_RESTORED => ("restored", "comment"),
            USER_BANNED => ("banned", "user"),
            USER_UNBANNED => ("unbanned", "user"),
            _ => return None,
        };
        let target_id = event.stream.rsplit_once('-')?.1.parse().ok()?;
        let text = |name: &str| event.data.get(name).and_then(Value::as_str);
        let until = text("until").and_then(|until| until.parse::<DateTime<Utc>>().ok());
        let details = match until {
            // The event's own time is a little later than the moment the end was counted from.
            Some(until) => json!({ "days": ((until - event.time).num_minutes() + 720) / 1_440 }),
            None => json!({}),
        };
        Some(Self {
            event_id: event.id,
            action,
            actor_id: event.meta.get("actor").and_then(Value::as_i64),
            target,
            target_id,
            reason: text("reason").unwrap_or_default().to_owned(),
            details,
            created_at: event.time,
        })
    }
}

/// An act in the past tense, as it stands before its object's name.
pub fn words(action: &str, target: &str, details: &Value) -> String {
    match (action, target) {
        ("removed", "comment") => "removed a comment on".to_owned(),
        ("restored", "comment") => "restored a comment on".to_owned(),
        ("removed", _) => "removed the post".to_owned(),
        ("restored", _) => "restored the post".to_owned(),
        ("unbanned", _) => "lifted the ban of".to_owned(),
        _ => match details.get("days").and_then(Value::as_i64) {
            Some(1) => "gave a ban of one day to".to_owned(),
            Some(days) => format!("gave a ban of {days} days to"),
            None => "banned".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, stream: &str, data: Value) -> Event {
        Event {
            id: 9,
            stream: stream.into(),
            version: 1,
            kind: kind.into(),
            time: DateTime::UNIX_EPOCH,
            data,
            meta: json!({ "actor": 3, "request": "r" }),
        }
    }

    #[test]
    fn reasons_are_given_and_short() {
        assert_eq!(
            Reason::parse("  spam ").map(|r| r.as_str().to_owned()),
            Ok("spam".to_owned())
        );
        for bad in ["", "   ", "no", &"x".repeat(501)] {
            assert!(Reason::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn days_are_a_number_or_nothing() {
        assert_eq!(parse_days(" "), Ok(None));
        assert_eq!(parse_days("7"), Ok(Some(7)));
        for bad in ["0", "-1", "3651", "a week", "1.5"] {
            assert!(parse_days(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_log_row_is_told_by_its_event() {
        let row = LogRow::of(&event(POST_REMOVED, "post-42", json!({ "reason": "spam" })))
            .expect("logged");
        assert_eq!(
            (row.action, row.target, row.target_id, row.actor_id),
            ("removed", "post", 42, Some(3))
        );
        let data = json!({ "until": "1970-01-07T23:59:59Z", "reason": "spam" });
        let ban = LogRow::of(&event(USER_BANNED, "user-7", data)).expect("logged");
        assert_eq!(
            words(ban.action, ban.target, &ban.details),
            "gave a ban of 7 days to"
        );
        assert_eq!(LogRow::of(&event("RoleGranted", "user-7", json!({}))), None);
    }

    #[test]
    fn what_an_author_deleted_stays_theirs() {
        assert!(State::Live.require_removable().is_ok());
        assert!(State::Removed.require_restorable().is_ok());
        assert!(matches!(
            State::Deleted.require_restorable(),
            Err(Error::Forbidden(_))
        ));
        assert!(matches!(
            State::Removed.require_removable(),
            Err(Error::Conflict(_))
        ));
    }
}
