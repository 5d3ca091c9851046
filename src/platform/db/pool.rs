//! The pool of connections and the handle to it. Must not know any table.
//!
//! Why not sqlx's own pool: it pings every connection on its way back, and again on its way out,
//! without a limit, so that a frozen server wedges it, and it opens connections on whichever worker
//! happens to ask, whose blocking then stalls the queries of others. Here a connection is opened on the main
//! runtime, returned without a round trip, and asked (briefly) only after it lay idle or was suspected.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::{
    self, Metrics, Pool, PoolConfig, PoolError, QueueMode, RecycleError, RecycleResult,
};
use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Error};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::conn::Conn;
use super::error::{is_not_yet, is_unavailable};
use crate::platform::probe::{Failure, Pace, Probe};

/// Idle for longer than this, a connection is asked before it is handed out.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long that question may take; the next connection is tried after it.
const PING_PATIENCE: Duration = Duration::from_millis(300);
/// Older connections are replaced, so that server-side caches and moved addresses do not stay for ever.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// While the database is known not to take new connections, a request waits this long: for that to change, or for a
/// connection that still answers.
const GRACE_WHILE_DOWN: Duration = Duration::from_millis(400);
/// Between attempts to connect to a server that does not accept yet.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// How to reach the database, and the bounds on using it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where, who and how; `options.connect` of a test's own database may be put here.
    pub connect: PgConnectOptions,
    /// Connections at most (default 10).
    pub max_connections: usize,
    /// How long `connect` tries before it gives up (default 10 s).
    pub connect_timeout: Duration,
    /// How long to wait for a connection (default 1 s).
    pub acquire_timeout: Duration,
    /// A request's whole database time, waiting included (default 1.5 s).
    pub deadline: Duration,
    /// The server's own bound on a statement (default 2 s): ends what a cut-off client left behind.
    pub statement_timeout: Duration,
    /// The server's own bound on waiting for a lock (default 1 s).
    pub lock_timeout: Duration,
}

impl Options {
    /// The defaults, for a `postgres://` URL.
    ///
    /// # Errors
    /// `sqlx::Error::Configuration` if the URL cannot be read; it does not repeat the URL.
    pub fn new(url: &SecretString) -> Result<Self, Error> {
        Ok(Self::with_connect_options(url.expose_secret().parse()?))
    }

    /// The defaults, for options made elsewhere (`pool.connect_options()` in an `#[sqlx::test]`).
    pub fn with_connect_options(connect: PgConnectOptions) -> Self {
        Self {
            connect: connect.application_name("betternews"),
            max_connections: 10,
            connect_timeout: Duration::from_secs(10),
            acquire_timeout: Duration::from_secs(1),
            deadline: Duration::from_millis(1500),
            statement_timeout: Duration::from_secs(2),
            lock_timeout: Duration::from_secs(1),
        }
    }
}

/// How many connections there are and are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Open, in use or idle.
    pub open: usize,
    /// Of these, idle.
    pub idle: usize,
    /// Requests waiting for one.
    pub waiting: usize,
    /// The bound on `open`.
    pub max: usize,
}

/// A cloneable handle to the database.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool<Opener>,
    probe: Probe,
    deadline: Duration,
    acquire_timeout: Duration,
    connect_timeout: Duration,
}

