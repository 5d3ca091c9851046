//! SQL of posts: one post, and what changes it. Lists have their own (`news/lists/queries.rs`). Must not know forms.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::model::{Post, PostCard};

/// What is written of a new or changed post.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// `link`, `text`, `ask` …
    pub kind: &'a str,
    /// The title.
    pub title: &'a str,
    /// The link.
    pub url: Option<&'a str>,
    /// What "the same link" means.
    pub url_key: Option<&'a str>,
    /// The link's domain.
    pub domain_id: Option<i64>,
}

/// One post as `viewer` sees it.
pub async fn find(
    db: impl PgExecutor<'_>,
    id: i64,
    viewer: Option<i64>,
) -> sqlx::Result<Option<Post>> {
    let row = sqlx::query!(
        r#"SELECT p.id AS "id!", p.title AS "title!", p.url, p.author_id, p.state AS "state!", p.points AS "points!",
                  p.comment_count AS "comment_count!", p.created_at AS "created_at!", p.active_at, p.hot AS "hot!",
                  p.locked AS "locked!", p.edited_at,
                  d.name AS "domain?",
                  p.author_name AS "author?",
                  b.source AS "source?",
                  b.html AS "html?",
                  l.description AS "description?",
                  p.tags AS "tags!",
                  EXISTS (SELECT 1
                            FROM post_votes v
                           WHERE v.user_id = $2
                             AND v.post_id = p.id) AS "voted!",
                  CASE WHEN p.state = 'removed' THEN
                      (SELECT m.reason
                         FROM moderation_log m
                        WHERE m.target = 'post'
                          AND m.target_id = p.id
                        ORDER BY m.event_id DESC
                        LIMIT 1)
                  END AS removal_reason
             FROM posts p
             LEFT JOIN domains d ON d.id = p.domain_id
             LEFT JOIN post_bodies b ON b.post_id = p.id
             LEFT JOIN link_previews l ON l.post_id = p.id AND l.url = p.url
            WHERE p.id = $1"#,
        id,
        viewer,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Post {
        card: PostCard {
            id: row.id,
            title: row.title,
            url: row.url,
            domain: row.domain,
            author_id: row.author_id,
            author: row.author,
            state: row.state,
            points: row.points,
            comment_count: row.comment_count,
            created_at: row.created_at,
            active_at: row.active_at,
            hot: row.hot,
            tags: row.tags,
            voted: row.voted,
        },
        locked: row.locked,
        edited_at: row.edited_at,
        source: row.source.unwrap_or_default(),
        html: row.html.unwrap_or_default(),
        link_description: row.description,
        removal_reason: row.removal_reason,
    }))
}

/// Makes everyone else who submits this URL wait until the transaction ends.
pub async fn lock_url(db: impl PgExecutor<'_>, url_key: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0)) AS locked",
        url_key
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// The newest living post of the same URL since `since`: its id and title.
pub async fn find_by_url(
    db: impl PgExecutor<'_>,
    url_key: &str,
    since: DateTime<Utc>,
) -> sqlx::Result<Option<(i64, String)>> {
    let row = sqlx::query!(
        "SELECT id, title
           FROM posts
          WHERE md5(url_key) = md5($1)
            AND url_key = $1
            AND created_at > $2
            AND state = 'live'
          ORDER BY created_at DESC
          LIMIT 1",
        url_key,
        since,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.id, row.title)))
}

/// The id of a domain, made if it is new.
pub async fn upsert_domain(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"WITH made AS (
               INSERT INTO domains (name) VALUES ($1)
               ON CONFLICT ON CONSTRAINT domains_name_key DO NOTHING
               RETURNING id
           )
           SELECT id AS "id!" FROM made
           UNION ALL
           SELECT id FROM domains WHERE name = $1
           LIMIT 1"#,
        name,
    )
    .fetch_one(db)
    .await
}

/// A new post of `author`; gives its id.
pub async fn insert(
    db: impl PgExecutor<'_>,
    author_id: i64,
    draft: Draft<'_>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO posts (author_id, domain_id, kind, title, url, url_key)
         VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id",
        author_id,
        draft.domain_id,
        draft.kind,
        draft.title,
        draft.url,
        draft.url_key,
    )
    .fetch_one(db)
    .await
}

