//! Pages of moderation: the public log, and the one form that asks for a reason. It must not know
//! what the acts do.

use askama::Template;
use chrono::{DateTime, Utc};

use crate::web::form::FormErrors;
use crate::web::format as filters;
use crate::web::page::Page;

/// The public log, newest first.
#[derive(Template)]
#[template(path = "moderation/log.html")]
pub struct LogPage {
    /// The chrome.
    pub page: Page,
    /// What was done.
    pub entries: Vec<LogEntry>,
    /// Where the log continues.
    pub more: Option<String>,
}

/// One act.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// When.
    pub created_at: DateTime<Utc>,
    /// Who; `None` is the system itself.
    pub moderator: Option<String>,
    /// What, in the past tense and before its object: `removed the post`, `banned the user`.
    pub action: String,
    /// To whom or what: a title, or a name.
    pub target: String,
    /// Its page, if it has one.
    pub target_path: Option<String>,
    /// The reason given.
    pub reason: String,
}

/// Asks once, with a reason, before a moderator's act.
#[derive(Template)]
#[template(path = "moderation/act.html")]
pub struct ActPage {
    /// The chrome.
    pub page: Page,
    /// The act as a question, such as "Remove this post?"
    pub heading: String,
    /// What it will do, in one or two plain sentences.
    pub consequence: String,
    /// What it is about: a title, a name, or the beginning of a text.
    pub subject: String,
    /// The path that the form is posted to.
    pub action: String,
    /// Where "Cancel" leads.
    pub back: String,
    /// The button's words, such as "Remove the post".
    pub button: String,
    /// Whether it takes something away, rather than gives it back.
    pub is_destructive: bool,
    /// The reason that was typed.
    pub reason: String,
    /// The days that were typed, where the act may end by itself; `None` shows no such field.
    pub days: Option<String>,
    /// What is wrong.
    pub errors: FormErrors,
}
