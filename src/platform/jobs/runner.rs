//! The workers of one process: take what is due, do it, and note what came of it. Must not know what the jobs do.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    Failure, Job, queries,
    registry::{Kind, Registry},
    schedule,
};
use crate::platform::{
    db::Db,
    observe::{
        otlp,
        trace::{self, Trace},
    },
    tasks::Tasks,
};

/// Without a notification, the table is looked at this often.
const POLL: Duration = Duration::from_secs(1);
/// Attempts to note what came of a job, and the pause between them; after them the lease runs out.
const NOTE_ATTEMPTS: u32 = 5;
const NOTE_PAUSE: Duration = Duration::from_millis(500);

/// Takes jobs and does them, some at once. A cloneable handle.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    db: Db,
    registry: Registry,
    /// The kinds that any number of workers may do.
    kinds: Vec<String>,
    slots: Arc<Semaphore>,
    size: usize,
    wake: Notify,
    tasks: Tasks,
    /// What this process has at work, by its number.
    working: Mutex<BTreeMap<i64, Working>>,
}

struct Working {
    attempt: i32,
    kind: String,
}

impl Runner {
    /// Starts taking jobs of the registered kinds, `size` at once, until the tasks stop.
    pub fn start(db: Db, registry: Registry, tasks: &Tasks, size: usize) -> Self {
        let runner = Self(Arc::new(Inner {
            db,
            kinds: registry
                .kinds
                .iter()
                .filter(|(_, kind)| kind.limits.at_once >= size)
                .map(|(name, _)| (*name).to_owned())
                .collect(),
            registry,
            slots: Arc::new(Semaphore::new(size)),
            size,
            wake: Notify::new(),
            tasks: tasks.clone(),
            working: Mutex::default(),
        }));
        let taking = runner.clone();
        tasks.forever("jobs", move |token| {
            let runner = taking.clone();
            async move { runner.take(&token).await }
        });
        runner
    }

    /// Has the table looked at now: a job has been written.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Gives back the jobs that are still at work, for another process to begin again. To be called once the tasks were
    /// given their time to stop.
    ///
    /// # Errors
    /// What the database said; then the lease brings them back.
    pub async fn release(&self) -> sqlx::Result<()> {
        let left: Vec<(i64, i32)> = {
            let working = self
                .0
                .working
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            working.iter().map(|(id, job)| (*id, job.attempt)).collect()
        };
        if !left.is_empty() {
            let released = queries::release(&mut self.0.db.conn().await?, &left).await?;
            tracing::info!(
                jobs.released = released,
                "jobs that were cut off will begin again"
            );
        }
        Ok(())
    }

    /// Takes jobs until the end of the process, or an error; the supervisor then begins again.
    async fn take(&self, token: &CancellationToken) -> sqlx::Result<()> {
        let mut next_due = self.write_schedules().await?;
        while !token.is_cancelled() {
            let now = Utc::now();
            if next_due.is_some_and(|at| at <= now) {
                next_due = self.advance_schedules(now).await?;
            }
            let free = tokio::select! {
                () = token.cancelled() => break,
                free = self.free_slots() => free,
            };
            if self.claim(free).await? == free {
                continue;
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        Ok(())
    }

    /// Waits until a worker is free, and tells how many are.
    async fn free_slots(&self) -> usize {
        drop(self.0.slots.acquire().await);
        self.0.slots.available_permits().clamp(1, self.0.size)
    }

    /// Takes up to `free` jobs and begins them; gives how many. Kinds that have a bound come last, each within it.
    async fn claim(&self, free: usize) -> sqlx::Result<usize> {
        let mut taken = self.claim_of(&self.0.kinds, free).await?;
        for (name, kind) in &self.0.registry.kinds {
            let bound = kind.limits.at_once;
            let room = bound.saturating_sub(self.at_work(name)).min(free - taken);
            if bound < self.0.size && room > 0 {
                taken += self.claim_of(&[(*name).to_owned()], room).await?;
            }
        }
        Ok(taken)
    }

    async fn claim_of(&self, kinds: &[String], most: usize) -> sqlx::Result<usize> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let jobs = queries::claim(&mut self.0.db.conn().await?, kinds, most).await?;
        let taken = jobs.len();
        for job in jobs {
            self.begin(job).await;
        }
        Ok(taken)
    }

    fn at_work(&self, kind: &str) -> usize {
        let working = self
            .0
            .working
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        working.values().filter(|job| job.kind == kind).count()
    }

    async fn begin(&self, job: Job) {
        let Some(kind) = self.0.registry.kinds.get(job.kind.as_str()).cloned() else {
            return;
        };
        let Ok(slot) = Arc::clone(&self.0.slots).acquire_owned().await else {
            return;
        };
        let runner = self.clone();
        self.working_on(&job, true);
        self.0.tasks.spawn(async move {
            runner.perform(&kind, &job).await;
            runner.working_on(&job, false);
            drop(slot);
            if kind.limits.at_once < runner.0.size {
                // The next of its kind was not taken while this one ran.
                runner.wake();
            }
        });
    }

    fn working_on(&self, job: &Job, begins: bool) {
        let mut working = self
            .0
            .working
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if begins {
            let kind = job.kind.clone();
            let attempt = job.attempt.cast_signed();
            working.insert(job.id, Working { attempt, kind });
        } else {
            working.remove(&job.id);
        }
    }

    async fn perform(&self, kind: &Kind, job: &Job) {
        let begun = Instant::now();
        let outcome = Self::attempt(kind, job).await;
        let duration_ms = i32::try_from(begun.elapsed().as_millis()).unwrap_or(i32::MAX);
        match &outcome {
            Ok(()) => tracing::info!(job.id, job.kind, job.attempt, duration_ms, "job done"),
            Err(failure) => {
                tracing::warn!(
                    job.id,
                    job.kind,
                    job.attempt,
                    duration_ms,
                    error = failure.sentence,
                    "job failed"
                );
            }
        }
        let pause = outcome.as_ref().err().map(|failure| {
            let again = failure.again && job.attempt < kind.limits.attempts;
            again.then(|| schedule::backoff(job.attempt, rand::random::<f64>()).as_secs_f64())
        });
        if pause == Some(None) {
            tracing::error!(job.id, job.kind, job.attempt, "job given up");
        }
        self.count(job, begun.elapsed(), pause);
        for _ in 0..NOTE_ATTEMPTS {
            match self
                .note(job, duration_ms, outcome.as_ref().err(), pause.flatten())
                .await
            {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(job.id, job.kind, error = %error, "what came of a job is not noted yet")
                }
            }
            tokio::time::sleep(NOTE_PAUSE).await;
        }
    }

