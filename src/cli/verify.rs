//! `betternews verify`: the stored counters against their rows. Must not know SQL.

use super::say;
use crate::news::verify::{COUNTERS, verify};
use crate::platform::db::Db;
use indicatif::ProgressBar;
use std::io::IsTerminal;

/// Recounts and says what differs.
///
/// # Errors
/// Where something differs, and those of the database.
pub(super) async fn run(db: &Db) -> anyhow::Result<()> {
    let bar = bar();
    let drifts = verify(&mut db.dedicated().await?, |counter| {
        bar.set_message(counter);
        bar.inc(1);
    })
    .await?;
    bar.finish_and_clear();
    for drift in &drifts {
        say(&format!("{} differs in {} rows", drift.counter, drift.rows));
        for difference in &drift.first {
            say(&format!(
                "  {}: stored {}, counted {}",
                difference.id, difference.stored, difference.counted
            ));
        }
    }
    if drifts.is_empty() {
        say("every counter matches its rows");
        return Ok(());
    }
    anyhow::bail!(
        "{} of {} counters differ from their rows",
        drifts.len(),
        COUNTERS.len()
    )
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}
