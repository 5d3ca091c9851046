//! Profiles: what everyone may see of a user. Must not know how accounts are kept.

pub mod handlers;
pub mod queries;
pub mod views;
