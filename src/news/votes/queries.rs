//! SQL of votes: the vote's row, the counter and the author's karma in one statement, so that they cannot part. Must not
//! know who may vote beyond "not on one's own".
//!
//! A vote that is there already, or is not there to be taken back, changes nothing: the primary key of the vote's row
//! settles every race. Rows are taken in the lock order of `migrations/README.md`.

use sqlx::PgExecutor;

/// A thing that was voted on, as it stands now.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whose it is.
    pub author_id: Option<i64>,
    /// `live` or not.
    pub state: String,
    /// Points that are shown.
    pub points: i32,
    /// The post's title, or the comment's author's name: what a vote on it is called.
    pub subject: Option<String>,
    /// The post's id, or that of the post the comment is on.
    pub post_id: i64,
    /// The title of that post.
    pub post_title: String,
    /// Whether the voter's vote is there.
    pub voted: bool,
}

/// A post as its voter sees it.
pub async fn find_post(
    db: impl PgExecutor<'_>,
    id: i64,
    voter: i64,
) -> sqlx::Result<Option<Target>> {
    sqlx::query_as!(
        Target,
        r#"SELECT p.author_id, p.state AS "state!", p.points AS "points!", p.title AS "subject?", p.id AS "post_id!",
                  p.title AS "post_title!",
                  EXISTS (SELECT 1 FROM post_votes v WHERE v.user_id = $2 AND v.post_id = p.id) AS "voted!"
             FROM posts p
            WHERE p.id = $1"#,
        id,
        voter,
    )
    .fetch_optional(db)
    .await
}

/// A comment as its voter sees it.
pub async fn find_comment(
    db: impl PgExecutor<'_>,
    id: i64,
    voter: i64,
) -> sqlx::Result<Option<Target>> {
    sqlx::query_as!(
        Target,
        r#"SELECT c.author_id, c.state AS "state!", c.votes + 1 AS "points!", c.author_name AS "subject?",
                  c.post_id AS "post_id!", p.title AS "post_title!",
                  EXISTS (SELECT 1 FROM comment_votes v WHERE v.user_id = $2 AND v.comment_id = c.id) AS "voted!"
             FROM comments c
             JOIN posts p ON p.id = c.post_id
            WHERE c.id = $1"#,
        id,
        voter,
    )
    .fetch_optional(db)
    .await
}

/// Votes for a living post of someone else.
pub async fn insert_post_vote(
    db: impl PgExecutor<'_>,
    post_id: i64,
    voter: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH vote AS (
             INSERT INTO post_votes (post_id, user_id)
             SELECT id, $2
               FROM posts
              WHERE id = $1
                AND state = 'live'
                AND author_id IS DISTINCT FROM $2
             ON CONFLICT DO NOTHING
             RETURNING post_id
         ), counted AS (
             UPDATE posts p
                SET votes = p.votes + 1
               FROM vote
              WHERE p.id = vote.post_id
             RETURNING p.author_id
         )
         UPDATE users u
            SET karma = u.karma + 1
           FROM counted
          WHERE u.id = counted.author_id",
        post_id,
        voter,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a vote for a post back.
pub async fn delete_post_vote(
    db: impl PgExecutor<'_>,
    post_id: i64,
    voter: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH vote AS (
             DELETE FROM post_votes v
              USING posts p
              WHERE v.post_id = $1
                AND v.user_id = $2
                AND p.id = v.post_id
                AND p.state = 'live'
             RETURNING v.post_id
         ), counted AS (
             UPDATE posts p
                SET votes = p.votes - 1
               FROM vote
              WHERE p.id = vote.post_id
             RETURNING p.author_id
         )
         UPDATE users u
            SET karma = u.karma - 1
           FROM counted
          WHERE u.id = counted.author_id",
        post_id,
        voter,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Votes for a living comment of someone else.
pub async fn insert_comment_vote(
    db: impl PgExecutor<'_>,
    comment_id: i64,
    voter: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH vote AS (
             INSERT INTO comment_votes (comment_id, user_id)
             SELECT id, $2
               FROM comments
              WHERE id = $1
                AND state = 'live'
                AND author_id IS DISTINCT FROM $2
             ON CONFLICT DO NOTHING
             RETURNING comment_id
         ), counted AS (
             UPDATE comments c
                SET votes = c.votes + 1
               FROM vote
              WHERE c.id = vote.comment_id
             RETURNING c.author_id
         )
         UPDATE users u
            SET karma = u.karma + 1
           FROM counted
          WHERE u.id = counted.author_id",
        comment_id,
        voter,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a vote for a comment back.
pub async fn delete_comment_vote(
    db: impl PgExecutor<'_>,
    comment_id: i64,
    voter: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH vote AS (
             DELETE FROM comment_votes v
              USING comments c
              WHERE v.comment_id = $1
                AND v.user_id = $2
                AND c.id = v.comment_id
                AND c.state = 'live'
             RETURNING v.comment_id
         ), counted AS (
             UPDATE comments c
                SET votes = c.votes - 1
               FROM vote
              WHERE c.id = vote.comment_id
             RETURNING c.author_id
         )
         UPDATE users u
            SET karma = u.karma - 1
           FROM counted
          WHERE u.id = counted.author_id",
        comment_id,
        voter,
    )
    .execute(db)
    .await?;
    Ok(())
}
