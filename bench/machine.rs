//! Where the benchmark ran: figures mean nothing without it. Must not name the machine or its owner.

use anyhow::Result;
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

/// The machine, and what the site stood on.
#[derive(Serialize)]
pub struct Machine {
    /// The processor's own name.
    pub processor: String,
    /// How many of its cores could be used.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The kernel's name and version.
    pub kernel: String,
    /// Rust's version.
    pub rust: String,
    /// PostgreSQL's version.
    pub postgresql: String,
    /// Redis's version.
    pub redis: String,
    /// The day, UTC.
    pub date: String,
    /// The commit that was measured.
    pub commit: String,
}

impl Machine {
    /// Reads all of it; what cannot be found out is "unknown".
    pub async fn read(database_url: &str) -> Result<Self> {
        let mut server = PgConnection::connect(database_url).await?;
        let postgresql: String = sqlx::query_scalar("SHOW server_version")
            .fetch_one(&mut server)
            .await?;
        server.close().await?;
        Ok(Self {
            processor: line_of("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism()?.get(),
            memory_bytes: line_of("/proc/meminfo", "MemTotal")
                .trim_end_matches(" kB")
                .parse::<u64>()
                .unwrap_or(0)
                * 1024,
            kernel: said("uname", &["-sr"]),
            rust: said("rustc", &["--version"]),
            postgresql,
            redis: said("redis-server", &["--version"]),
            date: chrono::Utc::now().date_naive().to_string(),
            commit: said("git", &["describe", "--always", "--dirty"]),
        })
    }
}

fn line_of(file: &str, name: &str) -> String {
    std::fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .find(|line| line.starts_with(name))
        .and_then(|line| line.split_once(':'))
        .map_or_else(unknown, |(_, value)| value.trim().to_owned())
}

fn said(command: &str, arguments: &[&str]) -> String {
    std::process::Command::new(command)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(unknown, |text| text.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