/// Changes a living post and marks it.
pub async fn update(db: impl PgExecutor<'_>, id: i64, draft: Draft<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE posts
            SET domain_id = $2, kind = $3, title = $4, url = $5, url_key = $6, edited_at = now()
          WHERE id = $1
            AND state = 'live'",
        id,
        draft.domain_id,
        draft.kind,
        draft.title,
        draft.url,
        draft.url_key,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Writes a post's text, or takes it away if it is empty.
pub async fn set_body(
    db: impl PgExecutor<'_>,
    id: i64,
    source: &str,
    html: &str,
    renderer: i16,
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH gone AS (DELETE FROM post_bodies WHERE post_id = $1 AND $2 = '')
         INSERT INTO post_bodies (post_id, source, html, renderer)
         SELECT $1, $2, $3, $4
          WHERE $2 <> ''
         ON CONFLICT (post_id) DO UPDATE
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

/// Makes the tags that are new.
pub async fn insert_tags(db: impl PgExecutor<'_>, tags: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO tags (name)
         SELECT name FROM unnest($1::text[]) AS wanted (name)
          ORDER BY name
         ON CONFLICT ON CONSTRAINT tags_name_key DO NOTHING",
        tags,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives a living post exactly these tags, which exist, and keeps the tags' counts. A tag's row is taken in the order of
/// ids, so that two posts with the same tags do not wait for each other in a circle.
pub async fn set_tags(db: impl PgExecutor<'_>, id: i64, tags: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH wanted AS (
             SELECT id FROM tags WHERE name = ANY ($2)
         ), removed AS (
             DELETE FROM post_tags
              WHERE post_id = $1
                AND tag_id NOT IN (SELECT id FROM wanted)
             RETURNING tag_id
         ), added AS (
             INSERT INTO post_tags (post_id, tag_id, created_at)
             SELECT p.id, w.id, p.created_at
               FROM posts p, wanted w
              WHERE p.id = $1
             ON CONFLICT DO NOTHING
             RETURNING tag_id
         ), changed AS (
             SELECT tag_id, -1 AS by FROM removed
             UNION ALL
             SELECT tag_id, 1 FROM added
         ), held AS (
             SELECT t.id, c.by
               FROM tags t
               JOIN changed c ON c.tag_id = t.id
              ORDER BY t.id
                FOR NO KEY UPDATE OF t
         )
         UPDATE tags t
            SET post_count = t.post_count + held.by
           FROM held
          WHERE t.id = held.id",
        id,
        tags,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Marks a post as deleted by its author: its words go, its thread stays. Gives false if it was not living any more.
pub async fn delete(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "WITH body AS (DELETE FROM post_bodies WHERE post_id = $1),
              preview AS (DELETE FROM link_previews WHERE post_id = $1),
              tagged AS (
                  DELETE FROM post_tags WHERE post_id = $1 RETURNING tag_id
              ), counted AS (
                  UPDATE tags SET post_count = post_count - 1 WHERE id IN (SELECT tag_id FROM tagged)
              )
         UPDATE posts
            SET state = 'deleted', title = '', url = NULL, url_key = NULL, domain_id = NULL
          WHERE id = $1
            AND state = 'live'",
        id,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Counts a user's living posts up or down.
pub async fn add_to_post_count(db: impl PgExecutor<'_>, user_id: i64, by: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET post_count = post_count + $2 WHERE id = $1",
        user_id,
        by
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a form with this nonce has made before, as a path.
pub async fn find_submission(
    db: impl PgExecutor<'_>,
    user_id: i64,
    nonce: &str,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT target FROM submissions WHERE user_id = $1 AND nonce = $2",
        user_id,
        nonce,
    )
    .fetch_optional(db)
    .await
}

/// Remembers what a form has made; violates `submissions_pkey` when the same form came twice at once.
pub async fn insert_submission(
    db: impl PgExecutor<'_>,
    user_id: i64,
    nonce: &str,
    target: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO submissions (user_id, nonce, target) VALUES ($1, $2, $3)",
        user_id,
        nonce,
        target,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets forms that are older than a day.
pub async fn delete_old_submissions(db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM submissions WHERE created_at < now() - interval '1 day'")
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}

/// Names of the tags that exist, for completing while typing: the most used 200.
pub async fn list_tag_names(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("SELECT name FROM tags ORDER BY post_count DESC, name LIMIT 200")
        .fetch_all(db)
        .await
}
