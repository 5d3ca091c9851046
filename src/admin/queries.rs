//! SQL of the console. Must not know who may see it. Nothing here reads a whole table.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgExecutor, Postgres, QueryBuilder};

/// Tables up to this many rows are counted; of larger ones the planner's estimate is told, which autovacuum keeps within
/// a few percent.
pub const COUNTED_MAX: i64 = 50_000;

/// How many there are, and how many have come within the last 24 hours (at most [`COUNTED_MAX`]).
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// Accounts.
    pub users: i64,
    /// Accounts of the last day.
    pub users_day: i64,
    /// Posts in any state.
    pub posts: i64,
    /// Living posts of the last day.
    pub posts_day: i64,
    /// Comments in any state.
    pub comments: i64,
    /// Living comments of the last day.
    pub comments_day: i64,
}

/// The figures of the first page.
pub async fn totals(db: impl PgExecutor<'_>) -> sqlx::Result<Totals> {
    sqlx::query_as!(
        Totals,
        r#"WITH estimate AS (
               SELECT (SELECT reltuples::bigint FROM pg_class WHERE oid = 'users'::regclass) AS users,
                      (SELECT reltuples::bigint FROM pg_class WHERE oid = 'posts'::regclass) AS posts,
                      (SELECT reltuples::bigint FROM pg_class WHERE oid = 'comments'::regclass) AS comments
           )
           SELECT CASE WHEN e.users > $1 THEN e.users
                       ELSE (SELECT count(*) FROM (SELECT 1 FROM users LIMIT $1) AS few) END AS "users!",
                  (SELECT count(*)
                     FROM (SELECT 1 FROM users WHERE created_at > now() - interval '1 day' LIMIT $1) AS few)
                  AS "users_day!",
                  CASE WHEN e.posts > $1 THEN e.posts
                       ELSE (SELECT count(*) FROM (SELECT 1 FROM posts LIMIT $1) AS few) END AS "posts!",
                  (SELECT count(*)
                     FROM (SELECT 1
                             FROM posts
                            WHERE state = 'live'
                              AND created_at > now() - interval '1 day'
                            LIMIT $1) AS few) AS "posts_day!",
                  CASE WHEN e.comments > $1 THEN e.comments
                       ELSE (SELECT count(*) FROM (SELECT 1 FROM comments LIMIT $1) AS few) END AS "comments!",
                  (SELECT count(*)
                     FROM (SELECT 1
                             FROM comments
                            WHERE state = 'live'
                              AND created_at > now() - interval '1 day'
                            LIMIT $1) AS few) AS "comments_day!"
             FROM estimate e"#,
        COUNTED_MAX,
    )
    .fetch_one(db)
    .await
}

/// How many hold each role that can be given, the lowest first.
pub async fn list_role_counts(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT r.name, count(ur.user_id) AS "count!"
             FROM roles r
             LEFT JOIN user_roles ur ON ur.role_id = r.id
            WHERE r.name NOT IN ('guest', 'user')
            GROUP BY r.id
            ORDER BY r.rank, r.name"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.count)).collect())
}

/// A user as the console lists them.
#[derive(Clone, Debug, FromRow)]
pub struct Listed {
    /// The account.
    pub id: i64,
    /// Its name.
    pub username: String,
    /// Points received.
    pub karma: i32,
    /// When they joined.
    pub created_at: DateTime<Utc>,
    /// When they last did anything.
    pub last_active_at: Option<DateTime<Utc>>,
    /// Whether an import brought them.
    pub imported: bool,
    /// When they were banned, if they are or were.
    pub banned_at: Option<DateTime<Utc>>,
    /// When the ban ends; `None` is never.
    pub banned_until: Option<DateTime<Utc>>,
    /// The moderator's words.
    pub ban_reason: Option<String>,
    /// Roles held beyond that of every user.
    pub roles: Vec<String>,
}

/// What to look for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// How the name begins, in any case; empty is any.
    pub prefix: &'a str,
    /// A role held; empty is any.
    pub role: &'a str,
    /// Only who is banned now.
    pub banned: bool,
    /// The last account of the page before.
    pub after: Option<(DateTime<Utc>, i64)>,
}

