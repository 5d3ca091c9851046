//! The public page of a user. Their posts and comments are lists of those slices. It must not know
//! how karma is counted.

use askama::Template;
use chrono::{DateTime, Utc};

use crate::accounts::views::AccountState;
use crate::web::format as filters;
use crate::web::page::{Page, Tab};

/// A user, as everybody may see them.
#[derive(Template)]
#[template(path = "profiles/show.html")]
pub struct ShowPage {
    /// The chrome.
    pub page: Page,
    /// Who it is.
    pub profile: Profile,
    /// About, posts, comments.
    pub tabs: Vec<Tab>,
    /// Whether it is the reader.
    pub is_self: bool,
    /// Whether a moderator's "ban" is offered.
    pub can_ban: bool,
    /// Whether a moderator's "lift the ban" is offered.
    pub can_unban: bool,
}

/// Who it is.
#[derive(Debug, Clone)]
pub struct Profile {
    /// User name.
    pub name: String,
    /// About them, as sanitised HTML; empty if they said nothing.
    pub about_html: String,
    /// Points received.
    pub karma: i64,
    /// When they joined.
    pub created_at: DateTime<Utc>,
    /// Posts written.
    pub post_count: i64,
    /// Comments written.
    pub comment_count: i64,
    /// Roles beyond that of every user, in words.
    pub roles: Vec<String>,
    /// Whether they joined lately.
    pub is_new: bool,
    /// Whether the account may be used.
    pub state: AccountState,
}
