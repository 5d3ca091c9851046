//! What a moderator does, each inside the caller's transaction: the event, the target's state, the counters, the log.
//! Must not know whether the moderator may: the handlers have asked.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    model::{self, LogRow, Reason},
    queries::{self, Comment, Post},
};
use crate::{
    accounts::standing::{self, Standing, USER_BANNED, USER_UNBANNED},
    news::{comments, posts},
    platform::{
        db::Conn,
        events::{self, Event, NewEvent},
    },
    web::error::Error,
};

/// Who acts, why, and by which request.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// The moderator.
    pub actor: i64,
    /// Their reason.
    pub reason: &'a Reason,
    /// The request.
    pub request_id: &'a str,
}

/// Takes a living post out of sight. The post is locked.
///
/// # Errors
/// [`Error::Conflict`] if its stream moves at the same time.
pub async fn remove_post(conn: &mut Conn, post: &Post, act: Act<'_>) -> Result<(), Error> {
    queries::set_post_state(&mut *conn, post.id, "removed").await?;
    count_post(conn, post, -1).await?;
    record(
        conn,
        &format!("post-{}", post.id),
        model::POST_REMOVED,
        json!({}),
        act,
    )
    .await?;
    Ok(())
}

/// Puts a removed post back. The post is locked.
///
/// # Errors
/// As [`remove_post`].
pub async fn restore_post(conn: &mut Conn, post: &Post, act: Act<'_>) -> Result<(), Error> {
    queries::set_post_state(&mut *conn, post.id, "live").await?;
    count_post(conn, post, 1).await?;
    record(
        conn,
        &format!("post-{}", post.id),
        model::POST_RESTORED,
        json!({}),
        act,
    )
    .await?;
    Ok(())
}

async fn count_post(conn: &mut Conn, post: &Post, by: i32) -> sqlx::Result<()> {
    if let Some(author_id) = post.author_id {
        posts::queries::add_to_post_count(&mut *conn, author_id, by).await?;
    }
    queries::add_to_tag_counts(conn, post.id, by).await
}

/// Takes a living comment out of sight; its replies stay. Its post and the comment are locked.
///
/// # Errors
/// As [`remove_post`].
pub async fn remove_comment(conn: &mut Conn, comment: &Comment, act: Act<'_>) -> Result<(), Error> {
    queries::set_comment_state(&mut *conn, comment.id, "removed").await?;
    count_comment(conn, comment, -1).await?;
    record(
        conn,
        &format!("comment-{}", comment.id),
        model::COMMENT_REMOVED,
        json!({}),
        act,
    )
    .await?;
    Ok(())
}

/// Puts a removed comment back. Its post and the comment are locked.
///
/// # Errors
/// As [`remove_post`].
pub async fn restore_comment(
    conn: &mut Conn,
    comment: &Comment,
    act: Act<'_>,
) -> Result<(), Error> {
    queries::set_comment_state(&mut *conn, comment.id, "live").await?;
    count_comment(conn, comment, 1).await?;
    record(
        conn,
        &format!("comment-{}", comment.id),
        model::COMMENT_RESTORED,
        json!({}),
        act,
    )
    .await?;
    Ok(())
}

async fn count_comment(conn: &mut Conn, comment: &Comment, by: i32) -> sqlx::Result<()> {
    comments::queries::recount_post(&mut *conn, comment.post_id).await?;
    match comment.author_id {
        Some(author_id) => comments::queries::add_to_comment_count(conn, author_id, by).await,
        None => Ok(()),
    }
}

/// Bans an account until then, or for ever. The account is locked; its sessions are the caller's to end, after the
/// commit.
///
/// # Errors
/// As [`remove_post`].
pub async fn ban_user(
    conn: &mut Conn,
    user_id: i64,
    until: Option<DateTime<Utc>>,
    act: Act<'_>,
) -> Result<(), Error> {
    let event = record(
        conn,
        &standing::stream(user_id),
        USER_BANNED,
        json!({ "until": until }),
        act,
    )
    .await?;
    project_ban(conn, user_id, &event).await
}

/// Lifts a ban. The account is locked.
///
/// # Errors
/// As [`remove_post`].
pub async fn unban_user(conn: &mut Conn, user_id: i64, act: Act<'_>) -> Result<(), Error> {
    let event = record(
        conn,
        &standing::stream(user_id),
        USER_UNBANNED,
        json!({}),
        act,
    )
    .await?;
    project_ban(conn, user_id, &event).await
}

async fn project_ban(conn: &mut Conn, user_id: i64, event: &Event) -> Result<(), Error> {
    let mut standing = Standing::default();
    standing.apply(event);
    standing::queries::set_ban(conn, user_id, standing.banned.as_ref()).await?;
    Ok(())
}

/// Appends the event and writes its row of the log.
async fn record(
    conn: &mut Conn,
    stream: &str,
    kind: &str,
    mut data: Value,
    act: Act<'_>,
) -> Result<Event, Error> {
    if let Some(fields) = data.as_object_mut() {
        fields.insert("reason".to_owned(), act.reason.as_str().into());
    }
    let version = events::version(&mut *conn, stream).await?;
    let event = NewEvent {
        stream,
        kind,
        data,
        meta: standing::meta(Some(act.actor), act.request_id),
    };
    let event = events::append(&mut *conn, event, version)
        .await
        .map_err(standing::append_failed)?;
    if let Some(row) = LogRow::of(&event) {
        queries::insert_log(conn, &row).await?;
    }
    tracing::info!(
        user.id = act.actor,
        event.kind = kind,
        event.stream = stream,
        "moderated"
    );
    Ok(event)
}
