//! The pages of one comment: reading it in context, answering, changing, deleting (P05). Must not know SQL.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Deserialize;

use super::{
    form::{self, CommentText, Submitted},
    model::{self, CommentRow, Reading},
    queries::{self, Parent},
    tree::{self, Branch, Sort},
    views::{
        Ancestor, CommentFragment, DeletePage, Discussion, EditPage, PostLink, ReplyForm,
        ReplyFormFragment, ShowPage, Thread,
    },
};
use crate::{
    news::outdated,
    news::posts::{
        handlers::{discussion, earlier, remember, rendered},
        model::Post,
        queries as posts,
    },
    platform::db::Conn,
    web::{
        activity, cache,
        context::Context,
        error::Error,
        form::{Form, FormErrors, wants_fragment},
        markup,
        page::Page,
        render,
        state::State,
        viewer::{Caller, Target, Viewer},
    },
};

/// Deepest reply; a branch that goes on further is a conversation of two, better had elsewhere.
const DEPTH_MAX: i16 = 1_000;
/// Most comments that are read for a comment's page.
const BRANCH_MAX: i64 = 5_000;

async fn load(conn: &mut Conn, caller: &Caller, id: i64) -> Result<(CommentRow, Post), Error> {
    let comment = queries::find(&mut *conn, caller.id(), id)
        .await?
        .ok_or(Error::NotFound)?;
    let post = posts::find(conn, comment.post_id, caller.id())
        .await?
        .ok_or(Error::NotFound)?;
    Ok((comment, post))
}

fn post_link(post: &Post) -> PostLink {
    PostLink {
        title: post.card.heading().to_owned(),
        path: post.card.path(),
    }
}

fn path_in_thread(post: &Post, comment_id: i64) -> String {
    format!("{}#comment-{comment_id}", post.card.path())
}

fn reading<'a>(caller: &'a Caller, post: &Post, request: &HttpRequest) -> Reading<'a> {
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

async fn show_page(
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

/// `POST /posts/{id}/comments`
///
/// # Errors
/// [`Error::LoginRequired`]; [`Error::Conflict`] when the discussion was closed or the parent taken away meanwhile. A
/// form that breaks a rule is shown again with 422.
pub async fn create(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    post_id: Path<i64>,
    Form(form): Form<Submitted>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    viewer.require("comment", "create", &Target::default())?;
    let parent_id =
        match form.parent_id.trim() {
            "" => None,
            text => Some(text.parse::<i64>().map_err(|_| {
                Error::bad_request("The comment that is answered has no such number.")
            })?),
        };
    let mut conn = state.db.conn().await?;
    let post = posts::find(&mut conn, *post_id, Some(viewer.id))
        .await?
        .ok_or(Error::NotFound)?;
    if let Some(made) = earlier(&mut conn, viewer.id, &form.nonce).await? {
        return Ok(render::see_other(&made));
    }
    let text = match CommentText::parse(&form.text) {
        Ok(text) => text,
        Err(errors) => {
            return again(
                &request, &state, &mut conn, &caller, post, parent_id, &form, errors,
            )
            .await;
        }
    };
    let html = rendered(text.as_str().to_owned()).await?;
    let made = conn
        .transaction(async |conn| {
            let id = insert(conn, viewer, &post, parent_id, &text, &html).await?;
            let path = path_in_thread(&post, id);
            let before = remember(conn, viewer.id, &form.nonce, &path)
                .await
                .map_err(Refused::By)?;
            Ok(before.map_or(Ok((id, path)), Err))
        })
        .await;
    let (id, path) = match made {
        Ok(Ok(made)) => made,
        Ok(Err(before)) => return Ok(render::see_other(&before)),
        Err(Refused::By(error)) => return Err(error),
        Err(Refused::For(sentence)) => {
            let mut errors = FormErrors::default();
            errors.add("text", "closed", sentence);
            return again(
                &request, &state, &mut conn, &caller, post, parent_id, &form, errors,
            )
            .await;
        }
    };
    outdated::comment(&state.pages, post.card.id, Some(viewer.id));
    activity::did(&request, "comment.create", "comment", id);
    if !wants_fragment(&request) {
        return Ok(render::see_other(&path));
    }
    let comment = queries::find(&mut conn, Some(viewer.id), id)
        .await?
        .ok_or(Error::NotFound)?;
    let item = comment.into_item(reading(&caller, &post, &request));
    render::page(
        &request,
        &CommentFragment::new(Page::of(&request, ""), item),
    )
}

/// Why a comment was not written: a sentence for the form, or an error.
enum Refused {
    For(&'static str),
    By(Error),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::By(error.into())
    }
}

async fn insert(
    conn: &mut Conn,
    viewer: &Viewer,
    post: &Post,
    parent_id: Option<i64>,
    text: &CommentText,
    html: &str,
) -> Result<i64, Refused> {
    if !queries::count_on_post(&mut *conn, post.card.id).await? {
        return Err(Refused::For(
            "This discussion takes no more comments. Your text is kept below.",
        ));
    }
    let parent: Option<(i64, Parent)> = match parent_id {
        None => None,
        Some(id) => match queries::find_parent(&mut *conn, id, post.card.id).await? {
            Some(parent) if parent.depth < DEPTH_MAX => Some((id, parent)),
            Some(_) => {
                return Err(Refused::For(
                    "This branch is too deep to be answered. Begin a new one.",
                ));
            }
            None => {
                return Err(Refused::For(
                    "The comment that you answer is gone. Your text is kept below.",
                ));
            }
        },
    };
    let id = queries::insert(&mut *conn, post.card.id, viewer.id, parent).await?;
    queries::set_body(&mut *conn, id, text.as_str(), html, markup::RENDERER).await?;
    queries::add_to_comment_count(&mut *conn, viewer.id, 1).await?;
    Ok(id)
}

/// The form again with what was typed: alone for the script, else on the page it belongs to.
#[expect(
    clippy::too_many_arguments,
    reason = "it is the rest of one handler, with all that the handler has"
)]
async fn again(
    request: &HttpRequest,
    state: &State,
    conn: &mut Conn,
    caller: &Caller,
    post: Post,
    parent_id: Option<i64>,
    typed: &Submitted,
    errors: FormErrors,
) -> Result<HttpResponse, Error> {
    let mut form = form::empty(post.card.id, parent_id);
    form.text.clone_from(&typed.text);
    form.errors = errors;
    if wants_fragment(request) {
        let view = ReplyFormFragment {
            page: Page::of(request, ""),
            form,
        };
        return render::invalid(request, &view);
    }
    let parent = match parent_id {
        Some(id) => queries::find(&mut *conn, caller.id(), id)
            .await?
            .filter(|c| c.post_id == post.card.id),
        None => None,
    };
    match parent {
        Some(parent) => {
            let mut view = show_page(request, conn, caller, (parent, post), form.clone()).await?;
            // What was typed is never lost, even where nothing can be said any more.
            view.discussion = Discussion::Open(form);
            render::invalid(request, &view)
        }
        None => {
            crate::news::posts::handlers::show_again(request, state, conn, caller, post, form).await
        }
    }
}

