//! Comments: threads, one comment with what is around it, writing, changing and deleting. Must not know how posts are
//! ranked.

pub mod form; // what may be written
pub mod handlers; // one comment
pub mod lists; // flat lists of comments
pub mod model; // a comment as rows bring it
pub mod queries; // all their SQL
pub mod rank; // the lower bound of the Wilson interval
pub mod thread; // a post's thread, whole or by pages of roots
pub mod tree; // flat rows into reading order
pub mod views; // the pages' structs
