//! The vote control: a caret over points. The same fragment stands in list items and comments and
//! answers an htmx vote. It must not know what a post or a comment is beyond its id.

use askama::Template;

use crate::web::format as filters;
use crate::web::page::Page;

/// What is voted on, and how it stands.
#[derive(Debug, Clone)]
pub struct Vote {
    /// What is voted on.
    pub target: VoteTarget,
    /// Points, this viewer's vote included.
    pub points: i64,
    /// What this viewer may do, and has done.
    pub state: VoteState,
}

/// What is voted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteTarget {
    /// A post, by id.
    Post(i64),
    /// A comment, by id.
    Comment(i64),
}

/// What the viewer may do, and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteState {
    /// A guest: the caret is a link to `/login`.
    Guest,
    /// May vote and has not.
    Off,
    /// Has voted and may take it back.
    On,
    /// Nothing to press: their own, deleted, removed, or they are banned.
    Fixed,
}

impl Vote {
    /// The path that votes are posted to.
    pub fn action(&self) -> String {
        match self.target {
            VoteTarget::Post(id) => format!("/posts/{id}/vote"),
            VoteTarget::Comment(id) => format!("/comments/{id}/vote"),
        }
    }

    /// Whether there is something to press.
    pub fn is_form(&self) -> bool {
        matches!(self.state, VoteState::Off | VoteState::On)
    }

    /// `point` or `points`, after their number.
    pub fn unit(&self) -> &'static str {
        if self.points == 1 { "point" } else { "points" }
    }
}

/// The answer to an htmx vote: the control alone. Lists and threads include the same template,
/// with `vote`, `subject` and `page` in scope.
#[derive(Template)]
#[template(path = "votes/_vote.html")]
pub struct VoteFragment {
    /// The chrome; only its token and `next` are read.
    pub page: Page,
    /// The vote as it stands now.
    pub vote: Vote,
    /// What the button names after "Upvote:": a post's title, or `comment by alice`.
    pub subject: String,
}
