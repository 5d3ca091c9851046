//! Passwords: which are taken, and how they are kept (argon2id, off the workers). Must not know accounts or requests.
//!
//! The rules are those of OWASP ASVS 5.0, 6.2: length counts, composition does not, the commonest are refused, and what
//! was typed is taken whole.

use std::{collections::HashSet, sync::LazyLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::web::error::Error;

/// Fewest characters of a new password.
const LENGTH_MIN: usize = 8;
/// Most bytes of a password, so that nobody has a megabyte hashed.
const BYTES_MAX: usize = 1_000;

/// Argon2id with 19 MiB, 2 passes, 1 lane (OWASP Password Storage Cheat Sheet): some 20 ms of one core.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A hash, by these parameters, of random bytes that nobody kept: checked where there is no account, so that the answer
/// takes the same time.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGtub3dzIGl0$ye1mc0JQyRIMtp7Ld8R5SDuwRMXBWgVHZvNXZwaDnkE";

/// The commonest passwords of eight characters and more, one a line, in lower case. Written down for this project from
/// what the yearly published lists of leaked passwords have in common; see the file.
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("common_passwords.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
});

/// Hashes made at once: the rest of the cores serve pages, and each takes 19 MiB.
static WORKING: Semaphore = Semaphore::const_new(2);
/// Hashes made or waited for; whoever comes when the queue is full is asked to come again (some 0.3 s of waiting).
static QUEUE: Semaphore = Semaphore::const_new(32);

/// A password that keeps the rules.
#[derive(Clone, Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Takes a new password, whole. `names` are words it must not consist of: the user's name, their address, the
    /// site's name.
    ///
    /// # Errors
    /// A sentence for the person.
    pub fn parse(typed: &str, names: &[&str]) -> Result<Self, &'static str> {
        if typed.is_empty() {
            return Err("Choose a password.");
        }
        if typed.chars().count() < LENGTH_MIN {
            return Err("A password has at least 8 characters.");
        }
        if typed.len() > BYTES_MAX {
            return Err("This password is too long: 1,000 bytes are the most.");
        }
        if is_guessable(typed, names) {
            return Err(
                "This password is one of the first that somebody would try. A few words in a row do well.",
            );
        }
        Ok(Self(typed.into()))
    }
}

/// Whether a password is among the commonest, is one character repeated, or is a name with little added to it.
fn is_guessable(password: &str, names: &[&str]) -> bool {
    let lower = password.to_lowercase();
    // `password123!`, `Password2026` and the like are tried right after `password`.
    let stem = lower.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    let mut chars = lower.chars();
    let first = chars.next();
    COMMON.contains(lower.as_str())
        || COMMON.contains(stem)
        || chars.all(|c| Some(c) == first)
        || names
            .iter()
            .map(|name| name.trim().to_lowercase())
            .any(|name| {
                !name.is_empty()
                    && (lower == name || stem == name || lower == format!("{name}{name}"))
            })
}

/// What came of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another password, or there is no account.
    Wrong,
    /// The right one.
    Right,
    /// The right one, but its hash was made with weaker parameters and should be made anew.
    RightButOld,
}

/// Hashes a new password with a salt of its own, off the workers; the text is a PHC string.
///
/// # Errors
/// [`Error::Unavailable`] when too many wait already.
pub async fn hash(password: NewPassword) -> Result<String, Error> {
    off_the_workers(move || make(password.0.expose_secret())).await?
}

/// Hashes again a password that has just proved right, whatever the rules for new ones are today.
///
/// # Errors
/// As [`hash`].
pub async fn rehash(password: SecretString) -> Result<String, Error> {
    off_the_workers(move || make(password.expose_secret())).await?
}

/// Compares a password with a stored hash, off the workers. `None` (no such account, or one without a password) takes
/// the same time and is always [`Verdict::Wrong`].
///
/// # Errors
/// [`Error::Unavailable`] when too many wait already.
pub async fn verify(password: SecretString, stored: Option<String>) -> Result<Verdict, Error> {
    off_the_workers(move || compare(password.expose_secret(), stored.as_deref())).await?
}

fn make(password: &str) -> Result<String, Error> {
    let hash = argon2().hash_password(password.as_bytes());
    Ok(hash
        .map_err(|e| Error::Internal(anyhow::anyhow!("argon2: {e}")))?
        .to_string())
}

