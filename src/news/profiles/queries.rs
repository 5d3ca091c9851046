//! SQL of profiles. Must not know passwords or sessions.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
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
}

/// What changes seldom about a user: what they say of themselves, and what they are here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// What they say about themselves, as safe HTML.
    pub html: Option<String>,
    /// Roles beyond everyone's.
    pub roles: Vec<String>,
    /// The rank of the highest of them.
    pub rank: i16,
}

/// The user with exactly this name.
pub async fn find(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        "SELECT id, username, karma, post_count, comment_count, imported, banned_at, banned_until, ban_reason, created_at
           FROM users
          WHERE username = $1",
        name,
    )
    .fetch_optional(db)
    .await
}

/// The user whose name this is but for its case; of imported names that differ only in case, the first.
pub async fn find_folded(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        "SELECT id, username, karma, post_count, comment_count, imported, banned_at, banned_until, ban_reason, created_at
           FROM users
          WHERE name_key = lower($1)",
        name,
    )
    .fetch_optional(db)
    .await
}

/// What changes seldom about a user.
pub async fn get_about(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<About> {
    sqlx::query_as!(
        About,
        r#"SELECT (SELECT b.html FROM user_bodies b WHERE b.user_id = $1) AS html,
                  coalesce(array_agg(r.name ORDER BY r.rank DESC), '{}') AS "roles!",
                  coalesce(max(r.rank), 1::smallint) AS "rank!"
             FROM user_roles ur
             JOIN roles r ON r.id = ur.role_id
            WHERE ur.user_id = $1"#,
        user_id,
    )
    .fetch_one(db)
    .await
}
