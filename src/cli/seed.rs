//! `betternews seed demo`: fills the site with invented people and talk. Must not know SQL.

use super::say;
use crate::news::demo::{self, Options, Progress};
use crate::platform::db::Db;
use chrono::Utc;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

/// What to fill the site with.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Invented posts, threads, votes and people, the newest of today. Nobody can log in as one of them.
    Demo(Demo),
}

/// How large a demo.
#[derive(Args)]
pub(super) struct Demo {
    /// Posts to make.
    #[arg(long, value_name = "N", default_value_t = 400)]
    posts: u64,
    /// Comments to make.
    #[arg(long, value_name = "N", default_value_t = 6000)]
    comments: u64,
    /// Users to make.
    #[arg(long, value_name = "N", default_value_t = 300)]
    users: u64,
    /// Another seed makes another site.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Do nothing where somebody has posted already.
    #[arg(long)]
    if_empty: bool,
}

/// Makes the demo, and says how much it is.
///
/// # Errors
/// Sizes that make no site, and those of the database; nothing is left behind then.
pub(super) async fn run(command: &Command, db: &Db) -> anyhow::Result<()> {
    let Command::Demo(demo) = command;
    let mut conn = db.dedicated().await?;
    if demo.if_empty && !demo::is_empty(&mut conn).await? {
        say("the site has posts already: no demo was added");
        return Ok(());
    }
    let options = Options {
        posts: demo.posts,
        comments: demo.comments,
        users: demo.users,
        seed: demo.seed,
        now: Utc::now(),
    };
    let started = Instant::now();
    let bar = bar();
    let summary = demo::seed(&mut conn, &options, |progress| show(&bar, progress)).await?;
    bar.finish_and_clear();
    say(&format!(
        "{} posts, {} comments and {} votes by {} users made in {:.1} s",
        summary.posts,
        summary.comments,
        summary.votes,
        summary.users,
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:10} {wide_bar} {percent:>3}%  {eta}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    let (message, done, total) = match progress {
        Progress::Plan => ("planning", 0, 1),
        Progress::Write { done, total } => ("writing", done, total),
        Progress::Index { done, total } => ("indexing", done, total),
        Progress::Analyze => ("analysing", 1, 1),
    };
    bar.set_message(message);
    bar.set_length(total.max(1));
    bar.set_position(done);
}
