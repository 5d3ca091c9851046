//! The import's SQL: the stage, and what has become of items; in the modules below who, where and how they are
//! written. Its tables are temporary (they go with the transaction), so the compiler cannot check these
//! statements against the schema: `tests/site/import.rs` runs every one of them.

pub mod people;
pub mod threads;
pub mod write;

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
                set_config('work_mem', '64MB', false),
                set_config('jit', 'off', false)",
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

/// Sets the keys of what is staged apart from the texts, once the stage is full: who answers whom is then found out
/// without reading a text, and what is left out is left out here.
pub async fn create_keys(conn: &mut PgConnection) -> Result<()> {
    run(
        conn,
        "CREATE TEMPORARY TABLE hn_keys ON COMMIT DROP AS
         SELECT seq, kind, hn_id, name, parent, created_at, state, points
           FROM hn_stage",
    )
    .await?;
    run(conn, "CREATE UNIQUE INDEX ON hn_stage (seq)").await?;
    run(conn, "CREATE UNIQUE INDEX ON hn_keys (seq)").await?;
    run(conn, "CREATE INDEX ON hn_keys (hn_id) WHERE kind <> 'user'").await?;
    run(
        conn,
        "CREATE INDEX ON hn_keys (parent) WHERE kind IN ('comment', 'option')",
    )
    .await?;
    run(conn, "ANALYZE hn_stage (seq)").await?;
    run(conn, "ANALYZE hn_keys").await?;
    Ok(())
}

/// Drops all but the first of items given more than once.
pub async fn delete_repeated(conn: &mut PgConnection) -> Result<u64> {
    run(
        conn,
        "DELETE FROM hn_keys s
          USING (SELECT seq,
                        row_number() OVER (PARTITION BY hn_id, CASE WHEN kind = 'user' THEN name END ORDER BY seq) AS nth
                   FROM hn_keys) n
          WHERE n.seq = s.seq
            AND n.nth > 1",
    )
    .await
}

/// Drops what an earlier import brought: posts and comments, and answers of its polls.
pub async fn delete_known(conn: &mut PgConnection) -> Result<u64> {
    let posts = run(
        conn,
        "DELETE FROM hn_keys s
          USING posts p
          WHERE s.kind <> 'user'
            AND p.hn_id = CASE WHEN s.kind = 'option' THEN s.parent ELSE s.hn_id END",
    )
    .await?;
    let comments = run(
        conn,
        "DELETE FROM hn_keys s USING comments c WHERE s.kind <> 'user' AND c.hn_id = s.hn_id",
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
           FROM hn_keys k
           JOIN hn_keys ok ON ok.parent = k.hn_id AND ok.kind = 'option' AND ok.state = 'live'
           JOIN hn_stage p ON p.seq = k.seq
           JOIN hn_stage o ON o.seq = ok.seq
          WHERE k.kind = 'post'
            AND k.seq > $1
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
    run(conn, "DELETE FROM hn_keys o USING hn_keys p WHERE o.kind = 'option' AND p.kind = 'post' AND p.hn_id = o.parent").await
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
