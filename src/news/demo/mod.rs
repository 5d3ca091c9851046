//! A site's worth of invented posts, threads, votes and people: to try the site with, and to measure it at scale.
//!
//! Everything follows from the options: the same options on an empty site give the same rows. A thread of its own makes
//! rows while the database takes them by `COPY`; nothing is remembered but one counter row for each user, so memory does
//! not grow with posts and comments. All within one transaction. Must not know the terminal.

mod bank;
mod chunk;
mod grammar;
mod plan;
mod queries;
mod rng;
mod rows;
mod thread;
mod topics;
mod words;

use chrono::{DateTime, Utc};
use chunk::Batch;
use rows::{Ground, Maker, Tally};
use sqlx::{Connection, PgConnection};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc::channel;

/// From so many comments on, an empty site's indexes are taken down while it is filled.
const SCAFFOLD_FROM: u64 = 50_000;

/// Batches that may wait for the database.
const WAITING: usize = 7;

/// How large a site, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Posts.
    pub posts: u64,
    /// Comments.
    pub comments: u64,
    /// Users.
    pub users: u64,
    /// Another seed gives another site.
    pub seed: u64,
    /// The time at which the site ends, the newest post a moment before.
    pub now: DateTime<Utc>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Adding up.
    Plan,
    /// Writing posts and comments.
    Write {
        /// So many are written.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// Putting up indexes and foreign keys.
    Index {
        /// So many stand.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// Telling the planner.
    Analyze,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Users.
    pub users: u64,
    /// Posts.
    pub posts: u64,
    /// Comments.
    pub comments: u64,
    /// Votes.
    pub votes: u64,
}

/// Why a demo could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// What was asked for makes no site.
    #[error("{0}")]
    Options(&'static str),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The thread that makes rows died.
    #[error("making the demo was broken off")]
    Maker,
}

/// Whether nobody has written anything on the site yet.
///
/// # Errors
/// Those of the database.
pub async fn is_empty(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    queries::is_empty(conn).await
}

/// Makes the demo beside whatever is there. Until it is done nobody else can write, and on an empty site read.
///
/// # Errors
/// See [`DemoError`]; nothing is left behind then.
pub async fn seed(
    conn: &mut PgConnection,
    options: &Options,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Summary, DemoError> {
    check(options)?;
    progress(Progress::Plan);
    let mut tx = conn.begin().await?;
    queries::lock(&mut tx).await?;
    let bare = options.comments >= SCAFFOLD_FROM && queries::is_empty(&mut tx).await?;
    let ground = ground(&mut tx, options).await?;
    let maker = Arc::new(
        on_own_thread({
            let (options, ground) = (options.clone(), ground);
            move || Maker::new(options, ground)
        })
        .await?,
    );
    let tally = Arc::new(
        on_own_thread({
            let maker = Arc::clone(&maker);
            move || maker.tally()
        })
        .await?,
    );
    let rename = renamed(&mut tx, options).await?;
    let scaffold = if bare {
        Some(queries::take_down(&mut tx).await?)
    } else {
        None
    };
    write(&mut tx, options, &maker, &tally, rename, &mut progress).await?;
    let (tags, counts): (Vec<i32>, Vec<i32>) =
        tally.tags.iter().map(|(&tag, &posts)| (tag, posts)).unzip();
    queries::count_on_tags(&mut tx, &tags, &counts).await?;
    if let Some(scaffold) = scaffold {
        let total = scaffold.len();
        progress(Progress::Index { done: 0, total });
        scaffold
            .put_up(&mut tx, |done| progress(Progress::Index { done, total }))
            .await?;
    }
    tx.commit().await?;
    progress(Progress::Analyze);
    queries::vacuum(conn).await?;
    Ok(Summary {
        users: options.users,
        posts: options.posts,
        comments: options.comments,
        votes: tally.votes,
    })
}

fn check(options: &Options) -> Result<(), DemoError> {
    const MOST: u64 = 1_000_000_000;
    if options.posts == 0 && options.comments > 0 {
        return Err(DemoError::Options(
            "comments need posts: ask for at least one",
        ));
    }
    if options.users < 2 && options.posts > 0 {
        return Err(DemoError::Options("a site needs at least two users"));
    }
    if options.posts.max(options.comments).max(options.users) > MOST {
        return Err(DemoError::Options("at most a thousand million of each"));
    }
    Ok(())
}

async fn ground(conn: &mut PgConnection, options: &Options) -> Result<Ground, sqlx::Error> {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let [users, posts, comments] = queries::take_ids(
        conn,
        count(options.users),
        count(options.posts),
        count(options.comments),
    )
    .await?;
    let domains = queries::insert_domains(conn, &rows::domains()).await?;
    let tags = queries::list_tags(conn).await?;
    Ok(Ground {
        users,
        posts,
        comments,
        domains,
        tags,
    })
}

/// Other names for the users whose own are taken.
async fn renamed(conn: &mut PgConnection, options: &Options) -> Result<rows::Renamed, sqlx::Error> {
    const AT_ONCE: usize = 10_000;
    let mut rename = rows::Renamed::new();
    let users = usize::try_from(options.users).unwrap_or(0);
    for first in (0..users).step_by(AT_ONCE) {
        let numbers: HashMap<String, usize> = (first..users.min(first + AT_ONCE))
            .map(|user| (rows::username(user), user))
            .collect();
        let keys: Vec<String> = numbers.keys().cloned().collect();
        for taken in queries::list_taken(conn, &keys).await? {
            if let Some(&user) = numbers.get(&taken) {
                // Another demo may have been here before, and another before that.
                let mut name = format!("{taken}-2");
                while !queries::list_taken(conn, std::slice::from_ref(&name))
                    .await?
                    .is_empty()
                {
                    name = next_name(&name);
                }
                rename.insert(user, name);
            }
        }
    }
    Ok(rename)
}

/// `otter-2` to `otter-3`.
fn next_name(name: &str) -> String {
    match name
        .rsplit_once('-')
        .and_then(|(stem, number)| Some((stem, number.parse::<u64>().ok()?)))
    {
        Some((stem, number)) => format!("{stem}-{}", number + 1),
        None => format!("{name}-2"),
    }
}

/// Makes rows on a thread of its own, and sends them to the database as they come.
async fn write(
    conn: &mut PgConnection,
    options: &Options,
    maker: &Arc<Maker>,
    tally: &Arc<Tally>,
    rename: rows::Renamed,
    progress: &mut impl FnMut(Progress),
) -> Result<(), DemoError> {
    let (sender, mut receiver) = channel::<Batch>(WAITING);
    let (maker, tally) = (Arc::clone(maker), Arc::clone(tally));
    let made = tokio::task::spawn_blocking(move || {
        let mut hand_over = |batch| sender.blocking_send(batch).is_ok();
        maker.users(&tally, &rename, &mut hand_over) && maker.posts(&rename, &mut hand_over)
    });
    let total = options.posts + options.comments;
    let mut done = 0;
    while let Some(batch) = receiver.recv().await {
        let mut copy = conn.copy_in_raw(batch.statement).await?;
        copy.send(batch.rows).await?;
        copy.finish().await?;
        done += batch.items;
        progress(Progress::Write { done, total });
    }
    match made.await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(DemoError::Maker),
    }
}

async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DemoError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| DemoError::Maker)
}
