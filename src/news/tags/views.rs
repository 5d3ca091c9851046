//! The page of all tags. A tag's own page is a list of posts. It must not know how tags are
//! counted.

use askama::Template;

use crate::web::format as filters;
use crate::web::page::Page;

/// Every tag.
#[derive(Template)]
#[template(path = "tags/index.html")]
pub struct IndexPage {
    /// The chrome.
    pub page: Page,
    /// The tags, by name.
    pub tags: Vec<TagItem>,
}

/// One tag.
#[derive(Debug, Clone)]
pub struct TagItem {
    /// Its name, as in `/tags/{name}`.
    pub name: String,
    /// What it is for, as plain text.
    pub description: String,
    /// Posts that carry it.
    pub post_count: i64,
}
