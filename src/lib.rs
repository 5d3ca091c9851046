//! BetterNews
pub mod config;
pub mod platform;
pub mod web;
pub mod accounts;
pub mod news;
pub mod admin;
pub mod ops;
pub mod routes;
pub mod app;
pub mod cli;
