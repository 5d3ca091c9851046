//! SQL of accounts. Must not know passwords in the clear, or posts.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{email::Email, model::ViewerRow, username::Username};

/// What every page needs to know of these accounts.
pub async fn list_viewers(
    db: impl PgExecutor<'_>,
    user_ids: &[i64],
) -> sqlx::Result<Vec<(i64, ViewerRow)>> {
    let rows = sqlx::query!(
        r#"SELECT v.user_id AS "user_id!", to_jsonb(v) AS "viewer!: sqlx::types::Json<ViewerRow>"
             FROM viewers v
            WHERE v.user_id = ANY ($1)"#,
        user_ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.user_id, row.viewer.0))
        .collect())
}

/// What deciding on a login needs to know of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub id: i64,
    /// Its name, as written.
    pub username: String,
    /// A PHC string; `None` for imported accounts.
    pub password_hash: Option<String>,
    /// When it was banned, if it is or was.
    pub banned_at: Option<DateTime<Utc>>,
    /// When the ban ends; `None` is never.
    pub banned_until: Option<DateTime<Utc>>,
    /// The moderator's words.
    pub ban_reason: Option<String>,
}

/// The account of this name (in any case) or of this proven address.
pub async fn find_credentials(
    db: impl PgExecutor<'_>,
    name_or_email: &str,
) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_as!(
        Credentials,
        "SELECT id, username, password_hash, banned_at, banned_until, ban_reason
           FROM users
          WHERE name_key = lower($1)
             OR (email_verified_at IS NOT NULL AND lower(email) = lower($1))
          LIMIT 1",
        name_or_email,
    )
    .fetch_optional(db)
    .await
}

/// The same by id.
pub async fn find_credentials_by_id(
    db: impl PgExecutor<'_>,
    user_id: i64,
) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_as!(
        Credentials,
        "SELECT id, username, password_hash, banned_at, banned_until, ban_reason
           FROM users
          WHERE id = $1",
        user_id,
    )
    .fetch_optional(db)
    .await
}

/// Whether somebody has this name, in any case.
pub async fn is_taken(db: impl PgExecutor<'_>, name_key: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM users WHERE name_key = $1) AS "taken!""#,
        name_key
    )
    .fetch_one(db)
    .await
}

/// Makes an account and gives its id. `users_name_key_key` is violated where the name is taken.
pub async fn insert(
    db: impl PgExecutor<'_>,
    username: &Username,
    email: Option<&Email>,
    password_hash: &str,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO users (username, name_key, email, password_hash, time_zone)
         VALUES ($1, $2, $3, $4, '')
         RETURNING id",
        username.as_str(),
        username.key(),
        email.map(Email::as_str),
        password_hash,
    )
    .fetch_one(db)
    .await
}

/// Sets an account's password; false if there is none, or it is an imported one.
pub async fn set_password(
    db: impl PgExecutor<'_>,
    user_id: i64,
    password_hash: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE users
            SET password_hash = $2
          WHERE id = $1
            AND NOT imported",
        user_id,
        password_hash,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Replaces the hash of a password that has not changed, unless it has changed meanwhile.
pub async fn replace_hash(
    db: impl PgExecutor<'_>,
    user_id: i64,
    old: &str,
    new: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users
            SET password_hash = $3
          WHERE id = $1
            AND password_hash = $2",
        user_id,
        old,
        new,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that someone is about, at most once a minute (S09).
pub async fn set_active(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users
            SET last_active_at = now()
          WHERE id = $1
            AND (last_active_at IS NULL OR last_active_at < now() - interval '1 minute')",
        user_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How someone wants the site to look and behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences<'a> {
    /// `system`, `light` or `dark`.
    pub theme: &'a str,
    /// Whether lists are dense.
    pub compact: bool,
    /// Whether single-key shortcuts are on.
    pub shortcuts: bool,
    /// IANA name of a time zone; empty is the browser's.
    pub time_zone: &'a str,
}

/// Keeps someone's preferences.
pub async fn set_preferences(
    db: impl PgExecutor<'_>,
    user_id: i64,
    chosen: &Preferences<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users
            SET theme = $2, compact = $3, shortcuts = $4, time_zone = $5
          WHERE id = $1",
        user_id,
        chosen.theme,
        chosen.compact,
        chosen.shortcuts,
        chosen.time_zone,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps someone's theme.
pub async fn set_theme(db: impl PgExecutor<'_>, user_id: i64, theme: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE users SET theme = $2 WHERE id = $1", user_id, theme)
        .execute(db)
        .await?;
    Ok(())
}

/// What someone says about themselves, as typed.
pub async fn find_about(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT source FROM user_bodies WHERE user_id = $1", user_id)
        .fetch_optional(db)
        .await
}

/// Keeps what someone says about themselves.
pub async fn set_about(
    db: impl PgExecutor<'_>,
    user_id: i64,
    source: &str,
    html: &str,
    renderer: i16,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO user_bodies (user_id, source, html, renderer)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO UPDATE
            SET source = excluded.source, html = excluded.html, renderer = excluded.renderer",
        user_id,
        source,
        html,
        renderer,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps the hash of the one-time secret in the place of any older one.
pub async fn set_setup_token(db: impl PgExecutor<'_>, token_hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO setup_tokens (token_hash)
         VALUES ($1)
         ON CONFLICT (singleton) DO UPDATE
            SET token_hash = excluded.token_hash, created_at = now()",
        token_hash,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The hash of the one-time secret, if one is waiting.
pub async fn find_setup_token(db: impl PgExecutor<'_>) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("SELECT token_hash FROM setup_tokens")
        .fetch_optional(db)
        .await
}

/// The same, and nobody else gets it before this transaction ends.
pub async fn lock_setup_token(db: impl PgExecutor<'_>) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("SELECT token_hash FROM setup_tokens FOR UPDATE")
        .fetch_optional(db)
        .await
}

/// Makes the one-time secret worthless.
pub async fn delete_setup_token(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM setup_tokens").execute(db).await?;
    Ok(())
}
