//! Whether a dependency answers: taken as up until someone suspects otherwise, then asked in the
//! background until it answers again, so that no request has to wait to find out. Must not know
//! what the dependency is.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// The last time that the dependency did not answer.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When it was noticed.
    pub at: DateTime<Utc>,
    /// What was noticed, without secrets.
    pub reason: String,
}

/// How often and how patiently to ask.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long one question may take.
    pub patience: Duration,
    /// The pause between questions while there is no answer.
    pub pause: Duration,
}

/// A cloneable view of one dependency's state; the asking ends with the last clone.
#[derive(Debug, Clone)]
pub struct Probe {
    shared: Arc<Shared>,
    _task: Arc<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    up: watch::Sender<bool>,
    suspected: Notify,
    last_failure: Mutex<Option<Failure>>,
}

impl Probe {
    /// Starts in the state *up*. `check` asks once; it is called on `runtime`, only after a
    /// [`suspect`](Self::suspect), and then again and again until it succeeds.
    pub fn spawn<F, Fut>(name: &'static str, runtime: &Handle, pace: Pace, check: F) -> Self
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            name,
            up: watch::Sender::new(true),
            suspected: Notify::new(),
            last_failure: Mutex::new(None),
        });
        let task = runtime.spawn(run(shared.clone(), pace, check));
        Self {
            shared,
            _task: Arc::new(AbortOnDropHandle::new(task)),
        }
    }

    /// False from the first unanswered question until the first answer.
    pub fn is_up(&self) -> bool {
        *self.shared.up.borrow()
    }

    /// Says that something went wrong; the dependency is asked at once, in the background.
    pub fn suspect(&self) {
        self.shared.suspected.notify_one();
    }

    /// Waits until the dependency is up, but no longer than `within`; says whether it is.
    pub async fn wait_up(&self, within: Duration) -> bool {
        let mut up = self.shared.up.subscribe();
        matches!(timeout(within, up.wait_for(|up| *up)).await, Ok(Ok(_)))
    }

    /// The newest failure, kept after recovery.
    pub fn last_failure(&self) -> Option<Failure> {
        self.shared
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn run<F, Fut>(shared: Arc<Shared>, pace: Pace, check: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    loop {
        shared.suspected.notified().await;
        loop {
            let outcome = timeout(pace.patience, check()).await.unwrap_or_else(|_| {
                Err(format!("no answer within {} ms", pace.patience.as_millis()))
            });
            match outcome {
                Ok(()) => {
                    if !shared.up.send_replace(true) {
                        tracing::info!(dependency.name = shared.name, "answers again");
                    }
                    break;
                }
                Err(reason) => {
                    if shared.up.send_replace(false) {
                        tracing::error!(dependency.name = shared.name, reason, "does not answer");
                    }
                    *shared
                        .last_failure
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = Some(Failure {
                        at: Utc::now(),
                        reason,
                    });
                    tokio::time::sleep(pace.pause).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn a_suspected_dependency_is_down_until_it_answers() {
        let healthy = Arc::new(AtomicBool::new(false));
        let asked = healthy.clone();
        let pace = Pace {
            patience: Duration::from_millis(100),
            pause: Duration::from_millis(5),
        };
        let probe = Probe::spawn("test", &Handle::current(), pace, move || {
            let healthy = asked.load(Ordering::Relaxed);
            async move {
                if healthy {
                    Ok(())
                } else {
                    Err("broken".to_owned())
                }
            }
        });
        assert!(probe.is_up());
        probe.suspect();
        while probe.is_up() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(
            probe.last_failure().map(|f| f.reason).as_deref(),
            Some("broken")
        );
        assert!(!probe.wait_up(Duration::from_millis(10)).await);
        healthy.store(true, Ordering::Relaxed);
        assert!(probe.wait_up(Duration::from_secs(1)).await);
    }
}
