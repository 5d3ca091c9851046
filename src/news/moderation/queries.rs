//! SQL of moderation: targets, the counters that follow from an act, and the public log. Must not know who may act.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;

use super::model::LogRow;

/// A post as far as moderation is concerned.
#[derive(Clone, Debug)]
pub struct Post {
    /// Its id.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// See [`State`](super::model::State).
    pub state: String,
    /// `link`, `text`, `ask` …
    pub kind: String,
    /// The link's domain.
    pub domain: Option<String>,
    /// Tags' names.
    pub tags: Vec<String>,
    /// Whose it is; `None` for some imported ones.
    pub author_id: Option<i64>,
    /// Its author's rank; 0 without an author.
    pub author_rank: i16,
}

/// A comment as far as moderation is concerned.
#[derive(Clone, Debug)]
pub struct Comment {
    /// Its id.
    pub id: i64,
    /// The post it is under.
    pub post_id: i64,
    /// See [`State`](super::model::State).
    pub state: String,
    /// Whose it is; `None` for some imported ones.
    pub author_id: Option<i64>,
    /// Its author's rank; 0 without an author.
    pub author_rank: i16,
    /// What it says, as HTML; empty where nothing is kept.
    pub html: String,
}

/// Locks a comment, if there is one, for the rest of the transaction.
pub async fn lock_comment(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT id FROM comments WHERE id = $1 FOR NO KEY UPDATE",
        id
    )
    .fetch_optional(db)
    .await?;
    Ok(())
}

