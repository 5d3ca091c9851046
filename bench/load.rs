//! Runs wrk and reads what it says. Must not know whom it asks.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::{report::Measured, site::Member};

/// What the client says it can read.
#[derive(Clone, Copy)]
pub enum Encoding {
    /// What browsers say.
    Browser,
    /// Nothing compressed.
    Identity,
}

impl Encoding {
    /// The header's value.
    pub fn header(self) -> &'static str {
        match self {
            Self::Browser => "gzip, deflate, br, zstd",
            Self::Identity => "identity",
        }
    }
}

/// One address, as one person asks for it.
pub struct Target {
    /// The whole address.
    pub url: String,
    /// Header lines, name and value.
    pub headers: Vec<(&'static str, String)>,
}

impl Target {
    /// `path` on the site at `base`, for a guest or a member.
    pub fn new(base: &str, path: &str, member: Option<&Member>, encoding: Encoding) -> Self {
        let mut headers = vec![("Accept-Encoding", encoding.header().to_owned())];
        if let Some(member) = member {
            headers.push(("Cookie", member.cookie.clone()));
        }
        Self {
            url: format!("{base}{path}"),
            headers,
        }
    }
}

#[derive(Deserialize)]
struct Line {
    requests: u64,
    duration_us: u64,
    p50_us: u64,
    p99_us: u64,
    errors: u64,
}

/// Asks for `target` over and over, after a second of warming up.
///
/// # Errors
/// When wrk is missing or any answer is an error.
pub fn run(target: &Target, connections: u32, duration: Duration) -> Result<Measured> {
    wrk(target, connections, 1)?;
    let measured = wrk(target, connections, duration.as_secs())?;
    crate::all_well(&measured, &target.url)?;
    Ok(measured)
}

fn wrk(target: &Target, connections: u32, seconds: u64) -> Result<Measured> {
    let mut command = Command::new("wrk");
    command
        .args(["--threads", "1", "--timeout", "10s", "--script"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/bench/wrk.lua"))
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s")]);
    for (name, value) in &target.headers {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    let output = command
        .arg(&target.url)
        .output()
        .context("wrk is missing; script/setup --bench installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("measured "))
        .with_context(|| format!("wrk did not say what it measured: {text}"))?;
    let line: Line = serde_json::from_str(line)?;
    Ok(Measured {
        requests: line.requests,
        errors: line.errors,
        per_second: line.requests as f64 / (line.duration_us as f64 / 1e6),
        p50_ms: line.p50_us as f64 / 1000.0,
        p99_ms: line.p99_us as f64 / 1000.0,
    })
}
