//! The activity log (S15): who requested what. Must not know requests: it takes [`Record`]s.
//!
//! A record is put into a bounded queue, which costs a request next to nothing; a task writes batches. A batch that fails
//! goes back to the head and is tried again; only what does not fit into the queue is lost, and that is counted.

mod queries;

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection};
use tokio::{sync::Notify, time::timeout};

use super::{db::Db, settings::Settings};

/// Records that wait, at most: 10 s of 2,000 requests a second, should the database be away.
const QUEUE_MAX: usize = 20_000;
/// A batch that takes longer has failed.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a batch that failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Records written a second, at most, so that a flood leaves the database to the site; what does not fit is lost.
const RATE_MAX: f64 = 5_000.0;

/// One request.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it came.
    pub at: DateTime<Utc>,
    /// Who sent it, if they were signed in.
    pub user_id: Option<i64>,
    /// What it was, such as `post.create`; by default the method and the route.
    pub action: String,
    /// What it was done to, such as `post`.
    pub resource: Option<&'static str>,
    /// Which one.
    pub resource_id: Option<i64>,
    /// `GET` and the like.
    pub method: String,
    /// The route's pattern.
    pub route: Arc<str>,
    /// What was asked for.
    pub path: String,
    /// Its query, secrets masked.
    pub query: String,
    /// What was answered.
    pub status: u16,
    /// How long that took.
    pub duration: Duration,
    /// Who asked.
    pub address: IpAddr,
    /// What they asked with.
    pub agent: String,
    /// The request's id.
    pub request_id: String,
}

/// Figures for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Records that wait.
    pub queued: usize,
    /// Records written.
    pub written: u64,
    /// Records that did not fit into the queue.
    pub lost: u64,
    /// Batches that failed and were tried again.
    pub failed_batches: u64,
}

/// A cloneable handle to the log.
#[derive(Clone)]
pub struct Activity(Arc<Inner>);

struct Inner {
    on: bool,
    settings: Settings,
    /// The setting `activity.batch`, as the writer saw it last: requests look here.
    batch: AtomicUsize,
    queue: Mutex<VecDeque<Record>>,
    full_batch: Notify,
    written: AtomicU64,
    lost: AtomicU64,
    failed_batches: AtomicU64,
}

