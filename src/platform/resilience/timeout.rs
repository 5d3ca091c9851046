//! Limits on time (S20), with a list of what runs under them now. Must not know what runs.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Why something under a limit gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It took longer than this.
    #[error("no answer within {} ms", .0.as_millis())]
    Elapsed(Duration),
    /// An operator has ended it.
    #[error("cancelled by an operator")]
    Cancelled,
}

/// Something that runs under a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Active {
    /// Grows with each.
    pub id: u64,
    /// What it is, such as `links: example.org`.
    pub context: String,
    /// How long it has been running, in milliseconds.
    pub age_ms: u64,
    /// How long it may run, in milliseconds.
    pub limit_ms: u64,
}

struct Entry {
    context: String,
    began: Instant,
    limit: Duration,
    cancel: CancellationToken,
}

/// All that runs under a limit in this process; clones share one list.
#[derive(Clone, Default)]
pub struct Timeouts(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    next: u64,
    running: BTreeMap<u64, Entry>,
}

impl Timeouts {
    /// Runs `work`, at most for `limit`; `context` names it in the list.
    ///
    /// # Errors
    /// [`Ended`]; the work is then dropped.
    pub async fn run<T>(
        &self,
        context: String,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        let cancel = CancellationToken::new();
        let listed = self.list_as(context, limit, cancel.clone());
        let outcome = tokio::select! {
            outcome = work => Ok(outcome),
            () = tokio::time::sleep(limit) => Err(Ended::Elapsed(limit)),
            () = cancel.cancelled() => Err(Ended::Cancelled),
        };
        drop(listed);
        outcome
    }

    /// What runs now, the oldest first.
    pub fn list(&self) -> Vec<Active> {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let entries = self.entries();
        let active = entries.running.iter().map(|(id, entry)| Active {
            id: *id,
            context: entry.context.clone(),
            age_ms: milliseconds(entry.began.elapsed()),
            limit_ms: milliseconds(entry.limit),
        });
        active.collect()
    }

    /// Ends all that runs now, and says how many that were.
    pub fn cancel_all(&self) -> usize {
        let entries = self.entries();
        entries
            .running
            .values()
            .for_each(|entry| entry.cancel.cancel());
        entries.running.len()
    }

    fn list_as(&self, context: String, limit: Duration, cancel: CancellationToken) -> Listed<'_> {
        let mut entries = self.entries();
        let id = entries.next;
        entries.next += 1;
        let entry = Entry {
            context,
            began: Instant::now(),
            limit,
            cancel,
        };
        entries.running.insert(id, entry);
        Listed { timeouts: self, id }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the list, given up when dropped: at the end, and when the caller goes away.
struct Listed<'a> {
    timeouts: &'a Timeouts,
    id: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.timeouts.entries().running.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn s20_what_takes_too_long_is_ended_and_leaves_the_list() {
        let timeouts = Timeouts::default();
        let limit = Duration::from_millis(10);
        let ended = timeouts
            .run("slow".into(), limit, tokio::time::sleep(LONG))
            .await;
        assert_eq!(ended, Err(Ended::Elapsed(limit)));
        assert_eq!(timeouts.list(), []);
    }

    #[tokio::test]
    async fn s20_an_operator_sees_what_runs_and_ends_it() {
        let timeouts = Timeouts::default();
        let running = timeouts.clone();
        let task = tokio::spawn(async move {
            running
                .run(
                    "links: example.org".into(),
                    LONG,
                    std::future::pending::<()>(),
                )
                .await
        });
        while timeouts.list().is_empty() {
            tokio::task::yield_now().await;
        }
        let [active] = &timeouts.list()[..] else {
            panic!("one runs");
        };
        assert_eq!(
            (active.context.as_str(), active.limit_ms),
            ("links: example.org", 3_600_000)
        );
        assert_eq!(timeouts.cancel_all(), 1);
        assert_eq!(task.await.expect("no panic"), Err(Ended::Cancelled));
        assert_eq!(timeouts.list(), []);
    }
}
