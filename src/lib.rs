//! BetterNews: self-hosted community news in one binary. This file is the map.
//!
//! # Layout
//!
//! ```text
//! config <- platform <- web <- accounts <- news <- admin <- routes <- app <- cli <- main
//!                              \--------- ops --------/
//! ```
//!
//! Each part may import what stands to its left, and nothing else; `ops` and `news` never import each other.
//! `tests/site/architecture.rs` holds it so.
//!
//! A slice (`news/posts`, `news/comments`, `accounts` …) holds, as needed: `model.rs` (its types), `queries.rs` (all its
//! SQL), `handlers.rs` (its pages), `views.rs` (the structs that templates are made of), and pure rules under their own
//! names (`rank.rs`, `tree.rs`). A page is a triple: `posts::handlers::show`, `posts::views::ShowPage`,
//! `templates/posts/show.html`.
//!
//! # A request's journey
//!
//! `app/stack.rs` draws the stack that it passes (the order and its reasons: [`web::middleware`]); [`routes`] names the handler
//! and who may call it; the handler calls queries on a [`platform::db::Conn`], fills a view, and answers with
//! [`web::render`]. A guest's page that is kept never gets that far: [`web::middleware::page_cache`] answers it. What goes
//! wrong is a [`web::error::Error`], which the boundary turns into a page, or on `/api` into
//! an envelope.
//!
//! # Invariants
//!
//! - **Architecture invariant:** no SQL outside `queries.rs` files and platform stores; every statement over permanent
//!   tables is checked by the compiler (`.sqlx/`).
//! - **Architecture invariant:** no HTML but from templates and from [`web::markup`], the one sanitiser.
//! - **Architecture invariant:** nothing but [`config`] reads the environment.
//! - **Architecture invariant:** no handler reads a body: the route's guard has read, cleaned, limited and checked it.
//! - No connection that was cut off in the middle of a query returns to the pool.
//! - A counter changes in the same transaction as what it counts; `betternews verify` recounts them all.
//! - A guest's page holds no token and nothing personal.
//! - Without Redis the site is degraded, never open.

pub mod accounts; // identity: getting in, roles, one's own settings
pub mod admin; // the console, one file a page
pub mod app; // the composition root
pub mod cli; // one file a subcommand
pub mod config; // the only reader of the environment
pub mod news; // the product, in vertical slices
pub mod ops; // what probes and operators call
pub mod platform; // mechanisms: databases, caches, limits, metrics, health, settings, events, shutdown; no HTTP, no news
pub mod routes; // every URL, its handler, and who may call it: the table of contents
pub mod web; // the HTTP shell: errors, forms, sessions, tokens, rendering, the stacks
