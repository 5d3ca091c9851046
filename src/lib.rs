//! BetterNews
pub mod config;
pub mod platform;
pub mod web;
