//! A call to something outside (S22): bulkhead, within it the breaker, within it the time limit, within it the retries.
//! Must not know what is called.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::Value;

use super::{
    breaker::{self, Breaker, Forced},
    bulkhead::{Bulkhead, Full, Priority},
    dependencies::{Guarded, Status},
    health::{Record, Sample},
    retry::{Blame, Budget, Fault},
    rules::Rules,
    timeout::{Ended, Timeouts},
};

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// Too many wait already.
    #[error(transparent)]
    Full(#[from] Full),
    /// The breaker is open.
    #[error(transparent)]
    Open(#[from] breaker::Refused),
    /// It took too long in all, or an operator ended it.
    #[error(transparent)]
    Ended(Ended),
    /// The last attempt took too long.
    #[error("{0}")]
    Attempt(Ended),
    /// What the last attempt said.
    #[error("{0}")]
    Failed(E),
}

impl<E: Fault> Fault for CallError<E> {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Full(_) | Self::Open(_) | Self::Ended(_) => false,
            Self::Attempt(ended) => matches!(ended, Ended::Elapsed(_)),
            Self::Failed(error) => error.is_retryable(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed(error) => error.retry_after(),
            Self::Open(refused) => Some(refused.retry_after),
            _ => None,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Full(_)
            | Self::Open(_)
            | Self::Ended(Ended::Cancelled)
            | Self::Attempt(Ended::Cancelled) => Blame::Caller,
            Self::Ended(_) | Self::Attempt(_) => Blame::Dependency,
            Self::Failed(error) => error.blame(),
        }
    }
}

/// A cloneable handle to one dependency, from `Dependencies::register`.
#[derive(Clone)]
pub struct Dependency(Arc<Shared>);

struct Shared {
    name: &'static str,
    defaults: Rules,
    breaker: Breaker,
    bulkhead: Bulkhead,
    timeouts: Timeouts,
    started: Instant,
    inside: Mutex<Inside>,
}

struct Inside {
    rules: Rules,
    budget: Budget,
    record: Record,
    retries: Retries,
}

/// What retrying came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retries {
    /// Attempts, first ones included.
    pub attempts: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Times that one was worth a retry but the budget was used up.
    pub over_budget: u64,
    /// Retries that the budget allows now.
    pub budget: u32,
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dependency").field(&self.0.name).finish()
    }
}

