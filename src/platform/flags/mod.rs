//! Feature flags (S34): what is on, for whom, changed while the site runs. Must not know what the features are.
//!
//! Each instance holds them all, so that asking costs no query; a change is told by `NOTIFY` on [`CHANNEL`].

mod evaluate;
mod queries;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::sync::Mutex;

pub use evaluate::{Environment, Segment, Subject, Verdict, evaluate};

use super::{
    audit::{self, Change, Who},
    db::{Conn, Db},
};

/// The channel of `NOTIFY` that has every instance read the flags anew.
pub const CHANNEL: &str = "flags";

/// One flag: on where every condition that is given holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Its name.
    pub name: String,
    /// What it switches, in a sentence.
    pub description: String,
    /// Off is off for everyone.
    pub is_on: bool,
    /// Where it is on; empty is everywhere.
    pub environments: Vec<String>,
    /// For whom: any one of these; empty is everyone.
    pub segments: Vec<String>,
    /// For how many of a hundred accounts; `None` is everyone.
    pub percentage: Option<i16>,
    /// For whom by account; empty is everyone.
    pub user_ids: Vec<i64>,
    /// Whether the site itself asks for it, so that it cannot be deleted.
    pub is_built_in: bool,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was last asked for, to the minute or so.
    pub evaluated_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
impl Flag {
    /// A flag that is on, for everyone.
    fn new_on(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            is_on: true,
            environments: Vec::new(),
            segments: Vec::new(),
            percentage: None,
            user_ids: Vec::new(),
            is_built_in: false,
            updated_at: DateTime::UNIX_EPOCH,
            evaluated_at: None,
        }
    }
}

struct Held {
    flag: Flag,
    /// Seconds since 1970 when this instance was last asked; 0 is not since the last note.
    asked: AtomicI64,
}

/// A cloneable handle to the flags as they are now.
#[derive(Clone)]
pub struct Flags {
    environment: Environment,
    held: Arc<RwLock<Arc<BTreeMap<String, Held>>>>,
    /// Held while they are read anew, so that what was read earlier never takes the place of what was read later.
    reading: Arc<Mutex<()>>,
}

impl Flags {
    /// No flags yet, all off.
    pub fn new(environment: Environment) -> Self {
        Self {
            environment,
            held: Arc::default(),
            reading: Arc::default(),
        }
    }

    /// Flags that are on for everyone, for unit tests.
    #[cfg(test)]
    pub(crate) fn with_on(names: &[&str]) -> Self {
        let held = names.iter().map(|name| {
            let flag = Flag::new_on(name);
            (
                flag.name.clone(),
                Held {
                    flag,
                    asked: 0.into(),
                },
            )
        });
        Self {
            environment: Environment::Development,
            held: Arc::new(RwLock::new(Arc::new(held.collect()))),
            reading: Arc::default(),
        }
    }

    /// Whether a feature is on for `subject` (`None` is a guest, or the site as such). An unknown one is off.
    pub fn is_on(&self, name: &str, subject: Option<&Subject>) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.get(name).is_some_and(|held| {
            held.asked.store(Utc::now().timestamp(), Ordering::Relaxed);
            evaluate(&held.flag, self.environment, subject) == Verdict::On
        })
    }

    /// Where this process runs.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// Reads them anew from the database.
    ///
    /// # Errors
    /// What the database said; the flags then stay as they were.
    pub async fn refresh(&self, db: &Db) -> sqlx::Result<()> {
        let _reading = self.reading.lock().await;
        let flags = queries::list(&mut db.conn().await?).await?;
        let mut slot = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let held = flags.into_iter().map(|flag| {
            let asked = slot
                .get(&flag.name)
                .map_or(0, |held| held.asked.load(Ordering::Relaxed));
            (
                flag.name.clone(),
                Held {
                    flag,
                    asked: asked.into(),
                },
            )
        });
        let held = Arc::new(held.collect());
        *slot = held;
        Ok(())
    }

    /// Notes when flags were last asked for. To be called about once a minute.
    ///
    /// # Errors
    /// What the database said.
    pub async fn note_asked(&self, db: &Db) -> sqlx::Result<()> {
        let held = Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner));
        let asked: Vec<(String, f64)> = held
            .iter()
            .map(|(name, held)| (name.clone(), held.asked.swap(0, Ordering::Relaxed)))
            .filter(|(_, at)| *at != 0)
            .map(|(name, at)| (name, at as f64))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        queries::set_evaluated(&mut db.conn().await?, asked).await
    }
}

/// Every flag, by name.
///
/// # Errors
/// What the database said.
pub async fn list(conn: &mut Conn) -> sqlx::Result<Vec<Flag>> {
    queries::list(conn).await
}

/// The flag of this name.
///
/// # Errors
/// What the database said.
pub async fn find(conn: &mut Conn, name: &str) -> sqlx::Result<Option<Flag>> {
    queries::find(conn, name).await
}

/// Makes a flag, off; inside the caller's transaction.
///
/// # Errors
/// What the database said: `flags_pkey` for a name that is taken, `flags_name_check` for one that is none.
pub async fn insert(
    conn: &mut Conn,
    name: &str,
    description: &str,
    who: Who<'_>,
) -> sqlx::Result<()> {
    queries::insert(&mut *conn, name, description).await?;
    record(conn, name, "make", None, Some(json!({ "on": false })), who).await
}

/// Changes a flag to what `flag` says; inside the caller's transaction. False where there is none of its name.
///
/// # Errors
/// What the database said.
pub async fn update(conn: &mut Conn, flag: &Flag, who: Who<'_>) -> sqlx::Result<bool> {
    let Some(before) = queries::lock(&mut *conn, &flag.name).await? else {
        return Ok(false);
    };
    queries::update(&mut *conn, flag).await?;
    record(
        conn,
        &flag.name,
        "set",
        Some(shown(&before)),
        Some(shown(flag)),
        who,
    )
    .await?;
    Ok(true)
}

/// Deletes a flag that is not built in; inside the caller's transaction. False where there is none of its name.
///
/// # Errors
/// What the database said.
pub async fn delete(conn: &mut Conn, name: &str, who: Who<'_>) -> sqlx::Result<bool> {
    let before = queries::lock(&mut *conn, name).await?;
    let Some(before) = before.filter(|flag| !flag.is_built_in) else {
        return Ok(false);
    };
    queries::delete(&mut *conn, name).await?;
    record(conn, name, "delete", Some(shown(&before)), None, who).await?;
    Ok(true)
}

async fn record(
    conn: &mut Conn,
    name: &str,
    action: &str,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
    who: Who<'_>,
) -> sqlx::Result<()> {
    let change = Change {
        subject: &format!("flag:{name}"),
        action,
        before,
        after,
    };
    audit::record(conn, who, change).await
}

/// A flag as the audit shows it.
fn shown(flag: &Flag) -> serde_json::Value {
    let mut shown = json!({ "on": flag.is_on });
    if !flag.environments.is_empty() {
        shown["environments"] = json!(flag.environments);
    }
    if !flag.segments.is_empty() {
        shown["segments"] = json!(flag.segments);
    }
    if let Some(percentage) = flag.percentage {
        shown["percentage"] = json!(percentage);
    }
    if !flag.user_ids.is_empty() {
        shown["users"] = json!(flag.user_ids);
    }
    shown
}
