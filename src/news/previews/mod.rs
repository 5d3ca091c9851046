//! Link previews (P03, P18): what the page behind a link says of itself, to suggest a title and to say below a post what
//! it leads to. Must not know how requests are guarded.
//!
//! Everything here may fail without harm: a form is filled by hand, a post stands without a description.

mod charset; // the text of a page in whatever encoding
pub mod handlers; // the API, and the title for the form
pub mod page; // title, description, canonical URL
mod queries; // all SQL of previews

use std::{fmt, sync::Arc, time::Duration};

use actix_web::web::Data;
use moka::sync::Cache as Moka;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgExecutor;
use tokio::runtime::Handle;

use crate::{
    news::{outdated, posts::link::SiteUrl},
    platform::{
        cache::{Cache, Options},
        db::Db,
        fetch::{self, Fetcher, Overflow, Wanted},
        jobs::{self, Failure, Limits, NewJob, Registry},
        observe::trace,
        resilience::{
            bulkhead::Priority,
            call::{CallError, Dependency},
            coalesce::SingleFlight,
            dependencies::Dependencies,
            retry::{Blame, Fault},
            rules::Rules,
            timeout::Ended,
        },
        settings::Settings,
    },
    web::{error::Error, state::State},
};

/// The name of this dependency: in the console, in the log, in the setting `resilience.links`.
pub const DEPENDENCY: &str = "links";
/// The kind of the job that fetches the preview of a post.
const JOB: &str = "link.preview";
/// A post does without a preview: three attempts, and most of the workers are left to what matters more.
const JOB_LIMITS: Limits = Limits {
    attempts: 3,
    time: Duration::from_secs(60),
    at_once: 2,
};
/// Time for somebody who waits, less than a handler has.
const INTERACTIVE: Duration = Duration::from_secs(8);
/// Time in the background, the queue included, less than the job has.
const BACKGROUND: Duration = Duration::from_secs(45);
/// The beginning of a page is enough: what it says of itself stands there.
const WANTED: Wanted = Wanted {
    types: &["text/html", "application/xhtml+xml"],
    bytes: 512 * 1024,
    overflow: Overflow::Truncate,
    time: Duration::from_secs(6),
};
/// How many addresses and hosts are remembered.
const REMEMBERED: u64 = 1_000;
/// What is kept of pages can be dropped by this tag.
const TAG: &str = "link-previews";
/// How long it is remembered, for those who wait, that there was nothing at an address.
const MISSED: Duration = Duration::from_secs(60);
/// A host that fails speaks for itself and not for the web: within this time it counts once.
const SAME_HOST: Duration = Duration::from_secs(60);

/// What the page behind a link says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The page, after redirects.
    pub url: String,
    /// Its title.
    pub title: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its address, as it would have it.
    pub canonical_url: Option<String>,
}

type Failed = CallError<fetch::Error>;
type Outcome = Result<Arc<Preview>, Failed>;

/// Fetches previews; clones share what is kept.
#[derive(Clone)]
pub struct Previews {
    fetcher: Fetcher,
    links: Dependency,
    settings: Settings,
    /// By priority and address: who waits is not given the outcome of a job that waits in the queue's end.
    running: SingleFlight<Outcome>,
    cache: Cache,
    /// Kept here and not in the cache, which keeps no failures.
    missed: Moka<String, Failed>,
    /// Hosts whose failure has been counted.
    failing: Moka<String, ()>,
}

impl fmt::Debug for Previews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Previews")
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

impl Previews {
    /// Registers the dependency. Must be called on the main runtime, where the fetching is done.
    pub fn new(
        fetcher: Fetcher,
        dependencies: &Dependencies,
        settings: Settings,
        cache: Cache,
    ) -> Self {
        Self {
            fetcher,
            links: dependencies.register(DEPENDENCY, Rules::default()),
            settings,
            running: SingleFlight::on(Handle::current()),
            cache,
            missed: remembering(MISSED),
            failing: remembering(SAME_HOST),
        }
    }

    /// Whether the operator wants links to be looked at (`links.previews`).
    pub fn are_on(&self) -> bool {
        self.settings.get().link_previews
    }

    /// The preview of a link for somebody who waits.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for an address that may not be asked; [`Error::NotFound`] where there is no page;
    /// [`Error::Elsewhere`] where it does not answer; [`Error::Unavailable`] while none are asked.
    pub async fn of(&self, url: &SiteUrl) -> Result<Arc<Preview>, Error> {
        if let Some(missed) = self.missed.get(url.as_str()) {
            return Err(meaning(&missed));
        }
        self.load(url, Priority::High, INTERACTIVE).await
    }

    /// Fetches and keeps the preview of a new or changed post, if it lacks one. Nothing depends on it: a link without a
    /// page, and a site without previews, are no errors. Gives whether there is something new.
    ///
    /// # Errors
    /// What makes another try, later, worth while: [`Error::Elsewhere`] and [`Error::Unavailable`].
    pub async fn fetch_for_post(&self, db: &Db, post_id: i64) -> Result<bool, Error> {
        if !self.are_on() {
            return Ok(false);
        }
        let link = queries::find_missing(&mut db.conn().await?, post_id).await?;
        let Some(url) = link.as_deref().and_then(|url| SiteUrl::parse(url).ok()) else {
            return Ok(false);
        };
        match self.load(&url, Priority::Low, BACKGROUND).await {
            Ok(preview) => {
                let mut conn = db.conn().await?;
                queries::upsert(&mut conn, post_id, url.as_str(), &preview).await?;
                Ok(true)
            }
            Err(error @ (Error::Elsewhere(_) | Error::Unavailable(_) | Error::Internal(_))) => {
                Err(error)
            }
            Err(_) => Ok(false),
        }
    }