impl Dependency {
    pub(super) fn new(name: &'static str, rules: Rules, timeouts: Timeouts) -> Self {
        Self(Arc::new(Shared {
            name,
            defaults: rules,
            breaker: Breaker::new(name, rules.breaker),
            bulkhead: Bulkhead::new(rules.bulkhead),
            timeouts,
            started: Instant::now(),
            inside: Mutex::new(Inside {
                rules,
                budget: Budget::default(),
                record: Record::default(),
                retries: Retries::default(),
            }),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Its breaker alone, for the middleware that puts a route behind it.
    pub fn breaker(&self) -> &Breaker {
        &self.0.breaker
    }

    /// Prepares a call; `context` says of what, in the list of those active, and holds no secret.
    pub fn call(&self, context: impl Into<String>) -> Call<'_> {
        Call {
            dependency: self,
            context: context.into(),
            priority: Priority::Normal,
            within: None,
            once: false,
            counted_if: None,
        }
    }

    /// Notes a call that ran elsewhere (behind the route middleware), for the health.
    pub fn note(&self, sample: Sample) {
        self.inside().record.add(sample);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guarded for Dependency {
    fn status(&self) -> Status {
        let inside = self.inside();
        Status {
            name: self.0.name.to_owned(),
            breaker: self.0.breaker.snapshot(),
            health: inside.record.health(&inside.rules.health),
            bulkhead: Some(self.0.bulkhead.stats()),
            retries: Some(Retries {
                budget: inside.budget.left(),
                ..inside.retries
            }),
            rules: Some(inside.rules),
        }
    }

    fn force(&self, forced: Option<Forced>) {
        self.0.breaker.force(forced);
    }

    fn tune(&self, changes: Option<&Value>) {
        let wanted = changes.map_or(Ok(self.0.defaults), |changes| {
            self.0.defaults.changed_by(changes)
        });
        let rules = match wanted {
            Ok(rules) => rules,
            Err(error) => {
                tracing::warn!(dependency.name = self.0.name, error = %error, "its setting cannot be read: nothing is changed");
                return;
            }
        };
        if std::mem::replace(&mut self.inside().rules, rules) != rules {
            self.0.breaker.tune(rules.breaker);
            self.0.bulkhead.resize(rules.bulkhead);
        }
    }
}

/// A call that waits to be let in. Dropped when its time is over, it was refused.
struct Queued<'a> {
    dependency: Option<&'a Dependency>,
    ends: Option<Instant>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let is_over = self.ends.is_some_and(|ends| ends <= Instant::now());
        if let Some(dependency) = self.dependency.filter(|_| is_over) {
            dependency.note(Sample::Refused);
        }
    }
}

/// A call that is about to be made.
#[must_use = "a call is made by `run`"]
pub struct Call<'a> {
    dependency: &'a Dependency,
    context: String,
    priority: Priority,
    within: Option<Duration>,
    once: bool,
    counted_if: Option<Box<dyn Fn() -> bool + Send + Sync + 'a>>,
}

impl<'a> Call<'a> {
    /// Who else waits is let in before or after it.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// A shorter time in all than the rules allow, the wait in the queue included.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// It must not happen twice (it is not idempotent), so that it is not tried again.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// A failure of the dependency counts only if `counts` says so, which is asked once, when the call has failed: for what
    /// speaks for a part of the dependency and not for all of it.
    pub fn counted_if(mut self, counts: impl Fn() -> bool + Send + Sync + 'a) -> Self {
        self.counted_if = Some(Box::new(counts));
        self
    }

    /// Makes the call; `attempt` is asked for each attempt anew.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn run<T, E, F, Fut>(self, attempt: F) -> Result<T, CallError<E>>
    where
        E: Fault + fmt::Display,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let Some(limit) = self.within else {
            return self.guarded(attempt, None).await;
        };
        let ends = Instant::now() + limit;
        let timeouts = self.dependency.0.timeouts.clone();
        let context = format!(
            "{}: {}, the queue included",
            self.dependency.name(),
            self.context
        );
        timeouts
            .run(context, limit, self.guarded(attempt, Some(ends)))
            .await
            .unwrap_or_else(|ended| Err(CallError::Ended(ended)))
    }

    /// The call without the limit that the caller has set; `ends` is when that strikes.
    async fn guarded<T, E, F, Fut>(
        self,
        attempt: F,
        ends: Option<Instant>,
    ) -> Result<T, CallError<E>>
    where
        E: Fault + fmt::Display,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let shared = &self.dependency.0;
        let refused = |error: CallError<E>| {
            self.dependency.note(Sample::Refused);
            error
        };
        let mut queued = Queued {
            dependency: Some(self.dependency),
            ends,
        };
        let _slot = shared
            .bulkhead
            .enter(self.priority)
            .await
            .map_err(|full| refused(full.into()));
        queued.dependency = None;
        let _slot = _slot?;
        let permit = shared
            .breaker
            .admit()
            .map_err(|open| refused(open.into()))?;
        let unfinished = Unfinished {
            dependency: self.dependency,
            counted_if: self.counted_if.as_deref(),
            permit: Some(permit),
            began: Instant::now(),
        };
        let limits = self.dependency.inside().rules.timeout;
        let total = Instant::now() + limits.total;
        let ends = ends.map_or(total, |ends| ends.min(total));
        let context = format!("{}: {}, all attempts", shared.name, self.context);
        let outcome = shared
            .timeouts
            .run(
                context,
                limits.total,
                self.attempts(limits.attempt, ends, attempt),
            )
            .await
            .unwrap_or_else(|ended| Err(CallError::Ended(ended)));
        unfinished.end(&outcome);
        outcome
    }

    async fn attempts<T, E, F, Fut>(
        &self,
        limit: Duration,
        ends: Instant,
        mut attempt: F,
    ) -> Result<T, CallError<E>>
    where
        E: Fault,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let shared = &self.dependency.0;
        let mut failed = 0;
        loop {
            {
                let mut inside = self.dependency.inside();
                inside.retries.attempts += 1;
                if failed == 0 {
                    inside.budget.deposit(shared.started.elapsed());
                }
            }
            let context = format!("{}: {}, attempt {}", shared.name, self.context, failed + 1);
            let outcome = match shared.timeouts.run(context, limit, attempt()).await {
                Ok(outcome) => outcome.map_err(CallError::Failed),
                Err(ended) => Err(CallError::Attempt(ended)),
            };
            let error = match outcome {
                Err(error) if error.is_retryable() && !self.once => error,
                settled => return settled,
            };
            failed += 1;
            let left = ends.saturating_duration_since(Instant::now());
            let Some(delay) = self.delay(failed, error.retry_after(), left) else {
                return Err(error);
            };
            tokio::time::sleep(delay).await;
        }
    }

    /// How long to wait before the next attempt, if there is to be one: not where the wait alone uses up what is `left`, so
    /// that nobody holds a slot for nothing.
    fn delay(&self, failed: u32, asked: Option<Duration>, left: Duration) -> Option<Duration> {
        let mut inside = self.dependency.inside();
        let delay = inside.rules.retry.delay(failed, rand::random(), asked)?;
        if delay >= left {
            return None;
        }
        if !inside.budget.withdraw(self.dependency.0.started.elapsed()) {
            inside.retries.over_budget += 1;
            return None;
        }
        inside.retries.retried += 1;
        Some(delay)
    }
}

