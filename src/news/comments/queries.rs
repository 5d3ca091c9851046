//! SQL of comments. Must not know how a thread is arranged.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::model::CommentRow;

/// A statement that gives [`CommentRow`]s; `$1` is who looks, the tail says which and in what order.
macro_rules! comments {
    ($db:expr, $viewer:expr, $tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            CommentRow,
            r#"SELECT c.id AS "id!", c.post_id AS "post_id!", c.parent_id, c.root_id AS "root_id!",
                      c.depth AS "depth!", c.author_id, c.state AS "state!", c.votes AS "votes!",
                      c.confidence AS "confidence!", c.created_at AS "created_at!", c.edited_at,
                      c.author_name AS "author?",
                      coalesce(b.html, '') AS "html!",
                      EXISTS (SELECT 1
                                FROM comment_votes v
                               WHERE v.user_id = $1
                                 AND v.comment_id = c.id) AS "voted!",
                      NULL::bigint AS branch_size, NULL::boolean AS is_last_page
                 FROM comments c
                 LEFT JOIN comment_bodies b ON b.comment_id = c.id"# + $tail,
            $viewer
            $(, $argument)*
        )
    };
}

/// A statement that gives [`CommentRow`]s of one post, `$2`. What it reads of a table is one range of an index, however
/// many threads and votes there are beside it; looked up one by one, each row would cost the height of three trees.
/// `$with` are queries on `thread`, `$size` and `$last` what a row has of them.
macro_rules! thread {
    ([$($with:literal)*], $size:literal, $last:literal, $tail:literal, $viewer:expr $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            CommentRow,
            "WITH thread AS MATERIALIZED (
                  SELECT id, post_id, parent_id, root_id, depth, author_id, author_name, state, votes, confidence,
                         created_at, edited_at
                    FROM comments
                   WHERE post_id = $2),
              bodies AS MATERIALIZED (
                  SELECT comment_id, html
                    FROM comment_bodies
                   WHERE post_id = $2),
              voted AS MATERIALIZED (
                  SELECT comment_id
                    FROM comment_votes
                   WHERE user_id = $1
                     AND comment_id BETWEEN (SELECT min(id) FROM thread) AND (SELECT max(id) FROM thread))"
            $(+ $with)*
            + r#"
             SELECT c.id AS "id!", c.post_id AS "post_id!", c.parent_id, c.root_id AS "root_id!",
                    c.depth AS "depth!", c.author_id, c.state AS "state!", c.votes AS "votes!",
                    c.confidence AS "confidence!", c.created_at AS "created_at!", c.edited_at,
                    c.author_name AS "author?",
                    coalesce(b.html, '') AS "html!",
                    v.comment_id IS NOT NULL AS "voted!", "# + $size + " AS branch_size, " + $last + " AS is_last_page
               FROM thread c
               LEFT JOIN bodies b ON b.comment_id = c.id
               LEFT JOIN voted v ON v.comment_id = c.id" + $tail,
            $viewer
            $(, $argument)*
        )
    };
}

