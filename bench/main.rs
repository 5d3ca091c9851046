//! The benchmark behind `script/bench`: the release binary on generated data, beside a bare actix-web server that
//! answers the same bytes with the same headers in the same run. Must not know how the site does what it does:
//! it asks over HTTP, and looks into the database only to choose pages, to count blocks and to check sums.
//!
//! # Layout
//! - [`site`] starts the binary, signs people up
//! - [`database`] makes and fills databases, chooses pages, counts blocks
//! - [`load`] runs wrk
//! - [`baseline`] is the bare server, run as a process of its own
//! - [`steady`] asks at a steady rate, with the activity log and without
//! - [`votes`] lets 64 people vote at once
//! - [`report`] keeps the results, prints and writes them
//! - [`machine`] says where it ran

mod baseline;
mod database;
mod load;
mod machine;
mod report;
mod site;
mod steady;
mod votes;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};

use database::{Database, Samples};
use load::{Encoding, Target};
use report::{BlocksOfPage, Measured, PageResult, Results, ServerFigures, say};
use site::{Member, Site};

/// Connections that wrk keeps open: enough to fill two cores, few enough that p99 is the site's and not the queue's.
const CONNECTIONS: u32 = 8;

/// Who reads the pages that are measured signed in.
const READER: &str = "bench-reader";

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures everything and writes the results.
    Run(Run),
    /// The bare server: answers captured pages from a folder, and the rows of the front page's query.
    Baseline(baseline::Arguments),
}

#[derive(Parser)]
struct Run {
    /// The site's release binary.
    #[arg(long)]
    site: PathBuf,
    /// A PostgreSQL whose superuser may make databases; the name in it is of no importance.
    #[arg(long)]
    database_url: String,
    /// A Redis to fill.
    #[arg(long)]
    redis_url: String,
    /// Where results.json and RESULTS.md are written.
    #[arg(long)]
    output: PathBuf,
    /// A folder for what is captured on the way.
    #[arg(long)]
    scratch: PathBuf,
    /// Shorter measurements, and less data: to see that all works, not to publish.
    #[arg(long)]
    quick: bool,
}

impl Run {
    /// The sizes that are compared, in posts; comments are ten times as many.
    fn sizes(&self) -> [u64; 2] {
        if self.quick {
            [1_000, 10_000]
        } else {
            [1_000, 100_000]
        }
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 6 })
    }
}

#[actix_web::main]
async fn main() -> Result<()> {
    // HTTP clients ask for a TLS provider, although nothing here is https; a second one is no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Arguments::parse().command {
        Command::Run(run) => measure(&run).await,
        Command::Baseline(arguments) => baseline::serve(arguments).await,
    }
}

async fn measure(run: &Run) -> Result<()> {
    let mut results = Results::new(
        machine::Machine::read(&run.database_url).await?,
        run.quick,
        std::fs::metadata(&run.site)
            .with_context(|| format!("no binary at {}", run.site.display()))?
            .len(),
    );
    for (index, posts) in run.sizes().into_iter().enumerate() {
        let last = index + 1 == run.sizes().len();
        say(&format!("{posts} posts, {} comments: filling", posts * 10));
        let database = Database::create(&run.database_url, &format!("bench_{posts}")).await?;
        database.fill(&run.site, posts)?;
        database.settle().await?;
        let samples = database.samples().await?;
        measure_size(run, &mut results, &database, &samples, posts, last).await?;
        database.close().await;
    }
    results.print();
    results.write(&run.output)
}

async fn measure_size(
    run: &Run,
    results: &mut Results,
    database: &Database,
    samples: &Samples,
    posts: u64,
    last: bool,
) -> Result<()> {
    let mut startups = Vec::new();
    let site = loop {
        let (site, startup) = Site::start(&run.site, &database.url, &run.redis_url, &[]).await?;
        startups.push(startup);
        if !last || startups.len() == 5 {
            break site;
        }
        site.stop()?;
    };
    let idle = site.resident_bytes()?;
    let member = Member::sign_up(&site, READER).await?;
    let viewer = database.user(READER).await?;
    let bare = baseline::Bare::new(&run.scratch.join(posts.to_string()), &database.url, viewer)?;

    for mut page in samples.pages() {
        page.path = site.canonical(&page.path).await?;
        for signed_in in page.viewers {
            let who = signed_in.then_some(&member);
            let target = Target::new(&site.url, &page.path, who, Encoding::Browser);
            let captured = bare.capture(&target).await?;
            let measured = load::run(&target, CONNECTIONS, run.duration())?;
            let on_bare = bare.start().await?;
            let control = load::run(&on_bare.target(&captured), CONNECTIONS, run.duration())?;
            on_bare.stop()?;
            let row = PageResult::new(
                page.name, &page.path, *signed_in, posts, &captured, measured, control,
            );
            say(&row.line());
            results.pages.push(row);
        }
        results.blocks.push(BlocksOfPage {
            page: page.name,
            posts,
            read: database.blocks_of(&site, &member, &page.path).await?,
        });
    }

    if last {
        let identity = Target::new(&site.url, "/", Some(&member), Encoding::Identity);
        let front = load::run(&identity, CONNECTIONS, run.duration())?;
        let on_bare = bare.start().await?;
        let rows = load::run(&on_bare.rows(), CONNECTIONS, run.duration())?;
        on_bare.stop()?;
        results.front_against_rows = Some((front, rows));
        say("64 people vote");
        results.votes = Some(votes::run(&site, database, samples.votable, run.duration()).await?);
        startups.sort();
        results.server = Some(ServerFigures {
            startup_ms: startups[startups.len() / 2].as_secs_f64() * 1000.0,
            resident_idle_bytes: idle,
            resident_peak_bytes: site.peak_resident_bytes()?,
        });
    }
    site.stop()?;
    if last {
        measure_logs(run, results, database, samples, &bare, posts).await?;
    }
    Ok(())
}

/// Guests' pages from the cache without access log and activity log, and what the activity log costs.
async fn measure_logs(
    run: &Run,
    results: &mut Results,
    database: &Database,
    samples: &Samples,
    bare: &baseline::Bare,
    posts: u64,
) -> Result<()> {
    let start = async |environment: &[(&str, &str)]| {
        let (site, _) = Site::start(&run.site, &database.url, &run.redis_url, environment).await?;
        Ok(site)
    };
    let site = start(&[("ACTIVITY_LOG", "false"), ("LOG_LEVEL", "warn")]).await?;
    for mut page in samples.pages() {
        page.path = site.canonical(&page.path).await?;
        let target = Target::new(&site.url, &page.path, None, Encoding::Browser);
        let captured = bare.capture(&target).await?;
        let measured = load::run(&target, CONNECTIONS, run.duration())?;
        let on_bare = bare.start().await?;
        let control = load::run(&on_bare.target(&captured), CONNECTIONS, run.duration())?;
        on_bare.stop()?;
        results.unlogged.push(PageResult::new(
            page.name, &page.path, false, posts, &captured, measured, control,
        ));
    }
    site.stop()?;
    say(&format!("{} requests a second", steady::RATE));
    results.steady = Some(steady::run(start, database, run.duration()).await?);
    Ok(())
}

/// Both sides of a comparison must have answered well.
fn all_well(measured: &Measured, what: &str) -> Result<()> {
    ensure!(
        measured.errors == 0 && measured.requests > 0,
        "{what}: {} of {} answers failed",
        measured.errors,
        measured.requests
    );
    Ok(())
}
