//! Seeing what the process does: its log, its traces, its metrics, its machine. Must not know requests.

pub mod log;
pub mod metrics;
pub mod otlp; // spans leave for a collector
pub mod outbound; // calls to somebody outside
pub mod system;
pub mod trace; // which trace a piece of work belongs to
