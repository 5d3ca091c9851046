//! `betternews db url`: for sqlx-cli and psql. Must not know tables.

use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};

use super::say;
use crate::{config::Config, platform::process::home::Home};

/// About the database.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the database's URL: `psql "$(betternews db url)"`.
    ///
    /// The embedded database answers there while the site, or another command, runs.
    Url,
}

/// Prints what was asked for.
pub(super) fn run(command: &Command, config: &Config) -> anyhow::Result<()> {
    let Command::Url = command;
    let url: SecretString = match &config.databases.database_url {
        Some(url) => url.clone(),
        None => crate::platform::db::embedded::url(&Home::settle(&config.databases.data_dir)?),
    };
    say(url.expose_secret());
    Ok(())
}