    async fn load(
        &self,
        url: &SiteUrl,
        priority: Priority,
        limit: Duration,
    ) -> Result<Arc<Preview>, Error> {
        if let Some(kept) = self.kept(url).await {
            return Ok(kept);
        }
        let (own, address) = (self.clone(), url.clone());
        let key = format!("{priority:?} {url}");
        let loading = self.running.run(&key, || {
            trace::inherit(async move { own.fetch(address, priority, limit).await })
        });
        let outcome = loading
            .await
            .map_err(|broken| Error::Internal(broken.into()))?;
        outcome.map_err(|error| meaning(&error))
    }

    async fn kept(&self, url: &SiteUrl) -> Option<Arc<Preview>> {
        self.cache.get::<Preview>(&key_of(url)).await.map(Arc::new)
    }

    async fn fetch(self, url: SiteUrl, priority: Priority, limit: Duration) -> Outcome {
        // Another may have landed since the caller looked.
        if let Some(kept) = self.kept(&url).await {
            return Ok(kept);
        }
        let call = self.links.call(url.domain());
        let outcome = call
            .priority(priority)
            .within(limit)
            .counted_if(|| self.is_news(url.domain()))
            .run(|| self.attempt(&url))
            .await
            .map(Arc::new);
        match &outcome {
            Ok(preview) => {
                let options = Options::default().tag(TAG);
                self.cache.set(&key_of(&url), &**preview, &options).await;
            }
            Err(error) if is_lasting(error) => {
                self.missed.insert(url.to_string(), error.clone());
            }
            Err(_) => {}
        }
        outcome
    }

    /// Whether a failure of this host is the first of late; it no longer is afterwards.
    fn is_news(&self, host: &str) -> bool {
        self.failing.entry_by_ref(host).or_insert(()).is_fresh()
    }

    async fn attempt(&self, url: &SiteUrl) -> Result<Preview, fetch::Error> {
        let fetched = self.fetcher.get(url.as_str(), &WANTED).await?;
        let said = fetched
            .kind
            .as_ref()
            .and_then(|kind| kind.get_param(mime::CHARSET))
            .map(|label| label.to_string());
        let (body, base) = (fetched.body, fetched.url.clone());
        // Half a megabyte of markup takes longer than a worker may be held up.
        let summary = tokio::task::spawn_blocking(move || {
            page::summarise(&charset::decode(&body, said.as_deref()), &base)
        });
        let summary = summary
            .await
            .map_err(|_| fetch::Error::Broken("a page that cannot be read".into()))?;
        Ok(Preview {
            url: fetched.url.to_string(),
            title: summary.title,
            description: summary.description,
            canonical_url: summary.canonical_url,
        })
    }
}

fn key_of(url: &SiteUrl) -> String {
    format!("link-preview:{url}")
}

/// A bounded memory of so long.
fn remembering<T: Clone + Send + Sync + 'static>(time: Duration) -> Moka<String, T> {
    Moka::builder()
        .max_capacity(REMEMBERED)
        .time_to_live(time)
        .build()
}

/// Whether the page was asked, and would most likely give nothing again.
fn is_lasting(error: &Failed) -> bool {
    match error {
        CallError::Full(_) | CallError::Open(_) => false,
        CallError::Ended(ended) | CallError::Attempt(ended) => {
            matches!(ended, Ended::Elapsed(_))
        }
        CallError::Failed(_) => true,
    }
}

/// What a failed call means to the person who gave the link.
fn meaning(error: &Failed) -> Error {
    use fetch::Error as E;
    let sentence = || format!("{DEPENDENCY}: {error}").into();
    match error {
        CallError::Failed(E::Refused(_) | E::NotAUrl) => {
            Error::bad_request("Only public web pages can be looked at.")
        }
        CallError::Failed(error) if error.blame() == Blame::Nobody => Error::NotFound,
        CallError::Full(_) | CallError::Open(_) => Error::Unavailable(sentence()),
        CallError::Ended(_) | CallError::Attempt(_) | CallError::Failed(_) => {
            Error::Elsewhere(sentence())
        }
    }
}

/// Has the preview of a post fetched, once the transaction that wrote its link has committed.
///
/// # Errors
/// What the database said.
pub async fn enqueue(db: impl PgExecutor<'_>, post_id: i64) -> sqlx::Result<()> {
    jobs::enqueue(db, &NewJob::new(JOB, json!({ "post_id": post_id }))).await?;
    Ok(())
}

/// The job that fetches the preview of a post; the post's page is then made anew.
pub fn register(registry: &mut Registry, state: &Data<State>, previews: &Data<Previews>) {
    let (state, previews) = (state.clone(), previews.clone());
    registry.on(JOB, JOB_LIMITS, move |job| {
        let (state, previews) = (state.clone(), previews.clone());
        async move {
            let post_id = job.number("post_id")?;
            match previews.fetch_for_post(&state.db, post_id).await {
                Ok(true) => outdated::link(&state.pages, post_id),
                Ok(false) => {}
                // What an operator could not mend is no job that was given up.
                Err(error @ (Error::Elsewhere(_) | Error::Unavailable(_)))
                    if job.attempt >= JOB_LIMITS.attempts =>
                {
                    tracing::info!(post.id = post_id, error = %error, "the post stays without a preview");
                }
                Err(error) => return Err(Failure::again(error)),
            }
            Ok(())
        }
    });
}
