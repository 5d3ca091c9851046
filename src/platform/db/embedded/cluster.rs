//! The server's files: made once, by `initdb`, and configured at each start. Must not know the schema.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::binaries::Binaries;
use super::{Error, Options, SUPERUSER, major_of};
use crate::platform::process::command_as;
use crate::platform::process::home::Home;

/// Our settings, read after `initdb`'s own; what the operator sets by `ALTER SYSTEM` is read last.
const SETTINGS: &str = "betternews.conf";

/// Makes the files where there are none, and gives the programs that serve them. A making that was cut off left only
/// `postgres.new`, which is begun anew: the final name appears by one rename.
pub(super) async fn prepare(
    home: &Home,
    folder: &Path,
    options: &Options,
) -> Result<Binaries, Error> {
    let major = major_of(folder);
    let binaries = Binaries::find(options.bin.as_deref(), major)?;
    if major.is_none() {
        let unfinished = folder.with_extension("new");
        remove(&unfinished)?;
        // Only an empty one: whatever else lies there is not ours to remove.
        match std::fs::remove_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Io(occupied(folder, &error)));
            }
            _ => {}
        }
        tracing::info!(
            postgres.version = binaries.major,
            "making a private PostgreSQL"
        );
        home.own_folder(&unfinished)?;
        initialise(home, &unfinished, &binaries).await?;
        include_settings(&unfinished)?;
        std::fs::rename(&unfinished, folder)?;
        File::open(&home.data)?.sync_all()?;
    }
    home.hand_over(folder)?;
    write_settings(folder, options.max_connections)?;
    home.hand_over(&folder.join(SETTINGS))?;
    Ok(binaries)
}

fn occupied(folder: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!(
            "{} holds no database, and cannot be replaced: {error}",
            folder.display()
        ),
    )
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Where one call writes a whole file system out, `initdb` need not do so file by file, which takes seconds.
const SYNC_APART: &[&str] = if cfg!(target_os = "linux") {
    &["--no-sync"]
} else {
    &[]
};

#[cfg(target_os = "linux")]
fn sync(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

async fn initialise(home: &Home, folder: &Path, binaries: &Binaries) -> Result<(), Error> {
    // Byte order for sorting, Unicode for case: the same on every machine, whatever languages it has. From 17 on
    // PostgreSQL brings it itself; before, the C library does, or (macOS) only plain C exists.
    let builtin: &[&str] = &[
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ];
    let attempts: &[&[&str]] = if binaries.major >= 17 {
        &[builtin]
    } else {
        &[&["--locale=C.UTF-8"], &["--locale=C"]]
    };
    let mut said = String::new();
    for locale in attempts {
        let output = command_as(&binaries.program("initdb"), home.account.as_ref())
            .arg("-D")
            .arg(folder)
            .args([
                "--encoding=UTF8",
                "--auth=trust",
                "--no-instructions",
                "--data-checksums",
            ])
            .arg(format!("--username={SUPERUSER}"))
            .args(*locale)
            .args(SYNC_APART)
            .current_dir(&home.runtime)
            .kill_on_drop(true)
            .output()
            .await?;
        if output.status.success() {
            return Ok(sync(folder)?);
        }
        said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        remove(folder)?;
        home.own_folder(folder)?;
    }
    Err(Error::Io(io::Error::other(format!(
        "initdb failed: {said}"
    ))))
}

fn include_settings(folder: &Path) -> io::Result<()> {
    let mut file = File::options()
        .append(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(folder.join("postgresql.conf"))?;
    writeln!(file, "\ninclude_if_exists = '{SETTINGS}'")?;
    file.sync_all()
}

/// Modest, for a small server beside the application; each with its reason.
fn settings(max_connections: usize) -> String {
    // After a crash, one call instead of one a file: a killed server is back in half a second, not in three.
    let sync_method = if cfg!(target_os = "linux") {
        "syncfs"
    } else {
        "fsync"
    };
    format!(
        "\
# Written by betternews at each start. Change a setting by ALTER SYSTEM, which is read after this file.

max_connections = {connections}          # the application's pool, and 20 for tools and backups
shared_buffers = 128MB
effective_cache_size = 1GB
work_mem = 8MB
maintenance_work_mem = 128MB
random_page_cost = 1.1                   # solid-state disks
max_wal_size = 2GB                       # imports write much at once
wal_compression = on
recovery_init_sync_method = {sync_method}
jit = off                                # compiling costs more than short queries take
max_parallel_workers_per_gather = 0      # the cores belong to many short requests; a container's shared memory is small
client_connection_check_interval = 1s    # a query whose client has gone ends
idle_in_transaction_session_timeout = 60s
unix_socket_permissions = 0700
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_min_error_statement = panic          # statements hold what people wrote
log_checkpoints = off
log_autovacuum_min_duration = 10s
",
        connections = max_connections + 20
    )
}

fn write_settings(folder: &Path, max_connections: usize) -> io::Result<()> {
    let path = folder.join(SETTINGS);
    let text = settings(max_connections);
    if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    // Whole or not at all: PostgreSQL does not start on half a file. Made anew, so that as root no link is followed that
    // the server's user could have put there.
    let new = folder.join(format!("{SETTINGS}.new"));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::create_new(&new)?.write_all(text.as_bytes())?;
    std::fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::settings;

    #[test]
    fn the_server_takes_more_connections_than_the_pool() {
        assert!(settings(10).contains("max_connections = 30"));
    }
}
