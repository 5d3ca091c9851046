//! Notifications (S38): letters to people, in text and HTML. They are queued as jobs by whoever has a reason to write
//! one; the job fills in a [`Letter`] and hands it to the [`Mailer`]. Must not know those reasons.

mod letter;
pub mod mail;

pub use letter::{Action, Letter};
pub use mail::{Mailer, SendError, Sent};
