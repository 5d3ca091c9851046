//! `betternews events`: what follows from the events, made anew. Must not know what the events mean.

use std::str::FromStr;

use clap::Subcommand;

use super::say;
use crate::{
    news::moderation::rebuild::{self, Rebuilt},
    platform::db::Db,
};

/// About the events.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Make the moderation log, bans and roles anew from the events, and say what differed. Roles and bans that stand
    /// without an event get one.
    Rebuild {
        /// Only what follows from one stream, such as user:12, post:12 or comment:12.
        #[arg(long)]
        stream: Option<Stream>,
    },
}

/// What a stream is about.
#[derive(Clone)]
pub(super) struct Stream {
    kind: &'static str,
    id: i64,
}

impl FromStr for Stream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a stream is user:12, post:12 or comment:12".to_owned();
        let (kind, id) = text.split_once([':', '-']).ok_or_else(wrong)?;
        let kind = ["user", "post", "comment"]
            .into_iter()
            .find(|known| *known == kind)
            .ok_or_else(wrong)?;
        let id = id.parse().ok().filter(|id| *id > 0).ok_or_else(wrong)?;
        Ok(Self { kind, id })
    }
}

pub(super) async fn run(command: &Command, db: &Db) -> anyhow::Result<()> {
    let Command::Rebuild { stream } = command;
    let mut connection = db.dedicated().await?;
    let rebuilt = match stream {
        None => rebuild::rebuild(&mut connection).await?,
        Some(Stream { kind, id }) => rebuild::rebuild_stream(&mut connection, kind, *id).await?,
    };
    say(&sentence(&rebuilt));
    Ok(())
}

fn sentence(rebuilt: &Rebuilt) -> String {
    if rebuilt.is_clean() {
        return format!(
            "{} events read; everything was as they tell.",
            rebuilt.events
        );
    }
    let recorded = match rebuilt.recorded {
        0 => String::new(),
        count => format!("; {count} roles and bans stood without an event, and have one now"),
    };
    format!(
        "{} events read; put right: {} rows of the moderation log, {} bans, {} roles{recorded}.",
        rebuilt.events, rebuilt.log_rows, rebuilt.bans, rebuilt.roles
    )
}
