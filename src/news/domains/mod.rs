//! Domains: the posts that link to one. Must not know how a post is written.

pub mod handlers;
pub mod queries;
