//! Whether each part is well (S30): a registry of checks, each with its own time limit and pace. Must not know who asks.
//!
//! A check runs in the background at its interval. A critical one, and one of a part of our own, runs again when somebody
//! asks and the last result is older than a second, and nobody waits longer than 1.5 s for that; of any other the last
//! result is told, so that no stranger makes the site ask others.

pub mod changes; // when a check has changed for good
mod check; // one check
pub mod checks; // the checks that every site has
mod report; // what is told of them

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::{sync::broadcast, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::cache::flight::{Flights, Turn};
pub use check::{Check, Outcome, Pace, Status};
pub use report::{CheckReport, Report, Summary};

/// A result younger than this is not asked for again.
const YOUNG: Duration = Duration::from_secs(1);
/// How long somebody who asks waits for a result: a database that is frozen is told within two seconds.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How often a check that rests looks whether it is to run more often now.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a result stays believable after its interval, should the next one not come.
const SLACK: Duration = Duration::from_secs(10);

/// A result, as it is told to those who listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The check's name.
    pub check: String,
    /// How the part is; what is not critical is degraded at worst.
    pub status: Status,
    /// What was found, where it is not well.
    pub message: Option<String>,
}

#[derive(Clone)]
struct Last {
    outcome: Outcome,
    took: Duration,
    at: DateTime<Utc>,
    began: Instant,
    seen: Instant,
}

/// A cloneable handle to all checks.
#[derive(Clone)]
pub struct Checks(Arc<Inner>);

struct Inner {
    started: Instant,
    checks: RwLock<Vec<Check>>,
    last: Mutex<HashMap<String, Last>>,
    flights: Flights<()>,
    tasks: Mutex<HashMap<String, AbortOnDropHandle<()>>>,
    seen: broadcast::Sender<Seen>,
}

/// Results that are kept for those who listen and are slow; the oldest are lost.
const HEARD: usize = 256;

impl Default for Checks {
    fn default() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            checks: RwLock::default(),
            last: Mutex::default(),
            flights: Flights::default(),
            tasks: Mutex::default(),
            seen: broadcast::Sender::new(HEARD),
        }))
    }
}

