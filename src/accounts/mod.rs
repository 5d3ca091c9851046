//! Identity: who someone is, how they get in, and what they may do. Must not know posts or comments.

pub mod middleware; // fills in who calls
pub mod model; // what an account is
pub mod queries; // all SQL of accounts
pub mod views; // the pages
