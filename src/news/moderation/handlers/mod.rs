//! The pages of moderation. Must not hold SQL or rules; one file for each kind of target, and the log.

pub mod comments;
pub mod log;
pub mod posts;
pub mod users;

use serde::Deserialize;

use super::model::{State, require_may_remove, require_may_restore};
use crate::web::{
    error::Error,
    viewer::{Target, Viewer},
};

/// What is to happen to a post or a comment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Remove,
    Restore,
}

impl Verb {
    /// The last part of the address, and the action in permissions.
    fn name(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Restore => "restore",
        }
    }

    /// Whether `viewer` may do this to a `resource` in this state by this author, and whether it can be done at all.
    fn require(
        self,
        viewer: &Viewer,
        resource: &str,
        author: (Option<i64>, i16),
        state: &str,
        attributes: &[(&str, &str)],
    ) -> Result<(), Error> {
        let (author_id, author_rank) = author;
        let target = Target {
            owner: author_id,
            attributes,
        };
        viewer.require(resource, self.name(), &target)?;
        match self {
            Self::Remove => {
                require_may_remove(viewer, author_id, author_rank)?;
                State::parse(state).require_removable()
            }
            Self::Restore => {
                require_may_restore(viewer, author_id, author_rank)?;
                State::parse(state).require_restorable()
            }
        }
    }
}

/// What a moderator fills in.
#[derive(Deserialize)]
pub struct ActForm {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    days: String,
}

impl ActForm {
    /// A form that nobody has touched yet.
    fn empty() -> Self {
        Self {
            reason: String::new(),
            days: String::new(),
        }
    }
}
