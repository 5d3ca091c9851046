//! What a new account is made from, with every rule that does not need the database. Must not know which form it came by.

use super::{email::Email, password::NewPassword, username::Username};
use crate::web::{error::violated, form::FormErrors};

/// A name, perhaps an address, and a password that keep the rules.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The name; whether it is free is the database's to say.
    pub username: Username,
    /// The address, if one was given.
    pub email: Option<Email>,
    /// The password.
    pub password: NewPassword,
}

impl NewAccount {
    /// Reads what was typed.
    ///
    /// # Errors
    /// All that is wrong with it, by the fields `username`, `email` and `password`.
    pub fn parse(
        username: &str,
        email: &str,
        password: &str,
        site_name: &str,
    ) -> Result<Self, FormErrors> {
        let mut errors = FormErrors::default();
        let name = Username::parse(username)
            .map_err(|sentence| errors.add("username", "format", sentence));
        let address = Email::parse_optional(email)
            .map_err(|sentence| errors.add("email", "format", sentence));
        let secret = NewPassword::parse(password, &[username, email, site_name])
            .map_err(|sentence| errors.add("password", "strength", sentence));
        match (name, address, secret) {
            (Ok(username), Ok(email), Ok(password)) => Ok(Self {
                username,
                email,
                password,
            }),
            _ => Err(errors),
        }
    }
}

/// The sentence for a name that somebody has, or that is kept for the site.
pub const TAKEN: &str = "This name is taken. Choose another.";

/// Whether an insert failed because somebody has the name, in whatever mixture of cases.
pub fn is_taken(error: &sqlx::Error) -> bool {
    matches!(
        violated(error),
        Some("users_name_key_key" | "users_username_key")
    )
}