    /// Counts an attempt; `pause` is that of one that has failed, and tells whether there will be another.
    fn count(&self, job: &Job, took: Duration, pause: Option<Option<f64>>) {
        let outcome = match pause {
            None => "done",
            Some(Some(_)) => "failed",
            Some(None) => "given_up",
        };
        let registry = self.0.registry.metrics.registry();
        let labels = [("kind", job.kind.as_str()), ("outcome", outcome)];
        registry
            .counter(
                "job_attempts_total",
                "Attempts of jobs by what came of them.",
                &labels,
            )
            .increment();
        registry
            .histogram(
                "job_duration_seconds",
                "Time that attempts of jobs took.",
                &labels[..1],
            )
            .observe(took.as_secs_f64());
    }

    async fn attempt(kind: &Kind, job: &Job) -> Result<(), Failure> {
        if job.attempt > kind.limits.attempts {
            return Err(Failure::never("its worker died at every attempt"));
        }
        // The handler is called inside, so that a panic before its first await is caught too.
        let work = async { (kind.handler)(job.clone()).await };
        let span = tracing::info_span!(
            "job",
            otel.name = job.kind,
            otel.kind = "consumer",
            job.id,
            job.kind,
            trace.id = tracing::field::Empty,
        );
        let trace = otlp::adopt(&span, Trace::taken(job.traceparent.as_deref(), None, None));
        span.record("trace.id", tracing::field::display(trace.trace_text()));
        let correlation = format!("job-{}", job.id).into();
        let work = trace::carry(trace, correlation, None, work.instrument(span));
        let work = AssertUnwindSafe(work).catch_unwind();
        match tokio::time::timeout(kind.limits.time, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::again("the job panicked")),
            Err(_) => Err(Failure::again("the job took too long")),
        }
    }

    async fn note(
        &self,
        job: &Job,
        duration_ms: i32,
        failure: Option<&Failure>,
        pause_seconds: Option<f64>,
    ) -> sqlx::Result<()> {
        let mut conn = self.0.db.conn().await?;
        match failure {
            None => queries::set_done(&mut conn, job, duration_ms).await,
            Some(failure) => {
                queries::set_failed(
                    &mut conn,
                    job,
                    duration_ms,
                    &failure.sentence,
                    pause_seconds,
                )
                .await
            }
        }
    }

    /// Notes the registered schedules, and gives the first moment when one may be due.
    async fn write_schedules(&self) -> sqlx::Result<Option<DateTime<Utc>>> {
        let now = Utc::now();
        let mut conn = self.0.db.conn().await?;
        for (kind, (text, pattern)) in &self.0.registry.schedules {
            if let Some(next) = pattern.next(now) {
                queries::set_schedule(&mut conn, kind, text, next).await?;
            }
        }
        Ok((!self.0.registry.schedules.is_empty()).then_some(now))
    }

    /// Writes the jobs of schedules that are due, unless another instance has, and gives the next moment to look.
    async fn advance_schedules(&self, now: DateTime<Utc>) -> sqlx::Result<Option<DateTime<Utc>>> {
        let mut conn = self.0.db.conn().await?;
        let mut earliest: Option<DateTime<Utc>> = None;
        for (kind, (_, pattern)) in &self.0.registry.schedules {
            let Some(next) = pattern.next(now) else {
                continue;
            };
            if queries::advance(&mut conn, kind, next).await? {
                tracing::debug!(job.kind = kind, "a periodic job is due");
            }
            earliest = Some(earliest.map_or(next, |at| at.min(next)));
        }
        Ok(earliest)
    }
}
