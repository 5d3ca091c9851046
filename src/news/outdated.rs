//! Which kept pages a change makes outdated: called by handlers after the commit. Must not know how pages are kept.
//!
//! | tag | on |
//! |---|---|
//! | `post:{id}` | the post's pages and those of its comments |
//! | `lists` | every list of posts, the list of tags |
//! | `list:{name}`, `tag:{name}`, `domain:{name}` | that list (also under `lists`) |
//! | `comments` | every list of comments |
//! | `moderation` | the moderation log |
//! | `user:{id}` | the pages of that person |

use crate::{platform::cache::Cache, web::cache::Pages};

/// The event upon which what is known of the tags is dropped.
pub const TAGS_CHANGED: &str = "tags.changed";

/// A post was given these tags: some may be new.
pub async fn tags(cache: &Cache, names: &[String]) {
    if !names.is_empty() {
        cache.happened(TAGS_CHANGED).await;
    }
}

fn user(id: Option<i64>) -> String {
    format!("user:{}", id.unwrap_or_default())
}

/// A post came, or its text, title or address changed.
pub fn post(pages: &Pages, id: i64, author: Option<i64>) {
    pages.invalidate(&[format!("post:{id}"), "lists".into(), user(author)]);
}

/// What a post's link leads to became known.
pub fn link(pages: &Pages, post: i64) {
    pages.invalidate(&[format!("post:{post}")]);
}

/// A post was taken away or put back: what was seen of it must not be seen again.
pub fn post_state(pages: &Pages, id: i64, author: Option<i64>) {
    pages.remove(&[
        format!("post:{id}"),
        "lists".into(),
        "comments".into(),
        user(author),
    ]);
}

/// A comment came or changed.
pub fn comment(pages: &Pages, post: i64, author: Option<i64>) {
    pages.invalidate(&[
        format!("post:{post}"),
        "lists".into(),
        "comments".into(),
        user(author),
    ]);
}

/// A comment was taken away or put back.
pub fn comment_state(pages: &Pages, post: i64, author: Option<i64>) {
    pages.remove(&[
        format!("post:{post}"),
        "lists".into(),
        "comments".into(),
        user(author),
    ]);
}

/// Somebody voted on a post.
pub fn post_vote(pages: &Pages, id: i64, author: Option<i64>) {
    pages.invalidate(&[format!("post:{id}"), "lists".into(), user(author)]);
}

/// Somebody voted on a comment.
pub fn comment_vote(pages: &Pages, post: i64, author: Option<i64>) {
    pages.invalidate(&[format!("post:{post}"), "comments".into(), user(author)]);
}

/// A moderator or an administrator has acted; `user` is whose standing has changed, if it was somebody's.
pub fn moderation(pages: &Pages, user_id: Option<i64>) {
    match user_id {
        Some(id) => pages.invalidate(&["moderation".into(), user(Some(id))]),
        None => pages.invalidate(&["moderation"]),
    }
}
