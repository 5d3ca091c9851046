//! Tests of the whole site: the real application on a port of its own, a database of its own for each test, and Redis
//! with a prefix of its own. Must not know the application's insides beyond how it is built.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on says why, and stops"
)]

mod support;

mod access;
mod accounts;
mod admin;
mod architecture;
mod caching;
mod comments;
mod demo;
mod faults;
mod fetch;
mod import;
mod jobs;
mod ledger;
mod limits;
mod lists;
mod mail;
mod moderation;
mod observation;
mod pipeline;
mod posts;
mod previews;
mod rank;
mod resilience;
mod sessions;
mod steering;
mod tokens;
mod traces;
mod viewers;
mod votes;
