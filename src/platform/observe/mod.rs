//! Seeing what the process does. For now: its log. Must not know requests.

pub mod log;