/// A post, if there is one.
pub async fn find_post(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<Post>> {
    sqlx::query_as!(
        Post,
        r#"SELECT p.id, p.title, p.state, p.kind, d.name AS "domain?", p.author_id,
                  ARRAY(SELECT t.name
                          FROM post_tags pt
                          JOIN tags t ON t.id = pt.tag_id
                         WHERE pt.post_id = p.id) AS "tags!",
                  coalesce(v.rank, 0::smallint) AS "author_rank!"
             FROM posts p
             LEFT JOIN domains d ON d.id = p.domain_id
             LEFT JOIN viewers v ON v.user_id = p.author_id
            WHERE p.id = $1"#,
        id,
    )
    .fetch_optional(db)
    .await
}

/// A comment, if there is one.
pub async fn find_comment(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<Comment>> {
    sqlx::query_as!(
        Comment,
        r#"SELECT c.id, c.post_id, c.state, c.author_id,
                  coalesce(v.rank, 0::smallint) AS "author_rank!",
                  coalesce(b.html, '') AS "html!"
             FROM comments c
             LEFT JOIN viewers v ON v.user_id = c.author_id
             LEFT JOIN comment_bodies b ON b.comment_id = c.id
            WHERE c.id = $1"#,
        id,
    )
    .fetch_optional(db)
    .await
}

/// Sets a post's state.
pub async fn set_post_state(db: impl PgExecutor<'_>, id: i64, state: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE posts SET state = $2 WHERE id = $1", id, state)
        .execute(db)
        .await?;
    Ok(())
}

/// Adds to the number of living posts with each of a post's tags, the smaller id first.
pub async fn add_to_tag_counts(db: impl PgExecutor<'_>, post_id: i64, by: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH locked AS (
             SELECT t.id
               FROM tags t
               JOIN post_tags pt ON pt.tag_id = t.id
              WHERE pt.post_id = $1
              ORDER BY t.id
                FOR NO KEY UPDATE OF t
         )
         UPDATE tags t
            SET post_count = t.post_count + $2
           FROM locked
          WHERE t.id = locked.id",
        post_id,
        by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Sets a comment's state.
pub async fn set_comment_state(db: impl PgExecutor<'_>, id: i64, state: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE comments SET state = $2 WHERE id = $1", id, state)
        .execute(db)
        .await?;
    Ok(())
}

/// Writes a row of the log.
pub async fn insert_log(db: impl PgExecutor<'_>, row: &LogRow) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO moderation_log (event_id, action, actor_id, target, target_id, reason, details, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        row.event_id,
        row.action,
        row.actor_id,
        row.target,
        row.target_id,
        row.reason,
        row.details,
        row.created_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An act as the public log shows it.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The event.
    pub event_id: i64,
    /// As [`LogRow::action`].
    pub action: String,
    /// As [`LogRow::target`].
    pub target: String,
    /// As [`LogRow::target_id`].
    pub target_id: i64,
    /// As [`LogRow::reason`].
    pub reason: String,
    /// As [`LogRow::details`].
    pub details: Value,
    /// As [`LogRow::created_at`].
    pub created_at: DateTime<Utc>,
    /// Who did it.
    pub moderator: Option<String>,
    /// The post's title, or that of the post that the comment is under.
    pub title: Option<String>,
    /// The user's name.
    pub name: Option<String>,
}

/// The log below (`before`, `before_id`), newest first.
pub async fn list_log(
    db: impl PgExecutor<'_>,
    before: DateTime<Utc>,
    before_id: i64,
    limit: i64,
) -> sqlx::Result<Vec<Logged>> {
    sqlx::query_as!(
        Logged,
        r#"SELECT l.event_id, l.action, l.target, l.target_id, l.reason, l.details, l.created_at,
                  a.username AS "moderator?", p.title AS "title?", u.username AS "name?"
             FROM moderation_log l
             LEFT JOIN users a ON a.id = l.actor_id
             LEFT JOIN comments c ON l.target = 'comment' AND c.id = l.target_id
             LEFT JOIN posts p ON p.id = CASE l.target WHEN 'post' THEN l.target_id ELSE c.post_id END
             LEFT JOIN users u ON l.target = 'user' AND u.id = l.target_id
            WHERE (l.created_at, l.event_id) < ($1, $2)
            ORDER BY l.created_at DESC, l.event_id DESC
            LIMIT $3"#,
        before,
        before_id,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Keeps new events from coming until the transaction ends.
pub async fn lock_events(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE")
        .execute(db)
        .await?;
    Ok(())
}

/// Makes the log's rows of the events after `after` up to `last` those given, and says how many were not so.
pub async fn replace_log(
    db: &mut sqlx::PgConnection,
    after: i64,
    last: i64,
    rows: &[LogRow],
) -> sqlx::Result<u64> {
    let ids: Vec<i64> = rows.iter().map(|r| r.event_id).collect();
    let actions: Vec<String> = rows.iter().map(|r| r.action.to_owned()).collect();
    let actors: Vec<Option<i64>> = rows.iter().map(|r| r.actor_id).collect();
    let targets: Vec<String> = rows.iter().map(|r| r.target.to_owned()).collect();
    let target_ids: Vec<i64> = rows.iter().map(|r| r.target_id).collect();
    let reasons: Vec<String> = rows.iter().map(|r| r.reason.clone()).collect();
    let details: Vec<Value> = rows.iter().map(|r| r.details.clone()).collect();
    let times: Vec<DateTime<Utc>> = rows.iter().map(|r| r.created_at).collect();
    let written = sqlx::query!(
        "INSERT INTO moderation_log AS l (event_id, action, actor_id, target, target_id, reason, details, created_at)
         SELECT *
           FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[],
                       $5::bigint[], $6::text[], $7::jsonb[], $8::timestamptz[])
         ON CONFLICT (event_id) DO UPDATE
            SET action = excluded.action, actor_id = excluded.actor_id, target = excluded.target,
                target_id = excluded.target_id, reason = excluded.reason, details = excluded.details,
                created_at = excluded.created_at
          WHERE (l.action, l.actor_id, l.target, l.target_id, l.reason, l.details, l.created_at)
                IS DISTINCT FROM
                (excluded.action, excluded.actor_id, excluded.target, excluded.target_id, excluded.reason,
                 excluded.details, excluded.created_at)",
        &ids,
        &actions,
        &actors as &[Option<i64>],
        &targets,
        &target_ids,
        &reasons,
        &details,
        &times,
    )
    .execute(&mut *db)
    .await?
    .rows_affected();
    let deleted = sqlx::query!(
        "DELETE FROM moderation_log
          WHERE event_id > $1
            AND event_id <= $2
            AND event_id <> ALL ($3)",
        after,
        last,
        &ids,
    )
    .execute(db)
    .await?
    .rows_affected();
    Ok(written + deleted)
}

/// A ban as it is stored.
#[derive(Clone, Debug)]
pub struct StoredBan {
    /// Whose.
    pub id: i64,
    /// When it began; `None` for who is not banned.
    pub banned_at: Option<DateTime<Utc>>,
    /// When it ends; `None` is never.
    pub banned_until: Option<DateTime<Utc>>,
    /// The moderator's words.
    pub ban_reason: Option<String>,
}

/// Deletes what the log says of a target by other events than these, and gives the number of rows.
pub async fn delete_log_of(
    db: impl PgExecutor<'_>,
    target: &str,
    target_id: i64,
    but: &[i64],
) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM moderation_log
          WHERE target = $1
            AND target_id = $2
            AND event_id <> ALL ($3)",
        target,
        target_id,
        but,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected())
}

/// The bans of these accounts, and of everyone who is banned.
pub async fn list_bans(db: impl PgExecutor<'_>, user_ids: &[i64]) -> sqlx::Result<Vec<StoredBan>> {
    sqlx::query_as!(
        StoredBan,
        "SELECT id, banned_at, banned_until, ban_reason
           FROM users
          WHERE banned_at IS NOT NULL
             OR id = ANY ($1)",
        user_ids,
    )
    .fetch_all(db)
    .await
}

/// Every role that somebody has been given.
pub async fn list_all_roles(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<(i64, String)>> {
    let rows = sqlx::query!(
        "SELECT ur.user_id, r.name FROM user_roles ur JOIN roles r ON r.id = ur.role_id"
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.user_id, row.name))
        .collect())
}