/// Accounts that fit: by name where the beginning of one is given, else the newest first.
pub async fn list_users(
    db: impl PgExecutor<'_>,
    filter: Filter<'_>,
    limit: i64,
) -> sqlx::Result<Vec<Listed>> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT u.id, u.username, u.karma, u.created_at, u.last_active_at, u.imported,
                u.banned_at, u.banned_until, u.ban_reason,
                ARRAY(SELECT r.name
                        FROM user_roles ur
                        JOIN roles r ON r.id = ur.role_id
                       WHERE ur.user_id = u.id
                       ORDER BY r.rank) AS roles
           FROM users u
          WHERE true",
    );
    if !filter.role.is_empty() {
        query
            .push(" AND u.id IN (SELECT ur.user_id FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE r.name = ")
            .push_bind(filter.role)
            .push(")");
    }
    if filter.banned {
        query.push(
            " AND u.banned_at IS NOT NULL AND (u.banned_until IS NULL OR u.banned_until > now())",
        );
    }
    if filter.prefix.is_empty() {
        if let Some((created_at, id)) = filter.after {
            query
                .push(" AND (u.created_at, u.id) < (")
                .push_bind(created_at)
                .push(", ")
                .push_bind(id)
                .push(")");
        }
        query.push(" ORDER BY u.created_at DESC, u.id DESC");
    } else {
        let prefix = filter.prefix.to_lowercase();
        // Names are ASCII: what begins so lies between it and it with the last character of ASCII.
        let end = format!("{prefix}\u{7f}");
        query
            .push(" AND u.name_key COLLATE \"C\" >= ")
            .push_bind(prefix);
        query
            .push(" AND u.name_key COLLATE \"C\" < ")
            .push_bind(end);
        if let Some((_, id)) = filter.after {
            query
                .push(" AND u.name_key COLLATE \"C\" > (SELECT last.name_key FROM users last WHERE last.id = ")
                .push_bind(id)
                .push(")");
        }
        query.push(" ORDER BY u.name_key COLLATE \"C\"");
    }
    query.push(" LIMIT ").push_bind(limit);
    query.build_query_as().fetch_all(db).await
}

/// What the console shows of one user beside the list's row.
#[derive(Clone, Debug)]
pub struct Details {
    /// Their address, if they gave one.
    pub email: Option<String>,
    /// Living posts.
    pub post_count: i32,
    /// Living comments.
    pub comment_count: i32,
}

/// The list's row of one account.
pub async fn find_user(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Option<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"SELECT u.id, u.username, u.karma, u.created_at, u.last_active_at, u.imported,
                  u.banned_at, u.banned_until, u.ban_reason,
                  ARRAY(SELECT r.name
                          FROM user_roles ur
                          JOIN roles r ON r.id = ur.role_id
                         WHERE ur.user_id = u.id
                         ORDER BY r.rank) AS "roles!"
             FROM users u
            WHERE u.id = $1"#,
        user_id,
    )
    .fetch_optional(db)
    .await
}

/// What else there is of one account.
pub async fn get_details(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Details> {
    sqlx::query_as!(
        Details,
        "SELECT email, post_count, comment_count FROM users WHERE id = $1",
        user_id,
    )
    .fetch_one(db)
    .await
}

/// What segments of people are told apart by.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Points received.
    pub karma: i32,
    /// When they joined.
    pub created_at: DateTime<Utc>,
}

/// How one account stands.
pub async fn get_standing(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Standing> {
    sqlx::query_as!(
        Standing,
        "SELECT karma, created_at FROM users WHERE id = $1",
        user_id
    )
    .fetch_one(db)
    .await
}

/// The accounts of these names (in lower case), as pairs of name and id.
pub async fn find_user_ids(
    db: impl PgExecutor<'_>,
    name_keys: &[String],
) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        "SELECT name_key, id FROM users WHERE name_key = ANY ($1) ORDER BY id",
        name_keys
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name_key, row.id)).collect())
}

/// The names of these accounts.
pub async fn list_usernames(
    db: impl PgExecutor<'_>,
    user_ids: &[i64],
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT username FROM users WHERE id = ANY ($1) ORDER BY id",
        user_ids
    )
    .fetch_all(db)
    .await
}
