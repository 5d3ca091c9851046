//! Notifications (S38): letters to people, in text and HTML, and lines of text to where operators talk. Letters are queued as jobs by whoever has a reason to write
//! one; the job writes a [`Letter`] and hands it to the [`Mailer`]. Must not know those reasons, nor how letters look.

pub mod mail;
pub mod webhook;

pub use mail::{Mailer, SendError, Sent};
pub use webhook::Webhook;

/// A letter, ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The subject; one line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}
