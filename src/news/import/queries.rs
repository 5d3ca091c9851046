//! The import's SQL. Its tables are temporary (they go with the transaction), so the compiler cannot check these
//! statements against the schema: `tests/site/import.rs` runs every one of them.

use crate::web::markup::RENDERER;
use sqlx::{PgConnection, PgExecutor, Row};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Sends rows of `hn::COLUMNS` columns to the stage.
pub const COPY_STAGE: &str = "COPY hn_stage FROM STDIN (FORMAT binary)";

async fn run(conn: &mut PgConnection, statement: &'static str) -> Result<u64> {
    Ok(sqlx::query(statement).execute(conn).await?.rows_affected())
}

fn count(rows: i64) -> u64 {
    rows.try_into().unwrap_or(0)
}

/// Gives the session room for its temporary tables. Too late for one that has used some before, which goes on with less.
pub async fn widen(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "SELECT CASE WHEN pg_my_temp_schema() = 0 THEN set_config('temp_buffers', '128MB', false) END,
                set_config('work_mem', '64MB', false)",
    )
    .await?;
    Ok(())
}

/// Makes the table that items are staged in, as `hn::Item::stage` fills it.
pub async fn create_stage(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "CREATE TEMPORARY TABLE hn_stage (
             seq        bigint      NOT NULL,
             kind       text        NOT NULL,
             hn_id      bigint      NOT NULL,
             name       text,
             parent     bigint,
             created_at timestamptz NOT NULL,
             state      text        NOT NULL,
             post_kind  text        NOT NULL,
             points     integer,
             title      text        NOT NULL,
             url        text,
             url_key    text,
             domain     text,
             source     text        NOT NULL,
             html       text        NOT NULL
         ) ON COMMIT DROP",
    )
    .await?;
    Ok(())
}

/// Makes the stage quick to search, once it is full.
pub async fn index_stage(conn: &mut PgConnection) -> Result<()> {
    run(conn, "CREATE INDEX hn_stage_seq ON hn_stage (seq)").await?;
    run(
        conn,
        "CREATE INDEX hn_stage_hn_id ON hn_stage (hn_id) WHERE kind <> 'user'",
    )
    .await?;
    run(
        conn,
        "CREATE INDEX hn_stage_parent ON hn_stage (parent) WHERE kind IN ('comment', 'option')",
    )
    .await?;
    run(conn, "ANALYZE hn_stage").await?;
    Ok(())
}

/// Drops all but the first of items given more than once.
pub async fn delete_repeated(conn: &mut PgConnection) -> Result<u64> {
    run(
        conn,
        "DELETE FROM hn_stage s
          USING (SELECT seq,
                        row_number() OVER (PARTITION BY hn_id, CASE WHEN kind = 'user' THEN name END ORDER BY seq) AS nth
                   FROM hn_stage) n
          WHERE n.seq = s.seq
            AND n.nth > 1",
    )
    .await
}

/// Drops what an earlier import brought: posts and comments, and answers of its polls.
pub async fn delete_known(conn: &mut PgConnection) -> Result<u64> {
    let posts = run(
        conn,
        "DELETE FROM hn_stage s
          USING posts p
          WHERE s.kind <> 'user'
            AND p.hn_id = CASE WHEN s.kind = 'option' THEN s.parent ELSE s.hn_id END",
    )
    .await?;
    let comments = run(
        conn,
        "DELETE FROM hn_stage s USING comments c WHERE s.kind <> 'user' AND c.hn_id = s.hn_id",
    )
    .await?;
    Ok(posts + comments)
}

/// A staged poll with its answers, in HN's order.
pub struct Poll {
    /// Its place in the stage.
    pub seq: i64,
    /// Its own text.
    pub source: String,
    /// Its answers as markdown.
    pub options: Vec<String>,
    /// Their points.
    pub points: Vec<i32>,
}

/// The next polls that have answers, after the one at `after` in the stage.
pub async fn list_polls(conn: &mut PgConnection, after: i64) -> Result<Vec<Poll>> {
    let rows = sqlx::query(
        "SELECT p.seq, p.source, array_agg(o.source ORDER BY o.hn_id) AS options,
                array_agg(coalesce(o.points, 0) ORDER BY o.hn_id) AS points
           FROM hn_stage p
           JOIN hn_stage o ON o.parent = p.hn_id AND o.kind = 'option' AND o.state = 'live'
          WHERE p.kind = 'post'
            AND p.seq > $1
          GROUP BY p.seq, p.source
          ORDER BY p.seq
          LIMIT 500",
    )
    .bind(after)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Poll {
                seq: row.try_get(0)?,
                source: row.try_get(1)?,
                options: row.try_get(2)?,
                points: row.try_get(3)?,
            })
        })
        .collect()
}

/// Gives a staged item another text.
pub async fn set_text(conn: &mut PgConnection, seq: i64, source: &str, html: &str) -> Result<()> {
    sqlx::query("UPDATE hn_stage SET source = $2, html = $3 WHERE seq = $1")
        .bind(seq)
        .bind(source)
        .bind(html)
        .execute(conn)
        .await?;
    Ok(())
}

