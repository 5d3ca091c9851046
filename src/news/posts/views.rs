//! Pages of posts: lists, one post with its thread, and the forms. It must not know how lists are
//! ranked nor where they continue; handlers say so.

use askama::Template;
use chrono::{DateTime, Utc};

use crate::news::comments::views::{Discussion, Thread};
use crate::news::votes::views::Vote;
use crate::web::form::FormErrors;
use crate::web::format as filters;
use crate::web::page::{Page, Place, Tab};

/// A post in a list, as its reader may see it.
#[derive(Debug, Clone)]
pub struct PostItem {
    /// Its id.
    pub id: i64,
    /// Its running number in the list; `None` in lists without rank and on its own page.
    pub rank: Option<i64>,
    /// Its canonical path, `/posts/{id}/{slug}`.
    pub path: String,
    /// The link, if it is one.
    pub url: Option<String>,
    /// Its title, as typed.
    pub title: String,
    /// The link's domain or origin, such as `github.com/alice`.
    pub domain: Option<String>,
    /// Its tags' names.
    pub tags: Vec<String>,
    /// Its author's name; `None` when an import brought none.
    pub author: Option<String>,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// Comments on it.
    pub comment_count: i64,
    /// Those written since the reader's last visit; 0 shows nothing.
    pub new_comment_count: i64,
    /// Whether it is to be read.
    pub state: PostState,
    /// Its points, and what the reader may do about them.
    pub vote: Vote,
}

impl PostItem {
    /// The title, or what stands for it.
    pub fn heading(&self) -> &str {
        match self.state {
            PostState::Live => &self.title,
            PostState::Deleted => "[deleted]",
            PostState::Removed => "[removed by a moderator]",
        }
    }

    /// Whether it is to be read.
    pub fn is_live(&self) -> bool {
        self.state == PostState::Live
    }

    /// The link, while the post is to be read.
    pub fn link(&self) -> Option<&str> {
        self.url.as_deref().filter(|_| self.is_live())
    }

    /// The domain, while the post is to be read.
    pub fn origin(&self) -> Option<&str> {
        self.domain.as_deref().filter(|_| self.is_live())
    }

    /// The author, unless they deleted it.
    pub fn byline(&self) -> Option<&str> {
        self.author
            .as_deref()
            .filter(|_| self.state != PostState::Deleted)
    }
}

/// Whether a post is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostState {
    /// As written.
    Live,
    /// Deleted by its author; the thread stays.
    Deleted,
    /// Removed by a moderator; the thread stays.
    Removed,
}

/// A list of posts: the front page, newest, top, by tag, by domain, by author.
#[derive(Template)]
#[template(path = "posts/list.html")]
pub struct ListPage {
    /// The chrome.
    pub page: Page,
    /// The page's heading; shown where the navigation does not already say it.
    pub heading: String,
    /// A plain sentence below it.
    pub intro: Option<String>,
    /// Periods of `/top`, or neighbouring lists; often none.
    pub tabs: Vec<Tab>,
    /// What is listed.
    pub posts: Vec<PostItem>,
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

/// One post with its thread.
#[derive(Template)]
#[template(path = "posts/show.html")]
pub struct ShowPage {
    /// The chrome.
    pub page: Page,
    /// The post.
    pub post: PostItem,
    /// Its text as sanitised HTML; empty if it has none, or it is not to be read.
    pub html: String,
    /// What the page behind the link says of itself, if the post is to be read.
    pub link_description: Option<String>,
    /// When it was last changed, if ever.
    pub edited_at: Option<DateTime<Utc>>,
    /// Whether nobody may comment any more.
    pub is_locked: bool,
    /// The moderator's reason, once removed.
    pub removal_reason: Option<String>,
    /// Whether "edit" is offered.
    pub can_edit: bool,
    /// Whether "delete" is offered.
    pub can_delete: bool,
    /// Whether a moderator's "remove" is offered.
    pub can_remove: bool,
    /// Whether a moderator's "restore" is offered.
    pub can_restore: bool,
    /// Where to comment.
    pub discussion: Discussion,
    /// Best, newest, oldest.
    pub sorts: Vec<Tab>,
    /// The comments on this page.
    pub thread: Thread,
    /// Where the thread continues, if this page does not end it.
    pub more: Option<String>,
    /// The whole thread on one page, while it is paged.
    pub whole: Option<String>,
}

/// What has been typed into the form of a post.
#[derive(Debug, Clone, Default)]
pub struct PostForm {
    /// The title.
    pub title: String,
    /// The link, if any.
    pub url: String,
    /// The text in markdown, if any.
    pub text: String,
    /// Tags, comma-separated.
    pub tags: String,
}

/// Submitting a post.
#[derive(Template)]
#[template(path = "posts/new.html")]
pub struct NewPage {
    /// The chrome.
    pub page: Page,
    /// What was typed.
    pub form: PostForm,
    /// Makes two submits of one form one post.
    pub nonce: String,
    /// What is wrong with it.
    pub errors: FormErrors,
    /// The post as it will look, when asked for.
    pub preview: Option<PostPreview>,
    /// Tags that exist, offered while typing.
    pub known_tags: Vec<String>,
    /// Whether the link's own title can be fetched.
    pub fetches_titles: bool,
}

/// The field of the title alone, for the script.
#[derive(Template)]
#[template(path = "posts/_title.html")]
pub struct TitleField {
    /// What was typed, or found.
    pub form: PostForm,
    /// Why nothing was found.
    pub errors: FormErrors,
}

/// A post as it will look.
#[derive(Debug, Clone)]
pub struct PostPreview {
    /// The title.
    pub title: String,
    /// The link's domain.
    pub domain: Option<String>,
    /// The text as sanitised HTML.
    pub html: String,
}

/// Changing one's post.
#[derive(Template)]
#[template(path = "posts/edit.html")]
pub struct EditPage {
    /// The chrome.
    pub page: Page,
    /// The post's id.
    pub post_id: i64,
    /// Its canonical path.
    pub path: String,
    /// What was typed.
    pub form: PostForm,
    /// What is wrong with it.
    pub errors: FormErrors,
    /// Tags that exist, offered while typing.
    pub known_tags: Vec<String>,
}

/// Asks once before deleting one's post.
#[derive(Template)]
#[template(path = "posts/delete.html")]
pub struct DeletePage {
    /// The chrome.
    pub page: Page,
    /// The post's id.
    pub post_id: i64,
    /// Its canonical path.
    pub path: String,
    /// Its title.
    pub title: String,
    /// Whether it has comments, which stay.
    pub has_comments: bool,
}
