//! How mail leaves: `SMTP_URL` and `MAIL_FROM`. Must not know what is sent.

use secrecy::SecretString;

use super::Reader;

/// Outgoing mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Where mail is handed over, with its credentials; unset: none leaves. `SMTP_URL`
    pub smtp_url: Option<SecretString>,
    /// Whom it comes from, as `Name <address>`; unset: the site's name and `noreply@` its host. `MAIL_FROM`
    pub from: Option<lettre::message::Mailbox>,
}

impl Mail {
    pub(super) fn read(r: &mut Reader<impl Fn(&str) -> Option<String>>) -> Self {
        Self {
            smtp_url: r.secret_url("SMTP_URL", &["smtp", "smtps"]),
            from: r.optional(
                "MAIL_FROM",
                "an address, such as BetterNews <news@example.org>",
            ),
        }
    }
}