impl Checks {
    /// Adds a check and begins to run it; must be called on the main runtime. A check of the same name is replaced.
    pub fn register(&self, check: Check) {
        let name = check.name.clone();
        let mut lasts = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        lasts.remove(&name);
        drop(lasts);
        let task = tokio::spawn(run_at_pace(Arc::downgrade(&self.0), check.clone()));
        let mut checks = self
            .0
            .checks
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match checks.iter_mut().find(|c| c.name == check.name) {
            Some(same) => *same = check,
            None => checks.push(check),
        }
        drop(checks);
        self.0
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, AbortOnDropHandle::new(task));
    }

    /// Every result from now on.
    pub fn listen(&self) -> broadcast::Receiver<Seen> {
        self.0.seen.subscribe()
    }

    /// Seconds since the start.
    pub fn uptime(&self) -> f64 {
        self.0.started.elapsed().as_secs_f64()
    }

    /// Whether every critical part is well enough to serve.
    pub async fn is_ready(&self) -> bool {
        let critical: Vec<Check> = self.all().into_iter().filter(|c| c.critical).collect();
        let results =
            futures_util::future::join_all(critical.iter().map(|check| self.result(check))).await;
        results
            .iter()
            .all(|last| last.outcome.status != Status::Unhealthy)
    }

    fn all(&self) -> Vec<Check> {
        self.0
            .checks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The whole, with what each check found where `details` is set.
    pub async fn report(&self, details: bool) -> Report {
        let checks = self.all();
        let results =
            futures_util::future::join_all(checks.iter().map(|check| self.result(check))).await;
        let mut reports = BTreeMap::new();
        let mut summary = Summary::default();
        for (check, last) in checks.iter().zip(results) {
            let status = check.grade(last.outcome.status);
            summary.total += 1;
            match status {
                Status::Healthy => summary.healthy += 1,
                Status::Degraded => summary.degraded += 1,
                Status::Unhealthy => summary.unhealthy += 1,
            }
            reports.insert(
                check.name.clone(),
                report(&last, status, check.critical, details),
            );
        }
        Report {
            status: reports
                .values()
                .map(|r| r.status)
                .max()
                .unwrap_or(Status::Healthy),
            timestamp: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            uptime: self.uptime(),
            checks: reports,
            summary,
        }
    }

    fn last(&self, name: &str) -> Option<Last> {
        self.0
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// A result that is young, or the best that can be had soon.
    async fn result(&self, check: &Check) -> Last {
        let pace = check.pace();
        let young = if check.critical || check.on_demand {
            YOUNG
        } else {
            pace.every + pace.limit + SLACK
        };
        if let Some(last) = self
            .last(&check.name)
            .filter(|last| last.seen.elapsed() < young)
        {
            return last;
        }
        let asked = timeout(PATIENCE.min(pace.limit), async {
            match self.0.flights.join(&check.name) {
                Turn::Lead(lead) => {
                    let (inner, check) = (Arc::clone(&self.0), check.clone());
                    // A task of its own: it ends also when nobody waits any more.
                    let _ = tokio::spawn(async move {
                        run_once(&inner, &check).await;
                        lead.land(());
                    })
                    .await;
                }
                Turn::Follow(follow) => {
                    let _ = follow.landed().await;
                }
            }
        })
        .await;
        let last = self.last(&check.name);
        match last {
            Some(last) if asked.is_ok() => last,
            _ => Last {
                outcome: Outcome::unhealthy("There is no answer."),
                took: PATIENCE,
                at: Utc::now(),
                began: Instant::now(),
                seen: Instant::now(),
            },
        }
    }
}

fn report(last: &Last, status: Status, critical: bool, details: bool) -> CheckReport {
    let found = || {
        let mut found = last.outcome.details.clone();
        if let Some(message) = &last.outcome.message {
            found.insert("message".to_owned(), message.clone().into());
        }
        found
    };
    CheckReport {
        status,
        duration: details.then_some(last.took.as_secs_f64() * 1_000.0),
        last_check: details.then(|| last.at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        details: details.then(found),
        critical,
    }
}

async fn run_once(inner: &Inner, check: &Check) {
    let started = Instant::now();
    let limit = check.pace().limit;
    let ill = |name: &&&'static str| {
        let last = inner.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(**name)
            .is_some_and(|last| last.outcome.status == Status::Unhealthy)
    };
    let outcome = match check.needs.iter().find(ill) {
        Some(other) => Outcome::unhealthy(format!("It needs {other}, which is not well.")),
        // A task of its own, so that a panic stays inside.
        None => match timeout(limit, AbortOnDropHandle::new(tokio::spawn((check.run)()))).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::unhealthy("The check itself broke."),
            Err(_) => Outcome::unhealthy(format!(
                "There was no answer within {} ms.",
                limit.as_millis()
            )),
        },
    };
    let last = Last {
        outcome,
        took: started.elapsed(),
        at: Utc::now(),
        began: started,
        seen: Instant::now(),
    };
    let before = {
        let mut lasts = inner.last.lock().unwrap_or_else(PoisonError::into_inner);
        // One that hung and ends now tells of a time before the newer one.
        if lasts
            .get(&check.name)
            .is_some_and(|newer| newer.began > started)
        {
            return;
        }
        lasts.insert(check.name.clone(), last.clone())
    };
    // Nobody needs to listen.
    let _ = inner.seen.send(Seen {
        check: check.name.clone(),
        status: check.grade(last.outcome.status),
        message: last.outcome.message.clone(),
    });
    let was = before.map(|b| b.outcome.status);
    let is = last.outcome.status;
    let message = last.outcome.message.as_deref().unwrap_or_default();
    if is != Status::Healthy && was != Some(is) {
        tracing::warn!(
            check.name = check.name,
            check.status = is.word(),
            message,
            "a health check is not well"
        );
    } else if is == Status::Healthy && was.is_some_and(|was| was != is) {
        tracing::info!(check.name = check.name, "a health check is well again");
    }
}

