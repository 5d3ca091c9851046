//! Whether each part is well (S30): a registry of checks, each with its own time limit and pace. Must not know who asks.
//!
//! A check runs in the background at its interval, and again when somebody asks and the last result is older than a
//! second; nobody waits longer than 1.5 s for that.

pub mod checks;

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::cache::flight::{Flights, Turn};

/// A result younger than this is not asked for again.
const YOUNG: Duration = Duration::from_secs(1);
/// How long somebody who asks waits for a result: a database that is frozen is told within two seconds.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long a result stays believable after its interval, should the next one not come.
const SLACK: Duration = Duration::from_secs(10);

/// How a part is. The order is from well to ill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Well.
    Healthy,
    /// Slower or less than it should be.
    Degraded,
    /// Not there.
    Unhealthy,
}

impl Status {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How the part is.
    pub status: Status,
    /// A sentence for operators; `None` where all is well.
    pub message: Option<String>,
    /// Figures for operators.
    pub details: Map<String, Value>,
}

impl Outcome {
    /// All is well.
    pub fn healthy() -> Self {
        Self {
            status: Status::Healthy,
            message: None,
            details: Map::new(),
        }
    }

    /// Not as it should be.
    pub fn degraded(message: impl Into<String>) -> Self {
        Self {
            status: Status::Degraded,
            message: Some(message.into()),
            details: Map::new(),
        }
    }

    /// Failed.
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self {
            status: Status::Unhealthy,
            ..Self::degraded(message)
        }
    }

    /// With a figure for operators.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

type Run = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// One check.
#[derive(Clone)]
pub struct Check {
    name: String,
    critical: bool,
    limit: Duration,
    every: Duration,
    needs: Vec<&'static str>,
    run: Run,
}

impl Check {
    /// A check that is not critical: what fails is degraded, not unhealthy. By default 5 s at most, each 30 s.
    pub fn new<F, Fut>(name: impl Into<String>, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            name: name.into(),
            critical: false,
            limit: Duration::from_secs(5),
            every: Duration::from_secs(30),
            needs: Vec::new(),
            run: Arc::new(move || Box::pin(run())),
        }
    }

    /// The site cannot do without it: ready only while it is well.
    pub fn critical(mut self) -> Self {
        self.critical = true;
        self
    }

    /// Has failed after `limit`; runs each `every`.
    pub fn paced(mut self, limit: Duration, every: Duration) -> Self {
        self.limit = limit;
        self.every = every;
        self
    }

    /// While this other check is unhealthy, it says only that.
    pub fn needs(mut self, other: &'static str) -> Self {
        self.needs.push(other);
        self
    }
}

/// A check's last result.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// How the part is.
    pub status: Status,
    /// How long the check took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// When it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check: Option<String>,
    /// What it found, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Map<String, Value>>,
    /// Whether the site cannot do without it.
    #[serde(skip)]
    pub critical: bool,
}

/// How many checks are how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All.
    pub total: usize,
    /// Well.
    pub healthy: usize,
    /// Not as they should be.
    pub degraded: usize,
    /// Failed, and critical.
    pub unhealthy: usize,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Unhealthy if a critical check failed, degraded if any other is not well.
    pub status: Status,
    /// When it was made.
    pub timestamp: String,
    /// Seconds since the start.
    pub uptime: f64,
    /// By name.
    pub checks: BTreeMap<String, CheckReport>,
    /// Counted.
    pub summary: Summary,
}

#[derive(Clone)]
struct Last {
    outcome: Outcome,
    took: Duration,
    at: DateTime<Utc>,
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
}

impl Default for Checks {
    fn default() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            checks: RwLock::default(),
            last: Mutex::default(),
            flights: Flights::default(),
            tasks: Mutex::default(),
        }))
    }
}

impl Checks {
    /// Adds a check and begins to run it; must be called on the main runtime. A check of the same name is replaced.
    pub fn register(&self, check: Check) {
        let task = tokio::spawn(run_at_pace(Arc::downgrade(&self.0), check.clone()));
        let name = check.name.clone();
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
            let status = match last.outcome.status {
                Status::Unhealthy if !check.critical => Status::Degraded,
                status => status,
            };
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
        if let Some(last) = self
            .last(&check.name)
            .filter(|last| last.seen.elapsed() < YOUNG)
        {
            return last;
        }
        let asked = timeout(PATIENCE.min(check.limit), async {
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
            Some(last)
                if asked.is_ok()
                    || (!check.critical && last.seen.elapsed() < check.every + SLACK) =>
            {
                last
            }
            _ => Last {
                outcome: Outcome::unhealthy("There is no answer."),
                took: PATIENCE,
                at: Utc::now(),
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
    let ill = |name: &&&'static str| {
        let last = inner.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(**name)
            .is_some_and(|last| last.outcome.status == Status::Unhealthy)
    };
    let outcome = match check.needs.iter().find(ill) {
        Some(other) => Outcome::unhealthy(format!("It needs {other}, which is not well.")),
        // A task of its own, so that a panic stays inside.
        None => match timeout(
            check.limit,
            AbortOnDropHandle::new(tokio::spawn((check.run)())),
        )
        .await
        {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::unhealthy("The check itself broke."),
            Err(_) => Outcome::unhealthy(format!(
                "There was no answer within {} ms.",
                check.limit.as_millis()
            )),
        },
    };
    let last = Last {
        outcome,
        took: started.elapsed(),
        at: Utc::now(),
        seen: Instant::now(),
    };
    let before = inner
        .last
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(check.name.clone(), last.clone());
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
        tokio::time::sleep(check.every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(name: &str, outcome: Outcome) -> Check {
        Check::new(name, move || std::future::ready(outcome.clone()))
    }

    #[tokio::test]
    async fn only_a_critical_failure_is_unhealthy_and_nothing_hangs() {
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
    async fn what_needs_another_says_so_and_a_panic_stays_inside() {
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
