//! Voting: a form of one button, with a page behind it or a fragment (P06). Must not know SQL.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Deserialize;

use super::{
    queries::{self, Target},
    views::{Vote, VoteFragment, VoteState, VoteTarget},
};
use crate::{
    news::{outdated, posts::model::path},
    web::{
        activity,
        error::Error,
        form::{Form, referring_path, wants_fragment},
        page::Page,
        render,
        state::State,
        viewer::{Caller, Viewer},
    },
};

/// The form: 1 votes, 0 takes the vote back.
#[derive(Debug, Deserialize)]
pub struct VoteForm {
    value: u8,
}

impl VoteForm {
    fn is_for(&self) -> Result<bool, Error> {
        match self.value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::bad_request("A vote is 1, or 0 to take it back.")),
        }
    }
}

/// `POST /posts/{id}/vote`
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] on one's own post and on one that is not to be read.
pub async fn vote_post(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
    Form(form): Form<VoteForm>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let wanted = form.is_for()?;
    let mut conn = state.db.conn().await?;
    let target = queries::find_post(&mut conn, *id, viewer.id)
        .await?
        .ok_or(Error::NotFound)?;
    check(viewer, &target, "post")?;
    conn.idempotent(async |conn| match wanted {
        true => queries::insert_post_vote(conn, *id, viewer.id).await,
        false => queries::delete_post_vote(conn, *id, viewer.id).await,
    })
    .await?;
    outdated::post_vote(&state.pages, *id, target.author_id);
    activity::did(
        &request,
        if wanted { "post.vote" } else { "post.unvote" },
        "post",
        *id,
    );
    let target = queries::find_post(&mut conn, *id, viewer.id)
        .await?
        .ok_or(Error::NotFound)?;
    let subject = target.subject.clone().unwrap_or_default();
    let back = path(target.post_id, &target.post_title);
    respond(&request, VoteTarget::Post(*id), &target, subject, back)
}

/// `POST /comments/{id}/vote`
///
/// # Errors
/// As [`vote_post`].
pub async fn vote_comment(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
    Form(form): Form<VoteForm>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let wanted = form.is_for()?;
    let mut conn = state.db.conn().await?;
    let target = queries::find_comment(&mut conn, *id, viewer.id)
        .await?
        .ok_or(Error::NotFound)?;
    check(viewer, &target, "comment")?;
    conn.idempotent(async |conn| match wanted {
        true => queries::insert_comment_vote(conn, *id, viewer.id).await,
        false => queries::delete_comment_vote(conn, *id, viewer.id).await,
    })
    .await?;
    outdated::comment_vote(&state.pages, target.post_id, target.author_id);
    activity::did(
        &request,
        if wanted {
            "comment.vote"
        } else {
            "comment.unvote"
        },
        "comment",
        *id,
    );
    let target = queries::find_comment(&mut conn, *id, viewer.id)
        .await?
        .ok_or(Error::NotFound)?;
    let subject = format!(
        "comment by {}",
        target.subject.as_deref().unwrap_or("[unknown]")
    );
    let back = format!(
        "{}#comment-{}",
        path(target.post_id, &target.post_title),
        *id
    );
    respond(&request, VoteTarget::Comment(*id), &target, subject, back)
}

fn check(viewer: &Viewer, target: &Target, resource: &str) -> Result<(), Error> {
    viewer.require(
        resource,
        "vote",
        &crate::web::viewer::Target::of(target.author_id),
    )?;
    if target.author_id == Some(viewer.id) {
        return Err(viewer.denied(
            "vote on one's own",
            "Your own vote is counted already: nobody votes for what they wrote.",
        ));
    }
    if target.state != "live" {
        return Err(Error::forbidden(
            "This is not there to be voted on any more.",
        ));
    }
    Ok(())
}

/// The control as it looks now, for the script; else back to the page the person was on.
fn respond(
    request: &HttpRequest,
    on: VoteTarget,
    target: &Target,
    subject: String,
    back: String,
) -> Result<HttpResponse, Error> {
    if wants_fragment(request) {
        let view = VoteFragment {
            page: Page::of(request, ""),
            vote: Vote {
                target: on,
                points: target.points.into(),
                state: if target.voted {
                    VoteState::On
                } else {
                    VoteState::Off
                },
            },
            subject,
        };
        return render::page(request, &view);
    }
    // Where the button stood in a list, the reader goes on in the list.
    let list = referring_path(request)
        .filter(|p| !p.starts_with("/posts/") && !p.starts_with("/comments/"));
    let anchor = match on {
        VoteTarget::Post(id) => format!("#post-{id}"),
        VoteTarget::Comment(id) => format!("#comment-{id}"),
    };
    Ok(render::see_other(&list.map_or(back, |path| path + &anchor)))
}
