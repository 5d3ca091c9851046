//! Pages and fragments of comments. A thread is a flat list in reading order that templates walk
//! once: see [`Thread`]. It must not know how comments are stored or ranked.

use askama::Template;
use chrono::{DateTime, Utc};

use crate::news::votes::views::{Vote, VoteState};
use crate::web::form::FormErrors;
use crate::web::format as filters;
use crate::web::page::{Page, Place, Tab};

/// Past this depth (the page's roots are 0) the indent stops and "↑ parent" is shown. The style
/// sheet holds the same number, as nested lists.
pub const DEEPEST_INDENT: usize = 6;

/// Comments in reading order (a comment, then its replies, then its next sibling).
///
/// Templates write nested lists from it in one loop, without recursion: each comment opens its
/// `<li>` and the `<ol>` of its replies, and then closes as many of these as [`CommentItem::closes`]
/// says. [`Thread::new`] derives both `closes` and `replies` from the depths alone.
#[derive(Debug, Clone, Default)]
pub struct Thread {
    /// The comments, `closes` and `replies` filled in.
    pub items: Vec<CommentItem>,
}

impl Thread {
    /// Takes comments in reading order, whose `depth` is right, and works out where lists close
    /// and how many replies each fold hides. Depths are made to count from the first item's, so
    /// that a branch on a page of its own starts at the margin; a jump of more than one level
    /// down is read as one level. Linear in the number of comments.
    pub fn new(mut items: Vec<CommentItem>) -> Self {
        // Indices of the comments whose lists are open, outermost first.
        let mut open: Vec<usize> = Vec::new();
        let base = items.first().map_or(0, |item| item.depth);
        for index in 0..items.len() {
            let depth = items[index].depth.saturating_sub(base).min(open.len());
            if index > 0 {
                items[index - 1].closes = open.len() - depth;
            }
            while open.len() > depth {
                if let Some(closed) = open.pop()
                    && let Some(&parent) = open.last()
                {
                    items[parent].replies += items[closed].replies + 1;
                }
            }
            items[index].depth = depth;
            items[index].replies = items[index].continues;
            open.push(index);
        }
        if let Some(last) = items.last_mut() {
            last.closes = open.len();
        }
        while let Some(closed) = open.pop() {
            if let Some(&parent) = open.last() {
                items[parent].replies += items[closed].replies + 1;
            }
        }
        Self { items }
    }

    /// Whether nobody has said anything.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// One comment, as its reader may see it.
#[derive(Debug, Clone)]
pub struct CommentItem {
    /// Its id.
    pub id: i64,
    /// The comment that it answers.
    pub parent_id: Option<i64>,
    /// How deep it stands; roots are 0. [`Thread::new`] makes it relative to its page.
    pub depth: usize,
    /// Its author's name; `None` when deleted, or when an import brought none.
    pub author: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was last changed, if ever.
    pub edited_at: Option<DateTime<Utc>>,
    /// Whether it is to be read.
    pub state: CommentState,
    /// Sanitised HTML; read only while [`CommentState::Live`], or by moderators.
    pub html: String,
    /// Its points, and what the reader may do about them.
    pub vote: Vote,
    /// Whether its author is the post's.
    pub is_by_poster: bool,
    /// Whether it was written since the reader's last visit.
    pub is_new: bool,
    /// Whether "reply" is offered (to guests as a way to log in).
    pub can_reply: bool,
    /// Whether "edit" is offered.
    pub can_edit: bool,
    /// Whether "delete" is offered.
    pub can_delete: bool,
    /// Whether a moderator's "remove" is offered.
    pub can_remove: bool,
    /// Whether a moderator's "restore" is offered.
    pub can_restore: bool,
    /// Replies below it that this page leaves out; not 0 offers to continue on its own page.
    pub continues: i64,
    /// How many replies a fold hides, those left out included. Filled in by [`Thread::new`].
    pub replies: i64,
    /// How many comments end after this one, itself included. Filled in by [`Thread::new`].
    pub closes: usize,
}

impl CommentItem {
    /// Whether the indent has stopped.
    pub fn is_deep(&self) -> bool {
        self.depth > DEEPEST_INDENT
    }

