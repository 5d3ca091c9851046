//! The projections of the events made anew: the public log, bans and roles. Must not know the command line.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection, PgConnection};

use super::{
    model::LogRow,
    queries::{self, StoredBan},
};
use crate::{
    accounts::standing::{self, Banned, Standing},
    platform::events,
};

/// Events read at once.
const BATCH: i64 = 1_000;

/// What a rebuild has found; rows that were not as the events tell are so now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Events read.
    pub events: u64,
    /// Rows of the moderation log that were missing, wrong or too many.
    pub log_rows: u64,
    /// Accounts whose ban was not as their events tell.
    pub bans: u64,
    /// Roles that were missing or too many.
    pub roles: u64,
}

impl Rebuilt {
    /// Whether what was stored was what the events tell.
    pub fn is_clean(&self) -> bool {
        self.log_rows + self.bans + self.roles == 0
    }
}

/// Reads all events and puts right whatever their projections have otherwise, in one transaction. No event is appended
/// meanwhile; a moderator who acts in that moment may be asked to try again.
///
/// # Errors
/// What the database said; then nothing has changed.
pub async fn rebuild(conn: &mut PgConnection) -> sqlx::Result<Rebuilt> {
    let mut transaction = conn.begin().await?;
    let conn = &mut *transaction;
    queries::lock_events(&mut *conn).await?;
    let mut rebuilt = Rebuilt::default();
    let mut standings: BTreeMap<i64, Standing> = BTreeMap::new();
    let mut after = 0;
    loop {
        let batch = events::read_all(conn, after, BATCH).await?;
        let Some(last) = batch.last().map(|event| event.id) else {
            break;
        };
        for event in &batch {
            rebuilt.events += 1;
            if let Some(user_id) = standing::user_of(&event.stream) {
                standings.entry(user_id).or_default().apply(event);
            }
        }
        let rows: Vec<LogRow> = batch.iter().filter_map(LogRow::of).collect();
        rebuilt.log_rows += queries::replace_log(conn, after, last, &rows).await?;
        after = last;
    }
    rebuilt.bans = rebuild_bans(conn, &standings).await?;
    rebuilt.roles = rebuild_roles(conn, &standings).await?;
    transaction.commit().await?;
    Ok(rebuilt)
}

async fn rebuild_bans(
    conn: &mut PgConnection,
    standings: &BTreeMap<i64, Standing>,
) -> sqlx::Result<u64> {
    let ids: Vec<i64> = standings.keys().copied().collect();
    let mut wrong = 0;
    for stored in queries::list_bans(&mut *conn, &ids).await? {
        let told = standings
            .get(&stored.id)
            .and_then(|standing| standing.banned.as_ref());
        if ban_of(&stored).as_ref() != told {
            standing::queries::set_ban(&mut *conn, stored.id, told).await?;
            wrong += 1;
        }
    }
    Ok(wrong)
}

fn ban_of(stored: &StoredBan) -> Option<Banned> {
    Some(Banned {
        at: stored.banned_at?,
        until: stored.banned_until,
        reason: stored.ban_reason.clone().unwrap_or_default(),
    })
}

async fn rebuild_roles(
    conn: &mut PgConnection,
    standings: &BTreeMap<i64, Standing>,
) -> sqlx::Result<u64> {
    let stored: BTreeSet<(i64, String)> = queries::list_all_roles(&mut *conn)
        .await?
        .into_iter()
        .collect();
    let told: BTreeSet<(i64, String)> = standings
        .iter()
        .flat_map(|(id, standing)| standing.roles.iter().map(|role| (*id, role.clone())))
        .collect();
    let mut wrong = 0;
    for (user_id, role) in told.difference(&stored) {
        wrong += u64::from(standing::queries::insert_role(&mut *conn, *user_id, role).await?);
    }
    for (user_id, role) in stored.difference(&told) {
        wrong += u64::from(standing::queries::delete_role(&mut *conn, *user_id, role).await?);
    }
    Ok(wrong)
}
