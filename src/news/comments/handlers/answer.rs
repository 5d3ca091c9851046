//! Writing a comment (P05). Must not know how a thread is shown.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};

use super::show::{path_in_thread, reading, show_page};
use crate::{
    news::{
        comments::{
            form::{self, CommentText, Submitted},
            queries::{self, Parent},
            views::{CommentFragment, Discussion, ReplyFormFragment},
        },
        outdated,
        posts::{
            handlers::{earlier, remember, rendered},
            model::Post,
            queries as posts,
        },
    },
    platform::db::Conn,
    web::{
        activity,
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
