//! What was measured, as a table for people and as JSON for machines, with the figures that the project holds itself
//! to. Must not measure anything.

use std::{fmt::Write as _, io::Write as _, path::Path};

use anyhow::Result;
use serde::Serialize;

use crate::{
    baseline::Captured,
    database::Blocks,
    machine::Machine,
    steady::{self, Steady, SteadyResult},
};

/// Tells whoever waits what is going on.
pub fn say(line: &str) {
    // Nobody there to read it is no reason to stop.
    let _ = writeln!(std::io::stderr(), "bench: {line}");
}

/// One run of load.
#[derive(Clone, Copy, Serialize)]
pub struct Measured {
    /// Answers.
    pub requests: u64,
    /// Answers that were errors, and connections that failed.
    pub errors: u64,
    /// Answers a second.
    pub per_second: f64,
    /// The median time of an answer, in milliseconds.
    pub p50_ms: f64,
    /// The time that 99 of 100 answers keep to, in milliseconds.
    pub p99_ms: f64,
}

/// One page, beside the bare server.
#[derive(Serialize)]
pub struct PageResult {
    page: &'static str,
    path: String,
    signed_in: bool,
    posts: u64,
    bytes: usize,
    encoding: String,
    site: Measured,
    bare: Measured,
    ratio: f64,
}

impl PageResult {
    /// Sets both beside each other.
    pub fn new(
        page: &'static str,
        path: &str,
        signed_in: bool,
        posts: u64,
        captured: &Captured,
        site: Measured,
        bare: Measured,
    ) -> Self {
        Self {
            page,
            path: path.to_owned(),
            signed_in,
            posts,
            bytes: captured.bytes,
            encoding: captured.encoding.clone(),
            site,
            bare,
            ratio: site.per_second / bare.per_second,
        }
    }

    /// The row of the table.
    pub fn line(&self) -> String {
        format!(
            "{:<21} | {:<9} | {:>7} | {:>6.1} | {:>8.0} | {:>7.2} | {:>7.2} | {:>9.0} | {:>5.2}",
            self.page,
            if self.signed_in { "signed in" } else { "guest" },
            self.posts,
            self.bytes as f64 / 1024.0,
            self.site.per_second,
            self.site.p50_ms,
            self.site.p99_ms,
            self.bare.per_second,
            self.ratio
        )
    }
}

const HEADER: &str = "page                  | as        |   posts |     KB | requests/s | p50 ms | p99 ms | bare req/s | ratio";

/// What one page reads from the database, signed in.
#[derive(Serialize)]
pub struct BlocksOfPage {
    /// As in the table.
    pub page: &'static str,
    /// How many posts there are.
    pub posts: u64,
    /// The cost of one request.
    pub read: Blocks,
}

/// Votes of many people for one post.
#[derive(Serialize)]
pub struct VotesResult {
    /// How many people.
    pub people: usize,
    /// Their votes.
    pub measured: Measured,
    /// The post's votes before.
    pub before: i64,
    /// The post's votes when everyone had ended on a vote, in both places where they are kept.
    pub after: i64,
}

/// The process.
#[derive(Serialize)]
pub struct ServerFigures {
    /// From the start of the process to its first page, with the databases up: the median of five, in milliseconds.
    pub startup_ms: f64,
    /// Resident after the first page, in bytes.
    pub resident_idle_bytes: u64,
    /// The most that was resident under all the load above, in bytes.
    pub resident_peak_bytes: u64,
}

/// All of it.
#[derive(Serialize)]
pub struct Results {
    machine: Machine,
    quick: bool,
    binary_bytes: u64,
    /// Pages beside the bare server.
    pub pages: Vec<PageResult>,
    /// The same as a guest, with access log and activity log switched off, at the larger size.
    pub unlogged: Vec<PageResult>,
    /// What the activity log costs.
    pub steady: Option<SteadyResult>,
    /// What pages read.
    pub blocks: Vec<BlocksOfPage>,
    /// The front page signed in, and the bare handler that answers the rows of its query as JSON; neither compressed.
    pub front_against_rows: Option<(Measured, Measured)>,
    /// Votes.
    pub votes: Option<VotesResult>,
    /// The process.
    pub server: Option<ServerFigures>,
}

impl Results {
    /// Nothing measured yet.
    pub fn new(machine: Machine, quick: bool, binary_bytes: u64) -> Self {
        Self {
            machine,
            quick,
            binary_bytes,
            pages: Vec::new(),
            unlogged: Vec::new(),
            steady: None,
            blocks: Vec::new(),
            front_against_rows: None,
            votes: None,
            server: None,
        }
    }

