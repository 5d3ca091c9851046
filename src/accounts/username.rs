//! What a user name may be. Must not know whether it is taken: the database settles that.

use std::fmt;

/// A user name of the form that new accounts have: 2 to 30 of `A-Z a-z 0-9 - _` (imported ones may be longer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

/// Shortest and longest name of a new account, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 2..=30;

/// Names that would pass for the site itself, for a role, or for nobody (RFC 2142 names the mailboxes among them).
/// They are refused at `/signup`; the operator, who has the terminal, may use them.
const RESERVED: [&str; 52] = [
    "abuse",
    "account",
    "accounts",
    "admin",
    "administrator",
    "all",
    "anonymous",
    "api",
    "betternews",
    "bot",
    "contact",
    "deleted",
    "everyone",
    "guest",
    "help",
    "hostmaster",
    "inbox",
    "info",
    "login",
    "logout",
    "me",
    "mod",
    "moderation",
    "moderator",
    "moderators",
    "mods",
    "new",
    "news",
    "no-reply",
    "nobody",
    "noreply",
    "null",
    "official",
    "operator",
    "owner",
    "postmaster",
    "root",
    "security",
    "settings",
    "setup",
    "signup",
    "staff",
    "superuser",
    "support",
    "sysadmin",
    "system",
    "team",
    "undefined",
    "user",
    "users",
    "webmaster",
    "you",
];

impl Username {
    /// Reads a name as typed, blanks around it left out.
    ///
    /// # Errors
    /// A sentence for the person, when it has another form.
    pub fn parse(typed: &str) -> Result<Self, &'static str> {
        let name = typed.trim();
        if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        {
            return Err("A user name holds letters (a to z), digits, - and _ only.");
        }
        match name.len() {
            0 => Err("Choose a user name."),
            length if length < *LENGTH.start() => Err("A user name has at least 2 characters."),
            length if length > *LENGTH.end() => Err("A user name has at most 30 characters."),
            _ => Ok(Self(name.to_owned())),
        }
    }

    /// Whether it is kept for the site, in any mixture of cases.
    pub fn is_reserved(&self) -> bool {
        RESERVED.binary_search(&self.key().as_str()).is_ok()
    }

    /// What must be unique: the name without its case (`users.name_key`).
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The name as typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_reserved_names_are_sorted_for_their_search() {
        assert!(RESERVED.is_sorted());
        for name in ["Admin", "ROOT", "you", "abuse"] {
            assert!(
                Username::parse(name).expect("well formed").is_reserved(),
                "{name}"
            );
        }
        assert!(!Username::parse("alice").expect("well formed").is_reserved());
    }

    #[test]
    fn only_its_form_is_taken() {
        for good in ["al", " alice ", "A-l_1", &"x".repeat(30)] {
            assert!(Username::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            &"x".repeat(31),
            "al ice",
            "älice",
            "alice#",
            "a/b",
            "а1",
        ] {
            assert!(Username::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_fits_the_table(typed in ".*") {
            if let Ok(name) = Username::parse(&typed) {
                prop_assert!(LENGTH.contains(&name.as_str().len()));
                prop_assert_eq!(name.key(), name.as_str().to_lowercase());
            }
        }
    }
}
