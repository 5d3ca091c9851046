//! The site's settings (S33): typed, with defaults, changed while it runs. Must not know who reads them.
//!
//! They are few and read on every page, so that each instance holds them all. A change is told to all instances by
//! `NOTIFY` on [`CHANNEL`] when it commits; a task of `app` reads them anew now and then too, for an instance that
//! missed it.

mod definitions;
mod queries;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use serde_json::Value;
use tokio::sync::Mutex;

pub use definitions::{DEFINITIONS, Definition, Kind, SignupMode, Values};

use super::{
    audit::{self, Change, Who},
    db::{Conn, Db},
};

/// The channel of `NOTIFY` that has every instance read the settings anew.
pub const CHANNEL: &str = "settings";

/// What the keys of dependencies' rules begin with.
const RESILIENCE: &str = "resilience.";

/// Changes to the rules of dependencies, by their names; those that make no sense are left out.
fn resilience_of(values: &Values) -> BTreeMap<String, Value> {
    let rules = DEFINITIONS.iter().filter_map(|definition| {
        let name = definition.key.strip_prefix(RESILIENCE)?;
        let changes = (definition.current)(values);
        (!changes.is_null()).then(|| (name.to_owned(), changes))
    });
    rules.collect()
}

/// A cloneable handle to the settings as they are now.
#[derive(Clone, Default)]
pub struct Settings {
    held: Arc<RwLock<Held>>,
    /// Held while they are read anew, so that what was read earlier never takes the place of what was read later.
    reading: Arc<Mutex<()>>,
}

#[derive(Clone, Default)]
struct Held {
    values: Arc<Values>,
    resilience: Arc<BTreeMap<String, Value>>,
}

impl Settings {
    /// The settings as they are now.
    pub fn get(&self) -> Arc<Values> {
        Arc::clone(&self.held().values)
    }

    /// Changes to the rules of dependencies, by their names: the settings `resilience.{name}`.
    pub fn resilience(&self) -> Arc<BTreeMap<String, Value>> {
        Arc::clone(&self.held().resilience)
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads them anew from the database; true where any has changed.
    ///
    /// # Errors
    /// What the database said; the settings then stay as they were.
    pub async fn refresh(&self, db: &Db) -> sqlx::Result<bool> {
        let _reading = self.reading.lock().await;
        let mut conn = db.conn().await?;
        let rows = queries::list(&mut conn).await?;
        let values = Values::from_rows(&rows);
        let held = Held {
            resilience: Arc::new(resilience_of(&values)),
            values: Arc::new(values),
        };
        let mut current = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let has_changed = current.values != held.values;
        *current = held;
        Ok(has_changed)
    }
}

/// The setting of this key.
pub fn find(key: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.key == key)
}

/// Why a setting was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The value is out of its bounds; the sentence says what they are.
    #[error("{0}")]
    OutOfBounds(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Changes a setting, or with `None` gives it its default back, inside the caller's transaction; the audit says who did.
/// False where it was so already. Every instance reads it within a second of the commit.
///
/// # Errors
/// [`SetError`].
pub async fn set(
    conn: &mut Conn,
    definition: &Definition,
    value: Option<&Value>,
    who: Who<'_>,
) -> Result<bool, SetError> {
    if let Some(value) = value
        && !definition.kind.takes(value)
    {
        return Err(SetError::OutOfBounds(definition.kind.rule()));
    }
    // Set to its default, it follows the default.
    let default = (definition.default)();
    let value = value.filter(|value| **value != default);
    let before = queries::lock(&mut *conn, definition.key).await?;
    if before.as_ref() == value {
        return Ok(false);
    }
    match value {
        Some(value) => queries::set(&mut *conn, definition.key, value).await?,
        None => queries::delete(&mut *conn, definition.key).await?,
    }
    let change = Change {
        subject: &format!("setting:{}", definition.key),
        action: if value.is_some() { "set" } else { "reset" },
        before: before.or_else(|| Some(default.clone())),
        after: value.cloned().or(Some(default)),
    };
    audit::record(conn, who, change).await?;
    Ok(true)
}
