//! The console's pages. Must not hold SQL.

mod index;
pub mod users;

pub use index::index;
