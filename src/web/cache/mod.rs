//! Guests' pages, finished and compressed (S16): what is kept, how old it may be, and what takes it away. Must not know
//! what the pages show.
//!
//! A handler says what its page is made of ([`tag`]); whoever changes one of these things says so after the commit
//! ([`Pages::invalidate`], or [`Pages::remove`] where the old page must not be seen again). The middleware that fills and
//! serves stands in `middleware/page_cache.rs`.
//!
//! **Architecture invariant:** nothing personal ever enters: no answer to a request with a session's or a flash's cookie,
//! none that sets a cookie, none that forbids to be kept.

mod entry;
mod index;
mod key;
mod renderer;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use actix_web::{HttpMessage, HttpRequest};
use futures_util::future::join_all;
use moka::sync::Cache as Moka;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

pub use entry::{Encoding, Entry, Struck, Variant, X_CACHE};
pub use key::{Wanted, guests_key, wanted};
pub use renderer::{Job, Made, renderer};

use crate::{
    platform::cache::{
        bus::{Bus, Message},
        flight::{Flights, Turn},
        glob,
        purge::Purges,
        strikes::{Mark, Strikes},
    },
    web::page::Theme,
};
use index::Index;

/// Younger than this, a page is served as it is.
const FRESH: Duration = Duration::from_secs(30);
/// Older than this, it is served only where no new one can be made, since the ages on it are wrong by then.
const STALE: Duration = Duration::from_secs(60);
/// Older than this, it is not served at all.
const LAST_RESORT: Duration = Duration::from_secs(600);
/// A page that could not be made anew is tried again after this.
const REFRESH_EVERY: Duration = Duration::from_secs(2);
/// So many addresses are known not to be kept, for so long.
const PASSING_MAX: u64 = 10_000;
const PASSING_FOR: Duration = Duration::from_secs(60);
/// Pages that wait to be made anew, at most.
const JOBS_MAX: usize = 256;

/// The tags of a page, in its request's extensions.
#[derive(Debug, Default)]
pub struct Tags(Vec<String>);

/// Says that the page is made of this thing, such as `post:42`, `list:newest` or `lists`.
pub fn tag(request: &HttpRequest, tag: impl Into<String>) {
    let mut extensions = request.extensions_mut();
    match extensions.get_mut::<Tags>() {
        Some(tags) => tags.0.push(tag.into()),
        None => {
            extensions.insert(Tags(vec![tag.into()]));
        }
    }
}

/// Takes the tags that handlers gave.
pub fn take_tags(request: &HttpRequest) -> Vec<String> {
    request
        .extensions_mut()
        .remove::<Tags>()
        .map(|tags| tags.0)
        .unwrap_or_default()
}

/// How a flight for a page ended.
#[derive(Clone)]
pub enum Landed {
    /// A page is there.
    Kept(Arc<Entry>),
    /// The answer is not one to keep: everyone asks for themselves.
    NotToBeKept,
    /// No page could be made now.
    Failed,
}

/// What there is for a request.
pub enum Found {
    /// Good as it is.
    Fresh(Arc<Entry>),
    /// To be served while a new one is made.
    Stale(Arc<Entry>),
    /// Nothing but, perhaps, an old page for the case that no new one can be made.
    Missing(Option<Arc<Entry>>),
}

/// A cloneable handle to the pages.
#[derive(Clone)]
pub struct Pages(Arc<Inner>);

struct Inner {
    on: bool,
    /// The live setting `cache.pages`.
    wanted: AtomicBool,
    entries: Moka<Arc<str>, Arc<Entry>>,
    /// Keys whose answers were not to be kept: nobody waits for another's.
    passing: Moka<Arc<str>, ()>,
    index: Index,
    strikes: Strikes,
    /// Those of [`Pages::remove`] alone.
    removals: Strikes,
    flights: Flights<Landed>,
    bus: Bus,
    /// A CDN in front, where there is one.
    cdn: Option<Purges>,
    /// The way to the renderer, while it runs.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    stale: AtomicU64,
    made: AtomicU64,
    invalidations: AtomicU64,
}

