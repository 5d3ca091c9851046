//! The ordered end (S32): hooks by stage, then in reverse order of registration, each bounded, one failing
//! never stopping the rest. Must not know what the hooks do.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// All hooks together, at most.
pub const TOTAL: Duration = Duration::from_secs(30);

/// When a hook runs; earlier stages first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Take nothing new, finish what was taken: the HTTP server.
    Drain,
    /// Stop background work.
    Work,
    /// Write out what is still in memory, and say goodbye to other instances.
    Flush,
    /// Close connections.
    Disconnect,
    /// Stop child processes.
    Children,
}

/// Whether the end has begun; readiness reads it.
#[derive(Debug, Clone, Default)]
pub struct ShuttingDown(Arc<AtomicBool>);

impl ShuttingDown {
    /// True from the first signal on.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Says that the end has begun.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// How it went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Hooks that failed, panicked or took too long, in their order.
    pub failed: Vec<&'static str>,
    /// Hooks that a second signal kept from running or finishing.
    pub skipped: Vec<&'static str>,
}

impl Outcome {
    /// Whether everything was done: exit 0, else 1.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}

type Run = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send>;

struct Hook {
    name: &'static str,
    stage: Stage,
    limit: Duration,
    run: Run,
}

/// The hooks, collected while starting, so that a start that fails half-way can run what it has.
#[derive(Default)]
pub struct Shutdown {
    hooks: Vec<Hook>,
    flag: ShuttingDown,
}

impl std::fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.hooks.iter().map(|hook| hook.name))
            .finish()
    }
}

impl Shutdown {
    /// No hooks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The flag that `run` sets first.
    pub fn flag(&self) -> ShuttingDown {
        self.flag.clone()
    }

    /// Adds a hook that may take up to `limit`.
    pub fn register<F, Fut, E>(
        &mut self,
        name: &'static str,
        stage: Stage,
        limit: Duration,
        hook: F,
    ) where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        let run: Run = Box::new(move || {
            let done = hook();
            Box::pin(async move { done.await.map_err(|error| error.to_string()) })
        });
        self.hooks.push(Hook {
            name,
            stage,
            limit,
            run,
        });
    }

    /// Runs all hooks within `total`; `force` (a second signal, see [`Signals::next`]) ends it at once.
    pub async fn run<T>(mut self, total: Duration, force: impl Future<Output = T>) -> Outcome {
        self.flag.set();
        // Stable, so that reversing first gives "last registered, first run" within a stage.
        self.hooks.reverse();
        self.hooks.sort_by_key(|hook| hook.stage);
        let end = Instant::now() + total;
        let mut outcome = Outcome::default();
        let mut force = std::pin::pin!(force);
        let mut forced = false;
        for hook in self.hooks {
            if forced {
                outcome.skipped.push(hook.name);
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            let started = Instant::now();
            // A task of its own, so that a panic stays inside.
            let mut task = tokio::spawn((hook.run)());
            let result = tokio::select! {
                result = timeout(hook.limit.min(left), &mut task) => result,
                _ = &mut force => {
                    forced = true;
                    task.abort();
                    outcome.skipped.push(hook.name);
                    continue;
                }
            };
            let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let problem = match result {
                Ok(Ok(Ok(()))) => {
                    tracing::debug!(hook.name = hook.name, duration_ms, "shutdown hook done");
                    continue;
                }
                Ok(Ok(Err(error))) => error,
                Ok(Err(_)) => "panicked".to_owned(),
                Err(_) => {
                    task.abort();
                    "took too long".to_owned()
                }
            };
            tracing::error!(
                hook.name = hook.name,
                duration_ms,
                problem,
                "shutdown hook failed"
            );
            outcome.failed.push(hook.name);
        }
        outcome
    }
}

/// SIGTERM and SIGINT, from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the two signals over from their default, which is to end the process.
    ///
    /// # Errors
    /// When the operating system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one and gives its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::Mutex;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn hooks_run_by_stage_then_last_registered_first_and_one_failing_stops_none() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut shutdown = Shutdown::new();
        let flag = shutdown.flag();
        let mut add = |name: &'static str, stage, fails: bool| {
            let (order, flag) = (order.clone(), flag.clone());
            shutdown.register(name, stage, SOON, move || async move {
                assert!(flag.is_set());
                order.lock().map_err(|e| e.to_string())?.push(name);
                if fails {
                    Err("broken".to_owned())
                } else {
                    Ok(())
                }
            });
        };
        add("child", Stage::Children, false);
        add("flush 1", Stage::Flush, false);
        add("flush 2", Stage::Flush, true);
        add("server", Stage::Drain, false);
        shutdown.register("slow", Stage::Work, SOON, || {
            pending::<Result<(), String>>()
        });
        shutdown.register("panics", Stage::Work, SOON, || async {
            assert!(SOON.is_zero(), "on purpose");
            Ok::<(), String>(())
        });
        let outcome = shutdown.run(TOTAL, pending::<()>()).await;
        assert_eq!(outcome.failed, ["panics", "slow", "flush 2"]);
        assert!(!outcome.is_clean());
        assert_eq!(
            *order.lock().unwrap(),
            ["server", "flush 2", "flush 1", "child"]
        );
    }

    #[tokio::test]
    async fn a_second_signal_forces_the_end() {
        let mut shutdown = Shutdown::new();
        shutdown.register("rest", Stage::Flush, TOTAL, || async {
            Ok::<(), String>(())
        });
        shutdown.register("stuck", Stage::Drain, TOTAL, || {
            pending::<Result<(), String>>()
        });
        let outcome = shutdown.run(TOTAL, tokio::time::sleep(SOON)).await;
        assert_eq!(outcome.skipped, ["stuck", "rest"]);
    }
}
