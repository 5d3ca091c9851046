//! Mail by SMTP, or into an outbox that a developer can read. Must not know what is written, or why.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::PoolConfig,
};
use secrecy::{ExposeSecret, SecretString};
use tracing::{Instrument, field::Empty};

use super::Letter;
use crate::platform::resilience::{
    bulkhead::{self, Priority},
    call::{CallError, Dependency},
    retry::{Blame, Fault},
    rules::{self, Rules},
};

/// Time for one exchange with the mail server.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections to the mail server at most.
const CONNECTIONS: u32 = 3;
/// Letters kept in the outbox; older ones are forgotten.
const OUTBOX_MAX: usize = 100;

/// Where letters go.
#[derive(Clone, Debug)]
pub enum Way {
    /// To the mail server of this URL (`smtps://user:password@host`, `smtp://host:587?tls=required`).
    Smtp(SecretString),
    /// Nowhere: they are kept to be read in the console of a development site.
    Outbox,
    /// Nowhere: mail is not set up, and whoever would need it is told so.
    Off,
}

/// Why a letter did not leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It cannot be sent at all: mail is off, the address is none, or the server refused this recipient or this content.
    #[error("{0}")]
    Never(String),
    /// It may leave later: the server is away or busy, or does not want us, which an operator can mend.
    #[error("{0}")]
    Later(String),
}

impl From<SendError> for crate::platform::jobs::Failure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Never(sentence) => Self::never(sentence),
            SendError::Later(sentence) => Self::again(sentence),
        }
    }
}

/// A letter in the outbox.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When it was written.
    pub at: DateTime<Utc>,
    /// To whom.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its plain text.
    pub text: String,
}

/// The name of the mail server among the dependencies.
pub const DEPENDENCY: &str = "mail";

/// Its rules: one exchange takes longer than a page, and the job tries again, not the call.
pub fn rules() -> Rules {
    Rules {
        bulkhead: bulkhead::Size {
            running: CONNECTIONS as usize,
            ..bulkhead::Size::default()
        },
        timeout: rules::Limits {
            attempt: PATIENCE * 2,
            total: PATIENCE * 2,
        },
        ..Rules::default()
    }
}

impl Fault for SendError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Later(_))
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Never(_) => Blame::Nobody,
            Self::Later(_) => Blame::Dependency,
        }
    }
}

enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Outbox(Mutex<VecDeque<Sent>>),
    Off,
}

/// A cloneable handle to the way out.
#[derive(Clone)]
pub struct Mailer {
    transport: Arc<Transport>,
    from: Mailbox,
    dependency: Option<Dependency>,
}

impl Mailer {
    /// A mailer that writes as `from`; nothing is connected before the first letter.
    ///
    /// # Errors
    /// When the URL is none that SMTP knows; it is not repeated.
    pub fn new(way: &Way, from: Mailbox) -> Result<Self, SendError> {
        let transport = match way {
            Way::Smtp(url) => Transport::Smtp(
                AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
                    .map_err(|_| {
                        SendError::Never("the address of the mail server cannot be read".into())
                    })?
                    .timeout(Some(PATIENCE))
                    .pool_config(PoolConfig::new().max_size(CONNECTIONS))
                    .build(),
            ),
            Way::Outbox => Transport::Outbox(Mutex::default()),
            Way::Off => Transport::Off,
        };
        Ok(Self {
            transport: Arc::new(transport),
            from,
            dependency: None,
        })
    }

    /// The same, its letters leaving by way of this dependency (S22).
    #[must_use]
    pub fn guarded_by(self, dependency: Dependency) -> Self {
        Self {
            dependency: Some(dependency),
            ..self
        }
    }

    /// Whether letters leave, if only into the outbox.
    pub fn is_on(&self) -> bool {
        !matches!(*self.transport, Transport::Off)
    }