/// A comment that this viewer wrote and may change now.
async fn own(
    conn: &mut Conn,
    caller: &Caller,
    id: i64,
    action: &str,
) -> Result<(CommentRow, Post), Error> {
    let viewer = caller.viewer()?;
    let (comment, post) = load(conn, caller, id).await?;
    if !comment.is_live() {
        return Err(Error::NotFound);
    }
    viewer.require("comment", action, &Target::of(comment.author_id))?;
    if comment.author_id != Some(viewer.id) {
        return Err(Error::forbidden(
            "Only its author can do this to a comment.",
        ));
    }
    Ok((comment, post))
}

fn check_window(comment: &CommentRow, request: &HttpRequest) -> Result<(), Error> {
    if comment.is_editable(Context::get(request).now) {
        return Ok(());
    }
    Err(Error::forbidden(
        "A comment can be changed for six hours after it was written.",
    ))
}

/// The fields of `POST /comments/{id}/edit`.
#[derive(Debug, Deserialize)]
pub struct EditForm {
    #[serde(default)]
    text: String,
}

/// `GET /comments/{id}/edit`
///
/// # Errors
/// [`Error::Forbidden`] if it is not one's own, or too old.
pub async fn edit_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let (comment, post) = own(&mut conn, &caller, *id, "edit").await?;
    check_window(&comment, &request)?;
    let view = EditPage {
        page: Page::of(&request, "Edit your comment"),
        comment_id: *id,
        post: post_link(&post),
        text: queries::find_source(&mut conn, *id)
            .await?
            .unwrap_or_default(),
        errors: FormErrors::default(),
    };
    render::page(&request, &view)
}

/// `POST /comments/{id}/edit`
///
/// # Errors
/// As [`edit_form`]; a form that breaks a rule is shown again with 422.
pub async fn update(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
    Form(form): Form<EditForm>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let (comment, post) = own(&mut conn, &caller, *id, "edit").await?;
    check_window(&comment, &request)?;
    let text = match CommentText::parse(&form.text) {
        Ok(text) => text,
        Err(errors) => {
            let view = EditPage {
                page: Page::of(&request, "Edit your comment"),
                comment_id: *id,
                post: post_link(&post),
                text: form.text,
                errors,
            };
            return render::invalid(&request, &view);
        }
    };
    let html = rendered(text.as_str().to_owned()).await?;
    conn.begin().await?;
    if !queries::set_edited(&mut conn, *id).await? {
        conn.rollback().await?;
        return Err(Error::Conflict(
            "This comment was taken away while you were changing it.".into(),
        ));
    }
    queries::set_body(&mut conn, *id, text.as_str(), &html, markup::RENDERER).await?;
    conn.commit().await?;
    outdated::comment(&state.pages, post.card.id, comment.author_id);
    activity::did(&request, "comment.edit", "comment", *id);
    Ok(render::see_other(&path_in_thread(&post, *id)))
}

/// `GET /comments/{id}/delete`: asks once.
///
/// # Errors
/// [`Error::Forbidden`] if it is not one's own.
pub async fn delete_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let (comment, post) = own(&mut conn, &caller, *id, "delete").await?;
    let view = DeletePage {
        page: Page::of(&request, "Delete this comment?"),
        comment_id: *id,
        post: post_link(&post),
        html: comment.html,
        has_replies: queries::has_replies(&mut conn, *id).await?,
    };
    render::page(&request, &view)
}

/// `POST /comments/{id}/delete`
///
/// # Errors
/// As [`delete_form`].
pub async fn delete(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let (comment, post) = own(&mut conn, &caller, *id, "delete").await?;
    conn.begin().await?;
    queries::lock_post(&mut conn, post.card.id).await?;
    if !queries::delete(&mut conn, *id).await? {
        conn.rollback().await?;
        return Err(Error::NotFound);
    }
    queries::recount_post(&mut conn, post.card.id).await?;
    if let Some(author) = comment.author_id {
        queries::add_to_comment_count(&mut conn, author, -1).await?;
    }
    conn.commit().await?;
    outdated::comment_state(&state.pages, post.card.id, comment.author_id);
    activity::did(&request, "comment.delete", "comment", *id);
    Ok(render::see_other_saying(
        &state,
        &format!("{}#comments", post.card.path()),
        "Your comment is deleted.",
    ))
}
