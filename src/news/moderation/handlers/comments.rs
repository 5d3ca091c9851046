//! `/comments/{id}/remove` and `/comments/{id}/restore`. Must not know what an act writes.

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
            queries::{self, Comment},
            views::ActPage,
        },
        outdated,
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
        viewer::{Caller, Viewer},
    },
};

/// How much of a comment is shown beside the question, in characters.
const SUBJECT_CHARS: usize = 300;

/// `GET /comments/{id}/remove`
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

/// `POST /comments/{id}/remove`
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

/// `GET /comments/{id}/restore`
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

/// `POST /comments/{id}/restore`
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
    let comment = find(&mut state.db.conn().await?, id).await?;
    require(caller.viewer()?, &comment, verb)?;
    render::page(
        request,
        &page(
            request,
            comment,
            verb,
            ActForm::empty(),
            FormErrors::default(),
        ),
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
            let comment = find(&mut conn, id).await?;
            require(viewer, &comment, verb)?;
            let mut errors = FormErrors::default();
            errors.add("reason", "length", sentence);
            return render::invalid(request, &page(request, comment, verb, form, errors));
        }
    };
    conn.begin().await?;
    // Locked first, so that of two moderators the second sees what the first has done; the post before the comment.
    let post_id = find(&mut conn, id).await?.post_id;
    lock_post(&mut conn, post_id).await?;
    queries::lock_comment(&mut conn, id).await?;
    let comment = find(&mut conn, id).await?;
    require(viewer, &comment, verb)?;
    let act = Act {
        actor: viewer.id,
        reason: &reason,
        request_id: &Context::get(request).id,
    };
    let said = match verb {
        Verb::Remove => {
            acts::remove_comment(&mut conn, &comment, act).await?;
            "The comment is removed."
        }
        Verb::Restore => {
            acts::restore_comment(&mut conn, &comment, act).await?;
            "The comment is restored."
        }
    };
    conn.commit().await?;
    outdated::comment_state(&state.pages, post_id, comment.author_id);
    outdated::moderation(&state.pages, None);
    activity::did(
        request,
        match verb {
            Verb::Remove => "comment.remove",
            Verb::Restore => "comment.restore",
        },
        "comment",
        id,
    );
    Ok(render::see_other_saying(
        state,
        &format!("/comments/{id}"),
        said,
    ))
}

async fn find(conn: &mut Conn, id: i64) -> Result<Comment, Error> {
    queries::find_comment(conn, id)
        .await?
        .ok_or(Error::NotFound)
}

fn require(viewer: &Viewer, comment: &Comment, verb: Verb) -> Result<(), Error> {
    verb.require(
        viewer,
        "comment",
        (comment.author_id, comment.author_rank),
        &comment.state,
        &[("state", comment.state.as_str())],
    )
}

fn page(
    request: &HttpRequest,
    comment: Comment,
    verb: Verb,
    form: ActForm,
    errors: FormErrors,
) -> ActPage {
    let (heading, consequence, button) = match verb {
        Verb::Remove => (
            "Remove this comment?",
            "Its text is no longer shown; the replies to it stay. A moderator can restore it.",
            "Remove the comment",
        ),
        Verb::Restore => (
            "Restore this comment?",
            "Its text is shown again, at the place in the thread that it had.",
            "Restore the comment",
        ),
    };
    ActPage {
        page: Page::of(request, heading),
        heading: heading.to_owned(),
        consequence: consequence.to_owned(),
        subject: markup::excerpt(&comment.html, SUBJECT_CHARS),
        action: format!("/comments/{}/{}", comment.id, verb.name()),
        back: format!("/comments/{}", comment.id),
        button: button.to_owned(),
        is_destructive: verb == Verb::Remove,
        reason: form.reason,
        days: None,
        errors,
    }
}
