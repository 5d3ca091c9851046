//! The HTTP shell: everything between a socket and a handler that is not about news. Must not know product tables.

pub mod activity;
pub mod assets;
pub mod cache;
pub mod chrome;
pub mod context;
pub mod cookies;
pub mod csrf;
pub mod encoding; // which codings a client takes
pub mod envelope;
pub mod error;
pub mod features; // what is on, for whom
pub mod flash;
pub mod form;
pub mod format;
pub mod letter; // how a letter looks
pub mod markup;
pub mod middleware;
pub mod page;
pub mod pages;
pub mod paging;
pub mod render;
pub mod sanitise;
pub mod session;
pub mod signing;
pub mod state;
pub mod viewer;
pub mod views;
