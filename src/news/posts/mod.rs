//! Posts: submitting, reading, changing and deleting one. Must not know how lists are ranked.

pub mod form; // what may be submitted
pub mod handlers; // the pages
pub mod link; // URLs
pub mod model; // a post as rows bring it
pub mod queries; // all SQL of one post
pub mod rank; // the hot rank
pub mod title; // titles, kinds, slugs
pub mod views; // the pages' structs
