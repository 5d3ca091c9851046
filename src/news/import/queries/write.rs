//! From the stage into the site's own tables, a chunk at a time.

use super::{Result, run};
use crate::web::markup::RENDERER;
use sqlx::PgConnection;

/// Makes the domains that are not here.
pub async fn insert_domains(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "INSERT INTO domains (name)
         SELECT DISTINCT s.domain
           FROM hn_posts p
           JOIN hn_stage s ON s.seq = p.seq
          WHERE s.domain IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM domains d WHERE d.name = s.domain)
         ON CONFLICT DO NOTHING",
    )
    .await?;
    Ok(())
}

/// Writes the posts that follow the one numbered `after`, at most `limit`; gives the last one's id and how many.
pub async fn insert_posts(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Option<(i64, u64)>> {
    let Some(last) = last_id(
        conn,
        "SELECT max(id) FROM (SELECT id FROM hn_posts WHERE id > $1 ORDER BY id LIMIT $2) c",
        after,
        limit,
    )
    .await?
    else {
        return Ok(None);
    };
    let written = sqlx::query(
        "INSERT INTO posts (id, author_id, domain_id, kind, state, base_points, comment_count, created_at, active_at, hn_id, title, url, url_key)
         SELECT p.id, h.user_id, d.id, s.post_kind, s.state, coalesce(s.points, 1), coalesce(t.living, 0), s.created_at, t.active_at, s.hn_id, s.title, s.url, s.url_key
           FROM hn_posts p
           JOIN hn_stage s ON s.seq = p.seq
           LEFT JOIN hn_people h ON h.name = s.name
           LEFT JOIN domains d ON d.name = s.domain
           LEFT JOIN hn_threads t ON t.post_id = p.id
          WHERE p.id > $1
            AND p.id <= $2
          ORDER BY p.id",
    )
    .bind(after)
    .bind(last)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    sqlx::query(
        "INSERT INTO post_bodies (post_id, source, html, renderer)
         SELECT p.id, s.source, s.html, $3
           FROM hn_posts p
           JOIN hn_stage s ON s.seq = p.seq
          WHERE p.id > $1
            AND p.id <= $2
            AND s.source <> ''",
    )
    .bind(after)
    .bind(last)
    .bind(RENDERER)
    .execute(conn)
    .await?;
    Ok(Some((last, written)))
}

/// Writes the comments that follow the one numbered `after`, at most `limit`; gives the last one's id and how many.
pub async fn insert_comments(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Option<(i64, u64)>> {
    let Some(last) = last_id(
        conn,
        "SELECT max(id) FROM (SELECT id FROM hn_places WHERE id > $1 ORDER BY id LIMIT $2) c",
        after,
        limit,
    )
    .await?
    else {
        return Ok(None);
    };
    let written = sqlx::query(
        "INSERT INTO comments (id, post_id, parent_id, root_id, author_id, depth, state, created_at, hn_id)
         SELECT p.id, p.post_id, p.parent_id, p.root_id, h.user_id, least(p.depth, 32767)::smallint, s.state, s.created_at, s.hn_id
           FROM hn_places p
           JOIN hn_stage s ON s.seq = p.seq
           LEFT JOIN hn_people h ON h.name = s.name
          WHERE p.id > $1
            AND p.id <= $2
          ORDER BY p.id",
    )
    .bind(after)
    .bind(last)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    sqlx::query(
        "INSERT INTO comment_bodies (comment_id, source, html, renderer)
         SELECT p.id, s.source, s.html, $3
           FROM hn_places p
           JOIN hn_stage s ON s.seq = p.seq
          WHERE p.id > $1
            AND p.id <= $2",
    )
    .bind(after)
    .bind(last)
    .bind(RENDERER)
    .execute(conn)
    .await?;
    Ok(Some((last, written)))
}

async fn last_id(
    conn: &mut PgConnection,
    statement: &'static str,
    after: i64,
    limit: i64,
) -> Result<Option<i64>> {
    sqlx::query_scalar(statement)
        .bind(after)
        .bind(limit)
        .fetch_one(conn)
        .await
}

/// Counts the new comments on posts that were here before; new posts came with their counts.
pub async fn count_on_posts(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "UPDATE posts p
            SET comment_count = p.comment_count + t.living,
                active_at = greatest(p.active_at, t.active_at)
           FROM hn_threads t
          WHERE p.id = t.post_id
            AND NOT EXISTS (SELECT 1 FROM hn_posts n WHERE n.id = t.post_id)",
    )
    .await?;
    Ok(())
}
