//! `betternews events`: what follows from the events, made anew. Must not know what the events mean.

use clap::Subcommand;

use super::say;
use crate::{news::moderation::rebuild, platform::db::Db};

/// About the events.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Make the moderation log, bans and roles anew from the events, and say what differed.
    Rebuild,
}

pub(super) async fn run(command: &Command, db: &Db) -> anyhow::Result<()> {
    match command {
        Command::Rebuild => {
            let mut connection = db.dedicated().await?;
            let rebuilt = rebuild::rebuild(&mut connection).await?;
            let found = if rebuilt.is_clean() {
                "everything was as they tell".to_owned()
            } else {
                format!(
                    "put right: {} rows of the moderation log, {} bans, {} roles",
                    rebuilt.log_rows, rebuilt.bans, rebuilt.roles
                )
            };
            say(&format!("{} events read; {found}.", rebuilt.events));
            Ok(())
        }
    }
}
