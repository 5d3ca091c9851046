//! `betternews config check`: whether the environment makes sense. Must not know how it is read.

use clap::Subcommand;

use super::say;
use crate::config::Config;

/// About the configuration.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Read the environment, tell all that is wrong at once, and show what is in force (secrets stay hidden).
    Check,
}

/// Shows the configuration; one that cannot be read has been refused before.
pub(super) fn run(command: &Command, config: &Config) {
    let Command::Check = command;
    say(&format!("{config:#?}"));
    for warning in &config.warnings {
        say(&format!("Warning: {warning}."));
    }
    say("The configuration is well formed.");
}
