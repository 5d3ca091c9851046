//! A post's thread for one page: whole while it is small or asked for, by pages of top comments else (P05). Must not know
//! HTML.

use chrono::{DateTime, Utc};

use super::{
    model::{self, CommentRow, Reading},
    queries::{self, PageOf},
    tree::{self, Sort},
    views::Thread,
};
use crate::{
    news::posts::model::Post,
    platform::db::Conn,
    web::{
        error::Error,
        paging::{Cursor, Key},
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

/// Loads a thread, or a page of one; one query.
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
    let rows = page(conn, caller, request, after).await?;
    let shown = rows.len();
    let roots: Vec<&CommentRow> = rows.iter().filter(|row| row.depth == 0).collect();
    let size = match roots[..] {
        [only] => only.branch_size,
        _ => None,
    };
    let follows = rows
        .first()
        .is_some_and(|row| row.is_last_page == Some(false));
    let more = last(&roots, request.sort).filter(|_| follows).map(|last| {
        let cursor = Cursor {
            key: key(last, request.sort),
            id: last.id,
            rank: after.map_or(0, |c| c.rank) + i64::try_from(roots.len()).unwrap_or(ROOTS),
        };
        cursor.to_text(&name)
    });
    let mut items = model::items(tree::arrange(rows, request.sort), reading);
    if let (Some(size), Some(first)) = (size, items.first_mut()) {
        first.continues += (size - i64::try_from(shown).unwrap_or(size)).max(0);
    }
    Ok(Loaded {
        thread: Thread::new(items),
        more,
        is_paged: true,
    })
}

/// The top comment that the next page goes on from.
fn last<'a>(roots: &[&'a CommentRow], sort: Sort) -> Option<&'a CommentRow> {
    let roots = roots.iter().copied();
    match sort {
        Sort::Best => roots.min_by(|a, b| {
            let by_rank = a.confidence.total_cmp(&b.confidence);
            by_rank.then(a.id.cmp(&b.id))
        }),
        Sort::Newest => roots.min_by_key(|root| (root.created_at, root.id)),
        Sort::Oldest => roots.max_by_key(|root| (root.created_at, root.id)),
    }
}

fn arranged(rows: Vec<CommentRow>, sort: Sort, reading: Reading<'_>) -> Thread {
    Thread::new(model::items(tree::arrange(rows, sort), reading))
}

fn key(root: &CommentRow, sort: Sort) -> Key {
    match sort {
        Sort::Best => Key::Float(root.confidence.into()),
        Sort::Newest | Sort::Oldest => Key::time(root.created_at),
    }
}

async fn page(
    conn: &mut Conn,
    caller: &Caller,
    request: &Request<'_>,
    after: Option<Cursor>,
) -> Result<Vec<CommentRow>, Error> {
    let page = PageOf {
        post_id: request.post.card.id,
        roots: ROOTS,
        rows: ROWS,
    };
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
            queries::list_page_best(conn, caller.id(), page, below).await?
        }
        Sort::Newest => {
            let far = DateTime::from_timestamp(253_370_764_800, 0).unwrap_or_default();
            queries::list_page_newest(conn, caller.id(), page, moment(far, i64::MAX)).await?
        }
        Sort::Oldest => {
            let early = moment(DateTime::UNIX_EPOCH, 0);
            queries::list_page_oldest(conn, caller.id(), page, early).await?
        }
    };
    Ok(rows)
}
