//! `betternews import hn FILE...`: brings another site's items here. Must not know SQL.

use super::say;
use crate::news::import::{self, Progress, Summary};
use crate::platform::db::Db;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where the items come from.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Hacker News: items of its API v0 as JSON Lines, or Algolia's nested items. Twice changes nothing.
    Hn {
        /// Files to read; items may stand in any order, across all of them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Imports, and says what came.
///
/// # Errors
/// A file that cannot be read, and those of the database; nothing is imported then.
pub(super) async fn run(command: &Command, db: &Db) -> anyhow::Result<()> {
    let Command::Hn { files } = command;
    let started = Instant::now();
    let bar = bar();
    let summary = import::hn(&mut db.dedicated().await?, files.clone(), |progress| {
        show(&bar, progress)
    })
    .await?;
    bar.finish_and_clear();
    tell(&summary, started.elapsed());
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
        Progress::Read { done, total } => ("reading", done, total),
        Progress::Sort => ("sorting", 0, 1),
        Progress::Write { done, total } => ("writing", done, total),
    };
    bar.set_message(message);
    bar.set_length(total.max(1));
    bar.set_position(done);
}

fn tell(summary: &Summary, took: Duration) {
    for fault in &summary.named_faults {
        say(&format!(
            "{}:{}: {}",
            fault.file.display(),
            fault.line,
            fault.reason
        ));
    }
    for (id, parent) in &summary.missing {
        say(&format!(
            "item {id} was left out: {parent}, which it answers, is nowhere"
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let rate = summary.read as f64 / took.as_secs_f64().max(0.001);
    say(&format!(
        "{} items read in {:.1} s ({rate:.0} a second)",
        summary.read,
        took.as_secs_f64()
    ));
    say(&format!(
        "{} posts, {} comments and {} users are new",
        summary.posts, summary.comments, summary.users
    ));
    for (count, what) in [
        (summary.known, "items were here already"),
        (summary.repeated, "items were given more than once"),
        (summary.options, "poll answers stand in their polls"),
        (
            summary.renamed,
            "users came as name-hn, because a member has their name",
        ),
        (
            summary.unnamed,
            "items came without author, because the name cannot be one here",
        ),
        (
            summary.odd_urls,
            "URLs that are not http or https were left out",
        ),
        (
            summary.orphans,
            "items were left out, because what they answer is missing",
        ),
        (summary.faults, "lines could not be used"),
    ] {
        if count > 0 {
            say(&format!("{count} {what}"));
        }
    }
}
