//! A post's thread for one page: whole while it is small or asked for, by pages of top comments else (P05). Must not know
//! HTML.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    model::{self, CommentRow, Reading},
    queries::{self, Root},
    tree::{self, Sort},
    views::Thread,
};
use crate::{
    news::posts::model::Post,
    platform::db::Conn,
    web::{
        error::Error,
        paging::{self, Cursor, Key},
        viewer::Caller,
    },
};

/// A thread with more living comments is paged by its top comments.
pub const PAGED_OVER: i32 = 300;
/// Most top comments on a page.
const ROOTS: i64 = 40;
/// Comments that a page of a paged thread aims at: it takes top comments until they have as many below them. The first
/// one is taken whatever its size; what does not fit continues on its own page.
const ROWS: i64 = 300;

/// What is asked for.
pub struct Request<'a> {
    /// On which post.
    pub post: &'a Post,
    /// In which order.
    pub sort: Sort,
    /// All on one page.
    pub whole: bool,
    /// A cursor of the page before.
    pub after: Option<&'a str>,
    /// The moment of the request.
    pub now: DateTime<Utc>,
}

/// A thread, or a page of one.
pub struct Loaded {
    /// The comments in reading order.
    pub thread: Thread,
    /// The cursor of the next page, if there is one.
    pub more: Option<String>,
    /// Whether this is a page of a longer thread.
    pub is_paged: bool,
}

/// Loads a thread in one query, or a page of one in three.
///
/// # Errors
/// [`Error::BadRequest`] for a cursor that is not this thread's.
pub async fn load(
    conn: &mut Conn,
    caller: &Caller,
    request: &Request<'_>,
) -> Result<Loaded, Error> {
    let post = request.post;
    let reading = Reading {
        viewer: caller.viewer.as_deref(),
        poster: post.card.author_id,
        open: post.card.is_live() && !post.locked,
        now: request.now,
    };
    if request.after.is_none() && (request.whole || post.card.comment_count <= PAGED_OVER) {
        let rows = queries::list_by_post(conn, caller.id(), post.card.id).await?;
        return Ok(Loaded {
            thread: arranged(rows, request.sort, reading),
            more: None,
            is_paged: false,
        });
    }
    let name = format!("thread-{}-{}", post.card.id, request.sort.as_str());
    let after = request
        .after
        .map(|text| Cursor::parse(&name, text))
        .transpose()?;
    let (mut roots, mut more) = paging::split(roots(conn, request, after).await?, ROOTS);
    let ids: Vec<i64> = roots.iter().map(|root| root.id).collect();
    let sizes: HashMap<i64, i64> = queries::count_by_roots(&mut *conn, &ids)
        .await?
        .into_iter()
        .collect();
    let fitting = fitting(&roots, &sizes);
    more |= fitting < roots.len();
    roots.truncate(fitting);
    let ids: Vec<i64> = roots.iter().map(|root| root.id).collect();
    let rows = queries::list_by_roots(conn, caller.id(), &ids, ROWS).await?;
    let shown = rows.len();
    let more = roots.last().filter(|_| more).map(|last| {
        let cursor = Cursor {
            key: key(last, request.sort),
            id: last.id,
            rank: after.map_or(0, |c| c.rank) + i64::try_from(roots.len()).unwrap_or(ROOTS),
        };
        cursor.to_text(&name)
    });
    let mut items = model::items(tree::arrange(rows, request.sort), reading);
    if let ([root], Some(first)) = (&roots[..], items.first_mut()) {
        let size = sizes.get(&root.id).copied().unwrap_or(0);
        first.continues += (size - i64::try_from(shown).unwrap_or(size)).max(0);
    }
    Ok(Loaded {
        thread: Thread::new(items),
        more,
        is_paged: true,
    })
}

/// How many of these top comments fit on one page: at least one.
fn fitting(roots: &[Root], sizes: &HashMap<i64, i64>) -> usize {
    let mut rows = 0;
    let fit = roots
        .iter()
        .take_while(|root| {
            rows += sizes.get(&root.id).copied().unwrap_or(1);
            rows <= ROWS
        })
        .count();
    fit.max(1).min(roots.len())
}

fn arranged(rows: Vec<CommentRow>, sort: Sort, reading: Reading<'_>) -> Thread {
    Thread::new(model::items(tree::arrange(rows, sort), reading))
}

fn key(root: &Root, sort: Sort) -> Key {
    match sort {
        Sort::Best => Key::Float(root.confidence.into()),
        Sort::Newest | Sort::Oldest => Key::time(root.created_at),
    }
}

async fn roots(
    conn: &mut Conn,
    request: &Request<'_>,
    after: Option<Cursor>,
) -> Result<Vec<Root>, Error> {
    let (post, limit) = (request.post.card.id, ROOTS + 1);
    let moment = |open: DateTime<Utc>, id| after.map_or((open, id), |c| (c.key.as_time(), c.id));
    let rows = match request.sort {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the key was an f32 when the cursor was made"
        )]
        Sort::Best => {
            let below = after.map_or((f32::INFINITY, i64::MAX), |c| {
                (c.key.as_float() as f32, c.id)
            });
            queries::list_roots_best(conn, post, below, limit).await?
        }
        Sort::Newest => {
            let far = DateTime::from_timestamp(253_370_764_800, 0).unwrap_or_default();
            queries::list_roots_newest(conn, post, moment(far, i64::MAX), limit).await?
        }
        Sort::Oldest => {
            queries::list_roots_oldest(conn, post, moment(DateTime::UNIX_EPOCH, 0), limit).await?
        }
    };
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_what_fits_and_at_least_one() {
        let roots = [1, 2, 3].map(|id| Root {
            id,
            confidence: 0.0,
            created_at: DateTime::UNIX_EPOCH,
        });
        let sizes = |all: [i64; 3]| HashMap::from([(1, all[0]), (2, all[1]), (3, all[2])]);
        assert_eq!(fitting(&roots, &sizes([10, 20, 30])), 3);
        assert_eq!(fitting(&roots, &sizes([150, 150, 1])), 2);
        assert_eq!(fitting(&roots, &sizes([5_000, 1, 1])), 1);
        assert_eq!(fitting(&[], &HashMap::new()), 0);
    }
}
