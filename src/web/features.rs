//! What the operator steers while the site runs: settings and flags, and which features are on for whom. Must not know
//! what the features do.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{state::State, viewer::Viewer};
use crate::platform::flags::{Segment, Subject};

/// Accounts younger than this are new.
const NEW_FOR: TimeDelta = TimeDelta::days(14);
/// Accounts of at least this age and karma are trusted.
const TRUSTED_AFTER: TimeDelta = TimeDelta::days(30);
const TRUSTED_KARMA: i32 = 50;
/// Roles of this rank and above are staff.
const STAFF_RANK: i16 = 2;

/// An account as flags see it.
pub fn subject_of(
    user_id: i64,
    karma: i32,
    created_at: DateTime<Utc>,
    rank: i16,
    now: DateTime<Utc>,
) -> Subject {
    let age = now - created_at;
    let held = [
        (Segment::New, age < NEW_FOR),
        (
            Segment::Trusted,
            age >= TRUSTED_AFTER && karma >= TRUSTED_KARMA,
        ),
        (Segment::Staff, rank >= STAFF_RANK),
    ];
    Subject {
        user_id,
        segments: held
            .into_iter()
            .filter(|(_, holds)| *holds)
            .map(|(segment, _)| segment)
            .collect(),
    }
}

impl Viewer {
    /// This person as flags see them.
    pub fn subject(&self, now: DateTime<Utc>) -> Subject {
        subject_of(self.id, self.karma, self.created_at, self.rank, now)
    }
}

impl State {
    /// Reads settings and flags anew, and has dependencies and kept pages follow. Whoever has changed one calls this, and a task where
    /// another instance has.
    ///
    /// # Errors
    /// What the database said; settings and flags then stay as they were.
    pub async fn steer(&self) -> sqlx::Result<()> {
        // What was read is obeyed, even where the other could not be read.
        let settings = self.settings.refresh(&self.db).await;
        let flags = self.flags.refresh(&self.db).await;
        self.obey();
        if settings? {
            // The site's name stands on every page, and who may read them is a setting too.
            self.pages.clear();
        }
        flags?;
        Ok(())
    }

    /// Tells those who do not ask the settings themselves what they say now.
    pub fn obey(&self) {
        let settings = self.settings.get();
        self.dependencies.tune(&self.settings.resilience());
        let caching = self.flags.is_on("caching", None);
        self.pages.set_wanted(settings.cache_pages && caching);
        self.cache.set_wanted(caching);
        let metrics = self.config.observe.metrics && self.flags.is_on("metrics", None);
        self.metrics.set_wanted(metrics);
        let slow = Duration::from_millis(settings.metrics_slow.into());
        self.metrics.routes().set_slow(slow);
    }

    /// Whether a feature is on for whoever looks; an unknown one is off.
    pub fn is_on(&self, feature: &str, viewer: Option<&Viewer>, now: DateTime<Utc>) -> bool {
        self.flags
            .is_on(feature, viewer.map(|viewer| viewer.subject(now)).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_fall_into_groups_by_age_karma_and_role() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1_000);
        let of = |days: i64, karma, rank| {
            subject_of(1, karma, now - TimeDelta::days(days), rank, now).segments
        };
        assert_eq!(of(1, 500, 1), [Segment::New]);
        assert_eq!(of(20, 500, 1), []);
        assert_eq!(of(60, 50, 1), [Segment::Trusted]);
        assert_eq!(of(60, 49, 3), [Segment::Staff]);
    }
}
