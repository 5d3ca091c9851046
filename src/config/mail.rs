//! How mail leaves: `SMTP_URL` and `MAIL_FROM`. Must not know what is sent.

use lettre::{AsyncSmtpTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

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
            smtp_url: smtp_url(r),
            from: r.optional(
                "MAIL_FROM",
                "an address, such as BetterNews <news@example.org>",
            ),
        }
    }
}

/// The mail server's URL, if mail can be handed over by it: what comes after the scheme is read too.
fn smtp_url(r: &mut Reader<impl Fn(&str) -> Option<String>>) -> Option<SecretString> {
    let url = r.secret_url("SMTP_URL", &["smtp", "smtps"])?;
    if AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret()).is_err() {
        r.problem(
            "SMTP_URL",
            "must name a mail server, such as smtps://user:password@host or smtp://host:587?tls=required",
        );
        return None;
    }
    Some(url)
}