/// Figures for operators.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Whether pages are kept.
    pub enabled: bool,
    /// Requests answered with a good page.
    pub hits: u64,
    /// Requests that had to wait for a page.
    pub misses: u64,
    /// Requests answered with an older page while a new one was made.
    pub stale: u64,
    /// Pages made.
    pub sets: u64,
    /// Pages struck by a change.
    pub invalidations: u64,
    /// Hits and stale answers of all, 0 to 1.
    pub hit_rate: f64,
    /// Pages kept.
    pub keys: u64,
    /// Bytes that they count for.
    pub memory_bytes: u64,
    /// The bound on it.
    pub memory_bytes_max: u64,
    /// Age of the oldest page, in milliseconds.
    pub oldest_ms: Option<u64>,
    /// Age of the newest page, in milliseconds.
    pub newest_ms: Option<u64>,
}

impl Pages {
    /// No pages yet; at most `bytes_max` are kept. `on` is `FEATURE_CACHING`; `cdn` hears of what this instance outdates.
    pub fn new(bus: Bus, on: bool, bytes_max: u64, cdn: Option<Purges>) -> Self {
        let weigh = |key: &Arc<str>, entry: &Arc<Entry>| {
            u32::try_from(key.len() + entry.weight()).unwrap_or(u32::MAX)
        };
        Self(Arc::new(Inner {
            on,
            wanted: AtomicBool::new(true),
            entries: Moka::builder()
                .max_capacity(bytes_max)
                .weigher(weigh)
                .time_to_live(LAST_RESORT)
                .build(),
            passing: Moka::builder()
                .max_capacity(PASSING_MAX)
                .time_to_live(PASSING_FOR)
                .build(),
            index: Index::default(),
            strikes: Strikes::default(),
            removals: Strikes::default(),
            flights: Flights::default(),
            bus,
            cdn,
            jobs: Mutex::default(),
            counts: Counts::default(),
        }))
    }

    /// Follows the setting `cache.pages`; switched off, what was kept is dropped.
    pub fn set_wanted(&self, wanted: bool) {
        if self.0.wanted.swap(wanted, Relaxed) && !wanted {
            self.drop_all();
        }
    }

    /// Whether pages are kept now.
    pub fn is_on(&self) -> bool {
        self.0.on && self.0.wanted.load(Relaxed)
    }

    /// Opens the way to a renderer, which takes jobs from what this gives until the way is [closed](Pages::close).
    pub fn open(&self) -> mpsc::Receiver<Job> {
        let (sender, jobs) = mpsc::channel(JOBS_MAX);
        *self.jobs() = Some(sender);
        jobs
    }

