//! SQL of the standing of accounts: roles and bans. Must not know who may change them.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::Banned;
use crate::platform::db::Conn;

/// A role that can be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: i16,
    /// Its name, such as `moderator`.
    pub name: String,
    /// Higher outranks lower.
    pub rank: i16,
}

/// The roles that can be given: all that raise somebody above a user, the lowest first.
pub async fn list_roles(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Role>> {
    sqlx::query_as!(
        Role,
        "SELECT id, name, rank
           FROM roles
          WHERE name NOT IN ('guest', 'user')
          ORDER BY rank, name"
    )
    .fetch_all(db)
    .await
}

/// The roles that someone has been given.
pub async fn list_roles_of(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Vec<Role>> {
    sqlx::query_as!(
        Role,
        "SELECT r.id, r.name, r.rank
           FROM user_roles ur
           JOIN roles r ON r.id = ur.role_id
          WHERE ur.user_id = $1
          ORDER BY r.rank, r.name",
        user_id,
    )
    .fetch_all(db)
    .await
}

/// How many hold a role, up to two: enough to know whether someone is the last.
pub async fn count_holders(db: impl PgExecutor<'_>, role: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
             FROM (SELECT 1
                     FROM user_roles ur
                     JOIN roles r ON r.id = ur.role_id
                    WHERE r.name = $1
                    LIMIT 2) AS few"#,
        role,
    )
    .fetch_one(db)
    .await
}

/// Takes the lock under which the holders of any role change, so that two administrators cannot each remove the other as
/// the last but one.
pub async fn lock_roles(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE user_roles IN SHARE ROW EXCLUSIVE MODE")
        .execute(db)
        .await?;
    Ok(())
}

/// Projection of `RoleGranted`.
pub async fn insert_role(db: impl PgExecutor<'_>, user_id: i64, role: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO user_roles (user_id, role_id)
         SELECT $1, id FROM roles WHERE name = $2
         ON CONFLICT DO NOTHING",
        user_id,
        role,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Projection of `RoleRevoked`.
pub async fn delete_role(db: impl PgExecutor<'_>, user_id: i64, role: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM user_roles
          WHERE user_id = $1
            AND role_id = (SELECT id FROM roles WHERE name = $2)",
        user_id,
        role,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// An account that is about to be acted on.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The account.
    pub id: i64,
    /// Its name.
    pub username: String,
    /// The rank of its highest role.
    pub rank: i16,
    /// When it was banned, if it is or was.
    pub banned_at: Option<DateTime<Utc>>,
    /// When the ban ends; `None` is never.
    pub banned_until: Option<DateTime<Utc>>,
}

impl Subject {
    /// Whether a ban is in force at `now`.
    pub fn is_banned(&self, now: DateTime<Utc>) -> bool {
        self.banned_at.is_some() && self.banned_until.is_none_or(|until| until > now)
    }
}

/// The account of this name: spelled so, else in another mixture of cases (imported names may differ in nothing else).
pub async fn find_subject(
    db: impl PgExecutor<'_>,
    username: &str,
) -> sqlx::Result<Option<Subject>> {
    sqlx::query_as!(
        Subject,
        r#"SELECT u.id, u.username, v.rank AS "rank!", u.banned_at, u.banned_until
             FROM users u
             JOIN viewers v ON v.user_id = u.id
            WHERE u.username = $1
               OR u.name_key = lower($1)
            ORDER BY (u.username = $1) DESC
            LIMIT 1"#,
        username,
    )
    .fetch_optional(db)
    .await
}

/// Locks an account and reads it as it then stands.
pub async fn lock_subject(db: &mut Conn, user_id: i64) -> sqlx::Result<Option<Subject>> {
    // Two statements: what is read beside a row that had to be waited for would be as old as the wait.
    sqlx::query!(
        "SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE",
        user_id
    )
    .fetch_optional(&mut *db)
    .await?;
    sqlx::query_as!(
        Subject,
        r#"SELECT u.id, u.username, v.rank AS "rank!", u.banned_at, u.banned_until
             FROM users u
             JOIN viewers v ON v.user_id = u.id
            WHERE u.id = $1"#,
        user_id,
    )
    .fetch_optional(db)
    .await
}

/// Projection of `UserBanned` and `UserUnbanned`.
pub async fn set_ban(
    db: impl PgExecutor<'_>,
    user_id: i64,
    ban: Option<&Banned>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users
            SET banned_at = $2, banned_until = $3, ban_reason = $4
          WHERE id = $1",
        user_id,
        ban.map(|b| b.at),
        ban.and_then(|b| b.until),
        ban.map(|b| b.reason.as_str()),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a role may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// To what; `*` is anything.
    pub resource: String,
    /// What; `*` is anything.
    pub action: String,
    /// Where only; `None` is always.
    pub condition: Option<String>,
}

/// The role of this name.
pub async fn find_role(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<i16>> {
    sqlx::query_scalar!("SELECT id FROM roles WHERE name = $1", name)
        .fetch_optional(db)
        .await
}

/// Every role by name and rank with what it may do, the lowest first.
pub async fn list_permissions(
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<(String, i16, Vec<Permission>)>> {
    let rows = sqlx::query!(
        r#"SELECT r.name, r.rank,
                  p.resource AS "resource?",
                  p.action AS "action?",
                  p.condition AS "condition?"
             FROM roles r
             LEFT JOIN permissions p ON p.role_id = r.id
            ORDER BY r.rank, r.name, p.resource, p.action, p.condition"#
    )
    .fetch_all(db)
    .await?;
    let mut roles: Vec<(String, i16, Vec<Permission>)> = Vec::new();
    for row in rows {
        if roles.last().is_none_or(|(name, ..)| *name != row.name) {
            roles.push((row.name, row.rank, Vec::new()));
        }
        if let (Some((.., permissions)), Some(resource), Some(action)) =
            (roles.last_mut(), row.resource, row.action)
        {
            permissions.push(Permission {
                resource,
                action,
                condition: row.condition,
            });
        }
    }
    Ok(roles)
}

/// Lets a role do something; false if it may already.
pub async fn insert_permission(
    db: impl PgExecutor<'_>,
    role_id: i16,
    permission: &Permission,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO permissions (role_id, resource, action, condition)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        role_id,
        permission.resource,
        permission.action,
        permission.condition,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes that away again; false if it may not.
pub async fn delete_permission(
    db: impl PgExecutor<'_>,
    role_id: i16,
    permission: &Permission,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM permissions
          WHERE role_id = $1
            AND resource = $2
            AND action = $3
            AND condition IS NOT DISTINCT FROM $4",
        role_id,
        permission.resource,
        permission.action,
        permission.condition,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}
