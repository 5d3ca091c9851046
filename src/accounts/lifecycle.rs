//! The life of an account as events of its stream (S37): made, address confirmed. Must not know pages, nor the address.

use serde_json::json;

use super::standing;
use crate::{platform::db::Conn, web::error::Error};

/// The account was made: `{}`.
pub const USER_SIGNED_UP: &str = "UserSignedUp";
/// An address of the account was confirmed, which one is not told: `{}`.
pub const EMAIL_VERIFIED: &str = "EmailVerified";

/// Notes that an account was made, by its owner (`actor`), or at the terminal; inside the caller's transaction.
///
/// # Errors
/// What the database said.
pub async fn signed_up(
    conn: &mut Conn,
    user_id: i64,
    actor: Option<i64>,
    request_id: &str,
) -> Result<(), Error> {
    let meta = standing::meta(actor, request_id);
    standing::append(conn, user_id, USER_SIGNED_UP, json!({}), meta).await
}

/// Notes that the owner of an account has confirmed its address; inside the caller's transaction.
///
/// # Errors
/// [`Error::Conflict`] if the account changes at the same time.
pub async fn email_verified(conn: &mut Conn, user_id: i64, request_id: &str) -> Result<(), Error> {
    let meta = standing::meta(Some(user_id), request_id);
    standing::append(conn, user_id, EMAIL_VERIFIED, json!({}), meta).await
}
