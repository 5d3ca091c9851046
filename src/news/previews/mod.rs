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
use moka::sync::Cache;
use serde::Serialize;
use serde_json::json;
use sqlx::PgExecutor;

use crate::{
    news::{outdated, posts::link::SiteUrl},
    platform::{
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
        },
        settings::Settings,
    },
    web::{error::Error, state::State},
};

/// The name of this dependency: in the console, in the log, in the setting `resilience.links`.
pub const DEPENDENCY: &str = "links";
/// The kind of the job that fetches the preview of a post.
const JOB: &str = "link.preview";
/// Time for somebody who waits, less than a handler has.
const INTERACTIVE: Duration = Duration::from_secs(8);
/// The beginning of a page is enough: what it says of itself stands there.
const WANTED: Wanted = Wanted {
    types: &["text/html", "application/xhtml+xml"],
    bytes: 512 * 1024,
    overflow: Overflow::Truncate,
    time: Duration::from_secs(6),
};
/// How many previews are kept in the process, and for how long.
const KEPT: (u64, Duration) = (1_000, Duration::from_secs(300));
/// A host that fails speaks for itself and not for the web: within this time it counts once.
const SAME_HOST: Duration = Duration::from_secs(60);

/// What the page behind a link says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// A fetch that failed, and whether its host had failed just before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    error: fetch::Error,
    is_repeated: bool,
}

impl Fault for Failed {
    fn is_retryable(&self) -> bool {
        self.error.is_retryable()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.error.retry_after()
    }

    fn blame(&self) -> Blame {
        match self.error.blame() {
            Blame::Dependency if self.is_repeated => Blame::Caller,
            blame => blame,
        }
    }
}

type Outcome = Result<Arc<Preview>, CallError<Failed>>;

/// Fetches previews; clones share what is kept.
#[derive(Clone)]
pub struct Previews {
    fetcher: Fetcher,
    links: Dependency,
    settings: Settings,
    running: SingleFlight<String, Outcome>,
    kept: Cache<String, Arc<Preview>>,
    failing: Cache<String, ()>,
}

impl fmt::Debug for Previews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Previews")
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

impl Previews {
    /// Registers the dependency.
    pub fn new(fetcher: Fetcher, dependencies: &Dependencies, settings: Settings) -> Self {
        Self {
            fetcher,
            links: dependencies.register(DEPENDENCY, Rules::default()),
            settings,
            running: SingleFlight::default(),
            kept: Cache::builder()
                .max_capacity(KEPT.0)
                .time_to_live(KEPT.1)
                .build(),
            failing: Cache::builder()
                .max_capacity(KEPT.0)
                .time_to_live(SAME_HOST)
                .build(),
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
    /// [`Error::Unavailable`] where it does not answer.
    pub async fn of(&self, url: &SiteUrl) -> Result<Arc<Preview>, Error> {
        self.load(url, Priority::High, Some(INTERACTIVE)).await
    }

    /// Fetches and keeps the preview of a new or changed post, if it lacks one. Nothing depends on it: a link without a
    /// page, and a site without previews, are no errors. Gives whether there is something new.
    ///
    /// # Errors
    /// What makes another try, later, worth while: [`Error::Unavailable`].
    pub async fn fetch_for_post(&self, db: &Db, post_id: i64) -> Result<bool, Error> {
        if !self.are_on() {
            return Ok(false);
        }
        let link = queries::find_missing(&mut db.conn().await?, post_id).await?;
        let Some(url) = link.as_deref().and_then(|url| SiteUrl::parse(url).ok()) else {
            return Ok(false);
        };
        match self.load(&url, Priority::Low, None).await {
            Ok(preview) => {
                let mut conn = db.conn().await?;
                queries::upsert(&mut conn, post_id, url.as_str(), &preview).await?;
                Ok(true)
            }
            Err(error @ (Error::Unavailable(_) | Error::Internal(_))) => Err(error),
            Err(_) => Ok(false),
        }
    }

    async fn load(
        &self,
        url: &SiteUrl,
        priority: Priority,
        limit: Option<Duration>,
    ) -> Result<Arc<Preview>, Error> {
        if let Some(kept) = self.kept.get(url.as_str()) {
            return Ok(kept);
        }
        let (own, address) = (self.clone(), url.clone());
        let loading = self.running.run(url.to_string(), || {
            trace::inherit(async move { own.fetch(address, priority, limit).await })
        });
        let outcome = loading
            .await
            .map_err(|broken| Error::Internal(broken.into()))?;
        outcome.map_err(|error| meaning(&error))
    }

    async fn fetch(self, url: SiteUrl, priority: Priority, limit: Option<Duration>) -> Outcome {
        let mut call = self.links.call(url.domain()).priority(priority);
        if let Some(limit) = limit {
            call = call.within(limit);
        }
        let is_repeated = self.failing.contains_key(url.domain());
        let outcome = call
            .run(|| self.attempt(&url, is_repeated))
            .await
            .map(Arc::new);
        match &outcome {
            Ok(preview) => self.kept.insert(url.to_string(), preview.clone()),
            Err(error) if error.blame() == Blame::Dependency => {
                self.failing.insert(url.domain().to_owned(), ())
            }
            Err(_) => {}
        }
        outcome
    }

    async fn attempt(&self, url: &SiteUrl, is_repeated: bool) -> Result<Preview, Failed> {
        let fetched = self
            .fetcher
            .get(url.as_str(), &WANTED)
            .await
            .map_err(|error| Failed { error, is_repeated })?;
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
        let summary = summary.await.map_err(|_| Failed {
            error: fetch::Error::Broken("a page that cannot be read".into()),
            is_repeated,
        })?;
        Ok(Preview {
            url: fetched.url.to_string(),
            title: summary.title,
            description: summary.description,
            canonical_url: summary.canonical_url,
        })
    }
}

/// What a failed call means to the person who gave the link.
fn meaning(error: &CallError<Failed>) -> Error {
    use fetch::Error as E;
    match error {
        CallError::Failed(Failed {
            error: E::Refused(_) | E::NotAUrl,
            ..
        }) => Error::bad_request("Only public web pages can be looked at."),
        CallError::Failed(Failed { error, .. }) if error.blame() == Blame::Nobody => {
            Error::NotFound
        }
        other => Error::Unavailable(format!("{DEPENDENCY}: {other}").into()),
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
    registry.on(JOB, Limits::default(), move |job| {
        let (state, previews) = (state.clone(), previews.clone());
        async move {
            let post_id = job.number("post_id")?;
            let fetched = previews.fetch_for_post(&state.db, post_id).await;
            if fetched.map_err(Failure::again)? {
                outdated::link(&state.pages, post_id);
            }
            Ok(())
        }
    });
}
