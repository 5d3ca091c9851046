//! Pages of the console. Every one opens with a verdict in a sentence. It must not know how
//! verdicts are reached.

mod steering;

use askama::Template;
use chrono::{DateTime, Utc};

use crate::accounts::views::AccountState;
use crate::platform::notify::Sent;
use crate::web::form::FormErrors;
use crate::web::format as filters;
use crate::web::page::Page;

pub use steering::{
    AuditPage, AuditRow, FlagPage, FlagRow, FlagsIndexPage, JobKindRow, JobRow, JobsPage,
    ScheduleItem, SettingGroup, SettingPage, SettingRow, SettingsIndexPage, TaskRow,
};

/// One of the console's five groups, with the pages that exist in it.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleGroup {
    /// Its word.
    pub label: &'static str,
    /// Its pages: path and word.
    pub links: &'static [(&'static str, &'static str)],
}

/// The console's navigation.
pub const CONSOLE: [ConsoleGroup; 5] = [
    ConsoleGroup {
        label: "Watch",
        links: &[("/admin", "Overview")],
    },
    ConsoleGroup {
        label: "People",
        links: &[("/admin/users", "Users")],
    },
    ConsoleGroup {
        label: "Content",
        links: &[("/moderation/log", "Moderation log")],
    },
    ConsoleGroup {
        label: "Systems",
        links: &[
            ("/admin/jobs", "Jobs"),
            ("/health", "Health"),
            ("/dependencies", "Dependencies"),
            ("/cache/stats", "Cache"),
            ("/metrics", "Metrics"),
        ],
    },
    ConsoleGroup {
        label: "Settings",
        links: &[
            ("/admin/settings", "Settings"),
            ("/admin/flags", "Flags"),
            ("/admin/audit", "Audit"),
        ],
    },
];

/// How something stands; told by shape and word, never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// ●
    Well,
    /// ▲
    Due,
    /// ■
    Failing,
}

impl Standing {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Well => "Well",
            Self::Due => "To do",
            Self::Failing => "Failing",
        }
    }

    /// The shape.
    pub const fn shape(self) -> &'static str {
        match self {
            Self::Well => "●",
            Self::Due => "▲",
            Self::Failing => "■",
        }
    }

    /// The class of the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Due => "slow",
            Self::Failing => "failing",
        }
    }
}

/// The console's first page.
#[derive(Template)]
#[template(path = "admin/index.html")]
pub struct IndexPage {
    /// The chrome.
    pub page: Page,
    /// The heading: how many things need the operator, as a sentence.
    pub verdict: String,
    /// The sentences behind it, the gravest first.
    pub findings: Vec<Finding>,
    /// Figures for the table, such as users and posts.
    pub figures: Vec<Figure>,
}

/// What would have been sent.
#[derive(Template)]
#[template(path = "admin/outbox.html")]
pub struct OutboxPage {
    /// The chrome.
    pub page: Page,
    /// The heading: how many letters.
    pub verdict: String,
    /// The letters, newest first.
    pub letters: Vec<Sent>,
}

/// One sentence about how something stands.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How it stands.
    pub standing: Standing,
    /// The sentence.
    pub sentence: String,
    /// Where to see more: path and words.
    pub link: Option<(String, String)>,
}

/// One row of figures.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What is counted.
    pub label: String,
    /// All there are.
    pub total: i64,
    /// Those of the last 24 hours.
    pub last_day: i64,
}

/// Finding people.
#[derive(Template)]
#[template(path = "admin/users/index.html")]
pub struct UsersIndexPage {
    /// The chrome.
    pub page: Page,
    /// The heading, such as "12 moderators" or "Nobody is called that".
    pub verdict: String,
    /// The beginning of a name that was searched for.
    pub query: String,
    /// The role that was filtered by; empty is any.
    pub role: String,
    /// `banned`, where only those were asked for.
    pub state: String,
    /// Every role's name.
    pub roles: Vec<String>,
    /// Who was found.
    pub users: Vec<UserRow>,
    /// Where the list continues.
    pub more: Option<String>,
}

/// One user in the console.
#[derive(Debug, Clone)]
pub struct UserRow {
    /// User name.
    pub name: String,
    /// Roles held beyond that of every user.
    pub roles: Vec<String>,
    /// Points received.
    pub karma: i64,
    /// When they joined.
    pub created_at: DateTime<Utc>,
    /// When they last did anything; `None` is never.
    pub last_active_at: Option<DateTime<Utc>>,
    /// Whether the account may be used.
    pub state: AccountState,
}

/// One user, and what may be done about them.
#[derive(Template)]
#[template(path = "admin/users/show.html")]
pub struct UsersShowPage {
    /// The chrome.
    pub page: Page,
    /// Who it is.
    pub user: UserRow,
    /// Their address, if they gave one.
    pub email: Option<String>,
    /// Posts written.
    pub post_count: i64,
    /// Comments written.
    pub comment_count: i64,
    /// Living sessions.
    pub session_count: i64,
    /// Every role that can be given.
    pub roles: Vec<RoleChoice>,
    /// The reason that was typed.
    pub reason: String,
    /// What is wrong.
    pub errors: FormErrors,
    /// Whether "ban" is offered.
    pub can_ban: bool,
    /// Whether "lift the ban" is offered.
    pub can_unban: bool,
    /// Whether "log out everywhere" is offered.
    pub can_end_sessions: bool,
}

/// One role that can be given.
#[derive(Debug, Clone)]
pub struct RoleChoice {
    /// Its name.
    pub name: String,
    /// What it allows, in a sentence.
    pub description: String,
    /// Whether it is held, or was ticked.
    pub is_held: bool,
}
