//! What each counter means: the rows that it counts. Each query gives the rows where the two differ.

use super::{Difference, NAMED};
use sqlx::PgConnection;

/// A row whose counter differs, and how many such rows there are.
pub struct Found {
    id: i64,
    stored: Option<String>,
    counted: Option<String>,
    /// Rows that differ, of this counter.
    pub rows: i64,
}

impl Found {
    /// Without the count of all.
    pub fn difference(self) -> Difference {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        Difference {
            id: self.id,
            stored: or_none(self.stored),
            counted: or_none(self.counted),
        }
    }
}

type Result<T> = std::result::Result<T, sqlx::Error>;

/// All that follows in the transaction sees the database as it is now, and changes nothing. The sums of millions of
/// rows want memory and time.
pub async fn set_snapshot(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *conn)
        .await?;
    sqlx::query!("SET LOCAL work_mem = '128MB'")
        .execute(conn)
        .await?;
    Ok(())
}

/// `posts.votes`: the votes cast on the post.
pub async fn post_votes(conn: &mut PgConnection) -> Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"WITH counted AS (
               SELECT post_id AS id, count(*) AS n
                 FROM post_votes
                GROUP BY post_id
           )
           SELECT t.id::bigint AS "id!", t.votes::text AS stored, coalesce(c.n, 0)::text AS counted, count(*) OVER () AS "rows!"
             FROM posts t
             LEFT JOIN counted c ON c.id = t.id
            WHERE t.votes IS DISTINCT FROM coalesce(c.n, 0)
            ORDER BY t.id
            LIMIT $1"#,
        NAMED
    )
    .fetch_all(conn)
    .await
}

/// `comments.votes`: the votes cast on the comment.
pub async fn comment_votes(conn: &mut PgConnection) -> Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"WITH counted AS (
               SELECT comment_id AS id, count(*) AS n
                 FROM comment_votes
                GROUP BY comment_id
           )
           SELECT t.id::bigint AS "id!", t.votes::text AS stored, coalesce(c.n, 0)::text AS counted, count(*) OVER () AS "rows!"
             FROM comments t
             LEFT JOIN counted c ON c.id = t.id
            WHERE t.votes IS DISTINCT FROM coalesce(c.n, 0)
            ORDER BY t.id
            LIMIT $1"#,
        NAMED
    )
    .fetch_all(conn)
    .await
}

/// `users.karma`: what the user came with and the votes cast on their posts and comments.
pub async fn karma(conn: &mut PgConnection) -> Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"WITH counted AS (
               SELECT author_id AS id, sum(n) AS n
                 FROM (SELECT p.author_id, count(*) AS n
                         FROM post_votes v
                         JOIN posts p ON p.id = v.post_id
                        GROUP BY p.author_id
                        UNION ALL
                       SELECT m.author_id, count(*)
                         FROM comment_votes v
                         JOIN comments m ON m.id = v.comment_id
                        GROUP BY m.author_id) votes
                WHERE author_id IS NOT NULL
                GROUP BY author_id
           )
           SELECT t.id::bigint AS "id!", t.karma::text AS stored, (t.base_karma + coalesce(c.n, 0))::text AS counted, count(*) OVER () AS "rows!"
             FROM users t
             LEFT JOIN counted c ON c.id = t.id
            WHERE t.karma IS DISTINCT FROM t.base_karma + coalesce(c.n, 0)
            ORDER BY t.id
            LIMIT $1"#,
        NAMED
    )
    .fetch_all(conn)
    .await
}

/// `posts.comment_count`: the living comments under the post.
pub async fn comments_on_posts(conn: &mut PgConnection) -> Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"WITH counted AS (
               SELECT post_id AS id, count(*) AS n
                 FROM comments
                WHERE state = 'live'
                GROUP BY post_id
           )
           SELECT t.id::bigint AS "id!", t.comment_count::text AS stored, coalesce(c.n, 0)::text AS counted, count(*) OVER () AS "rows!"
             FROM posts t
             LEFT JOIN counted c ON c.id = t.id
            WHERE t.comment_count IS DISTINCT FROM coalesce(c.n, 0)
            ORDER BY t.id
            LIMIT $1"#,
        NAMED
    )
    .fetch_all(conn)
    .await
}

/// `posts.active_at`: when the last living comment was written.
pub async fn last_comments(conn: &mut PgConnection) -> Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"WITH counted AS (
               SELECT post_id AS id, max(created_at) AS last
                 FROM comments
                WHERE state = 'live'
                GROUP BY post_id
           )
           SELECT t.id::bigint AS "id!", t.active_at::text AS stored, c.last::text AS counted, count(*) OVER () AS "rows!"
             FROM posts t
             LEFT JOIN counted c ON c.id = t.id
            WHERE t.active_at IS DISTINCT FROM c.last
            ORDER BY t.id
            LIMIT $1"#,
        NAMED
    )
    .fetch_all(conn)
    .await
}

/// `users.post_count`: the living posts of the user.
pub async fn posts_of_users(conn: &mut PgConnection) -> Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"WITH counted AS (
               SELECT author_id AS id, count(*) AS n
                 FROM posts
                WHERE state = 'live' AND author_id IS NOT NULL
                GROUP BY author_id
           )
           SELECT t.id::bigint AS "id!", t.post_count::text AS stored, coalesce(c.n, 0)::text AS counted, count(*) OVER () AS "rows!"
             FROM users t
             LEFT JOIN counted c ON c.id = t.id
            WHERE t.post_count IS DISTINCT FROM coalesce(c.n, 0)
            ORDER BY t.id
            LIMIT $1"#,
        NAMED
    )
    .fetch_all(conn)
    .await
}

/// `users.comment_count`: the living comments of the user.
pub async fn comments_of_users(conn: &mut PgConnection) -> Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"WITH counted AS (
               SELECT author_id AS id, count(*) AS n
                 FROM comments
                WHERE state = 'live' AND author_id IS NOT NULL
                GROUP BY author_id
           )
           SELECT t.id::bigint AS "id!", t.comment_count::text AS stored, coalesce(c.n, 0)::text AS counted, count(*) OVER () AS "rows!"
             FROM users t
             LEFT JOIN counted c ON c.id = t.id
            WHERE t.comment_count IS DISTINCT FROM coalesce(c.n, 0)
            ORDER BY t.id
            LIMIT $1"#,
        NAMED
    )
    .fetch_all(conn)
    .await
}

/// `tags.post_count`: the living posts with the tag.
pub async fn posts_of_tags(conn: &mut PgConnection) -> Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"WITH counted AS (
               SELECT pt.tag_id AS id, count(*) AS n
                 FROM post_tags pt
                 JOIN posts p ON p.id = pt.post_id AND p.state = 'live'
                GROUP BY pt.tag_id
           )
           SELECT t.id::bigint AS "id!", t.post_count::text AS stored, coalesce(c.n, 0)::text AS counted, count(*) OVER () AS "rows!"
             FROM tags t
             LEFT JOIN counted c ON c.id = t.id
            WHERE t.post_count IS DISTINCT FROM coalesce(c.n, 0)
            ORDER BY t.id
            LIMIT $1"#,
        NAMED
    )
    .fetch_all(conn)
    .await
}
