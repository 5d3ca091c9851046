//! Redis: every call is bounded in time, and while Redis is known to be away calls fail at once, so that its
//! absence costs a request next to nothing. Must not know what is stored.
//!
//! One multiplexed connection, opened on the main runtime, carries all calls: commands of many requests are
//! pipelined, and none waits for a free connection. The pool hands it out anew, checked, after a failure.

pub mod embedded;
mod guard; // how the calls went, and what an operator forces
mod subscription;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, Arg, Cmd, FromRedisValue, RedisError, Script, ScriptInvocation};
use deadpool_redis::{Connection, Manager, Pool};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::probe::{Failure, Pace, Probe};
pub use subscription::Subscription;

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis is away, or did not answer in time. Whether a command was carried out is not known.
    #[error("Redis does not answer: {0}")]
    Unavailable(String),
    /// Redis answered, and refused or answered with another type: a fault in the program or the set-up.
    #[error("Redis refused: {0}")]
    Refused(RedisError),
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        use redis::ErrorKind::{
            BusyLoadingError, ClusterDown, IoError, MasterDown, ReadOnly, TryAgain,
        };
        let away = error.is_io_error()
            || error.is_timeout()
            || error.is_connection_dropped()
            || matches!(
                error.kind(),
                IoError | BusyLoadingError | ClusterDown | MasterDown | ReadOnly | TryAgain
            )
            || matches!(error.code(), Some("OOM" | "MISCONF"));
        if away {
            Self::Unavailable(error.to_string())
        } else {
            Self::Refused(error)
        }
    }
}

/// How to reach Redis, and the bounds on using it.
#[derive(Clone)]
pub struct Options {
    /// `redis://`, `rediss://` or `redis+unix://`.
    pub url: SecretString,
    /// Put before every key made by [`Kv::key`] (default `betternews:`); each test has its own.
    pub prefix: String,
    /// A call, connecting included (default 200 ms).
    pub timeout: Duration,
}

impl Options {
    /// The defaults, for a URL.
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            prefix: "betternews:".to_owned(),
            timeout: Duration::from_millis(200),
        }
    }
}

/// A cloneable handle to Redis.
#[derive(Clone)]
pub struct Kv {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    /// Opens connections of their own, for subscriptions.
    client: redis::Client,
    /// What calls are sent on; empty until the first call, and after a failure.
    current: Mutex<Option<MultiplexedConnection>>,
    runtime: Handle,
    probe: Probe,
    guard: guard::Guard,
    prefix: String,
    timeout: Duration,
}

impl fmt::Debug for Kv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kv")
            .field("prefix", &self.inner.prefix)
            .finish_non_exhaustive()
    }
}

impl Kv {
    /// The handle; nothing is connected before the first call, so that a dead Redis stops no start. Must be
    /// called on the main runtime, where the connection will live.
    ///
    /// # Errors
    /// `Refused` if the URL cannot be read.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let runtime = Handle::current();
        let manager = Manager::new(options.url.expose_secret()).map_err(Error::Refused)?;
        let client = redis::Client::open(options.url.expose_secret()).map_err(Error::Refused)?;
        let pool = Pool::builder(manager)
            .max_size(1)
            .build()
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        let pace = Pace {
            patience: options.timeout,
            pause: Duration::from_millis(250),
        };
        let probe = Probe::spawn("redis", &runtime, pace, {
            let pool = pool.clone();
            move || {
                let pool = pool.clone();
                // Recycling an existing connection pings it; a new one has said hello.
                async move { pool.get().await.map(drop).map_err(|e| e.to_string()) }
            }
        });
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                client,
                current: Mutex::new(None),
                runtime,
                probe,
                guard: guard::Guard::default(),
                prefix: options.prefix.clone(),
                timeout: options.timeout,
            }),
        })
    }

    /// The full key: the configured prefix and `name`.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.inner.prefix)
    }

    /// Runs commands on the shared connection (`operation` names them in traces), all within the timeout. Dropping the future does not take back
    /// what was sent.
    ///
    /// # Errors
    /// `Unavailable` at once while Redis is known to be away, else at the latest after the timeout.
    async fn run<T, F, Fut>(&self, operation: &str, call: F) -> Result<T, Error>
    where
        F: FnOnce(MultiplexedConnection) -> Fut,
        Fut: Future<Output = Result<T, RedisError>>,
    {
        let inner = &*self.inner;
        let Some(pass) = inner.guard.admit(inner.probe.is_up()) else {
            let reason = inner.probe.last_failure().map_or_else(
                || "commands keep failing".to_owned(),
                |failure| failure.reason,
            );
            return Err(Error::Unavailable(reason));
        };
        let span = tracing::debug_span!(
            "redis",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            db.system.name = "redis",
            db.operation.name = operation,
        );
        let outcome = timeout(inner.timeout, async {
            let connection = inner.connection().await?;
            call(connection).await.map_err(Error::from)
        })
        .instrument(span.clone())
        .await
        .unwrap_or_else(|_| {
            Err(Error::Unavailable(format!(
                "no answer within {} ms",
                inner.timeout.as_millis()
            )))
        });
        if outcome.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        if let Err(Error::Unavailable(reason)) = &outcome {
            *inner.current() = None;
            inner.probe.suspect();
            pass.failure(reason);
        } else {
            pass.success();
        }
        outcome
    }

    /// Runs one command.
    ///
    /// # Errors
    /// As `run`.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let name = match command.args_iter().next() {
            Some(Arg::Simple(name)) => String::from_utf8_lossy(name),
            _ => Cow::Borrowed("?"),
        };
        self.run(&name, |mut connection| async move {
            command.query_async(&mut connection).await
        })
        .await
    }

    /// Runs several commands in one round trip; `pipeline.atomic()` makes them one transaction.
    ///
    /// # Errors
    /// As `run`.
    pub async fn pipeline<T: FromRedisValue>(
        &self,
        pipeline: &redis::Pipeline,
    ) -> Result<T, Error> {
        self.run("PIPELINE", |mut connection| async move {
            pipeline.query_async(&mut connection).await
        })
        .await
    }

    /// Runs a script by its hash, loading it where Redis does not have it yet:
    /// `kv.eval(&SCRIPT, |s| { s.key(kv.key("x")).arg(1); })`.
    ///
    /// # Errors
    /// As `run`.
    pub async fn eval<T: FromRedisValue>(
        &self,
        script: &Script,
        bind: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Result<T, Error> {
        let mut invocation = script.prepare_invoke();
        bind(&mut invocation);
        self.run("EVALSHA", |mut connection| async move {
            invocation.invoke_async(&mut connection).await
        })
        .await
    }

    /// Whether Redis answered when it was last asked, and does what it is asked, unless an operator has forced it; asks
    /// nobody.
    pub fn is_up(&self) -> bool {
        self.inner.guard.is_up(self.inner.probe.is_up())
    }

    /// The newest time that it did not answer.
    pub fn last_failure(&self) -> Option<Failure> {
        self.inner.probe.last_failure()
    }
}

impl Inner {
    fn current(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Error> {
        if let Some(connection) = self.current().clone() {
            return Ok(connection);
        }
        let pool = self.pool.clone();
        let task = self.runtime.spawn(async move { pool.get().await });
        let connection: Connection = AbortOnDropHandle::new(task)
            .await
            .map_err(|error| Error::Unavailable(error.to_string()))?
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        let connection = connection.as_ref().clone();
        *self.current() = Some(connection.clone());
        Ok(connection)
    }
}