impl Activity {
    /// An empty log; switched off, it takes nothing.
    pub fn new(on: bool, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            on,
            batch: AtomicUsize::new(batch(&settings)),
            settings,
            queue: Mutex::default(),
            full_batch: Notify::new(),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            failed_batches: AtomicU64::new(0),
        }))
    }

    /// Whether it takes records.
    pub fn is_on(&self) -> bool {
        self.0.on
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Record>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another record fits; one that does not is counted as lost. Asked first, a flood costs no record.
    pub fn has_room(&self) -> bool {
        let room = self.queue().len() < QUEUE_MAX;
        if !room {
            self.0.lost.fetch_add(1, Relaxed);
        }
        room
    }

    /// Takes a record; never waits.
    pub fn record(&self, record: Record) {
        if !self.0.on {
            return;
        }
        let length = {
            let mut queue = self.queue();
            if queue.len() >= QUEUE_MAX {
                drop(queue);
                self.0.lost.fetch_add(1, Relaxed);
                return;
            }
            queue.push_back(record);
            queue.len()
        };
        // The writer is woken once a batch, not once a record.
        if length % self.0.batch.load(Relaxed) == 0 {
            self.0.full_batch.notify_one();
        }
    }

    /// Figures for operators.
    pub fn stats(&self) -> Stats {
        Stats {
            queued: self.queue().len(),
            written: self.0.written.load(Relaxed),
            lost: self.0.lost.load(Relaxed),
            failed_batches: self.0.failed_batches.load(Relaxed),
        }
    }

    /// Writes batches for ever. To be run as a task on the main runtime.
    pub async fn run(self, db: Db) {
        let mut writer = Writer::new(db);
        loop {
            let size = batch(&self.0.settings);
            self.0.batch.store(size, Relaxed);
            let full = self.queue().len() >= size;
            if !full {
                let wait = Duration::from_secs(self.0.settings.get().activity_wait.into());
                // Either will do.
                let _ = timeout(wait, self.0.full_batch.notified()).await;
            }
            let started = Instant::now();
            match self.write(&mut writer).await {
                Ok(count) => {
                    let least = Duration::from_secs_f64(count as f64 / RATE_MAX);
                    tokio::time::sleep(least.saturating_sub(started.elapsed())).await;
                }
                Err(error) => {
                    tracing::warn!(error = %error, activity.queued = self.queue().len(), "the activity log is not written");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Writes all that waits, at the end of the process; a batch that fails is tried again until `within` is over.
    ///
    /// # Errors
    /// As the database said last; what was not written is lost, and counted.
    pub async fn flush(&self, db: Db, within: Duration) -> sqlx::Result<()> {
        let ends = Instant::now() + within;
        let mut writer = Writer::new(db);
        while !self.queue().is_empty() {
            let left = ends.saturating_duration_since(Instant::now());
            let written = timeout(left, self.write(&mut writer)).await;
            let error = match written {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::PoolTimedOut,
            };
            if ends.saturating_duration_since(Instant::now()) < RETRY_AFTER {
                let lost = self.queue().len();
                self.0.lost.fetch_add(lost as u64, Relaxed);
                tracing::error!(activity.lost = lost, error = %error, "the last of the activity log is lost");
                return Err(error);
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
        Ok(())
    }

    /// Writes one batch, and gives its size. Cancelled or failed, the batch is back at the head.
    async fn write(&self, writer: &mut Writer) -> sqlx::Result<usize> {
        let mut taken = Taken {
            activity: self,
            batch: {
                let mut queue = self.queue();
                let count = queue.len().min(self.0.batch.load(Relaxed));
                queue.drain(..count).collect()
            },
        };
        if taken.batch.is_empty() {
            return Ok(0);
        }
        match writer.insert(&taken.batch).await {
            Ok(()) => {
                let count = taken.batch.len();
                taken.batch.clear();
                self.0.written.fetch_add(count as u64, Relaxed);
                Ok(count)
            }
            Err(error) => {
                self.0.failed_batches.fetch_add(1, Relaxed);
                Err(error)
            }
        }
    }
}

/// Records written at once; at least one.
fn batch(settings: &Settings) -> usize {
    settings.get().activity_batch.max(1) as usize
}

/// A batch that goes back unless it was written.
struct Taken<'a> {
    activity: &'a Activity,
    batch: Vec<Record>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let mut queue = self.activity.queue();
        for record in self.batch.drain(..).rev() {
            queue.push_front(record);
        }
    }
}

/// A connection of the log's own, so that it takes none from the requests.
struct Writer {
    db: Db,
    connection: Option<PgConnection>,
}

impl Writer {
    fn new(db: Db) -> Self {
        Self {
            db,
            connection: None,
        }
    }

    async fn insert(&mut self, batch: &[Record]) -> sqlx::Result<()> {
        let connection = self.connection.take();
        let db = &self.db;
        let writing = async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => {
                    let mut connection = db.dedicated().await?;
                    queries::relax(&mut connection).await?;
                    connection
                }
            };
            queries::insert(&mut connection, batch).await?;
            Ok(connection)
        };
        match timeout(WRITE_LIMIT, writing).await {
            Ok(Ok(connection)) => {
                self.connection = Some(connection);
                Ok(())
            }
            // The connection is closed with the future that held it.
            Ok(Err(error)) => Err(error),
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }
}

/// Makes the partitions of this month and the next, drops those whose time is over, and shortens old addresses. One
/// instance at a time; to be called at the start and each hour.
///
/// # Errors
/// As the database said.
pub async fn maintain(db: &Db, settings: &Settings, now: DateTime<Utc>) -> sqlx::Result<()> {
    let settings = settings.get();
    let before = |days: u32| now - TimeDelta::days(days.into());
    let mut connection = db.dedicated().await?;
    queries::ensure_months(&mut connection, now).await?;
    if queries::lock(&mut connection).await? {
        queries::drop_old(&mut connection, before(settings.activity_keep)).await?;
        let shortened =
            queries::shorten(&mut connection, before(settings.activity_shorten)).await?;
        if shortened > 0 {
            tracing::info!(
                activity.rows = shortened,
                "addresses of old requests are shortened"
            );
        }
    }
    // The lock ends with the connection.
    connection.close().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: usize) -> Record {
        Record {
            at: DateTime::UNIX_EPOCH,
            user_id: None,
            action: "GET /".into(),
            resource: None,
            resource_id: None,
            method: "GET".into(),
            route: "/".into(),
            path: "/".into(),
            query: String::new(),
            status: 200,
            duration: Duration::ZERO,
            address: IpAddr::from([127, 0, 0, 1]),
            agent: String::new(),
            request_id: number.to_string(),
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_a_batch_goes_back_to_the_head() {
        const BATCH: usize = 100;
        let log = Activity::new(true, Settings::default());
        for number in 0..QUEUE_MAX + 5 {
            log.record(record(number));
        }
        assert_eq!((log.stats().queued, log.stats().lost), (QUEUE_MAX, 5));
        let batch: Vec<Record> = log.queue().drain(..BATCH).collect();
        drop(Taken {
            activity: &log,
            batch,
        });
        let ids: Vec<String> = log
            .queue()
            .iter()
            .take(BATCH + 1)
            .map(|r| r.request_id.clone())
            .collect();
        assert_eq!(ids, (0..=BATCH).map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(!log.has_room());
    }

    #[test]
    fn switched_off_it_takes_nothing() {
        let log = Activity::new(false, Settings::default());
        log.record(record(1));
        assert_eq!(log.stats().queued, 0);
    }
}
