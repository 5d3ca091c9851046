//! Every outbound dependency by its name: what the console shows and steers, what health and alerts look at. Must not
//! know what they are used for.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
};

use serde::Serialize;
use serde_json::Value;

use super::{
    breaker::{Forced, Snapshot},
    bulkhead,
    call::{Dependency, Retries},
    health::Health,
    rules::Rules,
    timeout::{Active, Timeouts},
};

/// What can be seen and steered of a dependency.
pub trait Guarded: Send + Sync {
    /// How it is.
    fn status(&self) -> Status;

    /// Holds its breaker in a state, or lets it go.
    fn force(&self, forced: Option<Forced>);

    /// Applies the operator's changes to its rules; `None` is the rules as they were at the start.
    fn tune(&self, changes: Option<&Value>);
}

/// A dependency as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its breaker.
    pub breaker: Snapshot,
    /// Its last 100 calls.
    pub health: Health,
    /// Its bulkhead, if it has one.
    pub bulkhead: Option<bulkhead::Stats>,
    /// Its retries, if it is retried.
    pub retries: Option<Retries>,
    /// Its rules, where they can be changed.
    pub rules: Option<Rules>,
}

#[derive(Clone)]
enum Entry {
    Called(Dependency),
    GuardsItself(Arc<dyn Guarded>),
}

impl Entry {
    fn guarded(&self) -> &dyn Guarded {
        match self {
            Self::Called(dependency) => dependency,
            Self::GuardsItself(guarded) => &**guarded,
        }
    }
}

/// The registry; clones share it.
#[derive(Clone, Default)]
pub struct Dependencies {
    entries: Arc<RwLock<BTreeMap<String, Entry>>>,
    timeouts: Timeouts,
}

impl Dependencies {
    /// A dependency to make calls to, made with these rules unless there is one of this name.
    pub fn register(&self, name: &'static str, rules: Rules) -> Dependency {
        if let Some(Entry::Called(known)) = self.get(name) {
            return known;
        }
        match self
            .write()
            .entry(name.to_owned())
            .or_insert_with(|| Entry::Called(Dependency::new(name, rules, self.timeouts.clone())))
        {
            Entry::Called(dependency) => dependency.clone(),
            // Under a name that guards itself: the caller's own, which is not listed.
            Entry::GuardsItself(_) => Dependency::new(name, rules, self.timeouts.clone()),
        }
    }

    /// Lists a dependency that guards itself.
    pub fn add(&self, name: &str, guarded: Arc<dyn Guarded>) {
        self.write()
            .insert(name.to_owned(), Entry::GuardsItself(guarded));
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Status> {
        self.all()
            .iter()
            .map(|(_, entry)| entry.guarded().status())
            .collect()
    }

    /// One of them.
    pub fn find(&self, name: &str) -> Option<Status> {
        self.get(name).map(|entry| entry.guarded().status())
    }

    /// Holds a breaker in a state, or lets it go; false if there is none of this name.
    pub fn force(&self, name: &str, forced: Option<Forced>) -> bool {
        let found = self.get(name);
        if let Some(entry) = &found {
            tracing::warn!(dependency.name = name, forced = ?forced, "an operator has set the circuit");
            entry.guarded().force(forced);
        }
        found.is_some()
    }

    /// Applies the operator's changes, by name.
    pub fn tune(&self, changes: &BTreeMap<String, Value>) {
        for (name, entry) in self.all() {
            entry.guarded().tune(changes.get(&name));
        }
    }

    /// What runs under a time limit now, in all dependencies, the oldest first.
    pub fn active(&self) -> Vec<Active> {
        self.timeouts.list()
    }

    /// Ends all that runs under a time limit now, and says how many that were.
    pub fn cancel_all(&self) -> usize {
        self.timeouts.cancel_all()
    }

    fn get(&self, name: &str) -> Option<Entry> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    fn all(&self) -> Vec<(String, Entry)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .map(|(name, entry)| (name.clone(), entry.clone()))
            .collect()
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}
