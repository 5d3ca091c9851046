//! The stored counters against the rows that they count. Must not know the terminal.
//!
//! What each counter means is stated in `queries`, once, as the query that recounts it.

mod queries;

use sqlx::{Connection, PgConnection};

/// How many differences of one counter are named; all are counted.
pub const NAMED: i64 = 10;

/// A counter that is wrong somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Its table and column, such as `posts.votes`.
    pub counter: &'static str,
    /// In how many rows it is wrong.
    pub rows: u64,
    /// The first of them, by id.
    pub first: Vec<Difference>,
}

/// A row whose counter is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The row's id.
    pub id: i64,
    /// What it says.
    pub stored: String,
    /// What there is.
    pub counted: String,
}

/// The counters, in the order in which [`verify`] recounts them.
pub const COUNTERS: [&str; 8] = [
    "posts.votes",
    "comments.votes",
    "users.karma",
    "posts.comment_count",
    "posts.active_at",
    "users.post_count",
    "users.comment_count",
    "tags.post_count",
];

/// Recounts everything in one snapshot and gives what differs; nothing, if all is well. `progress` is told each counter
/// before it is recounted.
///
/// # Errors
/// Those of the database. The connection must have no statement timeout worth mentioning.
pub async fn verify(
    conn: &mut PgConnection,
    mut progress: impl FnMut(&'static str),
) -> Result<Vec<Drift>, sqlx::Error> {
    let mut tx = conn.begin().await?;
    queries::set_snapshot(&mut tx).await?;
    let mut drifts = Vec::new();
    for counter in COUNTERS {
        progress(counter);
        let differences = match counter {
            "posts.votes" => queries::post_votes(&mut tx).await?,
            "comments.votes" => queries::comment_votes(&mut tx).await?,
            "users.karma" => queries::karma(&mut tx).await?,
            "posts.comment_count" => queries::comments_on_posts(&mut tx).await?,
            "posts.active_at" => queries::last_comments(&mut tx).await?,
            "users.post_count" => queries::posts_of_users(&mut tx).await?,
            "users.comment_count" => queries::comments_of_users(&mut tx).await?,
            _ => queries::posts_of_tags(&mut tx).await?,
        };
        if let Some(first) = differences.first() {
            drifts.push(Drift {
                counter,
                rows: first.rows.try_into().unwrap_or(0),
                first: differences
                    .into_iter()
                    .map(queries::Found::difference)
                    .collect(),
            });
        }
    }
    tx.commit().await?;
    Ok(drifts)
}
