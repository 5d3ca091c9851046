//! Seeing what the process does: its log, its traces. Must not know requests.

pub mod log;
pub mod otlp; // spans leave for a collector
pub mod trace; // which trace a piece of work belongs to
