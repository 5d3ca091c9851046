//! What an account is. Must not know how it is stored or shown.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::web::viewer::{Ban, Permission, Viewer};

/// A row of the view `viewers`, as JSON brings it and the cache keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ViewerRow {
    user_id: i64,
    username: String,
    karma: i32,
    unread_count: i32,
    theme: String,
    compact: bool,
    shortcuts: bool,
    time_zone: String,
    created_at: DateTime<Utc>,
    last_active_at: Option<DateTime<Utc>>,
    banned_at: Option<DateTime<Utc>>,
    banned_until: Option<DateTime<Utc>>,
    ban_reason: Option<String>,
    rank: i16,
    permissions: Vec<Permission>,
}

/// "Last active" is written at most this often (S09).
const ACTIVE_EVERY: TimeDelta = TimeDelta::minutes(1);

impl ViewerRow {
    /// The account's id, if it is time to note that its owner is about.
    pub fn active_again(&self, now: DateTime<Utc>) -> Option<i64> {
        let stale = self
            .last_active_at
            .is_none_or(|at| now - at >= ACTIVE_EVERY);
        stale.then_some(self.user_id)
    }
}

impl Viewer {
    /// The viewer of a row; a ban that has run out by `now` is none.
    pub fn from_row(row: ViewerRow, now: DateTime<Utc>) -> Self {
        let banned = row.banned_at.is_some() && row.banned_until.is_none_or(|until| until > now);
        Self {
            id: row.user_id,
            name: row.username,
            karma: row.karma,
            unread: row.unread_count,
            theme: row.theme,
            compact: row.compact,
            shortcuts: row.shortcuts,
            time_zone: row.time_zone,
            created_at: row.created_at,
            rank: row.rank,
            permissions: row.permissions,
            ban: banned.then(|| Ban {
                reason: row.ban_reason.unwrap_or_default(),
                until: row.banned_until,
            }),
        }
    }
}
