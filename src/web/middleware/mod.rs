//! The stacks: which middleware a request passes, in which order, and why. Must not know routes.
//!
//! `app/stack.rs` composes the stacks from lists of names. `web`, which everything on the site's port passes, from the
//! outside in:
//!
//! | middleware | why there |
//! |---|---|
//! | [`context`] | id, address and start belong to every line and every answer below; whatever panics below is an answer all the same |
//! | [`headers`] | security headers stand on every answer: errors, refusals and probes too |
//! | probes (`ops`) | answer even when everything below is in trouble; no session, no limit, no log line |
//! | [`record`] | one line, one count and one record a request, with its final status, kept pages included |
//! | [`cors`] | on `/api` alone, where origins are allowed: a page over there can read refusals, too |
//! | [`limit`] | the cheap limit by address, before all that costs anything |
//! | [`page_cache`] | guests' kept pages end the way here; what it keeps is what everything below has made |
//! | span (`tracing-actix-web`, [`log::RequestSpan`]) | what is logged below says for which request |
//! | [`compress`] | what is rendered below leaves compressed, unless it is to be kept: then it is compressed above, once |
//! | [`boundary`] | turns every bare error below it into a page or an envelope |
//! | session, identity | read the cookie; a guest costs nothing |
//! | viewer (`accounts`) | who that is and what they may do, in one query |
//! | [`condition`] | guests are kept out of what is for members |
//! | [`guard`], on each route | access, limits by class, body, token, then the handler in the [`net`] |
//! | [`circuit`], on some routes | within the guard, so that only who may ask is counted |
//!
//! There is no stack of its own for `/api` or the console: what differs is decided by the path (envelope or page, CORS, a
//! token or a session) or by the route (`Access`), and one stack is one order to know. `ops` is the operators' own port:
//! context, headers, no forwarded request, probes, record, span, boundary; and the net on each route.
//!
//! Where this is not the order of SPEC S03, and why: the error boundary stands further in, since what it makes of an error
//! is compressed, logged and counted as any page is (a middleware outside of it answers by itself, and the outermost
//! catches panics); probes stand inside of metadata and security headers, which cost them nothing and belong on every
//! answer; the page cache stands outside of session and limits by class, since guests' pages need neither; and
//! invalidation is no layer: a handler invalidates after its commit, which a layer could not know of.
//!
//! A middleware never answers with `Err`: that would skip the ones outside it, and an error would go out without its
//! headers. It short-circuits with an `Ok` response.

pub mod boundary;
pub mod circuit;
pub mod compress;
pub mod condition;
pub mod context;
pub mod cors;
pub mod guard;
pub mod headers;
pub mod limit;
pub mod log;
pub mod net;
pub mod page_cache;
pub mod record;
