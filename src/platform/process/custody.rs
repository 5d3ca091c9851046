//! One server per data folder, whichever process of it comes first: that one runs the server and holds the lock, the
//! others use it, and the next in line takes over when the first goes away. Must not know which server.

use std::fs::{File, OpenOptions, TryLockError};
use std::future::Future;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::Supervised;
use super::home::{self, Home};

/// How long to wait for another process's server to answer (it may be creating its files).
const WAIT_FOR_OTHER: Duration = Duration::from_secs(60);
/// How often one who uses another's server looks whether that one is still there.
const WATCH: Duration = Duration::from_millis(250);

/// Why there is no server; each is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no place for its files.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// What is needed is not installed, or does not fit; says what to do.
    #[error("{0}")]
    NotInstalled(String),
    /// It ended several times in a row, or never answered.
    #[error("{name} does not start; its log is {}", log.display())]
    DoesNotStart {
        /// Its name.
        name: &'static str,
        /// Where it says why.
        log: PathBuf,
    },
    /// Another process holds the data folder, and its server does not answer.
    #[error("another betternews holds {}, but its server does not answer", lock.display())]
    HeldByOther {
        /// The lock file.
        lock: PathBuf,
    },
    /// What the system said.
    #[error("a database process failed: {0}")]
    Io(#[from] io::Error),
}

/// How one kind of server is asked and started.
pub trait Keeper: Send + Sync + 'static {
    /// Whether it answers now.
    fn answers(&self) -> impl Future<Output = bool> + Send;
    /// Ends what a killed process left behind, starts it, and waits until it answers. Called under the lock.
    fn start(&self) -> impl Future<Output = Result<Supervised, Error>> + Send;
}

/// A server that runs here, under this process's lock.
#[derive(Debug)]
struct Held {
    server: Supervised,
    _lock: File,
}

/// A server in use, ours or another's.
#[derive(Debug)]
pub struct Custody {
    held: Arc<Mutex<Option<Held>>>,
    heir: Option<AbortOnDropHandle<()>>,
}

impl Custody {
    /// Starts the server `name` of this home, or uses the one that another process runs.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn take(home: &Home, name: &'static str, keeper: impl Keeper) -> Result<Self, Error> {
        let path = home.data.join(name).with_extension("lock");
        let end = Instant::now() + WAIT_FOR_OTHER;
        loop {
            if let Some(lock) = try_lock(&path, home)? {
                let server = keeper.start().await?;
                let held = Arc::new(Mutex::new(Some(Held {
                    server,
                    _lock: lock,
                })));
                return Ok(Self { held, heir: None });
            }
            if keeper.answers().await {
                tracing::info!(
                    server.name = name,
                    "using the server that another process runs"
                );
                let held = Arc::new(Mutex::new(None));
                let heir = tokio::spawn(inherit(path, home.clone(), name, keeper, held.clone()));
                return Ok(Self {
                    held,
                    heir: Some(AbortOnDropHandle::new(heir)),
                });
            }
            if Instant::now() > end {
                return Err(Error::HeldByOther { lock: path });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The server's process id, while this process runs it.
    pub async fn pid(&self) -> Option<u32> {
        self.held
            .lock()
            .await
            .as_ref()
            .and_then(|held| held.server.pid())
    }

    /// Stops the server, if this process runs it, and lets the next one have it.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn stop(self) -> Result<(), Error> {
        drop(self.heir);
        match self.held.lock().await.take() {
            Some(held) => Ok(held.server.stop().await?),
            None => Ok(()),
        }
    }
}

/// Waits for the other process to go away, then runs the server here.
async fn inherit(
    path: PathBuf,
    home: Home,
    name: &'static str,
    keeper: impl Keeper,
    held: Arc<Mutex<Option<Held>>>,
) {
    loop {
        tokio::time::sleep(WATCH).await;
        let lock = match try_lock(&path, &home) {
            Ok(Some(lock)) => lock,
            Ok(None) => continue,
            Err(error) => {
                tracing::error!(server.name = name, %error, "the lock cannot be taken");
                continue;
            }
        };
        // Kept while starting, so that a stop meanwhile waits for it.
        let mut held = held.lock().await;
        match keeper.start().await {
            Ok(server) => {
                tracing::info!(server.name = name, "taken over from a process that ended");
                *held = Some(Held {
                    server,
                    _lock: lock,
                });
                return;
            }
            Err(error) => tracing::error!(server.name = name, %error, "taking over failed"),
        }
    }
}

fn try_lock(path: &Path, home: &Home) -> Result<Option<File>, Error> {
    let failed = |source| home::Error::Data {
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    home.hand_over(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error).into()),
    }
}