/// A page of a thread in one statement: the top comments beyond a place, as many as have no more than `$6` comments in
/// their branches (at least one, at most `$5`), and these branches, in no order; at most `$6` comments, the highest first.
macro_rules! page {
    ($db:expr, $viewer:expr, $page:expr, $beyond:literal, $order:literal, $key:expr, $id:expr) => {
        thread!(
            [",
              roots AS (
                  SELECT id, row_number() OVER (ORDER BY " $order ") AS place
                    FROM thread
                   WHERE parent_id IS NULL
                     AND " $beyond "
                   ORDER BY " $order "
                   LIMIT $5::bigint + 1),
              sized AS (
                  SELECT roots.id, place, size, sum(size) OVER (ORDER BY place) AS size_so_far
                    FROM roots
                    JOIN (SELECT root_id, count(*) AS size FROM thread GROUP BY root_id) branches
                      ON branches.root_id = roots.id),
              chosen AS (
                  SELECT id, size, count(*) OVER () = (SELECT count(*) FROM roots) AS is_last
                    FROM sized
                   WHERE place = 1
                      OR (place <= $5 AND size_so_far <= $6::bigint))"],
            "chosen.size", "chosen.is_last",
            "  JOIN chosen ON chosen.id = c.root_id
              ORDER BY c.depth, c.id
              LIMIT $6",
            $viewer,
            $page.post_id,
            $key,
            $id,
            $page.roots,
            $page.rows,
        )
        .fetch_all($db)
        .await
    };
}

/// Which page of a thread.
#[derive(Clone, Copy, Debug)]
pub struct PageOf {
    /// Of this post.
    pub post_id: i64,
    /// Most top comments.
    pub roots: i64,
    /// Most comments, unless the first branch alone is larger.
    pub rows: i64,
}

/// A page by top comments, the best first, below a rank.
pub async fn list_page_best(
    db: impl PgExecutor<'_>,
    viewer: Option<i64>,
    page: PageOf,
    below: (f32, i64),
) -> sqlx::Result<Vec<CommentRow>> {
    page!(
        db,
        viewer,
        page,
        "(confidence, id) < ($3, $4)",
        "confidence DESC, id DESC",
        below.0,
        below.1
    )
}

/// A page by top comments, the newest first, before a moment.
pub async fn list_page_newest(
    db: impl PgExecutor<'_>,
    viewer: Option<i64>,
    page: PageOf,
    before: (DateTime<Utc>, i64),
) -> sqlx::Result<Vec<CommentRow>> {
    page!(
        db,
        viewer,
        page,
        "(created_at, id) < ($3, $4)",
        "created_at DESC, id DESC",
        before.0,
        before.1
    )
}

/// A page by top comments, the oldest first, after a moment.
pub async fn list_page_oldest(
    db: impl PgExecutor<'_>,
    viewer: Option<i64>,
    page: PageOf,
    after: (DateTime<Utc>, i64),
) -> sqlx::Result<Vec<CommentRow>> {
    page!(
        db,
        viewer,
        page,
        "(created_at, id) > ($3, $4)",
        "created_at, id",
        after.0,
        after.1
    )
}

/// All comments on a post, in no order.
pub async fn list_by_post(
    db: impl PgExecutor<'_>,
    viewer: Option<i64>,
    post_id: i64,
) -> sqlx::Result<Vec<CommentRow>> {
    thread!([], "NULL::bigint", "NULL::boolean", "", viewer, post_id)
        .fetch_all(db)
        .await
}

/// All comments below one of these top comments, and these themselves, in no order; at most `limit`, the highest first.
pub async fn list_by_roots(
    db: impl PgExecutor<'_>,
    viewer: Option<i64>,
    root_ids: &[i64],
    limit: i64,
) -> sqlx::Result<Vec<CommentRow>> {
    comments!(
        db,
        viewer,
        " WHERE c.root_id = ANY ($2)
          ORDER BY c.depth, c.id
          LIMIT $3",
        root_ids,
        limit,
    )
    .fetch_all(db)
    .await
}

/// One comment.
pub async fn find(
    db: impl PgExecutor<'_>,
    viewer: Option<i64>,
    id: i64,
) -> sqlx::Result<Option<CommentRow>> {
    comments!(db, viewer, " WHERE c.id = $2", id)
        .fetch_optional(db)
        .await
}

/// The comments that are given and all below them, as far as `limit` goes.
pub async fn list_below(
    db: impl PgExecutor<'_>,
    viewer: Option<i64>,
    ids: &[i64],
    limit: i64,
) -> sqlx::Result<Vec<CommentRow>> {
    comments!(
        db,
        viewer,
        " WHERE c.id IN (WITH RECURSIVE below (id) AS (
                             SELECT unnest($2::bigint[])
                             UNION
                             SELECT r.id
                               FROM comments r
                               JOIN below ON r.parent_id = below.id)
                         SELECT id FROM below LIMIT $3)",
        ids,
        limit,
    )
    .fetch_all(db)
    .await
}

/// The top comments before and after this one under the order "best".
pub async fn find_neighbours(
    db: impl PgExecutor<'_>,
    post_id: i64,
    at: (f32, i64),
) -> sqlx::Result<(Option<i64>, Option<i64>)> {
    let row = sqlx::query!(
        r#"SELECT (SELECT id FROM comments
                    WHERE post_id = $1 AND parent_id IS NULL AND (confidence, id) > ($2, $3)
                    ORDER BY confidence, id LIMIT 1) AS previous,
                  (SELECT id FROM comments
                    WHERE post_id = $1 AND parent_id IS NULL AND (confidence, id) < ($2, $3)
                    ORDER BY confidence DESC, id DESC LIMIT 1) AS next"#,
        post_id,
        at.0,
        at.1,
    )
    .fetch_one(db)
    .await?;
    Ok((row.previous, row.next))
}

/// A comment in a flat list: with the title of its post, which may be gone.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The comment.
    pub id: i64,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// The post it is on.
    pub post_id: i64,
    /// That post's title.
    pub post_title: String,
    /// That post's state.
    pub post_state: String,
    /// That post's author.
    pub post_author_id: Option<i64>,
    /// Whether that post is locked.
    pub post_locked: bool,
}

/// The newest living comments of all, before a moment.
pub async fn list_newest(
    db: impl PgExecutor<'_>,
    before: (DateTime<Utc>, i64),
    limit: i64,
) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"SELECT c.id AS "id!", c.created_at AS "created_at!", c.post_id AS "post_id!", p.title AS "post_title!",
                p.state AS "post_state!", p.author_id AS post_author_id, p.locked AS "post_locked!"
           FROM comments c
           JOIN posts p ON p.id = c.post_id
          WHERE c.state = 'live'
            AND (c.created_at, c.id) < ($1, $2)
          ORDER BY c.created_at DESC, c.id DESC
          LIMIT $3"#,
        before.0,
        before.1,
        limit,
    )
    .fetch_all(db)
    .await
}

