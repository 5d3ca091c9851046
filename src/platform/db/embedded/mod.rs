//! A private PostgreSQL as a child process: unix socket only, its files in the data folder. Must not know the schema.

mod binaries;
mod cluster;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Error as SqlError};
use tokio::time::timeout;

use self::binaries::Binaries;
use super::error::is_not_yet;
use crate::platform::process::custody::{Custody, Keeper};
use crate::platform::process::home::Home;
use crate::platform::process::{Spec, Supervised, leftover};

pub use crate::platform::process::custody::Error;

/// The application's role and database.
const NAME: &str = "betternews";
/// The superuser that `initdb` makes.
const SUPERUSER: &str = "postgres";
/// How long a start may take: a crash after heavy writing is recovered from first.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Between questions whether it accepts connections.
const ASK_PAUSE: Duration = Duration::from_millis(10);

/// What the embedded server needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its files and its socket lie, and whom it runs as.
    pub home: Home,
    /// The folder with `postgres` and `initdb`, where it is not to be searched for (`BETTERNEWS_PG_BIN`).
    pub bin: Option<PathBuf>,
    /// The application's connections; the server takes 20 more (tools, backups, a second instance's start).
    pub max_connections: usize,
}

/// A running private PostgreSQL, ours or another process's of the same data folder.
#[derive(Debug)]
pub struct Embedded {
    url: SecretString,
    custody: Custody,
}

impl Embedded {
    /// Starts it (made first, where the folder is new) and waits until it accepts connections; or uses the one that
    /// another process of this data folder runs, and takes it over should that process end.
    ///
    /// # Errors
    /// One sentence for the operator, see [`Error`].
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let server = Server::new(options);
        let custody = Custody::take(&options.home, "postgres", server).await?;
        Ok(Self {
            url: url(&options.home),
            custody,
        })
    }

    /// The database's URL, for sqlx, sqlx-cli and psql.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// The server's process id, while this process runs it.
    pub async fn pid(&self) -> Option<u32> {
        self.custody.pid().await
    }

    /// Stops it, if this process runs it: open connections are ended, nothing committed is lost.
    ///
    /// # Errors
    /// When it had to be killed; it then recovers at its next start.
    pub async fn stop(self) -> Result<(), Error> {
        self.custody.stop().await
    }
}

/// The URL that a server of this home has, running or not.
pub fn url(home: &Home) -> SecretString {
    format!(
        "postgres:///{NAME}?host={}&user={NAME}",
        home.runtime.display()
    )
    .into()
}

#[derive(Debug)]
struct Server {
    options: Options,
    folder: PathBuf,
}

impl Server {
    fn new(options: &Options) -> Self {
        Self {
            folder: options.home.data.join("postgres"),
            options: options.clone(),
        }
    }

    fn home(&self) -> &Home {
        &self.options.home
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("postmaster.pid")
    }

    fn spec(&self, binaries: &Binaries) -> Spec {
        let (pid_file, folder) = (self.pid_file(), self.folder.clone());
        let mut spec = Spec::new("postgres", &binaries.program("postgres"), self.home());
        // Its "fast" shutdown: sessions are ended, then all is written out.
        spec.stop_signal = Signal::INT;
        spec.prepare = Some(Box::new(move || {
            leftover::forget_stranger(&pid_file, &folder)
        }));
        spec.arg("-D").arg(&self.folder);
        spec.arg("-k").arg(&self.home().runtime);
        // Not in the file: a server that listens elsewhere would be open to all (its socket's folder is the lock).
        spec.arg("-c").arg("listen_addresses=");
        spec.arg("-c").arg("port=5432");
        spec
    }

    fn connect_options(&self, role: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.home().runtime)
            .username(role)
            .database(database)
    }

    /// Connects as the application; makes its role and database where they are missing.
    async fn enter(&self) -> Result<(), SqlError> {
        let missing = match self.connect_options(NAME, NAME).connect().await {
            Ok(connection) => return connection.close().await,
            Err(SqlError::Database(error)) if is_missing(error.code().as_deref()) => error,
            Err(error) => return Err(error),
        };
        tracing::info!(reason = %missing, "making the database");
        let mut connection = self
            .connect_options(SUPERUSER, "postgres")
            .connect()
            .await?;
        for sql in [
            "CREATE ROLE betternews LOGIN CREATEDB",
            "CREATE DATABASE betternews OWNER betternews",
        ] {
            match sqlx::raw_sql(sql).execute(&mut connection).await {
                // 42710 duplicate_object, 42P04 duplicate_database: a start before this one was cut off in between.
                Err(SqlError::Database(error))
                    if matches!(error.code().as_deref(), Some("42710" | "42P04")) => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        connection.close().await
    }
}

/// 3D000 invalid_catalog_name, 28000 invalid_authorization_specification: no such database, no such role.
fn is_missing(code: Option<&str>) -> bool {
    matches!(code, Some("3D000" | "28000"))
}

impl Keeper for Server {
    async fn answers(&self) -> bool {
        let asked = async {
            let mut connection: PgConnection = self.connect_options(NAME, NAME).connect().await?;
            connection.ping().await
        };
        matches!(timeout(Duration::from_secs(1), asked).await, Ok(Ok(())))
    }

    async fn start(&self) -> Result<Supervised, Error> {
        let binaries = cluster::prepare(self.home(), &self.folder, &self.options).await?;
        leftover::stop(&self.pid_file(), &self.folder, Signal::INT).await?;
        let server = Supervised::start(self.spec(&binaries))?;
        let end = Instant::now() + START_LIMIT;
        let problem = loop {
            match timeout(Duration::from_secs(2), self.enter()).await {
                Ok(Ok(())) => return Ok(server),
                Ok(Err(error)) if !is_not_yet(&error) => break Some(error),
                // Up to five: children of a killed server may hold its memory for a moment.
                _ if server.failures() >= 5 || Instant::now() > end => break None,
                _ => tokio::time::sleep(ASK_PAUSE).await,
            }
        };
        if let Err(error) = server.stop().await {
            tracing::error!(%error, "PostgreSQL");
        }
        Err(match problem {
            Some(error) => Error::Io(std::io::Error::other(error)),
            None => Error::DoesNotStart {
                name: "PostgreSQL",
                log: self.home().log("postgres"),
            },
        })
    }
}

/// The major version of the files in the folder; `None` where there are none yet.
fn major_of(folder: &Path) -> Option<u32> {
    std::fs::read_to_string(folder.join("PG_VERSION"))
        .ok()?
        .trim()
        .parse()
        .ok()
}
