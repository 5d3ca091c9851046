//! `/posts/{id}/remove` and `/posts/{id}/restore`. Must not know what an act writes.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};

use super::{ActForm, Verb};
use crate::{
    news::{
        comments::queries::lock_post,
        moderation::{
            acts::{self, Act},
            model::Reason,
            queries::{self, Post},
            views::ActPage,
        },
        outdated,
        posts::model::attributes,
    },
    platform::db::Conn,
    web::{
        activity,
        context::Context,
        error::Error,
        form::{Form, FormErrors},
        page::Page,
        render,
        state::State,
        viewer::{Caller, Viewer},
    },
};

/// `GET /posts/{id}/remove`
///
/// # Errors
/// 403 where this moderator may not, 409 where it is away already.
pub async fn remove_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    form(&request, &state, &caller, *id, Verb::Remove).await
}

/// `POST /posts/{id}/remove`
///
/// # Errors
/// As [`remove_form`].
pub async fn remove(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
    Form(form): Form<ActForm>,
) -> Result<HttpResponse, Error> {
    act(&request, &state, &caller, *id, Verb::Remove, form).await
}

/// `GET /posts/{id}/restore`
///
/// # Errors
/// 403 where this moderator may not, 409 where it is not removed.
pub async fn restore_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    form(&request, &state, &caller, *id, Verb::Restore).await
}

/// `POST /posts/{id}/restore`
///
/// # Errors
/// As [`restore_form`].
pub async fn restore(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
    Form(form): Form<ActForm>,
) -> Result<HttpResponse, Error> {
    act(&request, &state, &caller, *id, Verb::Restore, form).await
}

async fn form(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    id: i64,
    verb: Verb,
) -> Result<HttpResponse, Error> {
    let post = find(&mut state.db.conn().await?, id).await?;
    require(caller.viewer()?, &post, verb)?;
    render::page(
        request,
        &page(request, post, verb, ActForm::empty(), FormErrors::default()),
    )
}

async fn act(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    id: i64,
    verb: Verb,
    form: ActForm,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut conn = state.db.conn().await?;
    let reason = match Reason::parse(&form.reason) {
        Ok(reason) => reason,
        Err(sentence) => {
            let post = find(&mut conn, id).await?;
            require(viewer, &post, verb)?;
            let mut errors = FormErrors::default();
            errors.add("reason", "length", sentence);
            return render::invalid(request, &page(request, post, verb, form, errors));
        }
    };
    conn.begin().await?;
    // Locked first, so that of two moderators the second sees what the first has done.
    lock_post(&mut conn, id).await?;
    let post = find(&mut conn, id).await?;
    require(viewer, &post, verb)?;
    let act = Act {
        actor: viewer.id,
        reason: &reason,
        request_id: &Context::get(request).id,
    };
    let said = match verb {
        Verb::Remove => {
            acts::remove_post(&mut conn, &post, act).await?;
            "The post is removed."
        }
        Verb::Restore => {
            acts::restore_post(&mut conn, &post, act).await?;
            "The post is restored."
        }
    };
    conn.commit().await?;
    outdated::post_state(&state.pages, id, post.author_id);
    outdated::moderation(&state.pages, None);
    activity::did(
        request,
        match verb {
            Verb::Remove => "post.remove",
            Verb::Restore => "post.restore",
        },
        "post",
        id,
    );
    Ok(render::see_other_saying(
        state,
        &format!("/posts/{id}"),
        said,
    ))
}

async fn find(conn: &mut Conn, id: i64) -> Result<Post, Error> {
    queries::find_post(conn, id).await?.ok_or(Error::NotFound)
}

fn require(viewer: &Viewer, post: &Post, verb: Verb) -> Result<(), Error> {
    verb.require(
        viewer,
        "post",
        (post.author_id, post.author_rank),
        &post.state,
        &attributes(&post.kind, &post.state, post.domain.as_deref(), &post.tags),
    )
}

fn page(
    request: &HttpRequest,
    post: Post,
    verb: Verb,
    form: ActForm,
    errors: FormErrors,
) -> ActPage {
    let (heading, consequence, button) = match verb {
        Verb::Remove => (
            "Remove this post?",
            "It leaves every list. Its discussion stays readable at its address, and a moderator can restore it.",
            "Remove the post",
        ),
        Verb::Restore => (
            "Restore this post?",
            "It comes back into the lists, at the place that its votes and its age give it.",
            "Restore the post",
        ),
    };
    ActPage {
        page: Page::of(request, heading),
        heading: heading.to_owned(),
        consequence: consequence.to_owned(),
        subject: post.title,
        action: format!("/posts/{}/{}", post.id, verb.name()),
        back: format!("/posts/{}", post.id),
        button: button.to_owned(),
        is_destructive: verb == Verb::Remove,
        reason: form.reason,
        days: None,
        errors,
    }
}
