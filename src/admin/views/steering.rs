//! Pages of the console about what the operator steers: settings, flags, the audit, jobs. Must not know how any of it
//! is kept.

use askama::Template;
use chrono::{DateTime, Utc};

use super::Standing;
use crate::web::form::FormErrors;
use crate::web::format as filters;
use crate::web::page::{Page, Tab};

/// Every setting.
#[derive(Template)]
#[template(path = "admin/settings/index.html")]
pub struct SettingsIndexPage {
    /// The chrome.
    pub page: Page,
    /// The heading: how many differ from their defaults.
    pub verdict: String,
    /// The settings.
    pub groups: Vec<SettingGroup>,
}

/// Settings about one thing.
#[derive(Debug, Clone)]
pub struct SettingGroup {
    /// What they are about.
    pub name: &'static str,
    /// The settings.
    pub rows: Vec<SettingRow>,
}

/// One setting in words.
#[derive(Debug, Clone)]
pub struct SettingRow {
    /// Its key.
    pub key: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Its value.
    pub value: String,
    /// Its default.
    pub default: String,
    /// Whether these differ.
    pub is_changed: bool,
}

/// One setting, and its form.
#[derive(Template)]
#[template(path = "admin/settings/edit.html")]
pub struct SettingPage {
    /// The chrome.
    pub page: Page,
    /// The setting.
    pub row: SettingRow,
    /// What it takes, in a sentence.
    pub rule: String,
    /// Whether it is on or off.
    pub is_switch: bool,
    /// Whether it takes several lines.
    pub is_long: bool,
    /// Whether it is a number.
    pub is_number: bool,
    /// The words it may be, with their meanings; empty for other kinds.
    pub choices: &'static [(&'static str, &'static str)],
    /// What stands in the form; of a switch, anything is on.
    pub typed: String,
    /// Who changed it, newest first.
    pub history: Vec<AuditRow>,
    /// What is wrong.
    pub errors: FormErrors,
}

/// Who changed what.
#[derive(Template)]
#[template(path = "admin/audit.html")]
pub struct AuditPage {
    /// The chrome.
    pub page: Page,
    /// The heading: how many changes.
    pub verdict: String,
    /// How the subjects begin that were looked for.
    pub subject: String,
    /// Whose changes were looked for.
    pub actor: String,
    /// The changes, newest first.
    pub rows: Vec<AuditRow>,
    /// Where the list continues.
    pub more: Option<String>,
}

/// One change.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its number.
    pub id: i64,
    /// When.
    pub time: DateTime<Utc>,
    /// Who; `None` is the command line.
    pub actor: Option<String>,
    /// Kind and name of what was changed.
    pub subject: String,
    /// What was done.
    pub action: String,
    /// How it was.
    pub before: String,
    /// How it is.
    pub after: String,
}

/// Every flag, and the form for a new one.
#[derive(Template)]
#[template(path = "admin/flags/index.html")]
pub struct FlagsIndexPage {
    /// The chrome.
    pub page: Page,
    /// The heading: how many are on.
    pub verdict: String,
    /// The flags.
    pub rows: Vec<FlagRow>,
    /// The name that was typed for a new one.
    pub name: String,
    /// The description that was typed for a new one.
    pub description: String,
    /// What is wrong.
    pub errors: FormErrors,
}

/// One flag in words.
#[derive(Debug, Clone)]
pub struct FlagRow {
    /// Its name.
    pub name: String,
    /// What it switches.
    pub description: String,
    /// Whether it is switched on.
    pub is_on: bool,
    /// For whom and where, in words; empty is everyone, everywhere.
    pub conditions: String,
    /// When it was last asked for.
    pub evaluated_at: Option<DateTime<Utc>>,
}

/// One flag, and its form.
#[derive(Template)]
#[template(path = "admin/flags/edit.html")]
pub struct FlagPage {
    /// The chrome.
    pub page: Page,
    /// The flag as it is.
    pub row: FlagRow,
    /// Where this process runs.
    pub environment: &'static str,
    /// Whether it cannot be deleted.
    pub is_built_in: bool,
    /// Whether "on" is ticked.
    pub is_on: bool,
    /// The environments, and which are ticked.
    pub environments: Vec<(&'static str, bool)>,
    /// The segments, and which are ticked.
    pub segments: Vec<(&'static str, bool)>,
    /// The share that was typed.
    pub percentage: String,
    /// The user names that were typed.
    pub users: String,
    /// The description that was typed.
    pub description: String,
    /// For whom it was tried.
    pub tried: String,
    /// Whether it is on for them, and why, in a sentence.
    pub outcome: Option<(bool, String)>,
    /// Who changed it, newest first.
    pub history: Vec<AuditRow>,
    /// What is wrong.
    pub errors: FormErrors,
}

/// Jobs, schedules and background tasks.
#[derive(Template)]
#[template(path = "admin/jobs.html")]
pub struct JobsPage {
    /// The chrome.
    pub page: Page,
    /// The heading: how they stand.
    pub verdict: String,
    /// Figures by kind.
    pub kinds: Vec<JobKindRow>,
    /// What comes by itself.
    pub schedules: Vec<ScheduleItem>,
    /// What this process does besides.
    pub tasks: Vec<TaskRow>,
    /// The states.
    pub tabs: Vec<Tab>,
    /// The jobs, newest first.
    pub rows: Vec<JobRow>,
    /// Where the list continues.
    pub more: Option<String>,
}

/// Figures of one kind of jobs.
#[derive(Debug, Clone)]
pub struct JobKindRow {
    /// How it stands.
    pub standing: Standing,
    /// The same in a word or two.
    pub word: &'static str,
    /// Its name.
    pub kind: String,
    /// Waiting.
    pub queued: i64,
    /// At work.
    pub running: i64,
    /// Done, as far back as these are kept.
    pub done: i64,
    /// Given up.
    pub dead: i64,
    /// When the last one ended.
    pub last_at: Option<DateTime<Utc>>,
    /// Mean time, in milliseconds.
    pub mean_ms: Option<i64>,
}

/// One periodic job.
#[derive(Debug, Clone)]
pub struct ScheduleItem {
    /// The kind of job.
    pub kind: String,
    /// Its cron pattern.
    pub pattern: String,
    /// When it comes next.
    pub next_at: DateTime<Utc>,
    /// When it came last.
    pub last_at: Option<DateTime<Utc>>,
}

/// One background task of this process.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// Its name.
    pub name: &'static str,
    /// Times it was run.
    pub runs: u64,
    /// Times it failed or panicked.
    pub failures: u64,
    /// When it last ended.
    pub last_at: Option<DateTime<Utc>>,
    /// How long that took, in milliseconds.
    pub last_ms: u64,
    /// What the last failure said.
    pub last_error: Option<String>,
}

/// One job.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Its number.
    pub id: i64,
    /// Its kind.
    pub kind: String,
    /// Its state in a word.
    pub state: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// Attempts begun.
    pub attempts: i32,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it is tried next.
    pub run_at: Option<DateTime<Utc>>,
    /// How long the last attempt took, in milliseconds.
    pub duration_ms: Option<i32>,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// Whether "run now" is offered.
    pub can_run: bool,
    /// Whether "delete" is offered.
    pub can_delete: bool,
}
