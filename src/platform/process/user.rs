//! Who a child process runs as: some servers refuse to be root. Must not know which servers.

use std::path::Path;
use std::process::{Command, Stdio};

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's id.
    pub uid: u32,
    /// The id of its first group.
    pub gid: u32,
}

/// Whether this process may become any user.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// This process's user id.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Who runs servers on behalf of root: `postgres` where there is one, else `nobody`.
pub fn service_account() -> Option<Account> {
    ["postgres", "nobody"].into_iter().find_map(find)
}

/// By name, as `id` (and so every source of users that the machine has) knows it.
fn find(name: &str) -> Option<Account> {
    let ask = |what| -> Option<u32> {
        let output = Command::new("id")
            .args([what, name])
            .stderr(Stdio::null())
            .output()
            .ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let account = Account {
        uid: ask("-u")?,
        gid: ask("-g")?,
    };
    (account.uid != 0).then_some(account)
}

/// Whether the account may enter the folder, asked by trying (modes, lists and mounts all have a say).
pub fn can_enter(account: &Account, folder: &Path) -> bool {
    use std::os::unix::process::CommandExt;
    Command::new("/bin/sh")
        .args(["-c", "cd -- \"$1\"", "sh"])
        .arg(folder)
        .current_dir("/")
        .uid(account.uid)
        .gid(account.gid)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
