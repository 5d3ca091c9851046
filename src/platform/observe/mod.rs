//! Seeing what the process does: its log, its metrics, its machine. Must not know requests.

pub mod log;
pub mod metrics;
pub mod system;