    /// Sends a letter to an address.
    ///
    /// # Errors
    /// Why it did not leave, and whether trying again may help.
    pub async fn send(&self, to: &str, letter: &Letter) -> Result<(), SendError> {
        let never = |what: &str| SendError::Never(what.to_owned());
        let mailbox: Mailbox = to
            .parse()
            .map_err(|_| never("the address cannot be written to"))?;
        match &*self.transport {
            Transport::Off => Err(never("mail is not set up: SMTP_URL is not set")),
            Transport::Outbox(letters) => {
                tracing::info!(
                    mail.to = to,
                    mail.subject = letter.subject,
                    mail.text = letter.text,
                    "mail kept in the outbox"
                );
                let mut letters = letters.lock().unwrap_or_else(PoisonError::into_inner);
                letters.truncate(OUTBOX_MAX - 1);
                letters.push_front(Sent {
                    at: Utc::now(),
                    to: to.to_owned(),
                    subject: letter.subject.clone(),
                    text: letter.text.clone(),
                });
                Ok(())
            }
            Transport::Smtp(smtp) => {
                let message = Message::builder()
                    .from(self.from.clone())
                    .to(mailbox)
                    .subject(letter.subject.as_str())
                    // RFC 3834: no vacation programs, please.
                    .header(AutoSubmitted)
                    .multipart(MultiPart::alternative_plain_html(
                        letter.text.clone(),
                        letter.html.clone(),
                    ))
                    .map_err(|e| SendError::Never(e.to_string()))?;
                let Some(dependency) = &self.dependency else {
                    return Self::hand_over(smtp, message).await;
                };
                // A letter that may have left is not sent twice within one attempt of its job.
                let call = dependency.call("a letter").priority(Priority::Low).once();
                call.run(|| Self::hand_over(smtp, message.clone()))
                    .await
                    .map_err(|error| match error {
                        CallError::Failed(error) => error,
                        other => SendError::Later(other.to_string()),
                    })
            }
        }
    }

    /// The one place where mail leaves the process.
    async fn hand_over(
        smtp: &AsyncSmtpTransport<Tokio1Executor>,
        message: Message,
    ) -> Result<(), SendError> {
        let span = tracing::debug_span!("smtp", otel.kind = "client", otel.status_code = Empty);
        let sending = smtp.send(message).instrument(span.clone());
        let outcome = tokio::time::timeout(PATIENCE * 2, sending).await;
        if !matches!(outcome, Ok(Ok(_))) {
            span.record("otel.status_code", "ERROR");
        }
        match outcome {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let sentence = error.to_string();
                let refuses = |code| is_about_the_letter(u16::from(code), &sentence);
                Err(if error.status().is_some_and(refuses) {
                    SendError::Never(sentence)
                } else {
                    SendError::Later(sentence)
                })
            }
            Err(_) => Err(SendError::Later(
                "the mail server did not answer in time".into(),
            )),
        }
    }

    /// The letters in the outbox, newest first; `None` where there is no outbox.
    pub fn outbox(&self) -> Option<Vec<Sent>> {
        match &*self.transport {
            Transport::Outbox(letters) => Some(
                letters
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .iter()
                    .cloned()
                    .collect(),
            ),
            _ => None,
        }
    }

    /// Asks the mail server whether it is there; `None` where there is none to ask.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn probe(&self) -> Option<Result<(), SendError>> {
        let Transport::Smtp(smtp) = &*self.transport else {
            return None;
        };
        Some(match smtp.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(SendError::Later("the mail server does not answer".into())),
            Err(error) => Err(SendError::Later(error.to_string())),
        })
    }
}

/// Whether an answer refuses this recipient or this content for good, and not us: then every other letter would be refused
/// too (RFC 5321, 4.2.3; RFC 4954, 6, for authentication; RFC 3463 for the longer codes in the text). Servers that will not
/// relay say so in words, under the codes of unknown recipients.
fn is_about_the_letter(code: u16, text: &str) -> bool {
    const ABOUT_US: [&str; 7] = [
        "relay",
        "authenti",
        "not logged in",
        "log in",
        "5.1.7 ", // the sender's address
        "5.1.8 ", // the sender's system
        "5.7.0 ", // security in general
    ];
    let text = text.to_ascii_lowercase();
    matches!(code, 550..=554 | 556) && !ABOUT_US.iter().any(|sign| text.contains(sign))
}

/// `Auto-Submitted: auto-generated` (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s38_only_a_refused_recipient_or_content_is_final() {
        for (code, text) in [
            (550, "5.1.1 <nobody@example.org>: no such user here"),
            (551, "user not local"),
            (552, "5.2.2 mailbox full"),
            (553, "5.1.3 bad recipient address syntax"),
            (554, "5.7.1 message content rejected as spam"),
            (556, "5.1.10 recipient address has null MX"),
        ] {
            assert!(is_about_the_letter(code, text), "{code} {text}");
        }
        for (code, text) in [
            (421, "4.3.2 shutting down"),
            (451, "4.7.1 greylisted"),
            (502, "command not implemented"),
            (521, "host does not accept mail"),
            (530, "5.7.0 authentication required"),
            (534, "5.7.9 authentication mechanism is too weak"),
            (535, "5.7.8 username and password not accepted"),
            (538, "encryption required"),
            (550, "5.7.1 Unable to relay"),
            (550, "5.1.8 <us@example.org>: sender address rejected"),
            (
                553,
                "sorry, that domain is not in my list of allowed relays",
            ),
            (554, "5.7.1 <a@example.org>: Relay access denied"),
        ] {
            assert!(!is_about_the_letter(code, text), "{code} {text}");
        }
    }
}
