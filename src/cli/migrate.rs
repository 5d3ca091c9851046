//! `betternews migrate`: schema and seeds. Must not know tables.

use super::say;
use crate::platform::db::{Db, migrate};

/// Applies what is missing and says how much that was.
pub(super) async fn run(db: &Db) -> anyhow::Result<()> {
    let applied = migrate::run(db).await?;
    say(&format!(
        "{} migrations and {} seeds applied",
        applied.migrations, applied.seeds
    ));
    Ok(())
}
