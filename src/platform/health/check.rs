//! One check: what it may find, and its bounds (S30). Must not know when it runs.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};

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

/// How long a check may take, and how often it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Has failed after this.
    pub limit: Duration,
    /// Runs each so often.
    pub every: Duration,
}

impl Pace {
    /// `limit` and `every` in seconds.
    pub const fn seconds(limit: u64, every: u64) -> Self {
        Self {
            limit: Duration::from_secs(limit),
            every: Duration::from_secs(every),
        }
    }
}

type Run = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// One check.
#[derive(Clone)]
pub struct Check {
    pub(super) name: String,
    pub(super) critical: bool,
    pub(super) on_demand: bool,
    pace: Arc<dyn Fn() -> Pace + Send + Sync>,
    pub(super) needs: Vec<&'static str>,
    pub(super) run: Run,
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
            on_demand: false,
            pace: Arc::new(|| Pace::seconds(5, 30)),
            needs: Vec::new(),
            run: Arc::new(move || Box::pin(run())),
        }
    }

    /// The site cannot do without it: ready only while it is well.
    pub fn critical(mut self) -> Self {
        self.critical = true;
        self
    }

    /// It runs again when somebody asks, at most once a second, as critical ones do: for what is our own and costs little.
    pub fn on_demand(mut self) -> Self {
        self.on_demand = true;
        self
    }

    /// Has failed after `limit`; runs each `every`.
    pub fn paced(self, limit: Duration, every: Duration) -> Self {
        self.paced_by(move || Pace { limit, every })
    }

    /// The same by live settings: asked at each run.
    pub fn paced_by(mut self, pace: impl Fn() -> Pace + Send + Sync + 'static) -> Self {
        self.pace = Arc::new(pace);
        self
    }

    /// How long it may take now, and when the next run is due.
    pub(super) fn pace(&self) -> Pace {
        (self.pace)()
    }

    /// How the whole is by this part.
    pub(super) fn grade(&self, status: Status) -> Status {
        match status {
            Status::Unhealthy if !self.critical => Status::Degraded,
            status => status,
        }
    }

    /// While this other check is unhealthy, it says only that.
    pub fn needs(mut self, other: &'static str) -> Self {
        self.needs.push(other);
        self
    }
}
