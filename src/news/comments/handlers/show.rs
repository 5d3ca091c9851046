//! The page of one comment in its context, and the form that answers it (P05). Must not know how comments are written.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};

use crate::{
    news::{
        comments::{
            form,
            model::{self, CommentRow, Reading},
            queries,
            tree::{self, Branch, Sort},
            views::{
                Ancestor, Discussion, PostLink, ReplyForm, ReplyFormFragment, ShowPage, Thread,
            },
        },
        posts::{handlers::discussion, model::Post, queries as posts},
    },
    platform::db::Conn,
    web::{
        cache, context::Context, error::Error, form::wants_fragment, markup, page::Page, render,
        state::State, viewer::Caller,
    },
};

/// Most comments that are read for a comment's page.
const BRANCH_MAX: i64 = 5_000;

pub(super) async fn load(
    conn: &mut Conn,
    caller: &Caller,
    id: i64,
) -> Result<(CommentRow, Post), Error> {
    let comment = queries::find(&mut *conn, caller.id(), id)
        .await?
        .ok_or(Error::NotFound)?;
    let post = posts::find(conn, comment.post_id, caller.id())
        .await?
        .ok_or(Error::NotFound)?;
    Ok((comment, post))
}

pub(super) fn post_link(post: &Post) -> PostLink {
    PostLink {
        title: post.card.heading().to_owned(),
        path: post.card.path(),
    }
}

pub(super) fn path_in_thread(post: &Post, comment_id: i64) -> String {
    format!("{}#comment-{comment_id}", post.card.path())
}

pub(super) fn reading<'a>(caller: &'a Caller, post: &Post, request: &HttpRequest) -> Reading<'a> {
    Reading {
        viewer: caller.viewer.as_deref(),
        poster: post.card.author_id,
        open: post.card.is_live() && !post.locked,
        now: Context::get(request).now,
    }
}

/// `GET /comments/{id}`: the comment in its context, with all below it and a form to answer it.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn show(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let (comment, post) = load(&mut conn, &caller, *id).await?;
    cache::tag(&request, format!("post:{}", post.card.id));
    let form = form::empty(post.card.id, Some(*id));
    let view = show_page(&request, &mut conn, &caller, (comment, post), form).await?;
    render::page(&request, &view)
}

pub(super) async fn show_page(
    request: &HttpRequest,
    conn: &mut Conn,
    caller: &Caller,
    (comment, post): (CommentRow, Post),
    form: ReplyForm,
) -> Result<ShowPage, Error> {
    let rows =
        queries::list_by_roots(&mut *conn, caller.id(), &[comment.root_id], BRANCH_MAX).await?;
    let branches = tree::arrange(rows, Sort::Best);
    let at = branches
        .iter()
        .position(|b| b.node.id == comment.id)
        .ok_or(Error::NotFound)?;
    let ancestors = ancestors(&branches, at);
    let (previous_id, next_id) = if comment.parent_id.is_none() {
        queries::find_neighbours(conn, post.card.id, (comment.confidence, comment.id)).await?
    } else {
        (branches[at].previous, branches[at].next)
    };
    let base = branches[at].depth;
    let below: Vec<Branch<CommentRow>> = branches
        .into_iter()
        .skip(at)
        .enumerate()
        .take_while(|(offset, branch)| *offset == 0 || branch.depth > base)
        .map(|(_, branch)| Branch {
            depth: branch.depth - base,
            ..branch
        })
        .collect();
    let mut page = Page::of(
        request,
        format!(
            "{} on {}",
            comment.author.as_deref().unwrap_or("A comment"),
            post.card.heading()
        ),
    );
    page.robots = Some("noindex, follow");
    let items = model::items(below, reading(caller, &post, request));
    let discussion = match discussion(caller.viewer.as_deref(), &post) {
        Discussion::Open(_) if comment.is_live() => Discussion::Open(form),
        Discussion::Open(_) => {
            Discussion::Closed("This comment is gone, so it cannot be answered.".into())
        }
        other => other,
    };
    Ok(ShowPage {
        page,
        post: post_link(&post),
        ancestors,
        previous_id,
        next_id,
        thread: Thread::new(items),
        discussion,
    })
}

/// What the comment at `at` answers, from the top comment down to its parent.
fn ancestors(branches: &[Branch<CommentRow>], at: usize) -> Vec<Ancestor> {
    const EXCERPT: usize = 120;
    let mut depth = branches[at].depth;
    let mut found = Vec::new();
    for branch in branches[..at].iter().rev() {
        if branch.depth < depth {
            depth = branch.depth;
            let live = branch.node.is_live();
            found.push(Ancestor {
                id: branch.node.id,
                by: match (&branch.node.author, live) {
                    (Some(author), true) => author.clone(),
                    (None, true) => "[unknown]".into(),
                    (_, false) => "[gone]".into(),
                },
                excerpt: if live {
                    markup::excerpt(&branch.node.html, EXCERPT)
                } else {
                    String::new()
                },
            });
        }
    }
    found.reverse();
    found
}

/// `GET /comments/{id}/reply`: the form alone for the script; without it, the comment's page, where the form stands.
///
/// # Errors
/// [`Error::LoginRequired`]; [`Error::NotFound`].
pub async fn reply_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    if !wants_fragment(&request) {
        return Ok(render::see_other(&format!("/comments/{}#reply", *id)));
    }
    let comment = queries::find(&mut state.db.conn().await?, caller.id(), *id)
        .await?
        .ok_or(Error::NotFound)?;
    let view = ReplyFormFragment {
        page: Page::of(&request, ""),
        form: form::empty(comment.post_id, Some(*id)),
    };
    render::page(&request, &view)
}
