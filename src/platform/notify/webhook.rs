//! A Slack-compatible incoming webhook (S28's way out): a line of text to where operators talk. Its messages are jobs, so
//! that none is lost while the receiver is away. Must not know what is told, or why.

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::PgExecutor;

use crate::platform::{
    db::Db,
    fetch::{self, Fetcher},
    jobs::{self, Failure, Limits, NewJob, Registry},
    resilience::{
        bulkhead::{self, Priority},
        call::{CallError, Dependency},
        retry::{Blame, Fault},
        rules::Rules,
    },
};

/// The name of the receiver among the dependencies.
pub const DEPENDENCY: &str = "webhook";
/// The kind of the jobs that hold messages. `{text, about}`
pub const JOB: &str = "webhook";
/// Time for one message.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest message, in characters; Slack cuts at 40,000.
const MAX: usize = 4_000;

/// Its rules: one message at a time, and the job tries again, not the call.
pub fn rules() -> Rules {
    Rules {
        bulkhead: bulkhead::Size {
            running: 1,
            ..bulkhead::Size::default()
        },
        ..Rules::default()
    }
}

/// A cloneable handle to one receiver.
#[derive(Clone)]
pub struct Webhook {
    /// Whoever knows it may write there.
    url: Arc<SecretString>,
    fetcher: Fetcher,
    dependency: Dependency,
}

impl Webhook {
    /// The receiver at `url`, asked by way of this dependency; nothing is sent yet.
    pub fn new(url: SecretString, fetcher: Fetcher, dependency: Dependency) -> Self {
        Self {
            url: Arc::new(url),
            fetcher,
            dependency,
        }
    }

    /// Sends a text at once.
    ///
    /// # Errors
    /// Why it was not taken, without the address, and whether trying again may help.
    pub async fn send(&self, text: &str) -> Result<(), Failure> {
        let body = json!({ "text": escaped(text) });
        let url = self.url.expose_secret();
        // A message that may have come through is not sent twice within one attempt of its job.
        let call = self
            .dependency
            .call("a message")
            .priority(Priority::Low)
            .once();
        let sent = call
            .run(|| self.fetcher.post_json(url, &body, PATIENCE))
            .await;
        sent.map_err(|error| match error {
            CallError::Failed(error) if is_final(&error) => Failure::never(error),
            other => Failure::again(other),
        })
    }
}

/// Whether the receiver was there and will not have it, or may not be asked at all.
fn is_final(error: &fetch::Error) -> bool {
    !error.is_retryable() && error.blame() != Blame::Dependency
}

/// The text, not too long, its three signs as Slack wants them ("Escaping text", its documentation).
fn escaped(text: &str) -> String {
    let text: String = text.chars().take(MAX).collect();
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Writes a message to be sent. One that still waits when another about the same thing has been written is not sent any
/// more: what operators hear last is how it is.
///
/// # Errors
/// What the database said.
pub async fn enqueue(db: impl PgExecutor<'_>, text: &str, about: &str) -> sqlx::Result<()> {
    let key = format!("{}{:016x}", prefix(about), rand::random::<u64>());
    let job = NewJob::new(JOB, json!({ "text": text, "about": about }));
    jobs::enqueue(db, &job.unique(&key)).await.map(drop)
}

/// What the keys of all messages about one thing begin with.
fn prefix(about: &str) -> String {
    format!("{about} ")
}

/// Says who sends the messages; where there is no receiver any more, those that still wait are dropped.
pub fn register(registry: &mut Registry, db: &Db, webhook: Option<&Webhook>) {
    let (db, webhook) = (db.clone(), webhook.cloned());
    registry.on(JOB, Limits::default(), move |job| {
        let (db, webhook) = (db.clone(), webhook.clone());
        async move {
            let text = job.text("text")?;
            if let Some(about) = job.payload["about"].as_str()
                && jobs::is_overtaken(&mut db.conn().await?, &job, &prefix(about)).await?
            {
                return Ok(());
            }
            match webhook {
                Some(webhook) => webhook.send(text).await,
                None => {
                    tracing::info!(job.id, "no webhook is set, so a message is dropped");
                    Ok(())
                }
            }
        }
    });
}
