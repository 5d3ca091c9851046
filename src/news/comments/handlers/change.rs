//! Changing and deleting one's own comment (P05). Must not know how a thread is shown.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Deserialize;

use super::show::{load, path_in_thread, post_link};
use crate::{
    news::{
        comments::{
            form::CommentText,
            model::CommentRow,
            queries,
            views::{DeletePage, EditPage},
        },
        outdated,
        posts::{handlers::rendered, model::Post},
    },
    platform::db::Conn,
    web::{
        activity,
        context::Context,
        error::Error,
        form::{Form, FormErrors},
        markup,
        page::Page,
        render,
        state::State,
        viewer::{Caller, Target},
    },
};

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
