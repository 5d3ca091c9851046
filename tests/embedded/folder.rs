//! A data folder that goes away with its test.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use betternews::platform::db::embedded::{Embedded, Options};
use betternews::platform::db::{self, Db};
use betternews::platform::process::home::Home;
use rustix::process::{Pid, Signal, kill_process};

pub struct Folder {
    pub path: PathBuf,
}

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bn-test-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub fn home(&self) -> Home {
        Home::settle(&self.path).unwrap()
    }

    pub fn options(&self) -> Options {
        Options {
            home: self.home(),
            bin: None,
            max_connections: 10,
        }
    }

    pub async fn postgres(&self) -> Embedded {
        Embedded::start(&self.options()).await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let home = self.home();
        // Also when the test failed half-way: servers whose files go away under them end by themselves.
        std::fs::remove_dir_all(&home.runtime).ok();
        std::fs::remove_dir_all(&home.data).ok();
        std::fs::remove_dir_all(&self.path).ok();
    }
}

pub async fn open(server: &Embedded) -> Db {
    Db::connect(&db::Options::new(server.url()).unwrap())
        .await
        .unwrap()
}

pub fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// The process and all its children (one level: PostgreSQL's are all the postmaster's).
pub fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    for entry in Path::new("/proc").read_dir().unwrap().flatten() {
        let Ok(child) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if parent == Some(pid) {
            all.push(child);
        }
    }
    all
}

/// Repeats until it holds, and says how long that took.
pub async fn eventually(limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < limit, "not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}
