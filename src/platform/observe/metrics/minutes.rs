//! Minutes of routes on their way into the database: what cannot be written waits. Must not know how they are counted.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::{Minute, Routes, store};
use crate::platform::db::Db;

const MINUTE: TimeDelta = TimeDelta::minutes(1);
/// Minutes that wait, at most: two hours without a database.
const WAITING_MAX: usize = 120;

type Waiting = VecDeque<(DateTime<Utc>, Vec<Minute>)>;

/// What one instance has counted and not written yet.
pub struct Minutes {
    instance: String,
    waiting: Mutex<Waiting>,
    /// The minute that was taken last.
    last: Mutex<DateTime<Utc>>,
    writing: tokio::sync::Mutex<()>,
}

impl Minutes {
    /// Nothing yet, of the instance of this name.
    pub fn new(instance: String) -> Self {
        Self {
            instance,
            waiting: Mutex::default(),
            last: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was counted since the last call, as of the minute `at`, or the next one after the last.
    pub fn take(&self, routes: &Routes, at: DateTime<Utc>) {
        let minutes = routes.take_minute();
        if minutes.is_empty() {
            return;
        }
        let at = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let at = at.duration_trunc(MINUTE).unwrap_or(at).max(*last + MINUTE);
            *last = at;
            at
        };
        let mut waiting = self.waiting();
        waiting.push_back((at, minutes));
        if waiting.len() > WAITING_MAX {
            waiting.pop_front();
            tracing::warn!(
                "the oldest minute of the metrics is lost: the database is away for too long"
            );
        }
    }

    /// Writes what waits, the oldest first.
    ///
    /// # Errors
    /// As the database said; what was not written waits on.
    pub async fn write(&self, db: &Db) -> sqlx::Result<()> {
        let _one_at_a_time = self.writing.lock().await;
        loop {
            let Some((at, minutes)) = self.waiting().front().cloned() else {
                return Ok(());
            };
            store::insert(&mut db.conn().await?, at, &self.instance, &minutes).await?;
            let mut waiting = self.waiting();
            // Unless it was the one that there was no room for.
            if waiting.front().is_some_and(|(front, _)| *front == at) {
                waiting.pop_front();
            }
        }
    }
}
