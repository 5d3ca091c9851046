//! A private Redis (or Valkey) as a child process: unix socket only, append-only file in the data folder. Must
//! not know what is stored.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deadpool_redis::redis;
use rustix::process::Signal;
use secrecy::SecretString;

use crate::platform::process::custody::{self, Custody, Keeper};
use crate::platform::process::home::Home;
use crate::platform::process::{Spec, Supervised, find_in_path, leftover};

/// How long a start may take; a large append-only file is read first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running private Redis, ours or another process's of the same data folder.
#[derive(Debug)]
pub struct Embedded {
    url: SecretString,
    custody: Custody,
}

impl Embedded {
    /// Starts it, or uses the one that another process of this data folder runs; `None` (and a log line) where no
    /// `redis-server` or `valkey-server` is installed.
    ///
    /// # Errors
    /// One sentence: the folder cannot be used, or the server does not start; its log is named.
    pub async fn start(home: &Home) -> Result<Option<Self>, custody::Error> {
        let Some(program) = find_program() else {
            tracing::warn!(
                "neither redis-server nor valkey-server is installed: sessions are kept in PostgreSQL"
            );
            return Ok(None);
        };
        let server = Server::new(home, program);
        let url = format!("redis+unix://{}", server.socket.display());
        let custody = Custody::take(home, "redis", server).await?;
        Ok(Some(Self {
            url: url.into(),
            custody,
        }))
    }

    /// Where it listens, for [`Options::new`](super::Options::new).
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// The server's process id, while this process runs it.
    pub async fn pid(&self) -> Option<u32> {
        self.custody.pid().await
    }

    /// Stops it, if this process runs it.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn stop(self) -> Result<(), custody::Error> {
        self.custody.stop().await
    }
}

fn find_program() -> Option<PathBuf> {
    ["redis-server", "valkey-server"]
        .into_iter()
        .find_map(|name| {
            find_in_path(
                name,
                &[
                    "/usr/local/bin",
                    "/usr/local/sbin",
                    "/opt/homebrew/bin",
                    "/opt/homebrew/opt/redis/bin",
                    "/opt/homebrew/opt/valkey/bin",
                    "/usr/bin",
                    "/usr/sbin",
                ],
            )
        })
}

/// Where its things are.
#[derive(Debug)]
struct Server {
    home: Home,
    program: PathBuf,
    folder: PathBuf,
    socket: PathBuf,
    pid_file: PathBuf,
}

impl Server {
    fn new(home: &Home, program: PathBuf) -> Self {
        Self {
            program,
            folder: home.data.join("redis"),
            socket: home.runtime.join("redis.sock"),
            pid_file: home.runtime.join("redis.pid"),
            home: home.clone(),
        }
    }

    fn spec(&self) -> Spec {
        let (folder, pid_file) = (self.folder.clone(), self.pid_file.clone());
        let mut spec = Spec::new("redis", &self.program, &self.home);
        spec.stop_signal = Signal::TERM;
        spec.prepare = Some(Box::new(move || {
            leftover::forget_stranger(&pid_file, &folder)
        }));
        for (name, value) in [
            ("--port", "0"),
            ("--unixsocketperm", "700"),
            ("--daemonize", "no"),
            ("--appendonly", "yes"),
            ("--appendfsync", "everysec"),
            ("--save", ""),
            // Sessions must not be thrown away to make room; a full memory is an error that shows.
            ("--maxmemory-policy", "noeviction"),
        ] {
            spec.arg(name).arg(value);
        }
        spec.arg("--unixsocket").arg(&self.socket);
        spec.arg("--pidfile").arg(&self.pid_file);
        spec.arg("--dir").arg(&self.folder);
        spec
    }
}

impl Keeper for Server {
    async fn answers(&self) -> bool {
        ping(&self.socket).await
    }

    async fn start(&self) -> Result<Supervised, custody::Error> {
        self.home.own_folder(&self.folder)?;
        leftover::stop(&self.pid_file, &self.folder, Signal::TERM).await?;
        let server = Supervised::start(self.spec())?;
        let end = Instant::now() + START_LIMIT;
        while !self.answers().await {
            if server.failures() >= 3 || Instant::now() > end {
                let log = self.home.log("redis");
                server.stop().await.ok();
                return Err(custody::Error::DoesNotStart { name: "Redis", log });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(server)
    }
}

async fn ping(socket: &Path) -> bool {
    let Ok(client) = redis::Client::open(format!("redis+unix://{}", socket.display())) else {
        return false;
    };
    let asked = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING")
            .query_async::<String>(&mut connection)
            .await
    };
    matches!(
        tokio::time::timeout(Duration::from_millis(500), asked).await,
        Ok(Ok(_))
    )
}
