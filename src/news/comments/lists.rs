//! Flat lists of comments: all, one author's, and one's own with their replies. Must not know SQL.

use std::collections::HashMap;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};

use super::{
    model::{self, CommentRow, Reading},
    queries::{self, Listed},
    tree::{self, Sort},
    views::{ListPage, ListedComment, PostLink, Thread},
};
use crate::{
    news::{
        lists::listing::{Continued, PAGE_SIZE},
        posts::model::path,
        profiles,
    },
    platform::db::Conn,
    web::{
        cache, chrome,
        context::Context,
        error::Error,
        form::Query,
        page::{Page, Place, Tab},
        paging::{self, Cursor, Key},
        render,
        state::State,
        viewer::Caller,
    },
};

/// Most replies that are shown below all the comments of one page of `/threads`.
const REPLIES_MAX: i64 = 500;

fn before(cursor: Option<Cursor>) -> (DateTime<Utc>, i64) {
    let far = DateTime::from_timestamp(253_370_764_800, 0).unwrap_or_default();
    cursor.map_or((far, i64::MAX), |c| (c.key.as_time(), c.id))
}

/// What sets one list of comments apart.
struct Listing<'a> {
    name: &'a str,
    path: &'a str,
    heading: String,
    place: Place,
    tabs: Vec<Tab>,
    empty: &'static str,
    with_replies: bool,
}

async fn respond(
    request: &HttpRequest,
    conn: &mut Conn,
    caller: &Caller,
    listing: Listing<'_>,
    cursor: Option<Cursor>,
    rows: Vec<Listed>,
) -> Result<HttpResponse, Error> {
    cache::tag(request, "comments");
    let shown = cursor.map_or(0, |c| c.rank);
    let (rows, more) = paging::split(rows, PAGE_SIZE);
    let more = rows.last().filter(|_| more).map(|last| {
        let cursor = Cursor {
            key: Key::time(last.created_at),
            id: last.id,
            rank: shown + PAGE_SIZE,
        };
        paging::address(listing.path, &[("after", &cursor.to_text(listing.name))])
    });
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let comments = if listing.with_replies {
        queries::list_below(conn, caller.id(), &ids, REPLIES_MAX).await?
    } else {
        queries::list_by_ids(conn, caller.id(), &ids).await?
    };
    let mut page = Page::of(request, listing.heading.clone()).at(listing.place);
    page.robots = Some("noindex, follow");
    let view = ListPage {
        page,
        heading: listing.heading,
        intro: None,
        tabs: listing.tabs,
        comments: listed(rows, comments, caller, Context::get(request).now),
        more,
        empty: listing.empty.to_owned(),
    };
    render::page(request, &view)
}

/// Puts each listed comment with what was read below it; one that stands below another of the page is shown there only.
fn listed(
    rows: Vec<Listed>,
    comments: Vec<CommentRow>,
    caller: &Caller,
    now: DateTime<Utc>,
) -> Vec<ListedComment> {
    let mut branches: HashMap<i64, Vec<tree::Branch<CommentRow>>> = HashMap::new();
    let mut top = 0;
    for branch in tree::arrange(comments, Sort::Oldest) {
        if branch.depth == 0 {
            top = branch.node.id;
        }
        branches.entry(top).or_default().push(branch);
    }
    rows.into_iter()
        .filter_map(|row| {
            let reading = Reading {
                viewer: caller.viewer.as_deref(),
                poster: row.post_author_id,
                open: row.post_state == "live" && !row.post_locked,
                now,
            };
            let thread = Thread::new(model::items(branches.remove(&row.id)?, reading));
            let live = row.post_state == "live";
            Some(ListedComment {
                post: PostLink {
                    path: path(row.post_id, if live { &row.post_title } else { "" }),
                    title: if live {
                        row.post_title
                    } else {
                        "[a post that is gone]".into()
                    },
                },
                thread,
            })
        })
        .collect()
}

/// `GET /comments`
///
/// # Errors
/// [`Error::BadRequest`] for a bad cursor.
pub async fn newest(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let listing = Listing {
        name: "comments",
        path: "/comments",
        heading: "Comments".into(),
        place: Place::Comments,
        tabs: Vec::new(),
        empty: "Nobody has said anything yet. Open a post and say the first word.",
        with_replies: false,
    };
    let cursor = query
        .after
        .map(|text| Cursor::parse(listing.name, &text))
        .transpose()?;
    let mut conn = state.db.conn().await?;
    let rows = queries::list_newest(&mut conn, before(cursor), PAGE_SIZE + 1).await?;
    respond(&request, &mut conn, &caller, listing, cursor, rows).await
}

/// `GET /users/{name}/comments`
///
/// # Errors
/// [`Error::NotFound`]; [`Error::BadRequest`] for a bad cursor.
pub async fn by_author(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let user = profiles::handlers::find(&mut conn, &name).await?;
    cache::tag(&request, format!("user:{}", user.id));
    let address = format!("/users/{}/comments", chrome::encode(&user.username));
    let list = format!("comments-{}", user.id);
    let listing = Listing {
        name: &list,
        path: &address,
        heading: format!("Comments by {}", user.username),
        place: Place::Elsewhere,
        tabs: profiles::handlers::tabs(&user, "/comments"),
        empty: "There is nothing here yet.",
        with_replies: false,
    };
    let cursor = query
        .after
        .map(|text| Cursor::parse(listing.name, &text))
        .transpose()?;
    let rows = queries::list_by_author(&mut conn, user.id, before(cursor), PAGE_SIZE + 1).await?;
    respond(&request, &mut conn, &caller, listing, cursor, rows).await
}

/// `GET /threads`: one's own comments with what others answered.
///
/// # Errors
/// [`Error::LoginRequired`]; [`Error::BadRequest`] for a bad cursor.
pub async fn own(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let listing = Listing {
        name: "threads",
        path: "/threads",
        heading: "Your threads".into(),
        place: Place::Elsewhere,
        tabs: Vec::new(),
        empty: "You have not said anything yet. What you write, and what others answer, will stand here.",
        with_replies: true,
    };
    let cursor = query
        .after
        .map(|text| Cursor::parse(listing.name, &text))
        .transpose()?;
    let mut conn = state.db.conn().await?;
    let rows = queries::list_by_author(&mut conn, viewer.id, before(cursor), PAGE_SIZE + 1).await?;
    respond(&request, &mut conn, &caller, listing, cursor, rows).await
}
