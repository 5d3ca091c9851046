//! The projections of the events made anew: the public log, bans and roles. Must not know the command line.
//!
//! Nothing that stands is lost: a role or a ban that no event tells of (from a dump, or written by hand) gets one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{
    model::LogRow,
    queries::{self, StoredBan},
};
use crate::{
    accounts::standing::{self, BAN_RECORDED, Banned, ROLE_RECORDED, Standing},
    platform::events::{self, AppendError, NewEvent},
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
    /// Roles that were missing.
    pub roles: u64,
    /// Roles and bans that stood without an event, and have one now.
    pub recorded: u64,
}

impl Rebuilt {
    /// Whether what was stored was what the events tell.
    pub fn is_clean(&self) -> bool {
        self.log_rows + self.bans + self.roles + self.recorded == 0
    }
}

/// Reads all events and puts right whatever their projections have otherwise, in one transaction. No other event is
/// appended meanwhile; a moderator who acts in that moment may be asked to try again.
///
/// # Errors
/// What the database said; then nothing has changed.
pub async fn rebuild(conn: &mut PgConnection) -> Result<Rebuilt, AppendError> {
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
    settle_bans(conn, &standings, None, &mut rebuilt).await?;
    settle_roles(conn, &standings, None, &mut rebuilt).await?;
    transaction.commit().await?;
    Ok(rebuilt)
}

/// As [`rebuild`], for what follows from one stream alone: `kind` and `id` are those of `{kind}-{id}`.
///
/// # Errors
/// As [`rebuild`].
pub async fn rebuild_stream(
    conn: &mut PgConnection,
    kind: &str,
    id: i64,
) -> Result<Rebuilt, AppendError> {
    let stream = format!("{kind}-{id}");
    let mut transaction = conn.begin().await?;
    let conn = &mut *transaction;
    queries::lock_events(&mut *conn).await?;
    let history = events::read(&mut *conn, &stream, 1).await?;
    let rows: Vec<LogRow> = history.iter().filter_map(LogRow::of).collect();
    let ids: Vec<i64> = rows.iter().map(|row| row.event_id).collect();
    let mut rebuilt = Rebuilt {
        events: history.len() as u64,
        // Nothing lies between 0 and 0: rows are put right here, and those that are too many go below.
        log_rows: queries::replace_log(conn, 0, 0, &rows).await?,
        ..Rebuilt::default()
    };
    rebuilt.log_rows += queries::delete_log_of(&mut *conn, kind, id, &ids).await?;
    if let Some(user_id) = standing::user_of(&stream) {
        let mut standing = Standing::default();
        history.iter().for_each(|event| standing.apply(event));
        let standings = BTreeMap::from([(user_id, standing)]);
        settle_bans(conn, &standings, Some(user_id), &mut rebuilt).await?;
        settle_roles(conn, &standings, Some(user_id), &mut rebuilt).await?;
    }
    transaction.commit().await?;
    Ok(rebuilt)
}

async fn settle_bans(
    conn: &mut PgConnection,
    standings: &BTreeMap<i64, Standing>,
    only: Option<i64>,
    rebuilt: &mut Rebuilt,
) -> Result<(), AppendError> {
    let ids: Vec<i64> = standings.keys().copied().collect();
    for stored in queries::list_bans(&mut *conn, &ids).await? {
        if only.is_some_and(|id| id != stored.id) {
            continue;
        }
        let told = standings
            .get(&stored.id)
            .and_then(|standing| standing.banned.as_ref());
        match (ban_of(&stored), told) {
            (Some(ban), None) => {
                let data = json!({ "at": ban.at, "until": ban.until, "reason": ban.reason });
                record(conn, stored.id, BAN_RECORDED, data).await?;
                rebuilt.recorded += 1;
            }
            (stands, told) if stands.as_ref() != told => {
                standing::queries::set_ban(&mut *conn, stored.id, told).await?;
                rebuilt.bans += 1;
            }
            _ => {}
        }
    }
    Ok(())
}

fn ban_of(stored: &StoredBan) -> Option<Banned> {
    Some(Banned {
        at: stored.banned_at?,
        until: stored.banned_until,
        reason: stored.ban_reason.clone().unwrap_or_default(),
    })
}

async fn settle_roles(
    conn: &mut PgConnection,
    standings: &BTreeMap<i64, Standing>,
    only: Option<i64>,
    rebuilt: &mut Rebuilt,
) -> Result<(), AppendError> {
    let stored: BTreeSet<(i64, String)> = queries::list_all_roles(&mut *conn)
        .await?
        .into_iter()
        .filter(|(user_id, _)| only.is_none_or(|id| id == *user_id))
        .collect();
    let told: BTreeSet<(i64, String)> = standings
        .iter()
        .flat_map(|(id, standing)| standing.roles.iter().map(|role| (*id, role.clone())))
        .collect();
    for (user_id, role) in told.difference(&stored) {
        let inserted = standing::queries::insert_role(&mut *conn, *user_id, role).await?;
        rebuilt.roles += u64::from(inserted);
    }
    for (user_id, role) in stored.difference(&told) {
        record(conn, *user_id, ROLE_RECORDED, json!({ "role": role })).await?;
        rebuilt.recorded += 1;
    }
    Ok(())
}

/// Appends what was found to the stream of an account.
async fn record(
    conn: &mut PgConnection,
    user_id: i64,
    kind: &str,
    data: Value,
) -> Result<(), AppendError> {
    let stream = standing::stream(user_id);
    let version = events::version(&mut *conn, &stream).await?;
    let event = NewEvent {
        stream: &stream,
        kind,
        data,
        meta: standing::meta(None, ""),
    };
    events::append(conn, event, version).await?;
    Ok(())
}
