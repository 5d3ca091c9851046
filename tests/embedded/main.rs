//! The embedded servers, really started, killed, frozen and shared, and what the handles to them do meanwhile. Each test
//! has a data folder of its own; as root the servers run as another user, as they do in life.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says how long things took"
)]

mod folder;
mod kv;
mod migrations;
mod queries;
mod servers;
