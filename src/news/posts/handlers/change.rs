//! Changing and deleting one's own post (P04). Must not know how a post is shown.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};

use super::submit::{domain_of, draft, known_tags, rendered};
use crate::{
    news::{
        outdated,
        posts::{
            form::Submitted,
            model::{self, Post},
            queries,
            views::{DeletePage, EditPage},
        },
        previews,
    },
    platform::db::Conn,
    web::{
        activity, chrome,
        context::Context,
        error::Error,
        form::{Form, FormErrors},
        markup,
        page::Page,
        render,
        state::State,
        viewer::{Caller, Target, Viewer},
    },
};

/// A post that this viewer may change now.
async fn editable(
    conn: &mut Conn,
    request: &HttpRequest,
    viewer: &Viewer,
    id: i64,
) -> Result<Post, Error> {
    let post = queries::find(conn, id, Some(viewer.id))
        .await?
        .ok_or(Error::NotFound)?;
    if !post.card.is_live() {
        return Err(Error::NotFound);
    }
    let target = Target {
        owner: post.card.author_id,
        attributes: &post.attributes(),
    };
    viewer.require("post", "edit", &target)?;
    // What stands under somebody's name is theirs: whoever keeps order removes it, with a reason in the log.
    if post.card.author_id != Some(viewer.id) {
        return Err(Error::forbidden("Only its author can change a post."));
    }
    if !post.is_editable(Context::get(request).now) {
        return Err(Error::forbidden(
            "A post can be changed for six hours after it was submitted.",
        ));
    }
    Ok(post)
}

/// `GET /posts/{id}/edit`
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
    let post = editable(&mut conn, &request, caller.viewer()?, *id).await?;
    drop(conn);
    let tags = known_tags(&state).await?;
    let form = Submitted {
        title: post.card.title.clone(),
        url: post.card.url.clone().unwrap_or_default(),
        text: post.source.clone(),
        tags: post.card.tags.join(", "),
        nonce: String::new(),
    };
    render::page(
        &request,
        &edit_page(&request, &post, &form, FormErrors::default(), tags),
    )
}

fn edit_page(
    request: &HttpRequest,
    post: &Post,
    form: &Submitted,
    errors: FormErrors,
    known_tags: Vec<String>,
) -> EditPage {
    EditPage {
        page: Page::of(request, "Edit your post"),
        post_id: post.card.id,
        path: post.card.path(),
        form: form.to_view(),
        errors,
        known_tags,
    }
}

/// `POST /posts/{id}/edit`
///
/// # Errors
/// As [`edit_form`]; a form that breaks a rule is shown again with 422.
pub async fn update(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
    Form(form): Form<Submitted>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut conn = state.db.conn().await?;
    let post = editable(&mut conn, &request, viewer, *id).await?;
    let valid = match form.validate() {
        Ok(valid) => valid,
        Err(errors) => {
            drop(conn);
            let tags = known_tags(&state).await?;
            return render::invalid(&request, &edit_page(&request, &post, &form, errors, tags));
        }
    };
    let html = rendered(valid.text.clone()).await?;
    conn.begin().await?;
    let (domain_id, key) = domain_of(&mut conn, &valid).await?;
    if !queries::update(&mut conn, *id, draft(&valid, domain_id, key.as_deref())).await? {
        conn.rollback().await?;
        return Err(Error::Conflict(
            "This post was taken away while you were changing it.".into(),
        ));
    }
    queries::set_body(&mut conn, *id, &valid.text, &html, markup::RENDERER).await?;
    queries::insert_tags(&mut conn, &valid.tags).await?;
    queries::set_tags(&mut conn, *id, &valid.tags).await?;
    if valid.url.is_some() {
        previews::enqueue(&mut conn, *id).await?;
    }
    conn.commit().await?;
    outdated::post(&state.pages, *id, post.card.author_id);
    outdated::tags(&state.cache, &valid.tags).await;
    activity::did(&request, "post.edit", "post", *id);
    Ok(render::see_other(&model::path(*id, valid.title.as_str())))
}

/// A post that this viewer may delete.
async fn deletable(conn: &mut Conn, viewer: &Viewer, id: i64) -> Result<Post, Error> {
    let post = queries::find(conn, id, Some(viewer.id))
        .await?
        .ok_or(Error::NotFound)?;
    if !post.card.is_live() {
        return Err(Error::NotFound);
    }
    // A moderator removes, with a reason in the log; only its author deletes.
    if post.card.author_id != Some(viewer.id) {
        return Err(Error::forbidden("Only its author can delete a post."));
    }
    let target = Target {
        owner: post.card.author_id,
        attributes: &post.attributes(),
    };
    viewer.require("post", "delete", &target)?;
    Ok(post)
}

/// `GET /posts/{id}/delete`: asks once.
///
/// # Errors
/// [`Error::Forbidden`] if it is not one's own.
pub async fn delete_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let post = deletable(&mut state.db.conn().await?, caller.viewer()?, *id).await?;
    let view = DeletePage {
        page: Page::of(&request, "Delete this post?"),
        post_id: *id,
        path: post.card.path(),
        has_comments: post.card.comment_count > 0,
        title: post.card.title,
    };
    render::page(&request, &view)
}

/// `POST /posts/{id}/delete`
///
/// # Errors
/// As [`delete_form`].
pub async fn delete(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut conn = state.db.conn().await?;
    deletable(&mut conn, viewer, *id).await?;
    conn.begin().await?;
    if !queries::delete(&mut conn, *id).await? {
        conn.rollback().await?;
        return Err(Error::NotFound);
    }
    queries::add_to_post_count(&mut conn, viewer.id, -1).await?;
    conn.commit().await?;
    outdated::post_state(&state.pages, *id, Some(viewer.id));
    activity::did(&request, "post.delete", "post", *id);
    let profile = format!("/users/{}", chrome::encode(&viewer.name));
    Ok(render::see_other_saying(
        &state,
        &profile,
        "Your post is deleted.",
    ))
}
