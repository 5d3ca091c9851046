//! The demo's SQL, apart from the `COPY`s that `rows` names. Statements on the catalogue are put together from what the
//! catalogue says, so the compiler cannot check them.

use super::rows::Tag;
use sqlx::{AssertSqlSafe, PgConnection};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Whether nobody has written anything yet: no comment, and no post but the welcome.
pub async fn is_empty(conn: &mut PgConnection) -> Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (SELECT 1 FROM comments) AND (SELECT count(*) FROM (SELECT 1 FROM posts LIMIT 2) p) < 2 AS "empty!""#
    )
    .fetch_one(conn)
    .await
}

/// Keeps others from writing until the transaction ends, so that ids are ours to give; in the order of locks that every
/// transaction keeps.
pub async fn lock(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("LOCK TABLE posts, comments, users IN SHARE ROW EXCLUSIVE MODE")
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes so many ids of users, posts and comments; gives the first of each.
pub async fn take_ids(
    conn: &mut PgConnection,
    users: i64,
    posts: i64,
    comments: i64,
) -> Result<[i64; 3]> {
    let mut first = [0; 3];
    for (first, (table, count)) in
        first
            .iter_mut()
            .zip([("users", users), ("posts", posts), ("comments", comments)])
    {
        *first = sqlx::query_scalar!(
            r#"SELECT nextval(pg_get_serial_sequence($1, 'id')) AS "id!""#,
            table
        )
        .fetch_one(&mut *conn)
        .await?;
        sqlx::query!(
            "SELECT setval(pg_get_serial_sequence($1, 'id'), $2)",
            table,
            *first + count.max(1) - 1
        )
        .fetch_one(&mut *conn)
        .await?;
    }
    Ok(first)
}

/// Of these names, as keys, those that are taken.
pub async fn list_taken(conn: &mut PgConnection, keys: &[String]) -> Result<Vec<String>> {
    sqlx::query_scalar!("SELECT name_key FROM users WHERE name_key = ANY($1)", keys)
        .fetch_all(conn)
        .await
}

/// Makes the domains that are not here; gives the ids of all, in order.
pub async fn insert_domains(conn: &mut PgConnection, names: &[String]) -> Result<Vec<i64>> {
    sqlx::query!(
        "INSERT INTO domains (name)
         SELECT n.name
           FROM UNNEST($1::text[]) WITH ORDINALITY AS n (name, nth)
          WHERE NOT EXISTS (SELECT 1 FROM domains d WHERE d.name = n.name)
          ORDER BY n.nth
         ON CONFLICT DO NOTHING",
        names
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar!(
        r#"SELECT d.id
             FROM UNNEST($1::text[]) WITH ORDINALITY AS n (name, nth)
             JOIN domains d ON d.name = n.name
            ORDER BY n.nth"#,
        names
    )
    .fetch_all(conn)
    .await
}

/// The site's tags.
pub async fn list_tags(conn: &mut PgConnection) -> Result<Vec<Tag>> {
    sqlx::query_as!(Tag, "SELECT id, name, modifier FROM tags ORDER BY id")
        .fetch_all(conn)
        .await
}

/// Counts new posts on their tags.
pub async fn count_on_tags(conn: &mut PgConnection, ids: &[i32], posts: &[i32]) -> Result<()> {
    sqlx::query!(
        "UPDATE tags t
            SET post_count = t.post_count + n.posts
           FROM UNNEST($1::integer[], $2::integer[]) AS n (id, posts)
          WHERE n.id = t.id",
        ids,
        posts
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What makes filling slow, taken down: how to put each up again, in order.
pub struct Scaffold(Vec<String>);

/// Takes down the foreign keys and the plain indexes of the tables that are filled, within the transaction, which holds
/// them against everyone else. Only where they are empty: putting them up again then costs less than keeping them.
pub async fn take_down(conn: &mut PgConnection) -> Result<Scaffold> {
    const TABLES: &str = "ANY ('{posts, post_bodies, post_tags, post_votes, comments, comment_bodies, comment_votes}'::regclass[])";
    let indexes: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
           FROM pg_index i
          WHERE i.indrelid = {TABLES}
            AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)
          ORDER BY i.indexrelid"
    )))
    .fetch_all(&mut *conn)
    .await?;
    let keys: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),
                format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
           FROM pg_constraint c
          WHERE c.conrelid = {TABLES}
            AND c.contype = 'f'
          ORDER BY c.oid"
    )))
    .fetch_all(&mut *conn)
    .await?;
    let mut put_up = Vec::new();
    for (down, up) in indexes.into_iter().chain(keys) {
        sqlx::query(AssertSqlSafe(down)).execute(&mut *conn).await?;
        put_up.push(up);
    }
    Ok(Scaffold(put_up))
}

impl Scaffold {
    /// How much there is to put up.
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Puts all of it up again; `done` is told how much stands.
    pub async fn put_up(self, conn: &mut PgConnection, mut done: impl FnMut(u64)) -> Result<()> {
        sqlx::query!("SET LOCAL maintenance_work_mem = '512MB'")
            .execute(&mut *conn)
            .await?;
        for (nth, statement) in self.0.into_iter().enumerate() {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut *conn)
                .await?;
            done(nth as u64 + 1);
        }
        Ok(())
    }
}

/// Tells the planner what is there, and marks it as visible to all, once instead of at the first readers' expense.
pub async fn vacuum(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("VACUUM (ANALYZE) users, user_bodies, domains, posts, post_bodies, post_tags, post_votes, comments, comment_bodies, comment_votes, tags")
        .execute(conn)
        .await?;
    Ok(())
}
