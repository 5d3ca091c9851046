//! SQL of profiles. Must not know passwords or sessions.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// A user as everyone may see them.
#[derive(Clone, Debug)]
pub struct User {
    /// Their id.
    pub id: i64,
    /// Their name as they write it.
    pub username: String,
    /// Base karma and votes received.
    pub karma: i32,
    /// Living posts.
    pub post_count: i32,
    /// Living comments.
    pub comment_count: i32,
    /// Whether an import brought them.
    pub imported: bool,
    /// Since when they are banned.
    pub banned_at: Option<DateTime<Utc>>,
    /// Until when.
    pub banned_until: Option<DateTime<Utc>>,
    /// Why.
    pub ban_reason: Option<String>,
    /// When they joined.
    pub created_at: DateTime<Utc>,
    /// What they say about themselves, as safe HTML.
    pub about: Option<String>,
    /// Roles beyond everyone's.
    pub roles: Vec<String>,
    /// The rank of the highest of them.
    pub rank: i16,
}

/// The user with this name: as written, else with case folded.
pub async fn find(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"SELECT u.id AS "id!", u.username AS "username!", u.karma AS "karma!", u.post_count AS "post_count!",
                  u.comment_count AS "comment_count!", u.imported AS "imported!", u.banned_at, u.banned_until,
                  u.ban_reason, u.created_at AS "created_at!",
                  b.html AS "about?",
                  ARRAY(SELECT r.name
                          FROM user_roles ur
                          JOIN roles r ON r.id = ur.role_id
                         WHERE ur.user_id = u.id
                         ORDER BY r.rank DESC) AS "roles!",
                  coalesce((SELECT max(r.rank)
                              FROM user_roles ur
                              JOIN roles r ON r.id = ur.role_id
                             WHERE ur.user_id = u.id), 1::smallint) AS "rank!"
             FROM users u
             LEFT JOIN user_bodies b ON b.user_id = u.id
            WHERE u.id = coalesce((SELECT id FROM users WHERE username = $1),
                                  (SELECT id FROM users WHERE name_key = lower($1)))"#,
        name,
    )
    .fetch_optional(db)
    .await
}
