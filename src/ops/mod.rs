//! What probes and operators call. Must not know news.

pub mod cache; // what is cached, and dropping it
mod deeds; // what an operator did, written down
pub mod dependencies; // what is called outside, and steering it
pub mod health; // is it alive, ready, well?
mod labels; // what routes are counted under
pub mod listener; // the operators' own port
pub mod metrics; // what was counted
mod prometheus; // the same as text
pub mod tell; // operators learn of changes of health
