//! Sessions (S08): what one is, how long it lives, and the store that `actix-session` reads. Must not know accounts
//! beyond their id.
//!
//! `actix-session` saves after the handler and answers a store's failure with a bare 500; its stock `update` creates what
//! is not there, which would revive a session that was ended meanwhile. So all writing is done in handlers, through
//! [`Store`], with errors that are answered (login is 503 when the store is away); the crate only loads, and sets or
//! drops the cookie. Guests never write a session.

mod postgres;
mod queries;
mod redis;
mod store;

use std::{fmt, net::IpAddr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::platform::settings::Values;

pub use store::{
    AWAY_KEY, ActixStore, Found, PENDING_TOKEN, RECORD_KEY, SESSION_KEY, Store, StoreError,
    VIEWER_KEY,
};

/// The cookie's name, before any prefix.
pub const COOKIE: &str = "session";

/// Longer than any session lives by any setting: what browsers and Redis are told; the record says when it ends.
pub const LONGEST: TimeDelta = TimeDelta::days(400);
/// "Last seen" is written at most this often.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);

/// How long sessions live: the settings `sessions.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// After the last use.
    pub usual: TimeDelta,
    /// The same for one that is remembered.
    pub remembered: TimeDelta,
    /// However often it is used.
    pub absolute: TimeDelta,
}

impl Lifetimes {
    /// As it is set.
    pub fn of(values: &Values) -> Self {
        Self {
            usual: TimeDelta::hours(values.session_hours.into()),
            remembered: TimeDelta::days(values.session_remembered.into()),
            absolute: TimeDelta::days(values.session_absolute.into()),
        }
    }

    fn after_use(&self, remember: bool) -> TimeDelta {
        if remember {
            self.remembered
        } else {
            self.usual
        }
    }
}

/// What is kept of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose it is.
    pub user_id: i64,
    /// When they logged in.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends unless it is used.
    pub expires_at: DateTime<Utc>,
    /// "Remember me" was ticked.
    pub remember: bool,
    /// Browser and system, in words.
    pub device: String,
    /// The address it was made from.
    pub address: String,
}

impl Record {
    /// A session that begins now.
    pub fn new(
        user_id: i64,
        remember: bool,
        agent: &str,
        address: IpAddr,
        now: DateTime<Utc>,
        lifetimes: &Lifetimes,
    ) -> Self {
        Self {
            user_id,
            created_at: now,
            last_seen_at: now,
            expires_at: now + lifetimes.after_use(remember).min(lifetimes.absolute),
            remember,
            device: device(agent),
            address: address.to_string(),
        }
    }

    /// Whether it still counts; shorter lifetimes hold for sessions that began under longer ones.
    pub fn is_live(&self, now: DateTime<Utc>, lifetimes: &Lifetimes) -> bool {
        now < self.expires_at
            && now < self.last_seen_at + lifetimes.after_use(self.remember)
            && now < self.created_at + lifetimes.absolute
    }

    /// The record as it must be written after a use at `now`, or `None` when what is stored will do: it is renewed when
    /// less than half of its life remains (12 of 24 hours), and "last seen" is kept to the minute.
    pub fn used(&self, now: DateTime<Utc>, lifetimes: &Lifetimes) -> Option<Self> {
        let life = lifetimes.after_use(self.remember);
        let renewed = (now + life).min(self.created_at + lifetimes.absolute);
        let renew = self.expires_at - now < life / 2 && renewed > self.expires_at;
        let seen = now - self.last_seen_at >= SEEN_EVERY;
        if !renew && !seen {
            return None;
        }
        let mut record = self.clone();
        record.last_seen_at = now.max(self.last_seen_at);
        if renew {
            record.expires_at = renewed;
        }
        Some(record)
    }
}

/// What is stored of a token: its SHA-256. It also names the session in lists, since no token can be had from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(super::signing::token_hash(token))
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({self})")
    }
}

/// Browser and system named from a `User-Agent`, roughly: enough for someone to know their own devices.
fn device(agent: &str) -> String {
    let first = |names: &[(&'static str, &'static str)]| {
        names
            .iter()
            .find(|(mark, _)| agent.contains(mark))
            .map(|(_, name)| *name)
    };
    let browser = first(&[
        ("Firefox/", "Firefox"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Chromium/", "Chromium"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "an unknown device".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn usual() -> Lifetimes {
        Lifetimes::of(&Values::default())
    }

    fn record(remember: bool) -> Record {
        let address = IpAddr::from([192, 0, 2, 1]);
        Record::new(
            7,
            remember,
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            address,
            at(0),
            &usual(),
        )
    }

    #[test]
    fn it_is_renewed_when_under_half_its_life_remains() {
        let session = record(false);
        assert_eq!(session.device, "Firefox on Linux");
        assert_eq!(
            session.used(at(0), &usual()),
            None,
            "nothing to write within the same minute"
        );
        let seen = session
            .used(at(11), &usual())
            .expect("last seen is written");
        assert_eq!(seen.expires_at, at(24), "but it is not renewed yet");
        assert_eq!(
            session.used(at(13), &usual()).expect("renewed").expires_at,
            at(37)
        );
        assert!(session.is_live(at(23), &usual()) && !session.is_live(at(24), &usual()));
    }

    #[test]
    fn a_remembered_one_lives_longer_and_none_for_ever() {
        let session = record(true);
        assert!(session.is_live(at(29 * 24), &usual()));
        let mut session = session;
        for day in 1..200 {
            if let Some(used) = session.used(at(day * 24), &usual()) {
                session = used;
            }
        }
        assert!(session.is_live(at(90 * 24 - 1), &usual()));
        assert!(!session.is_live(at(90 * 24), &usual()));
    }

    #[test]
    fn a_shorter_lifetime_holds_for_sessions_that_began_under_a_longer_one() {
        let short = Lifetimes {
            usual: TimeDelta::hours(2),
            ..usual()
        };
        let session = record(false);
        assert!(session.is_live(at(1), &short) && !session.is_live(at(2), &short));
        let used = session.used(at(1), &short).expect("seen");
        assert!(used.is_live(at(2), &short) && !used.is_live(at(3), &short));
    }

    #[test]
    fn nothing_is_written_where_the_end_cannot_move_any_more() {
        let capped = Lifetimes {
            absolute: TimeDelta::days(14),
            ..usual()
        };
        let address = IpAddr::from([192, 0, 2, 1]);
        let session = Record::new(7, true, "curl/8", address, at(0), &capped);
        assert_eq!(session.expires_at, at(14 * 24));
        assert_eq!(session.used(at(0), &capped), None);
        let seen = session.used(at(24), &capped).expect("seen");
        assert_eq!(seen.expires_at, session.expires_at);
        assert_eq!(seen.used(at(24), &capped), None);
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = TokenHash::of("a token");
        assert_eq!(TokenHash::parse(&hash.to_string()), Some(hash));
        for bad in ["", "zz", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(TokenHash::parse(bad), None);
        }
    }

    proptest! {
        #[test]
        fn use_never_shortens_a_session(hours in proptest::collection::vec(0_i64..3_000, 1..40), remember: bool) {
            let mut session = record(remember);
            let mut hours = hours;
            hours.sort_unstable();
            for hour in hours {
                if !session.is_live(at(hour), &usual()) {
                    break;
                }
                let before = session.expires_at;
                session = session.used(at(hour), &usual()).unwrap_or(session);
                prop_assert!(session.expires_at >= before.min(session.created_at + usual().absolute));
                prop_assert!(session.expires_at <= session.created_at + usual().absolute);
            }
        }
    }
}
