//! The one-time secret that makes the first administrator. Must not know pages, nor where the link is shown.

use subtle::ConstantTimeEq;

use super::{
    lifecycle,
    new_account::{self, NewAccount},
    queries,
    standing::{
        self,
        roles::{self, ADMIN, Change},
    },
};
use crate::{
    platform::db::{Conn, Db},
    web::{
        error::Error,
        signing::{random_token, token_hash},
    },
};

/// Makes a new secret while there is no administrator, in the place of any older one, and gives it; only its hash is
/// kept. `None` once there is an administrator. `betternews serve` calls this at every start, and prints
/// `/setup?token=…`.
///
/// # Errors
/// What the database said.
pub async fn ensure(db: &Db) -> sqlx::Result<Option<String>> {
    let mut conn = db.conn().await?;
    if standing::queries::count_holders(&mut conn, ADMIN).await? > 0 {
        queries::delete_setup_token(&mut conn).await?;
        return Ok(None);
    }
    let token = random_token(32);
    queries::set_setup_token(&mut conn, &token_hash(&token)).await?;
    Ok(Some(token))
}

/// Whether `token` is the secret that is waiting.
///
/// # Errors
/// What the database said.
pub async fn is_waiting(db: &Db, token: &str) -> sqlx::Result<bool> {
    let stored = queries::find_setup_token(&mut db.conn().await?).await?;
    Ok(matches(stored.as_deref(), token))
}

fn matches(stored: Option<&[u8]>, token: &str) -> bool {
    stored.is_some_and(|stored| stored.ct_eq(&token_hash(token)).into())
}

/// What came of trying to use the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// There is an administrator now, with this id.
    Made(i64),
    /// The secret is not (or no longer) the one that is waiting.
    Stale,
    /// Somebody has this name already; the transaction is to be rolled back.
    Taken,
}

/// Uses the secret up and makes the administrator, inside the caller's transaction.
///
/// # Errors
/// What the database said.
pub async fn redeem(
    conn: &mut Conn,
    token: &str,
    account: &NewAccount,
    password_hash: &str,
    request_id: &str,
) -> Result<Redeemed, Error> {
    let stored = queries::lock_setup_token(&mut *conn).await?;
    if !matches(stored.as_deref(), token) {
        return Ok(Redeemed::Stale);
    }
    let user_id = match queries::insert(
        &mut *conn,
        &account.username,
        account.email.as_ref(),
        password_hash,
    )
    .await
    {
        Ok(id) => id,
        Err(error) if new_account::is_taken(&error) => return Ok(Redeemed::Taken),
        Err(error) => return Err(error.into()),
    };
    lifecycle::signed_up(conn, user_id, Some(user_id), request_id).await?;
    let change = Change {
        actor: None,
        reason: "the first administrator, by the one-time link",
        request_id,
    };
    roles::grant(conn, user_id, ADMIN, change).await?;
    queries::delete_setup_token(conn).await?;
    Ok(Redeemed::Made(user_id))
}
