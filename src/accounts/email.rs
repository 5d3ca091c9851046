//! What an e-mail address may be. Must not know whether another account has it: that is told to nobody.

use validator::ValidateEmail;

/// An address that could be written to (the form that HTML's `type=email` takes), at most 254 characters (RFC 5321,
/// section 4.5.3.1.3, less the angle brackets).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

/// Longest address, in characters.
const LENGTH_MAX: usize = 254;

impl Email {
    /// Reads what was typed; nothing but blanks is no address, and fine.
    ///
    /// # Errors
    /// A sentence for the person, when it is no address.
    pub fn parse_optional(typed: &str) -> Result<Option<Self>, &'static str> {
        let address = typed.trim();
        if address.is_empty() {
            return Ok(None);
        }
        if address.len() > LENGTH_MAX || !address.validate_email() {
            return Err("This does not look like an e-mail address. You may also leave it empty.");
        }
        Ok(Some(Self(address.to_owned())))
    }

    /// The address as typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_fine_and_nonsense_is_not() {
        assert_eq!(Email::parse_optional("  "), Ok(None));
        assert!(
            matches!(Email::parse_optional(" a@example.org "), Ok(Some(e)) if e.as_str() == "a@example.org")
        );
        for bad in [
            "a",
            "a@",
            "@b",
            "a b@example.org",
            &format!("{}@example.org", "a".repeat(250)),
        ] {
            assert!(Email::parse_optional(bad).is_err(), "{bad}");
        }
    }
}
