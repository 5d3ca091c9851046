//! SQL of the links that are sent by mail, and of addresses. Must not know what the letters say.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// What a mailed link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Proves that an address is its owner's.
    VerifyEmail,
    /// Lets its owner choose a new password.
    ResetPassword,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }

    /// How long the link works, in hours.
    pub const fn hours(self) -> i32 {
        match self {
            Self::VerifyEmail => 24,
            Self::ResetPassword => 1,
        }
    }
}

/// Whom a letter goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// The account.
    pub user_id: i64,
    /// Its name.
    pub username: String,
    /// The address.
    pub email: String,
}

/// Who has an address that still is to be proven, and which.
pub async fn find_unproven(
    db: impl PgExecutor<'_>,
    user_id: i64,
) -> sqlx::Result<Option<Addressee>> {
    sqlx::query_as!(
        Addressee,
        r#"SELECT id AS user_id, username, coalesce(email_pending, email) AS "email!"
             FROM users
            WHERE id = $1
              AND (email_pending IS NOT NULL OR (email IS NOT NULL AND email_verified_at IS NULL))"#,
        user_id,
    )
    .fetch_optional(db)
    .await
}

/// The account of this name (in any case) or proven address, if it has a proven address and is not an imported one.
pub async fn find_by_name_or_email(
    db: impl PgExecutor<'_>,
    typed: &str,
) -> sqlx::Result<Option<Addressee>> {
    sqlx::query_as!(
        Addressee,
        r#"SELECT id AS user_id, username, email AS "email!"
             FROM users
            WHERE (name_key = lower($1) OR lower(email) = lower($1))
              AND email IS NOT NULL
              AND email_verified_at IS NOT NULL
              AND NOT imported
            LIMIT 1"#,
        typed,
    )
    .fetch_optional(db)
    .await
}

/// The proven address of an account.
pub async fn find_proven(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Option<Addressee>> {
    sqlx::query_as!(
        Addressee,
        r#"SELECT id AS user_id, username, email AS "email!"
             FROM users
            WHERE id = $1
              AND email IS NOT NULL
              AND email_verified_at IS NOT NULL"#,
        user_id,
    )
    .fetch_optional(db)
    .await
}

/// Keeps the hash of a new link in the place of the account's older ones for the same purpose.
pub async fn replace_token(
    db: impl PgExecutor<'_>,
    to: &Addressee,
    purpose: Purpose,
    token_hash: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH older AS (
             DELETE FROM account_tokens
              WHERE user_id = $2
                AND purpose = $3)
         INSERT INTO account_tokens (token_hash, user_id, purpose, email, expires_at)
         VALUES ($1, $2, $3, $4, now() + make_interval(hours => $5))",
        token_hash,
        to.user_id,
        purpose.name(),
        to.email,
        purpose.hours(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether a link for this purpose that was made before `asked_at` is younger than two minutes: nobody's mailbox is to be
/// flooded.
pub async fn has_fresh_token(
    db: impl PgExecutor<'_>,
    user_id: i64,
    purpose: Purpose,
    asked_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1
                 FROM account_tokens
                WHERE user_id = $1
                  AND purpose = $2
                  AND created_at > now() - interval '2 minutes'
                  AND created_at < $3) AS "fresh!""#,
        user_id,
        purpose.name(),
        asked_at,
    )
    .fetch_one(db)
    .await
}

/// Whose link this is, if it still works.
pub async fn find_token(
    db: impl PgExecutor<'_>,
    purpose: Purpose,
    token_hash: &[u8],
) -> sqlx::Result<Option<Addressee>> {
    sqlx::query_as!(
        Addressee,
        "SELECT t.user_id, u.username, t.email
           FROM account_tokens t
           JOIN users u ON u.id = t.user_id
          WHERE t.token_hash = $1
            AND t.purpose = $2
            AND t.expires_at > now()",
        token_hash,
        purpose.name(),
    )
    .fetch_optional(db)
    .await
}

/// Uses a link up: true for the one who was first.
pub async fn delete_token(
    db: impl PgExecutor<'_>,
    purpose: Purpose,
    token_hash: &[u8],
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM account_tokens
          WHERE token_hash = $1
            AND purpose = $2
            AND expires_at > now()",
        token_hash,
        purpose.name(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Makes all links of an account for one purpose worthless.
pub async fn delete_tokens(
    db: impl PgExecutor<'_>,
    user_id: i64,
    purpose: Purpose,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM account_tokens WHERE user_id = $1 AND purpose = $2",
        user_id,
        purpose.name()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes links that have run out.
pub async fn delete_old_tokens(db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM account_tokens WHERE expires_at < now()")
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}

/// Where mail for an account goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The address in force.
    pub email: Option<String>,
    /// Whether it is proven.
    pub is_verified: bool,
    /// The one that is to take its place once it is proven.
    pub pending: Option<String>,
}

/// The addresses of an account.
pub async fn get_addresses(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Addresses> {
    sqlx::query_as!(
        Addresses,
        r#"SELECT email, email_verified_at IS NOT NULL AS "is_verified!", email_pending AS pending
             FROM users
            WHERE id = $1"#,
        user_id,
    )
    .fetch_one(db)
    .await
}

/// Takes a new address: beside a proven one, or in the place of one that never was.
pub async fn set_address(db: impl PgExecutor<'_>, user_id: i64, address: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users
            SET email_pending = CASE WHEN email_verified_at IS NOT NULL THEN $2 END,
                email = CASE WHEN email_verified_at IS NOT NULL THEN email ELSE $2 END
          WHERE id = $1",
        user_id,
        address,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets every address of an account.
pub async fn delete_addresses(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users
            SET email = NULL, email_verified_at = NULL, email_pending = NULL
          WHERE id = $1",
        user_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that an address is proven; false where the account wants another by now. `users_email_key` is violated where
/// another account has proven it.
pub async fn set_verified(
    db: impl PgExecutor<'_>,
    user_id: i64,
    address: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE users
            SET email = $2, email_verified_at = now(), email_pending = NULL
          WHERE id = $1
            AND coalesce(email_pending, email) = $2",
        user_id,
        address,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}
