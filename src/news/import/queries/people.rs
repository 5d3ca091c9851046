//! The people whom the items name: finding, making and counting for them.

use super::{Result, count, run};
use crate::web::markup::RENDERER;
use sqlx::PgConnection;

/// Lists everyone whom the stage names and whose name can be one here, with the name to have here (`username`).
pub async fn list_people(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "CREATE TEMPORARY TABLE hn_people ON COMMIT DROP AS
         SELECT name,
                name AS username,
                min(created_at) AS first_seen,
                -- what HN itself said, which no sum of ours replaces
                max(points) FILTER (WHERE kind = 'user') AS karma,
                NULL::bigint AS user_id,
                false AS is_new
           FROM hn_keys
          WHERE name ~ '^[A-Za-z0-9_-]{1,40}$'
          GROUP BY name",
    )
    .await?;
    run(conn, "CREATE UNIQUE INDEX ON hn_people (name)").await?;
    run(conn, "ANALYZE hn_people").await?;
    Ok(())
}

/// Finds those who are here already by import; a member who signed up is someone else.
pub async fn match_people(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "UPDATE hn_people h
            SET user_id = u.id
           FROM users u
          WHERE h.user_id IS NULL
            AND u.imported
            AND u.username = h.username",
    )
    .await?;
    Ok(())
}

/// Gives another name to those whose own belongs to a member who signed up.
pub async fn rename_people(conn: &mut PgConnection) -> Result<u64> {
    run(
        conn,
        "UPDATE hn_people h
            SET username = left(h.name, 37) || '-hn'
           FROM users u
          WHERE h.user_id IS NULL
            AND u.username = h.name",
    )
    .await
}

/// Makes those who are not here. The first of a folded name has it as key, later ones the name itself besides; where
/// someone signs up meanwhile, the second round finds the key taken.
pub async fn insert_people(conn: &mut PgConnection) -> Result<u64> {
    const INSERT: &str = "WITH made AS (
             INSERT INTO users (username, name_key, imported, base_karma, karma, created_at)
             SELECT h.username,
                    CASE WHEN n.nth = 1 AND NOT EXISTS (SELECT 1 FROM users u WHERE u.name_key = lower(h.username))
                         THEN lower(h.username)
                         ELSE lower(h.username) || '#' || h.username
                    END,
                    true, coalesce(h.karma, 1), coalesce(h.karma, 1), h.first_seen
               FROM hn_people h
               JOIN (SELECT name, row_number() OVER (PARTITION BY lower(username) ORDER BY first_seen, name) AS nth
                       FROM hn_people
                      WHERE user_id IS NULL) n ON n.name = h.name
              ORDER BY h.first_seen, h.name
             ON CONFLICT DO NOTHING
             RETURNING id, username)
         UPDATE hn_people h
            SET user_id = made.id, is_new = true
           FROM made
          WHERE made.username = h.username
            AND h.user_id IS NULL";
    Ok(run(conn, INSERT).await? + run(conn, INSERT).await?)
}

/// How many items have an author who could not come.
pub async fn count_unnamed(conn: &mut PgConnection) -> Result<u64> {
    sqlx::query_scalar(
        "SELECT count(*)
           FROM hn_keys s
           LEFT JOIN hn_people h ON h.name = s.name
          WHERE s.name IS NOT NULL
            AND h.user_id IS NULL",
    )
    .fetch_one(conn)
    .await
    .map(count)
}

/// Writes what new users say about themselves.
pub async fn insert_abouts(conn: &mut PgConnection) -> Result<()> {
    sqlx::query(
        "INSERT INTO user_bodies (user_id, source, html, renderer)
         SELECT h.user_id, s.source, s.html, $1
           FROM hn_keys k
           JOIN hn_people h ON h.name = k.name
           JOIN hn_stage s ON s.seq = k.seq
          WHERE k.kind = 'user'
            AND s.source <> ''
            AND h.is_new
         ON CONFLICT DO NOTHING",
    )
    .bind(RENDERER)
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts what people wrote. Karma grows by what their living posts had over their first point, except where HN itself
/// said what it is.
pub async fn count_on_people(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "UPDATE users u
            SET post_count = u.post_count + t.posts,
                comment_count = u.comment_count + t.comments,
                base_karma = u.base_karma + t.gain,
                karma = u.karma + t.gain
           FROM (SELECT h.user_id,
                        count(*) FILTER (WHERE s.kind = 'post')::integer AS posts,
                        count(*) FILTER (WHERE s.kind = 'comment')::integer AS comments,
                        CASE WHEN h.karma IS NULL
                             THEN least(coalesce(sum(greatest(coalesce(s.points, 1) - 1, 0)) FILTER (WHERE s.kind = 'post'), 0), 1000000000)::integer
                             ELSE 0
                        END AS gain
                   FROM hn_keys s
                   JOIN hn_people h ON h.name = s.name
                  WHERE s.state = 'live'
                    AND h.user_id IS NOT NULL
                  GROUP BY h.user_id, h.karma) t
          WHERE u.id = t.user_id",
    )
    .await?;
    Ok(())
}