    /// Prints the table and the figures.
    pub fn print(&self) {
        let _ = writeln!(std::io::stdout(), "{}", self.tables());
    }

    /// Writes `results.json` and `RESULTS.md`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::write(
            folder.join("results.json"),
            serde_json::to_string_pretty(self)? + "\n",
        )?;
        std::fs::write(folder.join("RESULTS.md"), self.markdown())?;
        Ok(())
    }

    fn tables(&self) -> String {
        let mut text = format!("{HEADER}\n{}\n", dashes(HEADER));
        for page in self.pages.iter().chain(&self.unlogged) {
            text += &page.line();
            text.push('\n');
        }
        text.push('\n');
        for figure in self.figures() {
            let _ = writeln!(
                text,
                "{:<58} | {:<34} | {}",
                figure.what,
                figure.measured,
                figure.verdict()
            );
        }
        text
    }

    /// What the project holds itself to, and what it reached.
    fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        if let Some(blocks) = self.blocks.iter().rfind(|b| b.page == "front page") {
            figures.push(Figure::new(
                "Queries of the front page, signed in: at most 2",
                format!("{}", blocks.read.queries),
                blocks.read.queries <= 2.0,
            ));
        }
        if let Some((front, rows)) = &self.front_against_rows {
            let ratio = front.per_second / rows.per_second;
            figures.push(Figure::new(
                "Front page signed in beside its bare rows: at least 0.5",
                format!(
                    "{ratio:.2} ({:.0} of {:.0} a second)",
                    front.per_second, rows.per_second
                ),
                ratio >= 0.5,
            ));
        }
        if let Some(thread) = self
            .pages
            .iter()
            .rfind(|p| p.page.starts_with("thread of 500"))
        {
            let ratio = thread.site.p99_ms / thread.site.p50_ms;
            figures.push(Figure::new(
                "Thread of 500 comments, p99 by p50: under 4",
                format!(
                    "{ratio:.2} ({:.1} by {:.1} ms)",
                    thread.site.p99_ms, thread.site.p50_ms
                ),
                ratio < 4.0,
            ));
        }
        figures.extend(self.growth());
        figures.extend(self.guests_pages());
        if let Some(votes) = &self.votes {
            figures.push(Figure::new(
                &format!(
                    "Votes of {} people at once for one post: none lost",
                    votes.people
                ),
                format!(
                    "{:.0} a second, p99 {:.0} ms; {} + {} = {}",
                    votes.measured.per_second,
                    votes.measured.p99_ms,
                    votes.before,
                    votes.people,
                    votes.after
                ),
                votes.after == votes.before + votes.people as i64,
            ));
        }
        if let Some(server) = &self.server {
            figures.push(Figure::new(
                "Start to first page, databases up: under 300 ms",
                format!("{:.0} ms", server.startup_ms),
                server.startup_ms < 300.0,
            ));
            figures.push(Figure::new(
                "Memory under load: below 120 MB",
                format!(
                    "{} MB ({} MB when idle)",
                    megabytes(server.resident_peak_bytes),
                    megabytes(server.resident_idle_bytes)
                ),
                server.resident_peak_bytes < 120_000_000,
            ));
        }
        figures
    }

    /// Guests' pages beside the bare server, and what the activity log does to them.
    fn guests_pages(&self) -> Vec<Figure> {
        let worst = |pages: &[PageResult]| {
            let guests = pages.iter().filter(|page| !page.signed_in);
            guests.map(|page| page.ratio).reduce(f64::min)
        };
        let mut figures = Vec::new();
        for (pages, least, how) in [
            (&self.pages, 0.5, "everything on"),
            (&self.unlogged, 0.8, "logs off"),
        ] {
            if let Some(ratio) = worst(pages) {
                figures.push(Figure::new(
                    &format!("Guests' pages beside bare bytes, {how}: at least {least}"),
                    format!("{ratio:.2} the slowest"),
                    ratio >= least,
                ));
            }
        }
        if let Some(steady) = &self.steady {
            let Steady {
                answered, failed, ..
            } = steady.with;
            figures.push(Figure::new(
                &format!("Activity log at {} a second: nothing lost", steady::RATE),
                format!("{answered} answered, {} written", steady.with.logged),
                failed == 0 && steady.with.logged >= answered,
            ));
            let cost = steady.cost(self.machine.cores);
            figures.push(Figure::new(
                "What it costs the machine there: under 5 %",
                format!(
                    "{:.1} % ({:.2} to {:.2} s in {:.0} s on {} cores)",
                    cost * 100.0,
                    steady.without.cpu_seconds,
                    steady.with.cpu_seconds,
                    steady.with.seconds,
                    self.machine.cores,
                ),
                cost < 0.05,
            ));
        }
        figures
    }

    /// Blocks read by each page at the larger size, by those at the smaller. Not by the largest thread, which at the
    /// larger size is another one: several times as long.
    fn growth(&self) -> Vec<Figure> {
        let Some(smallest) = self.blocks.iter().map(|b| b.posts).min() else {
            return Vec::new();
        };
        let small = self
            .blocks
            .iter()
            .filter(|b| b.posts == smallest && b.page != "largest thread");
        small
            .filter_map(|small| {
                let large = self
                    .blocks
                    .iter()
                    .find(|b| b.page == small.page && b.posts > smallest)?;
                let growth = large.read.blocks / small.read.blocks;
                Some(Figure::new(
                    &format!("Blocks read by {}, growth: at most 1.2", small.page),
                    format!(
                        "{growth:.2} ({:.0} to {:.0})",
                        small.read.blocks, large.read.blocks
                    ),
                    growth <= 1.2,
                ))
            })
            .collect()
    }

    fn markdown(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "# What the benchmark measured\n\nWritten by `script/bench`{}; the same figures stand in `results.json`.\n\n",
            if self.quick {
                " --quick, which is for trying it out"
            } else {
                ""
            }
        );
        let memory = format!("{:.1} GB", machine.memory_bytes as f64 / 1e9);
        let cores = machine.cores.to_string();
        let binary = format!("{} MB", megabytes(self.binary_bytes));
        for (name, value) in [
            ("Date", &machine.date),
            ("Commit", &machine.commit),
            ("Processor", &machine.processor),
            ("Cores", &cores),
            ("Memory", &memory),
            ("Kernel", &machine.kernel),
            ("Rust", &machine.rust),
            ("PostgreSQL", &machine.postgresql),
            ("Redis", &machine.redis),
            ("Binary", &binary),
        ] {
            let _ = writeln!(text, "- {name}: {value}");
        }
        text += "\n## Pages\n\n\
            Site, bare server, databases and load generator share the machine. Each row is one page asked for over 8\n\
            connections by a client that reads compressed answers. *bare* is an actix-web handler without anything\n\
            around it that answers the very bytes and headers that the site answered, measured directly after it.\n\n";
        let _ = writeln!(text, "| {HEADER} |\n|---|---|--:|--:|--:|--:|--:|--:|--:|");
        for page in &self.pages {
            let _ = writeln!(text, "| {} |", page.line());
        }
        let _ = writeln!(
            text,
            "\nWith access log and activity log switched off (`LOG_LEVEL=warn`, `ACTIVITY_LOG=false`):\n\n| {HEADER} |\n|---|---|--:|--:|--:|--:|--:|--:|--:|"
        );
        for page in &self.unlogged {
            let _ = writeln!(text, "| {} |", page.line());
        }
        text += "\n## Figures to reach\n\n| figure | measured | reached |\n|---|---|---|\n";
        for figure in self.figures() {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                figure.what,
                figure.measured,
                figure.verdict()
            );
        }
        text += "\n## What a page reads, signed in\n\n| page | posts | queries | blocks of 8 KiB |\n|---|--:|--:|--:|\n";
        for blocks in &self.blocks {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.1} |",
                blocks.page, blocks.posts, blocks.read.queries, blocks.read.blocks
            );
        }
        text
    }
}

struct Figure {
    what: String,
    measured: String,
    reached: bool,
}

impl Figure {
    fn new(what: &str, measured: String, reached: bool) -> Self {
        Self {
            what: what.to_owned(),
            measured,
            reached,
        }
    }

    fn verdict(&self) -> &'static str {
        if self.reached { "yes" } else { "NO" }
    }
}

/// In megabytes of a million bytes, rounded.
fn megabytes(bytes: u64) -> u64 {
    (bytes + 500_000) / 1_000_000
}

fn dashes(header: &str) -> String {
    header
        .chars()
        .map(|c| if c == '|' { '+' } else { '-' })
        .collect()
}
