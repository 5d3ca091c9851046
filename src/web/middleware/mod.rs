//! The stacks: which middleware a request passes, in which order, and why. Must not know routes.
//!
//! From the outside in, as `app.rs` composes them (actix runs the last `wrap` first):
//!
//! | middleware | why there |
//! |---|---|
//! | probes (`ops`) | answer even when everything below is in trouble; no session, no limit, no log line |
//! | [`context`] | id, address and start belong to every line and every answer below |
//! | log (`tracing-actix-web`, [`log::RequestSpan`]) | one span and one line a request, with its final status |
//! | [`headers`] | security headers stand on every answer, errors and refusals included |
//! | [`limit`] | the cheap limit by address, before all that costs anything |
//! | [`compress`] | what is rendered below leaves compressed |
//! | [`boundary`] | turns every bare error below it into a page or an envelope |
//! | session, identity | read the cookie; a guest costs nothing |
//! | viewer (`accounts`) | who that is and what they may do, in one query |
//! | [`condition`] | guests are kept out of what is for members |
//! | [`guard`], on each route | access, limits by class, body, token, deadline, panic |
//!
//! A middleware never answers with `Err`: that would skip the ones outside it, and an error would go out without its
//! headers. It short-circuits with an `Ok` response.

pub mod boundary;
pub mod compress;
pub mod condition;
pub mod context;
pub mod guard;
pub mod headers;
pub mod limit;
pub mod log;
