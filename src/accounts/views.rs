//! Pages of accounts: getting in, and one's own settings. It must not know how passwords or
//! sessions are kept.

use askama::Template;
use chrono::{DateTime, Utc};

use crate::web::form::FormErrors;
use crate::web::format as filters;
use crate::web::page::{Page, Tab, Theme};

/// Whether an account may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountState {
    /// As usual.
    Active,
    /// Shut out by a moderator.
    Banned {
        /// When the ban ends; `None` is never.
        until: Option<DateTime<Utc>>,
        /// The reason given.
        reason: String,
    },
    /// Brought by an import: it has no password.
    Imported,
}

impl AccountState {
    /// Whether a ban is in force.
    pub fn is_banned(&self) -> bool {
        matches!(self, Self::Banned { .. })
    }
}

/// Logging in.
#[derive(Template)]
#[template(path = "accounts/login.html")]
pub struct LoginPage {
    /// The chrome.
    pub page: Page,
    /// The guest's token, which matches a signed cookie.
    pub csrf_token: String,
    /// The name that was typed.
    pub username: String,
    /// Whether "keep me logged in" was ticked.
    pub remember: bool,
    /// The local path to go to afterwards; empty is the front page.
    pub next: String,
    /// `next`, percent-encoded as one query value.
    pub next_encoded: String,
    /// What is wrong.
    pub errors: FormErrors,
}

/// Signing up.
#[derive(Template)]
#[template(path = "accounts/signup.html")]
pub struct SignupPage {
    /// The chrome.
    pub page: Page,
    /// The guest's token, which matches a signed cookie.
    pub csrf_token: String,
    /// The name that was typed.
    pub username: String,
    /// The address that was typed.
    pub email: String,
    /// The local path to go to afterwards; empty is the front page.
    pub next: String,
    /// `next`, percent-encoded as one query value.
    pub next_encoded: String,
    /// What is wrong.
    pub errors: FormErrors,
}

/// Making the first administrator, from the one-time link on the terminal.
#[derive(Template)]
#[template(path = "accounts/setup.html")]
pub struct SetupPage {
    /// The chrome.
    pub page: Page,
    /// The guest's token, which matches a signed cookie.
    pub csrf_token: String,
    /// The one-time token of the link.
    pub setup_token: String,
    /// The name that was typed.
    pub username: String,
    /// The address that was typed.
    pub email: String,
    /// What is wrong.
    pub errors: FormErrors,
}

/// The pages of the settings, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsPlace {
    /// `/settings/profile`
    Profile,
    /// `/settings/preferences`
    Preferences,
    /// `/settings/email`
    Email,
    /// `/settings/password`
    Password,
    /// `/settings/sessions`
    Sessions,
    /// `/settings/tokens`
    Tokens,
}

impl SettingsPlace {
    /// The settings' own navigation.
    pub fn tabs(self) -> Vec<Tab> {
        [
            (Self::Profile, "/settings/profile", "Profile"),
            (Self::Preferences, "/settings/preferences", "Preferences"),
            (Self::Email, "/settings/email", "E-mail"),
            (Self::Password, "/settings/password", "Password"),
            (Self::Sessions, "/settings/sessions", "Sessions"),
            (Self::Tokens, "/settings/tokens", "Tokens"),
        ]
        .into_iter()
        .map(|(place, href, label)| Tab {
            href: href.to_owned(),
            label: label.to_owned(),
            is_current: place == self,
        })
        .collect()
    }
}

/// What others read about oneself.
#[derive(Template)]
#[template(path = "accounts/settings/profile.html")]
pub struct SettingsProfilePage {
    /// The chrome.
    pub page: Page,
    /// About oneself, in markdown, as typed.
    pub about: String,
    /// What is wrong.
    pub errors: FormErrors,
}

/// How the site is to look and behave.
#[derive(Template)]
#[template(path = "accounts/settings/preferences.html")]
pub struct SettingsPreferencesPage {
    /// The chrome.
    pub page: Page,
    /// The chosen theme.
    pub theme: Theme,
    /// Whether rows stand closer.
    pub compact: bool,
    /// Whether single-key shortcuts are on.
    pub shortcuts: bool,
    /// The chosen IANA time zone; empty is the browser's.
    pub time_zone: String,
    /// The zones there are.
    pub time_zones: Vec<String>,
    /// What is wrong.
    pub errors: FormErrors,
}

