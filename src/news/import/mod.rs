//! Bringing another site's posts, comments and users here; today Hacker News'.
//!
//! Files are read once, in any order of items, and staged by `COPY` while a second thread reads and converts; then trees
//! are resolved by set-based SQL, one depth at a time, and everything goes in within one transaction: a failed import
//! leaves nothing behind, one run twice changes nothing (`hn_id`). Memory does not grow with the files. Must not know
//! the terminal: it reports [`Progress`] and a [`Summary`].

pub mod handlers;
mod hn;
mod json;
mod queries;
mod reader;

use crate::web::markup;
use queries::{people, threads, write};
use sqlx::{Connection, PgConnection};
use std::path::PathBuf;

/// How many faults and missing parents a summary names; it counts all of them.
pub const NAMED: usize = 50;

/// Comments or posts written by one statement: bounds the memory of the foreign keys' checks.
const CHUNK: i64 = 20_000;

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Reading the files.
    Read {
        /// Bytes read.
        done: u64,
        /// Bytes of all files.
        total: u64,
    },
    /// Resolving who answered whom.
    Sort,
    /// Writing.
    Write {
        /// Posts and comments written.
        done: u64,
        /// Posts and comments in all.
        total: u64,
    },
}

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its file.
    pub file: PathBuf,
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Items read, users among them.
    pub read: u64,
    /// Items that were given more than once.
    pub repeated: u64,
    /// Items that an earlier import had brought.
    pub known: u64,
    /// Posts written.
    pub posts: u64,
    /// Comments written.
    pub comments: u64,
    /// Poll answers written into their polls.
    pub options: u64,
    /// Users made.
    pub users: u64,
    /// Users whose name belongs to a member of this site: they came as `name-hn`.
    pub renamed: u64,
    /// Items whose author's name cannot be a name here: they came without author.
    pub unnamed: u64,
    /// URLs that cannot be kept (not http or https): their posts came without.
    pub odd_urls: u64,
    /// Comments and poll answers left out because what they answer, or what that answers, is nowhere.
    pub orphans: u64,
    /// The first of them, with the parent that is missing: (`hn_id`, parent).
    pub missing: Vec<(i64, i64)>,
    /// Lines that could not be used.
    pub faults: u64,
    /// The first of them.
    pub named_faults: Vec<Fault>,
}

/// Why an import failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The reading thread died.
    #[error("reading was broken off")]
    Reader,
}

/// Imports Hacker News items from files of JSON Lines or JSON, in the shapes of the API v0 and of Algolia.
///
/// # Errors
/// A file that cannot be read, or the database; nothing is written then. Faults of single lines are in the summary.
pub async fn hn(
    conn: &mut PgConnection,
    files: Vec<PathBuf>,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Summary, ImportError> {
    let mut summary = Summary::default();
    queries::widen(conn).await?;
    let mut tx = conn.begin().await?;
    queries::create_stage(&mut tx).await?;
    reader::stage(&mut tx, files, &mut summary, &mut progress).await?;
    progress(Progress::Sort);
    queries::create_keys(&mut tx).await?;
    summary.repeated = queries::delete_repeated(&mut tx).await?;
    summary.known = queries::delete_known(&mut tx).await?;
    summary.options = fold_options(&mut tx).await?;
    let posts = threads::number_posts(&mut tx).await?;
    let comments = place_comments(&mut tx).await?;
    summary.missing = threads::list_missing(&mut tx, NAMED).await?;
    summary.orphans = threads::delete_orphans(&mut tx).await?;
    add_people(&mut tx, &mut summary).await?;
    write::insert_domains(&mut tx).await?;
    write_all(&mut tx, posts, comments, &mut progress).await?;
    (summary.posts, summary.comments) = (posts, comments);
    write::count_on_posts(&mut tx).await?;
    people::count_on_people(&mut tx).await?;
    tx.commit().await?;
    if posts + comments > 0 {
        queries::analyze(conn).await?;
    }
    Ok(summary)
}

/// Folds poll answers into their polls' texts.
async fn fold_options(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut after = 0;
    loop {
        let polls = queries::list_polls(conn, after).await?;
        let Some(last) = polls.last() else { break };
        after = last.seq;
        for poll in polls {
            let mut source = poll.source;
            for (option, points) in poll.options.iter().zip(&poll.points) {
                let gap = if source.is_empty() {
                    ""
                } else if source.ends_with(OPTION_END) {
                    "\n"
                } else {
                    "\n\n"
                };
                let option = option.split_whitespace().collect::<Vec<_>>().join(" ");
                source.push_str(&format!("{gap}- {option} ({points}{OPTION_END}"));
            }
            let html = markup::render(&source);
            queries::set_text(conn, poll.seq, &source, &html).await?;
        }
    }
    queries::delete_folded(conn).await
}

/// What ends the line of a poll's answer.
const OPTION_END: &str = " points)";

/// Finds or makes the users that the items name.
async fn add_people(conn: &mut PgConnection, summary: &mut Summary) -> Result<(), sqlx::Error> {
    people::list_people(conn).await?;
    people::match_people(conn).await?;
    summary.renamed = people::rename_people(conn).await?;
    people::match_people(conn).await?;
    summary.users = people::insert_people(conn).await?;
    people::match_people(conn).await?;
    summary.unnamed = people::count_unnamed(conn).await?;
    people::insert_abouts(conn).await
}

/// Places comments under their posts and parents, one depth after the other: what each depth needs is there then.
async fn place_comments(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    threads::create_places(conn).await?;
    let mut placed = threads::place_first(conn).await?;
    let mut all = 0;
    let mut round = 0;
    while placed > 0 {
        all += placed;
        // The planner knows nothing of a table that was empty just now.
        if placed > 1000 {
            threads::analyze_places(conn).await?;
        }
        placed = threads::place_next(conn, round).await?;
        round += 1;
    }
    threads::sum_up_threads(conn).await?;
    Ok(all)
}

/// Writes posts, then comments, parents before their replies.
async fn write_all(
    conn: &mut PgConnection,
    posts: u64,
    comments: u64,
    progress: &mut impl FnMut(Progress),
) -> Result<(), sqlx::Error> {
    let total = posts + comments;
    let mut done = 0;
    let mut after = 0;
    while let Some((last, written)) = write::insert_posts(conn, after, CHUNK).await? {
        after = last;
        done += written;
        progress(Progress::Write { done, total });
    }
    after = 0;
    while let Some((last, written)) = write::insert_comments(conn, after, CHUNK).await? {
        after = last;
        done += written;
        progress(Progress::Write { done, total });
    }
    Ok(())
}
