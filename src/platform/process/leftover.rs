//! A server that a killed process left behind, known by its pid file and by the folder it works in. Must not know
//! which server.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// How long a leftover may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// Whose process id a pid file holds.
enum Holder {
    /// Nobody's.
    None,
    /// A process that works in the folder.
    Leftover(Pid),
    /// A living process that has nothing to do with it: ids are used again, in containers soon.
    Stranger,
}

fn holder(pid_file: &Path, folder: &Path) -> Holder {
    let pid = std::fs::read_to_string(pid_file)
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse().ok())
        .and_then(Pid::from_raw);
    let Some(pid) = pid else {
        return Holder::None;
    };
    if test_kill_process(pid).is_err() {
        return Holder::None;
    }
    if works_in(pid, folder) {
        Holder::Leftover(pid)
    } else {
        Holder::Stranger
    }
}

/// Whether the process's working folder is `folder`; without `/proc`, whether its command line names it.
fn works_in(pid: Pid, folder: &Path) -> bool {
    if Path::new("/proc/self").exists() {
        let cwd = format!("/proc/{}/cwd", pid.as_raw_nonzero());
        return std::fs::read_link(cwd).is_ok_and(|cwd| cwd == folder);
    }
    Command::new("ps")
        .args(["-o", "command=", "-p", &pid.as_raw_nonzero().to_string()])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(&*folder.to_string_lossy()))
}

/// Ends the leftover, if there is one: `signal`, then SIGKILL. The caller must hold the folder's lock.
///
/// # Errors
/// When it can be neither ended nor killed.
pub async fn stop(pid_file: &Path, folder: &Path, signal: Signal) -> io::Result<()> {
    let Holder::Leftover(pid) = holder(pid_file, folder) else {
        return Ok(());
    };
    tracing::warn!(
        process.pid = pid.as_raw_nonzero().get(),
        "ending a server that a killed process left behind"
    );
    for signal in [signal, Signal::CONT] {
        kill_process(pid, signal)?;
    }
    let end = Instant::now() + GRACE;
    while matches!(holder(pid_file, folder), Holder::Leftover(now) if now == pid) {
        if Instant::now() > end {
            kill_process(pid, Signal::KILL)?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Removes a pid file that names a stranger, which a server would mistake for a second one of its kind.
///
/// # Errors
/// When it cannot be removed.
pub fn forget_stranger(pid_file: &Path, folder: &Path) -> io::Result<()> {
    if matches!(holder(pid_file, folder), Holder::Stranger) {
        std::fs::remove_file(pid_file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_that_names_a_stranger_is_removed_and_one_of_nobody_stays() {
        let folder =
            std::env::temp_dir().join(format!("betternews-leftover-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pid");
        std::fs::write(&file, format!("{}\nmore\n", std::process::id())).unwrap();
        forget_stranger(&file, &folder).unwrap();
        assert!(!file.exists());
        std::fs::write(&file, "999999999\n").unwrap();
        forget_stranger(&file, &folder).unwrap();
        assert!(file.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