fn compare(password: &str, stored: Option<&str>) -> Result<Verdict, Error> {
    // Nobody has a longer one, and none is cut short to be compared.
    let (password, too_long) = if password.len() > BYTES_MAX {
        ("", true)
    } else {
        (password, false)
    };
    let parsed = PasswordHash::new(stored.unwrap_or(NOBODY)).map_err(|e| {
        Error::Internal(anyhow::anyhow!(
            "a stored password hash cannot be read: {e}"
        ))
    })?;
    let right = argon2()
        .verify_password(password.as_bytes(), &parsed)
        .is_ok();
    Ok(if !right || too_long || stored.is_none() {
        Verdict::Wrong
    } else if is_weaker(&parsed) {
        Verdict::RightButOld
    } else {
        Verdict::Right
    })
}

fn is_weaker(hash: &PasswordHash) -> bool {
    let below = |name: &str, least: u32| {
        hash.params
            .get_decimal(name)
            .is_none_or(|value| value < least)
    };
    hash.algorithm.as_str() != "argon2id" || below("m", MEMORY_KIB) || below("t", PASSES)
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Runs `work` on a blocking thread, two at once. The permits go along, so that a request that is given up does not make
/// room for one more while its hash is still being made.
async fn off_the_workers<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let busy = || Error::Unavailable("too many passwords are being checked".into());
    let queued = QUEUE.try_acquire().map_err(|_| busy())?;
    let working = WORKING.acquire().await.map_err(|_| busy())?;
    spawn_blocking(move || {
        let _permits = (queued, working);
        work()
    })
    .await
    .map_err(|e| Error::Internal(e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(password: &str) -> bool {
        NewPassword::parse(password, &["alice", "BetterNews"]).is_ok()
    }

    #[test]
    fn length_counts_and_composition_does_not() {
        assert!(!taken("sevench"));
        assert!(taken("eightcha"));
        assert!(
            taken("alllowercasewords"),
            "no digit, no sign, no capital asked for"
        );
        assert!(taken(&"correct horse battery staple ".repeat(3)));
        assert!(taken("пароль-длинный"), "characters are counted, not bytes");
        assert!(!taken(&"ab".repeat(501)));
    }

    #[test]
    fn the_first_guesses_are_refused() {
        for bad in [
            "password",
            "PassWord",
            "password123",
            "Password2026!",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "aaaaaaaa",
            "alice123",
            "AliceAlice",
            "betternews",
            "betternews2026",
        ] {
            assert!(!taken(bad), "{bad}");
        }
    }

    #[test]
    fn the_list_holds_only_what_the_length_lets_through() {
        assert!(COMMON.len() >= 300, "{} passwords", COMMON.len());
        for common in COMMON.iter() {
            assert!(
                common.chars().count() >= LENGTH_MIN,
                "{common} is too short to be taken anyway"
            );
            assert_eq!(common.to_lowercase(), **common);
        }
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_whole() {
        let password = "a\0 very secret one \u{202E}";
        let stored = hash(NewPassword(password.into())).await.expect("hashed");
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        let verdict = async |typed: &str| {
            verify(typed.into(), Some(stored.clone()))
                .await
                .expect("compared")
        };
        assert_eq!(verdict(password).await, Verdict::Right);
        assert_eq!(
            verdict(password.trim_end_matches('\u{202E}')).await,
            Verdict::Wrong
        );
        assert_eq!(verdict("").await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn without_an_account_every_password_is_wrong_and_costs_as_much() {
        let parsed = PasswordHash::new(NOBODY).expect("readable");
        assert!(!is_weaker(&parsed), "made with today's parameters");
        assert_eq!(
            verify("anything".into(), None).await.expect("compared"),
            Verdict::Wrong
        );
    }

    #[test]
    fn an_old_hash_is_to_be_made_anew() {
        let old = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8_192, 1, 1, None).expect("valid"),
        );
        let stored = old
            .hash_password(b"some password")
            .expect("hashed")
            .to_string();
        assert_eq!(
            compare("some password", Some(&stored)).expect("compared"),
            Verdict::RightButOld
        );
        assert_eq!(
            compare("another", Some(&stored)).expect("compared"),
            Verdict::Wrong
        );
    }
}