async fn run_at_pace(inner: Weak<Inner>, check: Check) {
    loop {
        let Some(checks) = inner.upgrade() else {
            return;
        };
        run_once(&checks, &check).await;
        drop(checks);
        // A shorter interval does not have to wait until the longer one is over.
        let ran = Instant::now();
        while ran.elapsed() < check.pace().every {
            let left = check.pace().every.saturating_sub(ran.elapsed());
            tokio::time::sleep(left.min(LOOK_EVERY)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn fixed(name: &str, outcome: Outcome) -> Check {
        Check::new(name, move || std::future::ready(outcome.clone()))
    }

    #[tokio::test]
    async fn s30_only_a_critical_failure_is_unhealthy_and_nothing_hangs() {
        let checks = Checks::default();
        checks.register(fixed("database", Outcome::healthy().with("latencyMs", 1)).critical());
        checks.register(fixed("redis", Outcome::unhealthy("It is away.")));
        let report = checks.report(false).await;
        assert_eq!(report.status, Status::Degraded);
        assert_eq!(
            report.summary,
            Summary {
                total: 2,
                healthy: 1,
                degraded: 1,
                unhealthy: 0
            }
        );
        assert!(report.checks["redis"].details.is_none() && checks.is_ready().await);
        let detailed = checks.report(true).await;
        assert_eq!(
            detailed.checks["redis"].details.as_ref().expect("details")["message"],
            "It is away."
        );

        checks.register(Check::new("frozen", std::future::pending).critical());
        let started = Instant::now();
        let report = checks.report(false).await;
        assert_eq!(report.checks["frozen"].status, Status::Unhealthy);
        assert!(started.elapsed() < PATIENCE * 2 && !checks.is_ready().await);
    }

    #[tokio::test]
    async fn s30_strangers_make_only_critical_checks_run_again() {
        let checks = Checks::default();
        let (ours, theirs) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let counting = |count: &Arc<AtomicU32>| {
            let count = count.clone();
            move || {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Outcome::healthy())
            }
        };
        checks.register(Check::new("ours", counting(&ours)).critical());
        checks.register(Check::new("theirs", counting(&theirs)));
        checks.report(false).await;
        tokio::time::sleep(YOUNG + Duration::from_millis(50)).await;
        let before = ours.load(Ordering::SeqCst);
        let asked = theirs.load(Ordering::SeqCst);
        checks.report(false).await;
        assert_eq!(ours.load(Ordering::SeqCst), before + 1);
        assert_eq!(theirs.load(Ordering::SeqCst), asked);
    }

    #[tokio::test]
    async fn s30_a_run_that_hung_does_not_overwrite_a_newer_one() {
        let checks = Checks::default();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let runs = Arc::new(AtomicU32::new(0));
        let (open, counted) = (gate.clone(), runs.clone());
        checks.register(
            Check::new("slow at first", move || {
                let (open, run) = (open.clone(), counted.fetch_add(1, Ordering::SeqCst));
                async move {
                    if run > 0 {
                        return Outcome::healthy();
                    }
                    let _ = open.acquire().await;
                    Outcome::unhealthy("That was long ago.")
                }
            })
            .paced(Duration::from_secs(60), Duration::from_secs(60)),
        );
        while runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(checks.report(false).await.status, Status::Healthy);
        gate.add_permits(1);
        while gate.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(checks.report(false).await.status, Status::Healthy);
    }

    #[tokio::test]
    async fn s30_what_needs_another_says_so_and_a_panic_stays_inside() {
        let checks = Checks::default();
        checks.register(fixed("database", Outcome::unhealthy("It is away.")).critical());
        checks.report(false).await;
        checks.register(fixed("jobs", Outcome::healthy()).needs("database"));
        checks.register(Check::new("broken", || async { panic!("on purpose") }));
        let report = checks.report(true).await;
        let message = |name: &str| {
            report.checks[name].details.as_ref().expect("details")["message"].to_string()
        };
        assert!(message("jobs").contains("needs database"));
        assert!(message("broken").contains("broke"));
    }
}
