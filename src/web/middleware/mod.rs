//! The stacks: which middleware a request passes, in which order, and why. Must not know routes.
//!
//! From the outside in, as `app/stack.rs` composes them (actix runs the last `wrap` first):
//!
//! | middleware | why there |
//! |---|---|
//! | probes (`ops`) | answer even when everything below is in trouble; no session, no limit, no log line |
//! | [`context`] | id, address and start belong to every line and every answer below |
//! | [`headers`] | security headers stand on every answer, errors and refusals included |
//! | [`record`] | one line, one count and one record a request, with its final status, kept pages included |
//! | [`limit`] | the cheap limit by address, before all that costs anything |
//! | [`page_cache`] | guests' kept pages end the way here; what it keeps is what everything below has made |
//! | span (`tracing-actix-web`, [`log::RequestSpan`]) | what is logged below says for which request |
//! | [`compress`] | what is rendered below leaves compressed, unless it is to be kept: then it is compressed above, once |
//! | [`boundary`] | turns every bare error below it into a page or an envelope |
//! | session, identity | read the cookie; a guest costs nothing |
//! | viewer (`accounts`) | who that is and what they may do, in one query |
//! | [`condition`] | guests are kept out of what is for members |
//! | [`guard`], on each route | access, limits by class, body, token, deadline, panic |
//! | [`circuit`], on some routes | within the guard, so that only who may ask is counted |
//!
//! A middleware never answers with `Err`: that would skip the ones outside it, and an error would go out without its
//! headers. It short-circuits with an `Ok` response.

pub mod boundary;
pub mod circuit;
pub mod compress;
pub mod condition;
pub mod context;
pub mod guard;
pub mod headers;
pub mod limit;
pub mod log;
pub mod page_cache;
pub mod record;
