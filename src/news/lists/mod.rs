//! The lists of posts: front page, newest, active, top, ask, show, over a score. Must not know how a post is written.

pub mod handlers; // one handler a list
pub mod listing; // what all lists share: reading the cursor, drawing the page
pub mod queries; // all their SQL