/// The newest living comments of one author, before a moment.
pub async fn list_by_author(
    db: impl PgExecutor<'_>,
    author_id: i64,
    before: (DateTime<Utc>, i64),
    limit: i64,
) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"SELECT c.id AS "id!", c.created_at AS "created_at!", c.post_id AS "post_id!", p.title AS "post_title!",
                p.state AS "post_state!", p.author_id AS post_author_id, p.locked AS "post_locked!"
           FROM comments c
           JOIN posts p ON p.id = c.post_id
          WHERE c.author_id = $1
            AND c.state = 'live'
            AND (c.created_at, c.id) < ($2, $3)
          ORDER BY c.created_at DESC, c.id DESC
          LIMIT $4"#,
        author_id,
        before.0,
        before.1,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Comments by their ids, in no order.
pub async fn list_by_ids(
    db: impl PgExecutor<'_>,
    viewer: Option<i64>,
    ids: &[i64],
) -> sqlx::Result<Vec<CommentRow>> {
    comments!(db, viewer, " WHERE c.id = ANY ($2)", ids)
        .fetch_all(db)
        .await
}

/// Counts one more living comment on a post that takes comments; false if it does not. Takes the post's lock, so it
/// comes first in the transaction.
pub async fn count_on_post(db: impl PgExecutor<'_>, post_id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE posts
            SET comment_count = comment_count + 1, active_at = greatest(active_at, now())
          WHERE id = $1
            AND state = 'live'
            AND NOT locked",
        post_id,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A living comment that may be answered.
#[derive(Clone, Copy, Debug)]
pub struct Parent {
    /// The top comment of its branch.
    pub root_id: i64,
    /// How deep it stands.
    pub depth: i16,
}

/// The comment on this post that is to be answered, kept from going while the reply is written.
pub async fn find_parent(
    db: impl PgExecutor<'_>,
    id: i64,
    post_id: i64,
) -> sqlx::Result<Option<Parent>> {
    sqlx::query_as!(
        Parent,
        "SELECT root_id, depth
           FROM comments
          WHERE id = $1
            AND post_id = $2
            AND state = 'live'
            FOR SHARE",
        id,
        post_id,
    )
    .fetch_optional(db)
    .await
}

/// A new comment; gives its id.
pub async fn insert(
    db: impl PgExecutor<'_>,
    post_id: i64,
    author_id: i64,
    parent: Option<(i64, Parent)>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO comments (id, post_id, parent_id, root_id, author_id, depth)
         SELECT new.id, $1, $2, coalesce($3, new.id), $4, $5
           FROM nextval(pg_get_serial_sequence('comments', 'id')) AS new (id)
         RETURNING id",
        post_id,
        parent.map(|(id, _)| id),
        parent.map(|(_, parent)| parent.root_id),
        author_id,
        parent.map_or(0, |(_, parent)| parent.depth + 1),
    )
    .fetch_one(db)
    .await
}

/// Writes a comment's text.
pub async fn set_body(
    db: impl PgExecutor<'_>,
    id: i64,
    source: &str,
    html: &str,
    renderer: i16,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO comment_bodies (comment_id, source, html, renderer)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (comment_id) DO UPDATE
            SET source = excluded.source, html = excluded.html, renderer = excluded.renderer",
        id,
        source,
        html,
        renderer,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A comment's text in markdown, as typed.
pub async fn find_source(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT source FROM comment_bodies WHERE comment_id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// Marks a living comment as changed; false if it is not living any more.
pub async fn set_edited(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE comments SET edited_at = now() WHERE id = $1 AND state = 'live'",
        id
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes a post's lock, before its comments change.
pub async fn lock_post(db: impl PgExecutor<'_>, post_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT id FROM posts WHERE id = $1 FOR NO KEY UPDATE",
        post_id
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Marks a living comment as deleted by its author: its words go, the replies stay. False if it was not living.
pub async fn delete(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "WITH body AS (DELETE FROM comment_bodies WHERE comment_id = $1)
         UPDATE comments
            SET state = 'deleted'
          WHERE id = $1
            AND state = 'live'",
        id,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Sets a post's count of living comments and the time of the last one from its comments.
pub async fn recount_post(db: impl PgExecutor<'_>, post_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE posts p
            SET comment_count = living.count, active_at = living.last
           FROM (SELECT count(*)::integer AS count, max(created_at) AS last
                   FROM comments
                  WHERE post_id = $1
                    AND state = 'live') living
          WHERE p.id = $1",
        post_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Counts a user's living comments up or down.
pub async fn add_to_comment_count(
    db: impl PgExecutor<'_>,
    user_id: i64,
    by: i32,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET comment_count = comment_count + $2 WHERE id = $1",
        user_id,
        by
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether anyone has answered a comment.
pub async fn has_replies(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM comments WHERE parent_id = $1) AS "exists!""#,
        id
    )
    .fetch_one(db)
    .await
}
