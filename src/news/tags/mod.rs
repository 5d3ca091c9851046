//! Tags: all of them, and the posts of one or several. Must not know how a post is written.

pub mod handlers;
pub mod queries;
pub mod views;