    /// Whether its text is to be read.
    pub fn is_live(&self) -> bool {
        self.state == CommentState::Live
    }

    /// Who wrote it, in words.
    pub fn by(&self) -> &str {
        match (&self.author, self.state) {
            (Some(author), CommentState::Live | CommentState::Removed) => author,
            (_, CommentState::Deleted) => "[deleted]",
            (None, _) => "[unknown]",
        }
    }

    /// What the vote button names.
    pub fn subject(&self) -> String {
        format!("comment by {}", self.by())
    }

    /// Whether points are shown at all.
    pub fn shows_vote(&self) -> bool {
        self.is_live() || self.vote.state != VoteState::Fixed
    }
}

/// Whether a comment is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentState {
    /// As written.
    Live,
    /// Deleted by its author; its replies stay.
    Deleted,
    /// Removed by a moderator; its replies stay.
    Removed,
}

/// The post that comments stand on.
#[derive(Debug, Clone)]
pub struct PostLink {
    /// Its title, or what stands for it.
    pub title: String,
    /// Its canonical path.
    pub path: String,
}

/// What stands where one would write a comment.
#[derive(Debug, Clone)]
pub enum Discussion {
    /// The form.
    Open(ReplyForm),
    /// A way to log in.
    Guest,
    /// A plain sentence that says why there is no form, such as "This discussion is locked."
    Closed(String),
}

impl Discussion {
    /// Whether nobody can say anything.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

/// The form for a comment, with what was typed.
#[derive(Debug, Clone)]
pub struct ReplyForm {
    /// The post it is for.
    pub post_id: i64,
    /// The comment it answers, if it answers one.
    pub parent_id: Option<i64>,
    /// What was typed.
    pub text: String,
    /// Makes two submits of one form one comment.
    pub nonce: String,
    /// What is wrong with it.
    pub errors: FormErrors,
}

impl ReplyForm {
    /// The text field's id: several forms may stand on one page.
    pub fn field_id(&self) -> String {
        match self.parent_id {
            Some(parent) => format!("text-{parent}"),
            None => "text".to_owned(),
        }
    }
}

/// Comments out of their threads: `/comments`, `/users/{name}/comments`, `/threads`.
#[derive(Template)]
#[template(path = "comments/list.html")]
pub struct ListPage {
    /// The chrome.
    pub page: Page,
    /// The page's heading.
    pub heading: String,
    /// A plain sentence below it.
    pub intro: Option<String>,
    /// Neighbouring lists, such as a user's posts; often none.
    pub tabs: Vec<Tab>,
    /// What is listed.
    pub comments: Vec<ListedComment>,
    /// Where the list continues.
    pub more: Option<String>,
    /// What to say when there is nothing.
    pub empty: String,
}

impl ListPage {
    /// Whether the heading is to be seen, or only heard.
    pub fn shows_heading(&self) -> bool {
        self.page.place == Place::Elsewhere
    }
}

/// A comment in a list, with the post it stands on; `/threads` brings its replies along.
#[derive(Debug, Clone)]
pub struct ListedComment {
    /// The post it stands on.
    pub post: PostLink,
    /// The comment first, then what is shown of its replies.
    pub thread: Thread,
}

/// A comment in context: what it answers, itself, its replies, and a form.
#[derive(Template)]
#[template(path = "comments/show.html")]
pub struct ShowPage {
    /// The chrome.
    pub page: Page,
    /// The post it stands on.
    pub post: PostLink,
    /// What it answers, from the root down; each as one quiet line.
    pub ancestors: Vec<Ancestor>,
    /// The comment before it among its siblings.
    pub previous_id: Option<i64>,
    /// The comment after it among its siblings.
    pub next_id: Option<i64>,
    /// The comment first, then its replies.
    pub thread: Thread,
    /// Where to answer it.
    pub discussion: Discussion,
}

/// A comment above the one being read.
#[derive(Debug, Clone)]
pub struct Ancestor {
    /// Its id.
    pub id: i64,
    /// Who wrote it, in words.
    pub by: String,
    /// The beginning of its text, without markup.
    pub excerpt: String,
}

/// Changing one's comment.
#[derive(Template)]
#[template(path = "comments/edit.html")]
pub struct EditPage {
    /// The chrome.
    pub page: Page,
    /// The comment's id.
    pub comment_id: i64,
    /// The post it stands on.
    pub post: PostLink,
    /// Its markdown, as typed.
    pub text: String,
    /// What is wrong with it.
    pub errors: FormErrors,
}

/// Asks once before deleting one's comment.
#[derive(Template)]
#[template(path = "comments/delete.html")]
pub struct DeletePage {
    /// The chrome.
    pub page: Page,
    /// The comment's id.
    pub comment_id: i64,
    /// The post it stands on.
    pub post: PostLink,
    /// Its text, as sanitised HTML.
    pub html: String,
    /// Whether it has replies, which stay.
    pub has_replies: bool,
}

/// The answer to an htmx reply: one comment, to be appended to its parent's list.
#[derive(Template)]
#[template(path = "comments/_comment.html")]
pub struct CommentFragment {
    /// The chrome.
    pub page: Page,
    /// The comment, from a [`Thread`] of one: `closes` is 1.
    pub comment: CommentItem,
}

impl CommentFragment {
    /// One new comment at its depth.
    pub fn new(page: Page, mut comment: CommentItem) -> Self {
        comment.closes = 1;
        Self { page, comment }
    }
}

/// The reply form alone, for htmx (`GET /comments/{id}/reply`, and 422 answers to it).
#[derive(Template)]
#[template(path = "comments/_reply_form.html")]
pub struct ReplyFormFragment {
    /// The chrome.
    pub page: Page,
    /// The form.
    pub form: ReplyForm,
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::news::votes::views::VoteTarget;