/// Drops the answers that are in their polls' texts now, and counts them.
pub async fn delete_folded(conn: &mut PgConnection) -> Result<u64> {
    run(conn, "DELETE FROM hn_stage o USING hn_stage p WHERE o.kind = 'option' AND p.kind = 'post' AND p.hn_id = o.parent").await
}

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
           FROM hn_stage
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
           FROM hn_stage s
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
           FROM hn_stage s
           JOIN hn_people h ON h.name = s.name
          WHERE s.kind = 'user'
            AND s.source <> ''
            AND h.is_new
         ON CONFLICT DO NOTHING",
    )
    .bind(RENDERER)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the domains that are not here.
pub async fn insert_domains(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "INSERT INTO domains (name)
         SELECT DISTINCT s.domain
           FROM hn_stage s
          WHERE s.domain IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM domains d WHERE d.name = s.domain)
         ON CONFLICT DO NOTHING",
    )
    .await?;
    Ok(())
}

/// Gives each staged post its id here, in HN's order, and counts them.
pub async fn number_posts(conn: &mut PgConnection) -> Result<u64> {
    let posts = run(
        conn,
        "CREATE TEMPORARY TABLE hn_posts ON COMMIT DROP AS
         SELECT s.hn_id, s.seq, nextval(pg_get_serial_sequence('posts', 'id')) AS id
           FROM (SELECT hn_id, seq FROM hn_stage WHERE kind = 'post' ORDER BY hn_id) s",
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
    run(
        conn,
        "INSERT INTO hn_places
         SELECT n.hn_id, n.seq, n.id, n.post_id, n.parent_id, coalesce(n.root_id, n.id), n.depth, 0
           FROM (SELECT s.hn_id, s.seq, nextval(pg_get_serial_sequence('comments', 'id')) AS id,
                        p.post_id, p.parent_id, p.root_id, p.depth
                   FROM hn_stage s
                   JOIN LATERAL (
                            SELECT h.id AS post_id, NULL::bigint AS parent_id, NULL::bigint AS root_id, 0 AS depth
                              FROM hn_posts h
                             WHERE h.hn_id = s.parent
                             UNION ALL
                            SELECT p.id, NULL, NULL, 0
                              FROM posts p
                             WHERE p.hn_id = s.parent
                             UNION ALL
                            SELECT c.post_id, c.id, c.root_id, c.depth + 1
                              FROM comments c
                             WHERE c.hn_id = s.parent) p ON true
                  WHERE s.kind = 'comment') n",
    )
    .await
}

/// Places the comments that answer those of the round before.
pub async fn place_next(conn: &mut PgConnection, round: i32) -> Result<u64> {
    Ok(sqlx::query(
        "INSERT INTO hn_places
         SELECT s.hn_id, s.seq, nextval(pg_get_serial_sequence('comments', 'id')), p.post_id, p.id, p.root_id, p.depth + 1, p.round + 1
           FROM hn_places p
           JOIN hn_stage s ON s.parent = p.hn_id AND s.kind = 'comment'
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
           JOIN hn_stage s ON s.seq = p.seq
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
        "DELETE FROM hn_stage s
          WHERE s.kind IN ('comment', 'option')
            AND NOT EXISTS (SELECT 1 FROM hn_places p WHERE p.seq = s.seq)",
    )
    .await
}

/// The first of those whose parent is nowhere: (`hn_id`, parent).
pub async fn list_missing(conn: &mut PgConnection, limit: usize) -> Result<Vec<(i64, i64)>> {
    sqlx::query_as(
        "SELECT s.hn_id, s.parent
           FROM hn_stage s
          WHERE s.kind IN ('comment', 'option')
            AND NOT EXISTS (SELECT 1 FROM hn_places p WHERE p.seq = s.seq)
            AND NOT EXISTS (SELECT 1 FROM hn_stage o WHERE o.hn_id = s.parent AND o.kind IN ('comment', 'post') AND o.seq <> s.seq)
          ORDER BY s.hn_id
          LIMIT $1",
    )
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await
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
                   FROM hn_stage s
                   JOIN hn_people h ON h.name = s.name
                  WHERE s.state = 'live'
                    AND h.user_id IS NOT NULL
                  GROUP BY h.user_id, h.karma) t
          WHERE u.id = t.user_id",
    )
    .await?;
    Ok(())
}

/// Tells the planner what is there now.
pub async fn analyze(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "ANALYZE users, domains, posts, post_bodies, comments, comment_bodies",
    )
    .await?;
    Ok(())
}

/// What an item of Hacker News has become here.
pub enum Found {
    /// A living post: its id and title.
    Post(i64, String),
    /// A comment: its id.
    Comment(i64),
}

/// The post or comment that was imported from this item.
pub async fn find_item(db: impl PgExecutor<'_>, hn_id: i64) -> Result<Option<Found>> {
    let row = sqlx::query!(
        r#"SELECT id AS "id!", title FROM (
               SELECT id, CASE WHEN state = 'live' THEN title ELSE '' END AS title FROM posts WHERE hn_id = $1
               UNION ALL
               SELECT id, NULL FROM comments WHERE hn_id = $1
           ) AS items
           LIMIT 1"#,
        hn_id,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| match row.title {
        Some(title) => Found::Post(row.id, title),
        None => Found::Comment(row.id),
    }))
}
