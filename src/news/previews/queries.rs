//! SQL of link previews. Must not know how they are fetched.

use sqlx::PgExecutor;

use super::Preview;

/// The link of a living post, unless its preview is there already.
pub async fn find_missing(db: impl PgExecutor<'_>, post_id: i64) -> sqlx::Result<Option<String>> {
    let url = sqlx::query_scalar!(
        "SELECT p.url
           FROM posts p
          WHERE p.id = $1
            AND p.state = 'live'
            AND p.url IS NOT NULL
            AND NOT EXISTS (SELECT 1
                              FROM link_previews l
                             WHERE l.post_id = p.id
                               AND l.url = p.url)",
        post_id,
    )
    .fetch_optional(db)
    .await?;
    Ok(url.flatten())
}

/// Keeps what `url` was found to say, if it is still the link of the living post.
pub async fn upsert(
    db: impl PgExecutor<'_>,
    post_id: i64,
    url: &str,
    preview: &Preview,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO link_previews (post_id, url, description)
         SELECT id, url, $3
           FROM posts
          WHERE id = $1
            AND url = $2
            AND state = 'live'
         ON CONFLICT ON CONSTRAINT link_previews_pkey DO UPDATE
            SET url = excluded.url, description = excluded.description, fetched_at = now()",
        post_id,
        url,
        preview.description,
    )
    .execute(db)
    .await?;
    Ok(())
}
