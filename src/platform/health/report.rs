//! What is told of the checks (S30): its shape is the public one. Must not know how they run.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Status;

/// A check's last result.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// How the part is.
    pub status: Status,
    /// How long the check took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// When it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check: Option<String>,
    /// What it found, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Map<String, Value>>,
    /// Whether the site cannot do without it.
    #[serde(skip)]
    pub critical: bool,
}

/// How many checks are how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All.
    pub total: usize,
    /// Well.
    pub healthy: usize,
    /// Not as they should be.
    pub degraded: usize,
    /// Failed, and critical.
    pub unhealthy: usize,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Unhealthy if a critical check failed, degraded if any other is not well.
    pub status: Status,
    /// When it was made.
    pub timestamp: String,
    /// Seconds since the start.
    pub uptime: f64,
    /// By name.
    pub checks: BTreeMap<String, CheckReport>,
    /// Counted.
    pub summary: Summary,
}