/// A call between admission and outcome. If it is dropped in between (its own limit or its caller is gone), what it has
/// used up says that the dependency did not answer in time only where that was much.
struct Unfinished<'a> {
    dependency: &'a Dependency,
    counted_if: Option<&'a (dyn Fn() -> bool + Send + Sync + 'a)>,
    permit: Option<breaker::Permit>,
    began: Instant,
}

impl Unfinished<'_> {
    fn end<T, E: Fault + fmt::Display>(mut self, outcome: &Result<T, CallError<E>>) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let took = self.began.elapsed();
        match outcome.as_ref().err().map(|error| (error.blame(), error)) {
            None | Some((Blame::Nobody, _)) => {
                permit.success();
                self.dependency.note(Sample::Ok(took));
            }
            Some((Blame::Dependency, error)) => self.fail(permit, took, error.to_string()),
            Some((Blame::Caller, _)) => drop(permit),
        }
    }

    fn fail(&self, permit: breaker::Permit, took: Duration, reason: String) {
        if self.counted_if.is_none_or(|counts| counts()) {
            permit.failure(reason);
            self.dependency.note(Sample::Failed(took));
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let attempt = self.dependency.inside().rules.timeout.attempt;
        let took = self.began.elapsed();
        if let Some(permit) = self.permit.take()
            && took >= attempt / 2
        {
            self.fail(
                permit,
                took,
                format!("given up after {} ms", took.as_millis()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
    #[error("busy")]
    struct Busy(Option<Duration>);

    impl Fault for Busy {
        fn is_retryable(&self) -> bool {
            true
        }

        fn retry_after(&self) -> Option<Duration> {
            self.0
        }

        fn blame(&self) -> Blame {
            Blame::Dependency
        }
    }

    fn dependency(total: Duration) -> Dependency {
        let mut rules = Rules::default();
        rules.timeout.total = total;
        rules.timeout.attempt = Duration::from_millis(400);
        rules.retry.base = Duration::ZERO;
        Dependency::new("test", rules, Timeouts::default())
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn s19_a_wait_that_is_longer_than_the_time_left_is_not_begun() {
        for (total, within) in [(LONG, Some(Duration::from_secs(8))), (LONG / 4, None)] {
            let dependency = dependency(total);
            let mut call = dependency.call("a page");
            if let Some(within) = within {
                call = call.within(within);
            }
            let asked = AtomicU32::new(0);
            let began = Instant::now();
            let outcome: Result<(), _> = call
                .run(|| {
                    asked.fetch_add(1, Ordering::Relaxed);
                    async { Err(Busy(Some(Duration::from_secs(10)))) }
                })
                .await;
            assert_eq!(
                outcome,
                Err(CallError::Failed(Busy(Some(Duration::from_secs(10)))))
            );
            assert_eq!(asked.load(Ordering::Relaxed), 1);
            assert!(began.elapsed() < Duration::from_secs(5), "at once");
            let retries = dependency.status().retries.expect("counted");
            assert_eq!(retries.retried, 0, "the budget is not touched");
        }
    }

    #[tokio::test]
    async fn s22_what_fails_counts_only_where_the_caller_says_so_however_it_ends() {
        let dependency = dependency(LONG);
        // More than half of an attempt's, less than all of it.
        let limit = Duration::from_millis(250);
        for (counts, failures) in [(false, 0), (true, 3)] {
            let failed: Result<(), _> = dependency
                .call("answered")
                .counted_if(|| counts)
                .once()
                .run(|| async { Err(Busy(None)) })
                .await;
            assert!(matches!(failed, Err(CallError::Failed(_))));
            let late: Result<(), CallError<Busy>> = dependency
                .call("too late")
                .counted_if(|| counts)
                .once()
                .run(pending)
                .await;
            assert!(matches!(late, Err(CallError::Attempt(_))));
            let cut: Result<(), CallError<Busy>> = dependency
                .call("cut")
                .counted_if(|| counts)
                .within(limit)
                .run(pending)
                .await;
            assert!(matches!(cut, Err(CallError::Ended(_))));
            let status = dependency.status();
            assert_eq!(status.breaker.failures, failures);
            assert_eq!(status.health.calls as u64, failures);
        }
    }
}
