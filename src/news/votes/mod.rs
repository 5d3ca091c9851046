//! Votes: one a person and thing, to and fro. Must not know lists or threads.

pub mod handlers;
pub mod queries;
pub mod views;
