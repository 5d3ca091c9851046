//! BetterNews
pub mod accounts;
pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod news;
pub mod ops;
pub mod platform;
pub mod routes;
pub mod web;
