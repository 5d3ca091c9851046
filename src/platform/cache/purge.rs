//! Tells a CDN in front which pages are outdated (S17): tags are gathered for a second and sent in one message,
//! `{"surrogate_keys": ["post:7", "lists"]}`, or `{"everything": true}`. Must not know what the tags stand for.
//!
//! Messages are no jobs: each vote outdates a page, and what is lost when the process ends is kept by the CDN no longer
//! than [`CDN_AGE`].

use std::{
    collections::BTreeSet,
    convert::Infallible,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::platform::{
    fetch::{Error, Fetcher},
    resilience::call::{CallError, Dependency},
};

/// The name of the CDN among the dependencies.
pub const DEPENDENCY: &str = "cdn";
/// How long a CDN may keep a page of which it hears nothing, in seconds.
pub const CDN_AGE: u32 = 60;
/// How long tags are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// How long to wait after a message that was not taken.
const AGAIN: Duration = Duration::from_secs(5);
/// Time for one message.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tags that wait; beyond it everything is purged.
const WAITING_MAX: usize = 5_000;

/// A cloneable handle to what is still to be said.
#[derive(Clone)]
pub struct Purges(Arc<Inner>);

struct Inner {
    url: SecretString,
    fetcher: Fetcher,
    dependency: Dependency,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, PartialEq)]
enum Waiting {
    Tags(BTreeSet<String>),
    Everything,
}

impl Default for Waiting {
    fn default() -> Self {
        Self::Tags(BTreeSet::new())
    }
}

impl Waiting {
    fn add(&mut self, more: Self) {
        match (&mut *self, more) {
            (Self::Tags(tags), Self::Tags(more)) if tags.len() + more.len() <= WAITING_MAX => {
                tags.extend(more);
            }
            _ => *self = Self::Everything,
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Tags(tags) if tags.is_empty())
    }

    fn message(&self) -> Value {
        match self {
            Self::Tags(tags) => json!({ "surrogate_keys": tags }),
            Self::Everything => json!({ "everything": true }),
        }
    }
}

impl Purges {
    /// Messages to `url`, by way of this dependency; nothing is sent before [`Self::run`].
    pub fn new(url: SecretString, fetcher: Fetcher, dependency: Dependency) -> Self {
        Self(Arc::new(Inner {
            url,
            fetcher,
            dependency,
            waiting: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// Pages with these tags are outdated.
    pub fn note(&self, tags: &[&str]) {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.add(Waiting::Tags(tags));
    }

    /// Every page is outdated.
    pub fn note_everything(&self) {
        self.add(Waiting::Everything);
    }

    fn add(&self, more: Waiting) {
        self.waiting().add(more);
        self.0.wake.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is noted, a message a second at most; what is not taken is sent again with what came meanwhile. Once the
    /// token is cancelled, what waits is sent a last time.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, token: CancellationToken) -> Result<(), Infallible> {
        loop {
            tokio::select! {
                () = token.cancelled() => break,
                () = self.0.wake.notified() => {}
            }
            // Cancelled meanwhile, it is sent at once.
            let _ = tokio::time::timeout(GATHER, token.cancelled()).await;
            let waiting = mem::take(&mut *self.waiting());
            if waiting.is_empty() {
                continue;
            }
            if let Err(error) = self.send(&waiting.message()).await {
                tracing::warn!(error = %error, "the CDN does not take what is outdated");
                self.add(waiting);
                let _ = tokio::time::timeout(AGAIN, token.cancelled()).await;
            }
        }
        let waiting = mem::take(&mut *self.waiting());
        if !waiting.is_empty()
            && let Err(error) = self.send(&waiting.message()).await
        {
            tracing::error!(error = %error, "the CDN was not told what is outdated: it keeps it for its time");
        }
        Ok(())
    }

    async fn send(&self, message: &Value) -> Result<(), CallError<Error>> {
        let url = self.0.url.expose_secret();
        let call = self.0.dependency.call("a purge").once();
        call.run(|| self.0.fetcher.post_json(url, message, PATIENCE))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(names: &[&str]) -> Waiting {
        Waiting::Tags(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn tags_are_gathered_once_each_and_too_many_are_everything() {
        let mut waiting = tags(&["post:1"]);
        waiting.add(tags(&["lists", "post:1"]));
        assert_eq!(
            waiting.message(),
            json!({ "surrogate_keys": ["lists", "post:1"] })
        );
        let many: Vec<String> = (0..WAITING_MAX).map(|n| n.to_string()).collect();
        waiting.add(tags(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(waiting.message(), json!({ "everything": true }));
        waiting.add(tags(&["lists"]));
        assert_eq!(waiting, Waiting::Everything);
    }
}