impl Db {
    /// Reaches the database, and opens the pool's connections in the background.
    ///
    /// # Errors
    /// The last refusal, once `connect_timeout` has passed; at once where waiting cannot help (a wrong
    /// password, a missing database).
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let db = Self::lazy(options);
        let deadline = Instant::now() + options.connect_timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match within(left, db.pool.manager().connect()).await {
                Ok(_) => break,
                Err(error) if is_not_yet(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        let pool = db.pool.clone();
        let patience = options.connect_timeout;
        tokio::spawn(async move {
            let wanted = pool.status().max_size;
            // All at once, so that each opens one; dropped together into the pool.
            timeout(patience, join_all((0..wanted).map(|_| pool.get()))).await
        });
        Ok(db)
    }

    /// The handle alone, with no connection opened yet. Must be called on the main runtime, where
    /// connections will live.
    #[expect(
        clippy::expect_used,
        reason = "deadpool refuses to build only when given timeouts without a runtime"
    )]
    pub fn lazy(options: &Options) -> Self {
        let runtime = Handle::current();
        let opener = Opener {
            connect: options.connect.clone(),
            runtime: runtime.clone(),
            statement_timeout: options.statement_timeout,
            lock_timeout: options.lock_timeout,
            started: Instant::now(),
            suspected_ms: AtomicU64::new(0),
        };
        let mut config = PoolConfig::new(options.max_connections.max(1));
        config.queue_mode = QueueMode::Lifo;
        let pool = Pool::builder(opener)
            .config(config)
            .build()
            .expect("no timeouts are configured");
        let connect = options.connect.clone();
        let pace = Pace {
            patience: options.acquire_timeout,
            pause: Duration::from_millis(200),
        };
        let probe = Probe::spawn("postgresql", &runtime, pace, move || {
            let connect = connect.clone();
            async move {
                let mut connection = connect.connect().await.map_err(|e| e.to_string())?;
                connection.ping().await.map_err(|e| e.to_string())
            }
        });
        Self {
            pool,
            probe,
            deadline: options.deadline,
            acquire_timeout: options.acquire_timeout,
            connect_timeout: options.connect_timeout,
        }
    }

    /// A connection for one request. Its whole use, this wait included, is bounded by the options'
    /// `deadline`.
    ///
    /// # Errors
    /// `sqlx::Error::PoolTimedOut` when none is free, or none can be opened, in time; what the server
    /// said when it refused.
    pub async fn conn(&self) -> Result<Conn, Error> {
        self.conn_with_deadline(self.deadline).await
    }

    /// Like [`conn`](Self::conn), for work that is allowed another time. The server's `statement_timeout`
    /// follows a longer one.
    ///
    /// # Errors
    /// As [`conn`](Self::conn).
    pub async fn conn_with_deadline(&self, limit: Duration) -> Result<Conn, Error> {
        let deadline = Instant::now() + limit;
        let mut patience = self.acquire_timeout.min(limit);
        if !self.probe.is_up() {
            patience = GRACE_WHILE_DOWN.min(patience);
            if self.pool.status().available == 0 && !self.probe.wait_up(patience).await {
                return Err(Error::PoolTimedOut);
            }
        }
        let acquired = within(patience, async {
            let mut pooled = self.pool.get().await.map_err(from_pool)?;
            let allowed = limit.max(self.pool.manager().statement_timeout);
            if pooled.statement_timeout != allowed {
                pooled.set_statement_timeout(allowed).await?;
            }
            Ok(pooled)
        })
        .await;
        match acquired {
            Ok(pooled) => Ok(Conn::new(self.clone(), pooled, deadline)),
            Err(error) => {
                if is_unavailable(&error) {
                    self.suspect();
                }
                Err(error)
            }
        }
    }

    /// A connection of its own outside the pool, with no deadline and no server-side timeouts: for
    /// migrations, `COPY`, long exports and `LISTEN`.
    ///
    /// # Errors
    /// What the server or the network said.
    pub async fn dedicated(&self) -> Result<PgConnection, Error> {
        within(self.connect_timeout, self.pool.manager().open()).await
    }

    /// How the database is reached, for libraries that bring a pool of their own.
    pub fn connect_options(&self) -> &PgConnectOptions {
        &self.pool.manager().connect
    }

    /// Whether the database answered when it was last asked; costs nothing.
    pub fn is_up(&self) -> bool {
        self.probe.is_up()
    }

    /// The newest time that it did not answer.
    pub fn last_failure(&self) -> Option<Failure> {
        self.probe.last_failure()
    }

    /// Figures of the pool.
    pub fn status(&self) -> Status {
        let status = self.pool.status();
        Status {
            open: status.size,
            idle: status.available,
            waiting: status.waiting,
            max: status.max_size,
        }
    }

    /// Closes the pool: nothing new is handed out, idle connections end, those in use end when dropped.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Something went wrong: every connection returned before now is asked before it is used again, and
    /// the server is asked in the background.
    pub(super) fn suspect(&self) {
        self.pool.manager().suspect();
        self.probe.suspect();
    }
}

