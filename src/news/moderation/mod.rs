//! Keeping order: removing and restoring posts and comments, banning and unbanning people, each with a reason that
//! everyone can read. Must not know how posts and comments are written or shown.
//!
//! An act is an event; the state of its target, the counters that follow from it and the row of the public log are
//! written in the same transaction, in the lock order of `migrations/README.md`.

pub mod acts; // what a moderator does, inside a transaction
pub mod handlers; // the pages' requests
pub mod model; // events, reasons, states
pub mod queries; // all SQL of moderation
pub mod rebuild; // the projections anew, from the events
pub mod views; // the pages