/// A new password.
#[derive(Template)]
#[template(path = "accounts/settings/password.html")]
pub struct SettingsPasswordPage {
    /// The chrome.
    pub page: Page,
    /// What is wrong.
    pub errors: FormErrors,
}

/// Where mail goes.
#[derive(Template)]
#[template(path = "accounts/settings/email.html")]
pub struct SettingsEmailPage {
    /// The chrome.
    pub page: Page,
    /// Whether the site can send mail.
    pub mail_is_on: bool,
    /// The confirmed address.
    pub proven: Option<String>,
    /// The address that waits to be confirmed.
    pub waits: Option<String>,
    /// The address that was typed.
    pub email: String,
    /// What is wrong.
    pub errors: FormErrors,
}

/// Where the link that confirms an address leads.
#[derive(Template)]
#[template(path = "accounts/email_verify.html")]
pub struct EmailVerifyPage {
    /// The chrome.
    pub page: Page,
    /// The guest's token, which matches a signed cookie.
    pub csrf_token: String,
    /// Where the form goes; it holds the link's secret.
    pub action: String,
    /// The user name and the address; `None` for a link that works no longer.
    pub to: Option<(String, String)>,
}

/// Asking for the way to a new password.
#[derive(Template)]
#[template(path = "accounts/password_forgot.html")]
pub struct PasswordForgotPage {
    /// The chrome.
    pub page: Page,
    /// The guest's token, which matches a signed cookie.
    pub csrf_token: String,
    /// The name or address that was typed.
    pub username: String,
    /// Whether the site can send mail.
    pub mail_is_on: bool,
    /// How to reach the operator; `None` if they have not said.
    pub contact: Option<String>,
    /// What is wrong.
    pub errors: FormErrors,
}

/// Where the link to a new password leads.
#[derive(Template)]
#[template(path = "accounts/password_reset.html")]
pub struct PasswordResetPage {
    /// The chrome.
    pub page: Page,
    /// The guest's token, which matches a signed cookie.
    pub csrf_token: String,
    /// Where the form goes; it holds the link's secret.
    pub action: String,
    /// Whose password it is.
    pub username: String,
    /// What is wrong.
    pub errors: FormErrors,
}

/// Where one is logged in.
#[derive(Template)]
#[template(path = "accounts/settings/sessions.html")]
pub struct SettingsSessionsPage {
    /// The chrome.
    pub page: Page,
    /// Every living session, this one first.
    pub sessions: Vec<SessionItem>,
}

impl SettingsSessionsPage {
    /// Whether there is any session but this one.
    pub fn has_others(&self) -> bool {
        self.sessions.iter().any(|session| !session.is_current)
    }
}

/// Keys of one's programs.
#[derive(Template)]
#[template(path = "accounts/settings/tokens.html")]
pub struct SettingsTokensPage {
    /// The chrome.
    pub page: Page,
    /// The keys, newest first.
    pub tokens: Vec<TokenItem>,
    /// The one that was just made; it is shown this once.
    pub made: Option<String>,
    /// The name that was typed.
    pub name: String,
    /// The scopes that may be given: word, meaning, whether it was ticked.
    pub scopes: Vec<(&'static str, &'static str, bool)>,
    /// For how many days (0 is for good), and whether it was chosen.
    pub days: Vec<(i32, bool)>,
    /// What is wrong.
    pub errors: FormErrors,
}

/// One key.
#[derive(Debug, Clone)]
pub struct TokenItem {
    /// What `/settings/tokens/{id}/end` takes.
    pub id: i64,
    /// What its owner calls it.
    pub name: String,
    /// What it is good for.
    pub scopes: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends; `None` is never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether that is past.
    pub is_over: bool,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// One session.
#[derive(Debug, Clone)]
pub struct SessionItem {
    /// What `/settings/sessions/{id}/end` takes; never the token.
    pub id: String,
    /// The device in words, such as "Firefox on Linux".
    pub device: String,
    /// The address it was last seen at.
    pub address: String,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// Whether it is the one reading this.
    pub is_current: bool,
}
