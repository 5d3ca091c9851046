//! Where each post and comment goes: ids, parents, roots and depths, before anything is written.

use super::{Result, run};
use sqlx::PgConnection;

/// Gives each staged post its id here, in HN's order, and counts them.
pub async fn number_posts(conn: &mut PgConnection) -> Result<u64> {
    let posts = run(
        conn,
        "CREATE TEMPORARY TABLE hn_posts ON COMMIT DROP AS
         SELECT s.hn_id, s.seq, nextval((SELECT pg_get_serial_sequence('posts', 'id'))) AS id
           FROM (SELECT hn_id, seq FROM hn_keys WHERE kind = 'post' ORDER BY hn_id) s",
    )
    .await?;
    run(conn, "CREATE UNIQUE INDEX ON hn_posts (hn_id)").await?;
    run(conn, "CREATE UNIQUE INDEX ON hn_posts (id)").await?;
    run(conn, "ANALYZE hn_posts").await?;
    Ok(posts)
}

/// Makes the table of where each comment goes.
pub async fn create_places(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "CREATE TEMPORARY TABLE hn_places (
             hn_id     bigint   NOT NULL,
             seq       bigint   NOT NULL,
             id        bigint   NOT NULL,
             post_id   bigint   NOT NULL,
             parent_id bigint,
             root_id   bigint   NOT NULL,
             depth     integer  NOT NULL,
             round     integer  NOT NULL
         ) ON COMMIT DROP",
    )
    .await?;
    run(conn, "CREATE UNIQUE INDEX hn_places_id ON hn_places (id)").await?;
    run(conn, "CREATE INDEX hn_places_seq ON hn_places (seq)").await?;
    run(conn, "CREATE INDEX hn_places_round ON hn_places (round)").await?;
    Ok(())
}

/// Places the comments that answer a post, staged or here, or a comment that is here.
pub async fn place_first(conn: &mut PgConnection) -> Result<u64> {
    let under_new = run(
        conn,
        "INSERT INTO hn_places
         SELECT n.hn_id, n.seq, n.id, n.post_id, NULL, n.id, 0, 0
           FROM (SELECT s.hn_id, s.seq, p.id AS post_id,
                        nextval((SELECT pg_get_serial_sequence('comments', 'id'))) AS id
                   FROM hn_keys s
                   JOIN hn_posts p ON p.hn_id = s.parent
                  WHERE s.kind = 'comment') n",
    )
    .await?;
    let under_old = run(
        conn,
        "INSERT INTO hn_places
         SELECT n.hn_id, n.seq, n.id, n.post_id, NULL, n.id, 0, 0
           FROM (SELECT s.hn_id, s.seq, p.id AS post_id,
                        nextval((SELECT pg_get_serial_sequence('comments', 'id'))) AS id
                   FROM hn_keys s
                   JOIN posts p ON p.hn_id = s.parent
                  WHERE s.kind = 'comment') n",
    )
    .await?;
    let answers = run(
        conn,
        "INSERT INTO hn_places
         SELECT s.hn_id, s.seq, nextval((SELECT pg_get_serial_sequence('comments', 'id'))), c.post_id, c.id, c.root_id, c.depth + 1, 0
           FROM hn_keys s
           JOIN comments c ON c.hn_id = s.parent
          WHERE s.kind = 'comment'",
    )
    .await?;
    Ok(under_new + under_old + answers)
}

/// Places the comments that answer those of the round before.
pub async fn place_next(conn: &mut PgConnection, round: i32) -> Result<u64> {
    Ok(sqlx::query(
        "INSERT INTO hn_places
         SELECT s.hn_id, s.seq, nextval((SELECT pg_get_serial_sequence('comments', 'id'))), p.post_id, p.id, p.root_id, p.depth + 1, p.round + 1
           FROM hn_places p
           JOIN hn_keys s ON s.parent = p.hn_id AND s.kind = 'comment'
          WHERE p.round = $1",
    )
    .bind(round)
    .execute(conn)
    .await?
    .rows_affected())
}

/// Tells the planner how many comments have places now.
pub async fn analyze_places(conn: &mut PgConnection) -> Result<()> {
    run(conn, "ANALYZE hn_places").await?;
    Ok(())
}

/// Sums up, for each post with new living comments, how many and when the last.
pub async fn sum_up_threads(conn: &mut PgConnection) -> Result<()> {
    run(conn, "ANALYZE hn_places").await?;
    run(
        conn,
        "CREATE TEMPORARY TABLE hn_threads ON COMMIT DROP AS
         SELECT p.post_id, count(*)::integer AS living, max(s.created_at) AS active_at
           FROM hn_places p
           JOIN hn_keys s ON s.seq = p.seq
          WHERE s.state = 'live'
          GROUP BY p.post_id",
    )
    .await?;
    run(conn, "CREATE UNIQUE INDEX ON hn_threads (post_id)").await?;
    run(conn, "ANALYZE hn_threads").await?;
    Ok(())
}

/// Drops the comments and poll answers that have no place, and counts them.
pub async fn delete_orphans(conn: &mut PgConnection) -> Result<u64> {
    run(
        conn,
        "DELETE FROM hn_keys s
          WHERE s.kind IN ('comment', 'option')
            AND NOT EXISTS (SELECT 1 FROM hn_places p WHERE p.seq = s.seq)",
    )
    .await
}

/// The first of those whose parent is nowhere: (`hn_id`, parent).
pub async fn list_missing(conn: &mut PgConnection, limit: usize) -> Result<Vec<(i64, i64)>> {
    sqlx::query_as(
        "WITH lost AS MATERIALIZED (
             SELECT s.seq, s.hn_id, s.parent
               FROM hn_keys s
              WHERE s.kind IN ('comment', 'option')
                AND NOT EXISTS (SELECT 1 FROM hn_places p WHERE p.seq = s.seq)
         )
         SELECT s.hn_id, s.parent
           FROM lost s
          WHERE NOT EXISTS (SELECT 1 FROM hn_keys o WHERE o.hn_id = s.parent AND o.kind IN ('comment', 'post') AND o.seq <> s.seq)
          ORDER BY s.hn_id
          LIMIT $1",
    )
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await
}
