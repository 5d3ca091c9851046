//! Keys of programs (P08, S10): opaque, shown once, kept as a hash, ended at once. Must not know which endpoints there
//! are.

pub mod queries;

use crate::{
    platform::db::Conn,
    web::{
        signing::{random_token, token_hash},
        viewer::Scope,
    },
};

pub use queries::{New, Row};

/// What every key begins with, so that scanners for leaked secrets know one.
const PREFIX: &str = "bn_";

/// The feature flag of whom keys are for.
pub const FLAG: &str = "api_tokens";

/// Keys that one account can have.
pub const MOST: usize = 50;
/// Longest name, in characters.
pub const NAME_MAX: usize = 60;

/// Makes a key and gives it; it is not to be had again.
///
/// # Errors
/// What the database said.
pub async fn make(conn: &mut Conn, user_id: i64, new: &New<'_>) -> sqlx::Result<String> {
    let token = format!("{PREFIX}{}", random_token(32));
    queries::insert(conn, user_id, &token_hash(&token), new).await?;
    Ok(token)
}

/// The scopes of these names; unknown ones are left out.
pub fn scopes(names: &[String]) -> Vec<Scope> {
    Scope::ALL
        .into_iter()
        .filter(|scope| names.iter().any(|name| name == scope.name()))
        .collect()
}
