//! Child processes that are kept running: own process group, another user if wanted, restarted when they die,
//! stopped by a signal. Must not know what they are (no databases here).

pub mod custody;
pub mod home;
pub mod leftover;
mod log;
pub mod user;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::home::Home;
use self::user::Account;

/// The first pause before a restart; doubled each time up to `LONGEST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A child that ran this long is taken as healthy, and its next restart is quick again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// How often the size of its log is looked at.
const LOG_CHECK: Duration = Duration::from_secs(60);

/// What to do before each start.
pub type Prepare = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// What to run and how to end it.
pub struct Spec {
    name: &'static str,
    program: PathBuf,
    args: Vec<OsString>,
    account: Option<Account>,
    /// Where it starts; a folder that its user may enter.
    folder: PathBuf,
    log: PathBuf,
    /// Asks the child to end (default SIGTERM).
    pub stop_signal: Signal,
    /// How long it may take to (default 10 s); then its whole group is killed.
    pub grace: Duration,
    /// Called before each start.
    pub prepare: Option<Prepare>,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("name", &self.name)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Spec {
    /// A program that runs as the home's user, and whose output goes to the home's log folder.
    pub fn new(name: &'static str, program: &Path, home: &Home) -> Self {
        Self {
            name,
            program: program.to_owned(),
            args: Vec::new(),
            account: home.account.clone(),
            folder: home.runtime.clone(),
            log: home.log(name),
            stop_signal: Signal::TERM,
            grace: Duration::from_secs(10),
            prepare: None,
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    fn spawn(&self) -> io::Result<Child> {
        if let Some(prepare) = &self.prepare {
            prepare()?;
        }
        let log = log::open(&self.log, self.account.as_ref())?;
        let mut command = command_as(&self.program, self.account.as_ref());
        command
            .args(&self.args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C on the terminal reaches this process alone, which ends its children in order.
            .process_group(0)
            // Should this runtime be dropped without an orderly stop.
            .kill_on_drop(true);
        command.spawn()
    }
}

/// A command that runs as `account` (its user, its group, no others), with an environment of its own: secrets
/// in ours are not the child's business.
pub fn command_as(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC");
    command.env(
        "PATH",
        std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
    );
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// The first executable file of this name in `PATH`, then in `places`.
pub fn find_in_path(name: &str, places: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(places.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

/// Whether it is a file that someone may execute.
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    pid: Option<u32>,
    failures: u32,
}

/// A child that is restarted until it is stopped. Dropped without [`stop`](Self::stop), it is still ended, in the
/// background.
#[derive(Debug)]
pub struct Supervised {
    state: watch::Receiver<State>,
    stop: CancellationToken,
    task: JoinHandle<bool>,
}

impl Supervised {
    /// Starts it and keeps it running.
    ///
    /// # Errors
    /// When the program cannot be started at all; that it ends later is a restart.
    pub fn start(spec: Spec) -> io::Result<Self> {
        let child = spec.spawn()?;
        let (sender, state) = watch::channel(State {
            pid: child.id(),
            failures: 0,
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(supervise(spec, child, stop.clone(), sender));
        Ok(Self { state, stop, task })
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.state.borrow().pid
    }

    /// How often in a row it ended before it had run for a while.
    pub fn failures(&self) -> u32 {
        self.state.borrow().failures
    }

    /// Ends it: the stop signal, then, after the grace, SIGKILL to its group.
    ///
    /// # Errors
    /// `TimedOut` when it had to be killed.
    pub async fn stop(mut self) -> io::Result<()> {
        self.stop.cancel();
        match (&mut self.task).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "it had to be killed",
            )),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Runs until stopped; says whether the end was an orderly one.
async fn supervise(
    spec: Spec,
    mut child: Child,
    stop: CancellationToken,
    state: watch::Sender<State>,
) -> bool {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let Some(status) = watch_over(&spec, &mut child, &stop).await else {
            return end(&spec, &mut child).await;
        };
        let healthy = started.elapsed() >= HEALTHY_AFTER;
        if healthy {
            pause = FIRST_PAUSE;
        }
        state.send_modify(|state| {
            state.pid = None;
            state.failures = if healthy { 1 } else { state.failures + 1 };
        });
        tracing::warn!(
            process.name = spec.name,
            process.status = %status,
            process.log = %spec.log.display(),
            restart_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            "child process ended, restarting"
        );
        loop {
            tokio::select! {
                () = stop.cancelled() => return true,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            match spec.spawn() {
                Ok(next) => {
                    child = next;
                    break;
                }
                Err(error) => tracing::error!(process.name = spec.name, %error, "restart failed"),
            }
        }
        state.send_modify(|state| state.pid = child.id());
    }
}

/// Waits for the child to end by itself; `None` when it is to be stopped.
async fn watch_over(
    spec: &Spec,
    child: &mut Child,
    stop: &CancellationToken,
) -> Option<ExitStatus> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            status = child.wait() => return Some(status.unwrap_or_default()),
            () = sleep(LOG_CHECK) => {
                if let Err(error) = log::rotate(&spec.log) {
                    tracing::warn!(process.name = spec.name, %error, "its log could not be rotated");
                }
            }
        }
    }
}

async fn end(spec: &Spec, child: &mut Child) -> bool {
    // An id only while it is not reaped, so that no other process can have it.
    let Some(pid) = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
    else {
        return true;
    };
    for signal in [spec.stop_signal, Signal::CONT] {
        if let Err(error) = kill_process(pid, signal) {
            tracing::debug!(process.name = spec.name, %error, "signal not delivered");
        }
    }
    if timeout(spec.grace, child.wait()).await.is_ok() {
        return true;
    }
    tracing::error!(
        process.name = spec.name,
        "child process does not end, killing it"
    );
    if let Err(error) = kill_process_group(pid, Signal::KILL) {
        tracing::error!(process.name = spec.name, %error, "it could not be killed");
    }
    child.wait().await.is_err()
}
