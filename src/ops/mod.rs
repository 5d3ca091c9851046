//! What probes and operators call. Must not know news.

pub mod health; // is it alive, ready, well?
