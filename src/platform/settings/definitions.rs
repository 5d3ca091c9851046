//! Every setting in one table: its key, type, default, bounds and meaning. Must not know how they are stored or shown.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::platform::resilience::rules::Rules;

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignupMode {
    /// Anyone.
    Open,
    /// Nobody, for now.
    Closed,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Switch,
    /// A whole number within bounds, in a unit.
    Number {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
        /// What is counted.
        unit: &'static str,
    },
    /// One line of text.
    Line {
        /// Most characters.
        max: usize,
        /// Whether it may be left empty.
        optional: bool,
    },
    /// One of a few words, each with its meaning.
    Choice(&'static [(&'static str, &'static str)]),
    /// Changes to the rules of a dependency: a JSON object that names what differs, or nothing.
    Rules,
}

impl Kind {
    /// Reads what was typed into a form; a switch that is off sends nothing.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn parse(self, typed: &str) -> Result<Value, String> {
        let typed = typed.trim();
        let value = match self {
            Self::Switch => Value::Bool(!matches!(typed, "" | "false" | "off" | "0")),
            Self::Number { .. } => match typed.parse::<u32>() {
                Ok(number) => number.into(),
                Err(_) => return Err("This is no whole number.".to_owned()),
            },
            Self::Line { optional: true, .. } | Self::Rules if typed.is_empty() => Value::Null,
            Self::Rules => {
                let changes: Value = serde_json::from_str(typed)
                    .map_err(|error| format!("This is no JSON: {error}."))?;
                Rules::check(&changes)?;
                let changes_nothing = changes.as_object().is_some_and(serde_json::Map::is_empty);
                if changes_nothing {
                    Value::Null
                } else {
                    changes
                }
            }
            Self::Line { .. } | Self::Choice(_) => typed.into(),
        };
        if self.takes(&value) {
            Ok(value)
        } else {
            Err(self.rule())
        }
    }

    /// Whether a value is within the bounds.
    pub fn takes(self, value: &Value) -> bool {
        match self {
            Self::Switch => value.is_boolean(),
            Self::Number { min, max, .. } => value
                .as_u64()
                .is_some_and(|number| (u64::from(min)..=u64::from(max)).contains(&number)),
            Self::Line { max, optional } => match value {
                Value::Null => optional,
                Value::String(text) => !text.trim().is_empty() && text.chars().count() <= max,
                _ => false,
            },
            Self::Choice(choices) => value
                .as_str()
                .is_some_and(|word| choices.iter().any(|(name, _)| *name == word)),
            Self::Rules => value.is_null() || Rules::check(value).is_ok(),
        }
    }

    /// What it takes, in a sentence.
    pub fn rule(self) -> String {
        match self {
            Self::Switch => "On or off.".to_owned(),
            Self::Number { min, max, unit } => {
                format!("A whole number from {min} to {max}: {unit}.")
            }
            Self::Line {
                max,
                optional: true,
            } => format!("At most {max} characters, or nothing."),
            Self::Line {
                max,
                optional: false,
            } => format!("1 to {max} characters."),
            Self::Choice(choices) => {
                let words: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                format!("One of {}.", words.join(", "))
            }
            Self::Rules => RULES.to_owned(),
        }
    }

    /// A value in words, for the console.
    pub fn show(self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Bool(true)) => "on".to_owned(),
            (_, Value::Bool(false)) => "off".to_owned(),
            (Self::Rules, Value::Null) => "as built in".to_owned(),
            (_, Value::Null) => "nothing".to_owned(),
            (Self::Number { unit, .. }, number) => format!("{number} {unit}"),
            (_, Value::String(text)) => text.clone(),
            (_, other) => other.to_string(),
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its key in the table and in the console's address: the part before the dot is its group.
    pub key: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it does, in a sentence or two.
    pub description: &'static str,
    /// Its value where nothing is set.
    pub default: fn() -> Value,
    /// Its value in `values`.
    pub current: fn(&Values) -> Value,
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

macro_rules! settings {
    ($($field:ident: $type:ty = $default:expr, $key:literal, $kind:expr, $description:literal;)*) => {
        /// What is set; a missing or unreadable row is the default.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Values {
            $(#[doc = concat!("`", $key, "`: ", $description)] pub $field: $type,)*
        }

        impl Default for Values {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl Values {
            /// The values of stored rows; what is out of its bounds is the default, and the log says so.
            pub(super) fn from_rows(rows: &[(String, Value)]) -> Self {
                let default = Self::default();
                Self { $($field: read(rows, $key, $kind).unwrap_or(default.$field),)* }
            }
        }

        /// Every setting, in the order in which the console shows them.
        pub const DEFINITIONS: &[Definition] = &[$(Definition {
            key: $key,
            kind: $kind,
            description: $description,
            default: || json(&Values::default().$field),
            current: |values| json(&values.$field),
        },)*];
    };
}

fn read<T: serde::de::DeserializeOwned>(
    rows: &[(String, Value)],
    key: &str,
    kind: Kind,
) -> Option<T> {
    let (_, value) = rows.iter().find(|(k, _)| k == key)?;
    let value = kind
        .takes(value)
        .then(|| serde_json::from_value(value.clone()).ok())
        .flatten();
    if value.is_none() {
        tracing::warn!(
            setting = key,
            "a setting is out of its bounds: its default is used"
        );
    }
    value
}

/// In seconds.
const DAY: u32 = 86_400;

/// What [`Kind::Rules`] takes.
const RULES: &str = r#"A JSON object of what differs from what is built in, such as {"breaker":{"reset":30},"retry":{"attempts":2}}; or nothing. There are bulkhead (running, queued), breaker (in_a_row, rate, window, min_calls, reset, successes), timeout (attempt, total), retry (attempts, base, factor, max) and health (warning_errors, warning_availability, critical_errors, critical_availability, slow); times are in seconds, shares from 0 to 1."#;

const SIGNUP: Kind = Kind::Choice(&[
    ("open", "anyone may make an account"),
    ("closed", "nobody may, for now"),
]);

const fn number(max: u32, unit: &'static str) -> Kind {
    Kind::Number { min: 1, max, unit }
}

settings! {
    site_name: String = "BetterNews".into(),
        "site.name", Kind::Line { max: 60, optional: false },
        "The site's name: in the masthead, in titles and in letters.";
    site_tagline: String = "Links worth your time, and talk worth reading".into(),
        "site.tagline", Kind::Line { max: 160, optional: false },
        "What the site is, in one line: in the front page's title and for search engines.";
    site_contact: Option<String> = None,
        "site.contact", Kind::Line { max: 200, optional: true },
        "How to reach whoever runs the site: an address or a sentence. Shown on /about and in letters.";
    members_only: bool = false,
        "site.members_only", Kind::Switch,
        "Only people with an account may read: guests are led to log in, except on the pages about the site.";
    signup_mode: SignupMode = SignupMode::Open,
        "signup.mode", SIGNUP,
        "Who may make an account.";
    link_previews: bool = true,
        "links.previews", Kind::Switch,
        "Title and description of a submitted link are fetched in the background.";
    cache_pages: bool = true,
        "cache.pages", Kind::Switch,
        "Finished pages are kept for guests, for a minute at most. Off, every page is made anew.";
    cache_ttl: u32 = 300,
        "cache.ttl", number(DAY, "seconds"),
        "How long a value is kept in memory and in Redis, if whoever keeps it says nothing else.";
    cache_ttl_user: u32 = 600,
        "cache.ttl_user", number(DAY, "seconds"),
        "How long what belongs to one person is kept, if whoever keeps it says nothing else.";
    session_hours: u32 = 24,
        "sessions.hours", number(24 * 365, "hours"),
        "How long a session lives after its last use. It is renewed once less than half of that remains.";
    session_remembered: u32 = 30,
        "sessions.remembered", number(365, "days"),
        "The same for somebody who wants to be remembered.";
    session_absolute: u32 = 90,
        "sessions.absolute", number(365, "days"),
        "No session outlives this, however often it is used.";
    limit_reads: u32 = 20_000,
        "limits.reads", number(10_000_000, "requests in 15 minutes"),
        "What one address, and one account, may ask for in all. Each instance counts on its own.";
    limit_searches: u32 = 120,
        "limits.searches", number(1_000_000, "searches in 15 minutes"),
        "What one address may search.";
    limit_logins: u32 = 5,
        "limits.logins", number(1_000, "attempts in a minute"),
        "How often one address may try to log in.";
    limit_logins_account: u32 = 10,
        "limits.logins_account", number(1_000, "attempts in an hour"),
        "How often one address may try the same account.";
    limit_signups: u32 = 20,
        "limits.signups", number(1_000, "accounts in an hour"),
        "How many accounts one address may make.";
    limit_letters: u32 = 5,
        "limits.letters", number(1_000, "letters in an hour"),
        "How many letters (for a new password, to confirm an address) one address or account may ask for.";
    activity_keep: u32 = 90,
        "activity.keep", number(3_650, "days"),
        "How long it is kept who requested what.";
    activity_shorten: u32 = 30,
        "activity.shorten", number(3_650, "days"),
        "After this, addresses in the activity log are shortened to their networks.";
    activity_batch: u32 = 100,
        "activity.batch", number(1_000, "records"),
        "How many records of the activity log are written at once.";
    activity_wait: u32 = 5,
        "activity.wait", number(60, "seconds"),
        "How long a record of the activity log waits at most for its batch to fill.";
    metrics_slow: u32 = 1_000,
        "metrics.slow", number(60_000, "milliseconds"),
        "A request that takes longer is counted as slow.";
    metrics_keep: u32 = 30,
        "metrics.keep", number(3_650, "days"),
        "How long it is kept what each route did in each minute.";
    health_database_limit: u32 = 5,
        "health.database_limit", number(60, "seconds"),
        "How long the database may take to answer its check.";
    health_database_every: u32 = 30,
        "health.database_every", number(3_600, "seconds"),
        "How often the database is checked.";
    health_database_slow: u32 = 100,
        "health.database_slow", number(60_000, "milliseconds"),
        "A database that takes longer to answer is degraded.";
    health_redis_every: u32 = 15,
        "health.redis_every", number(3_600, "seconds"),
        "How often Redis is checked.";
    health_machine_every: u32 = 60,
        "health.machine_every", number(3_600, "seconds"),
        "How often memory and disk are looked at.";
    health_urls_limit: u32 = 5,
        "health.urls_limit", number(60, "seconds"),
        "How long each address in HEALTH_URLS may take to answer.";
    health_urls_every: u32 = 60,
        "health.urls_every", number(3_600, "seconds"),
        "How often these addresses are asked.";
    health_memory_degraded: u32 = 80,
        "health.memory_degraded", number(100, "percent"),
        "With more of the machine's memory in use, it is degraded.";
    health_memory_unhealthy: u32 = 90,
        "health.memory_unhealthy", number(100, "percent"),
        "With more than this in use, it is unhealthy.";
    health_disk_degraded: u32 = 85,
        "health.disk_degraded", number(100, "percent"),
        "With more of the disk in use, it is degraded.";
    health_disk_unhealthy: u32 = 95,
        "health.disk_unhealthy", number(100, "percent"),
        "With more than this in use, it is unhealthy.";
    health_jobs_due: u32 = 1_000,
        "health.jobs_due", number(1_000_000, "jobs"),
        "With more jobs waiting, the queue is degraded.";
    health_jobs_late: u32 = 300,
        "health.jobs_late", number(DAY, "seconds"),
        "Where a job waits longer, the queue is degraded.";
    health_jobs_given_up: u32 = 5,
        "health.jobs_given_up", number(1_000_000, "jobs"),
        "Where so many were given up within an hour, the queue is degraded: a single one is a letter to an address that is none.";
    resilience_links: Value = Value::Null,
        "resilience.links", Kind::Rules,
        "How pages that people link to are asked: how many at once, how long, how often again, and when they are left alone.";
    resilience_link_preview: Value = Value::Null,
        "resilience.link-preview", Kind::Rules,
        "When the API of link previews answers 503 without trying: only the breaker's rules count here.";
    resilience_redis: Value = Value::Null,
        "resilience.redis", Kind::Rules,
        "When Redis is done without for a moment, and when it is said not to be well: only the rules of breaker and health count here.";
    resilience_mail: Value = Value::Null,
        "resilience.mail", Kind::Rules,
        "How the mail server is asked: how many letters at once, how long one may take, and when it is left alone.";
    resilience_webhook: Value = Value::Null,
        "resilience.webhook", Kind::Rules,
        "How the webhook for alerts is asked, where there is one.";
    resilience_cdn: Value = Value::Null,
        "resilience.cdn", Kind::Rules,
        "How the CDN is told what is outdated, where there is one.";
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_default_is_within_its_own_bounds_and_every_key_stands_once() {
        for (at, definition) in DEFINITIONS.iter().enumerate() {
            assert!(
                definition.kind.takes(&(definition.default)()),
                "{}",
                definition.key
            );
            assert_eq!(
                (definition.default)(),
                (definition.current)(&Values::default())
            );
            assert!(
                DEFINITIONS[at + 1..]
                    .iter()
                    .all(|other| other.key != definition.key)
            );
            assert!(
                definition.key.contains('.'),
                "{} has a group",
                definition.key
            );
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_the_default() {
        let rows = [
            ("site.name".to_owned(), json!("Elsewhere")),
            ("signup.mode".to_owned(), json!("sometimes")),
            ("limits.reads".to_owned(), json!(0)),
        ];
        let values = Values::from_rows(&rows);
        assert_eq!(values.site_name, "Elsewhere");
        assert_eq!(values.signup_mode, SignupMode::Open);
        assert_eq!(values.limit_reads, 20_000);
    }

    #[test]
    fn what_is_typed_is_held_to_the_bounds() {
        let number = number(10, "things");
        assert_eq!(number.parse(" 7 "), Ok(json!(7)));
        for bad in ["0", "11", "-1", "seven", ""] {
            assert!(number.parse(bad).is_err(), "{bad}");
        }
        let line = Kind::Line {
            max: 3,
            optional: true,
        };
        assert_eq!(line.parse("  "), Ok(Value::Null));
        assert!(line.parse("abcd").is_err());
        assert_eq!(Kind::Switch.parse("1"), Ok(json!(true)));
        assert_eq!(Kind::Switch.parse(""), Ok(json!(false)));
        assert!(SIGNUP.parse("invite").is_err());
    }
}