/// Bounds an attempt to connect.
async fn within<T>(
    limit: Duration,
    attempt: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, attempt)
        .await
        .unwrap_or(Err(Error::PoolTimedOut))
}

fn from_pool(error: PoolError<Error>) -> Error {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Closed => Error::PoolClosed,
        PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            Error::PoolTimedOut
        }
    }
}

/// A connection and what the pool knows about it.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) connection: PgConnection,
    pub(super) returned: Instant,
    statement_timeout: Duration,
}

impl Pooled {
    async fn set_statement_timeout(&mut self, limit: Duration) -> Result<(), Error> {
        sqlx::query("SELECT set_config('statement_timeout', $1, false)")
            .bind(limit.as_millis().to_string())
            .execute(&mut self.connection)
            .await?;
        self.statement_timeout = limit;
        Ok(())
    }
}

/// Opens and re-checks connections for the pool.
#[derive(Debug)]
pub(super) struct Opener {
    connect: PgConnectOptions,
    runtime: Handle,
    statement_timeout: Duration,
    lock_timeout: Duration,
    started: Instant,
    /// Milliseconds after `started`; connections returned earlier are not trusted.
    suspected_ms: AtomicU64,
}

impl Opener {
    /// Opens a connection on the main runtime, whose I/O driver it then belongs to.
    async fn open(&self) -> Result<PgConnection, Error> {
        let connect = self.connect.clone();
        let task = self.runtime.spawn(async move { connect.connect().await });
        AbortOnDropHandle::new(task)
            .await
            .map_err(|_| Error::WorkerCrashed)?
    }

    async fn connect(&self) -> Result<Pooled, Error> {
        let mut connection = self.open().await?;
        // Pages' statements take a millisecond; compiling one takes a third of a second, once a site has grown enough that
        // the planner thinks it worth while.
        sqlx::query(
            "SELECT set_config('statement_timeout', $1, false),
                    set_config('lock_timeout', $2, false),
                    set_config('jit', 'off', false)",
        )
        .bind(self.statement_timeout.as_millis().to_string())
        .bind(self.lock_timeout.as_millis().to_string())
        .execute(&mut connection)
        .await?;
        Ok(Pooled {
            connection,
            returned: Instant::now(),
            statement_timeout: self.statement_timeout,
        })
    }

    fn suspect(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.suspected_ms
            .fetch_max(now.saturating_add(1), Ordering::Relaxed);
    }

    fn is_trusted(&self, returned: Instant) -> bool {
        let suspected = Duration::from_millis(self.suspected_ms.load(Ordering::Relaxed));
        returned.elapsed() <= TRUSTED_IDLE && returned.duration_since(self.started) >= suspected
    }
}

impl managed::Manager for Opener {
    type Type = Pooled;
    type Error = Error;

    /// Tries again while the server does not accept yet; whoever waits bounds it.
    async fn create(&self) -> Result<Pooled, Error> {
        loop {
            match self.connect().await {
                Err(error) if is_not_yet(&error) => tokio::time::sleep(CONNECT_PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    async fn recycle(&self, pooled: &mut Pooled, metrics: &Metrics) -> RecycleResult<Error> {
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("too old"));
        }
        if self.is_trusted(pooled.returned) {
            return Ok(());
        }
        match timeout(PING_PATIENCE, pooled.connection.ping()).await {
            Ok(outcome) => outcome.map_err(RecycleError::Backend),
            Err(_) => Err(RecycleError::message("no answer to a ping")),
        }
    }
}