    /// Ends the renderer: from now on pages are made by those who ask for them.
    pub fn close(&self) {
        self.jobs().take();
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Job>>> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes these pages for guests before anybody asks; gives up after `within`.
    pub async fn warm(&self, paths: &[&str], within: Duration) {
        let Some(jobs) = self.jobs().clone().filter(|_| self.is_on()) else {
            return;
        };
        let mut made = Vec::new();
        for path in paths {
            let (done, waits) = oneshot::channel();
            let job = Job {
                uri: (*path).to_owned(),
                theme: Theme::System,
                done: Some(done),
            };
            if jobs.try_send(job).is_ok() {
                made.push(waits);
            }
        }
        if tokio::time::timeout(within, join_all(made)).await.is_err() {
            tracing::debug!("not all pages were made before the start");
        }
    }

    /// What there is under `key`. With the database away, an old page is better than none.
    pub fn find(&self, key: &str, database_up: bool) -> Found {
        let Some(entry) = self.0.entries.get(key) else {
            self.0.counts.misses.fetch_add(1, Relaxed);
            return Found::Missing(None);
        };
        let age = entry.age();
        if age < FRESH && !entry.is(Struck::Often) {
            self.0.counts.hits.fetch_add(1, Relaxed);
            return Found::Fresh(entry);
        }
        if age > LAST_RESORT || entry.is(Struck::Gone) {
            self.0.counts.misses.fetch_add(1, Relaxed);
            return Found::Missing(None);
        }
        let servable = age < STALE && !entry.is(Struck::Outdated);
        if servable || !database_up {
            self.0.counts.stale.fetch_add(1, Relaxed);
            return Found::Stale(entry);
        }
        self.0.counts.misses.fetch_add(1, Relaxed);
        Found::Missing(Some(entry))
    }

    /// Has a page made anew in the background, unless that is being done.
    pub fn refresh(&self, entry: &Entry, job: impl FnOnce() -> Job) {
        if !entry.claim_refresh(REFRESH_EVERY) {
            return;
        }
        if let Some(jobs) = &*self.jobs()
            && jobs.try_send(job()).is_err()
        {
            tracing::debug!("the renderer has too much to do: a page is made anew later");
        }
    }

    /// Joins those who wait for `key`, or leads them.
    pub fn join(&self, key: &str) -> Turn<Landed> {
        self.0.flights.join(key)
    }

    /// Remembers that the answer under `key` is not one to keep.
    pub fn pass(&self, key: &str) {
        self.0.passing.insert(key.into(), ());
    }

    /// Whether the answer under `key` was lately one not to keep.
    pub fn passes(&self, key: &str) -> bool {
        self.0.passing.contains_key(key)
    }

    /// This moment; taken before a page is computed.
    pub fn mark(&self) -> (Mark, Mark) {
        (self.0.strikes.mark(), self.0.removals.mark())
    }

    /// Keeps a page that was computed since `mark`, unless one of its tags was struck meanwhile.
    pub fn keep(&self, key: &str, entry: &Arc<Entry>, mark: (Mark, Mark)) {
        self.0.counts.made.fetch_add(1, Relaxed);
        if !self.is_on() {
            return;
        }
        // First to the index, where a strike finds it, then the look back: between the two nothing slips through.
        self.0.index.add(entry);
        if self.0.removals.since(mark.1, entry.tags()) {
            entry.strike(Struck::Gone);
            return;
        }
        if self.0.strikes.since(mark.0, entry.tags()) {
            if !self.0.index.is_busy(entry.tags()) {
                entry.strike(Struck::Outdated);
                return;
            }
            entry.strike(Struck::Often);
        }
        self.0.entries.insert(key.into(), Arc::clone(entry));
    }

    /// Says, after the commit, that these things have changed. Pages made of them are made anew for whoever comes next;
    /// a page that is struck again and again is made anew in the background instead.
    pub fn invalidate<T: AsRef<str>>(&self, tags: &[T]) {
        let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
        self.strike(&tags, false);
        self.purge(&tags);
        self.0.bus.tell(Message::Outdated(
            tags.into_iter().map(str::to_owned).collect(),
        ));
    }

    /// Says, after the commit, that pages made of these things must not be seen again, not even while the database is away.
    pub fn remove<T: AsRef<str>>(&self, tags: &[T]) -> usize {
        let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
        let count = self.strike(&tags, true);
        self.purge(&tags);
        self.0
            .bus
            .tell(Message::Gone(tags.into_iter().map(str::to_owned).collect()));
        count
    }

    fn strike(&self, tags: &[&str], gone: bool) -> usize {
        if gone {
            self.0.removals.strike(tags);
        }
        self.0.strikes.strike(tags);
        let struck = self.0.index.take(tags);
        for (entry, often) in &struck {
            match (gone, often) {
                (true, _) => {
                    entry.strike(Struck::Gone);
                    self.0.entries.remove(entry.key());
                }
                (false, true) => entry.strike(Struck::Often),
                (false, false) => entry.strike(Struck::Outdated),
            }
        }
        self.0
            .counts
            .invalidations
            .fetch_add(struck.len() as u64, Relaxed);
        struck.len()
    }

    /// Drops pages whose keys (path, query and theme) fit a pattern, here and on other instances; gives their number here.
    pub fn remove_matching(&self, pattern: &str) -> usize {
        self.strike_everything();
        let keys: Vec<Arc<str>> = self
            .0
            .entries
            .iter()
            .filter(|(key, _)| glob::matches(pattern, key))
            .map(|(key, _)| (*key).clone())
            .collect();
        for key in &keys {
            self.0.entries.remove(key);
        }
        self.0
            .counts
            .invalidations
            .fetch_add(keys.len() as u64, Relaxed);
        self.purge_everything();
        self.0.bus.tell(Message::Pattern(pattern.to_owned()));
        keys.len()
    }

    /// Drops all pages, here and on other instances: something that stands on every page has changed.
    pub fn clear(&self) {
        self.drop_all();
        self.purge_everything();
        self.0.bus.tell(Message::Everything);
    }

    /// Whether a CDN is to keep pages, which then carry their tags.
    pub fn is_behind_cdn(&self) -> bool {
        self.0.cdn.is_some()
    }

    fn purge(&self, tags: &[&str]) {
        if let Some(cdn) = &self.0.cdn {
            cdn.note(tags);
        }
    }

    fn purge_everything(&self) {
        if let Some(cdn) = &self.0.cdn {
            cdn.note_everything();
        }
    }

    fn strike_everything(&self) {
        self.0.removals.strike_everything();
        self.0.strikes.strike_everything();
    }

    fn drop_all(&self) {
        self.strike_everything();
        self.0.entries.invalidate_all();
        self.0.index.clear();
    }

    /// Hears what another instance has changed.
    pub fn hear(&self, message: &Message) {
        match message {
            Message::Outdated(tags) => {
                self.strike(&tags.iter().map(String::as_str).collect::<Vec<_>>(), false);
            }
            Message::Gone(tags) => {
                self.strike(&tags.iter().map(String::as_str).collect::<Vec<_>>(), true);
            }
            Message::Pattern(pattern) => {
                self.strike_everything();
                let keys: Vec<Arc<str>> = self
                    .0
                    .entries
                    .iter()
                    .map(|(key, _)| (*key).clone())
                    .collect();
                keys.iter()
                    .filter(|key| glob::matches(pattern, key))
                    .for_each(|key| self.0.entries.invalidate(key));
            }
            // The page itself may still be served while the database is away: what it shows was public.
            Message::Everything => {
                self.strike_everything();
                for (_, entry) in &self.0.entries {
                    entry.strike(Struck::Outdated);
                }
            }
            Message::Tag(_) | Message::Key(_) | Message::Beat => {}
        }
    }

    /// Forgets what the index holds of pages that are gone; a task calls it each minute.
    pub fn sweep(&self) {
        self.0.entries.run_pending_tasks();
        self.0.index.sweep();
    }

    /// Figures for operators.
    pub fn stats(&self) -> Stats {
        self.0.entries.run_pending_tasks();
        let counts = &self.0.counts;
        let (hits, misses, stale) = (
            counts.hits.load(Relaxed),
            counts.misses.load(Relaxed),
            counts.stale.load(Relaxed),
        );
        let asked = hits + misses + stale;
        let ages = || {
            self.0
                .entries
                .iter()
                .map(|(_, e)| u64::try_from(e.age().as_millis()).unwrap_or(u64::MAX))
        };
        Stats {
            enabled: self.is_on(),
            hits,
            misses,
            stale,
            sets: counts.made.load(Relaxed),
            invalidations: counts.invalidations.load(Relaxed),
            hit_rate: if asked == 0 {
                0.0
            } else {
                (hits + stale) as f64 / asked as f64
            },
            keys: self.0.entries.entry_count(),
            memory_bytes: self.0.entries.weighted_size(),
            memory_bytes_max: self.0.entries.policy().max_capacity().unwrap_or_default(),
            oldest_ms: ages().max(),
            newest_ms: ages().min(),
        }
    }
}

/// When the process began; refresh claims are counted from here.
fn since_start() -> Duration {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}