    fn thread(depths: &[usize]) -> Thread {
        let items = depths
            .iter()
            .zip(1..)
            .map(|(&depth, id)| CommentItem {
                id,
                parent_id: None,
                depth,
                author: None,
                created_at: DateTime::UNIX_EPOCH,
                edited_at: None,
                state: CommentState::Live,
                html: String::new(),
                vote: Vote {
                    target: VoteTarget::Comment(id),
                    points: 1,
                    state: VoteState::Guest,
                },
                is_by_poster: false,
                is_new: false,
                can_reply: false,
                can_edit: false,
                can_delete: false,
                can_remove: false,
                can_restore: false,
                continues: 0,
                replies: 0,
                closes: 0,
            })
            .collect();
        Thread::new(items)
    }

    fn shape(thread: &Thread) -> Vec<(usize, i64)> {
        thread
            .items
            .iter()
            .map(|item| (item.closes, item.replies))
            .collect()
    }

    #[test]
    fn lists_close_where_the_depth_falls() {
        let read = thread(&[0, 1, 2, 1, 0]);
        assert_eq!(shape(&read), [(0, 3), (0, 1), (2, 0), (2, 0), (1, 0)]);
    }

    #[test]
    fn a_subtree_counts_from_its_first_comment() {
        assert_eq!(shape(&thread(&[4, 5, 5])), [(0, 2), (1, 0), (2, 0)]);
    }

    #[test]
    fn every_list_that_opens_closes_even_when_depths_jump() {
        for depths in [&[0, 3, 1, 7, 0][..], &[2, 0, 1], &[0], &[]] {
            let read = thread(depths);
            let closed: usize = read.items.iter().map(|item| item.closes).sum();
            assert_eq!(closed, depths.len());
        }
    }
}
