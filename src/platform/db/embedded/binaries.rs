//! Finds the machine's PostgreSQL programs. Must not start a server.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;
use crate::platform::process::{find_in_path, is_executable};

/// The oldest major version that the schema is written for.
const OLDEST: u32 = 15;

/// Where packages put them; `*` stands for one folder's name.
const PLACES: &[&str] = &[
    "/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
    "/usr/pgsql-*/bin",                                   // the project's RPMs
    "/usr/libexec/postgresql*",                           // Alpine
    "/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew
    "/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew on Linux
    "/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
];

/// One version's folder of programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    folder: PathBuf,
    /// Its major version.
    pub(super) major: u32,
}

impl Binaries {
    /// The programs that can serve files of version `major`; for new files (`None`) the newest.
    pub(super) fn find(given: Option<&Path>, major: Option<u32>) -> Result<Self, Error> {
        let found: Vec<Self> = match given {
            Some(folder) => match Self::at(folder.to_owned()) {
                Some(binaries) => vec![binaries],
                None => {
                    return Err(Error::NotInstalled(format!(
                        "BETTERNEWS_PG_BIN={} holds no postgres and initdb",
                        folder.display()
                    )));
                }
            },
            None => candidates().into_iter().filter_map(Self::at).collect(),
        };
        choose(found, major)
    }

    /// The full path of one of them.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn at(folder: PathBuf) -> Option<Self> {
        if !["postgres", "initdb"]
            .iter()
            .all(|name| is_executable(&folder.join(name)))
        {
            return None;
        }
        let output = Command::new(folder.join("postgres"))
            .arg("--version")
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder, major })
    }
}

fn choose(mut found: Vec<Binaries>, major: Option<u32>) -> Result<Binaries, Error> {
    // Stable: of several folders with the same version the first named stays first.
    found.sort_by_key(|binaries| Reverse(binaries.major));
    let newest = found.first().map(|binaries| binaries.major);
    match (major, newest) {
        (Some(major), _) => found.into_iter().find(|binaries| binaries.major == major).ok_or_else(|| {
            Error::NotInstalled(format!(
                "the data folder was made by PostgreSQL {major}, which is not installed{}; install it: {}",
                newest.map_or_else(String::new, |newest| format!(" (found: {newest})")),
                install_command(Some(major))
            ))
        }),
        (None, Some(newest)) if newest >= OLDEST => Ok(found.swap_remove(0)),
        (None, Some(newest)) => Err(Error::NotInstalled(format!(
            "PostgreSQL {newest} is too old, {OLDEST} or newer is needed; install it: {}",
            install_command(None)
        ))),
        (None, None) => Err(Error::NotInstalled(format!(
            "PostgreSQL is not installed; install it: {} (or set DATABASE_URL to a server of your own)",
            install_command(None)
        ))),
    }
}

fn candidates() -> Vec<PathBuf> {
    let from_config = find_in_path("pg_config", &[]).and_then(|program| {
        let output = Command::new(program)
            .arg("--bindir")
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let folder = String::from_utf8(output.stdout).ok()?;
        Some(PathBuf::from(folder.trim()))
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = from_config
        .into_iter()
        .chain(PLACES.iter().flat_map(|place| expand(place)))
        .chain(std::env::split_paths(&path))
        .filter_map(|folder| folder.join("postgres").canonicalize().ok())
        .filter_map(|program| program.parent().map(Path::to_owned))
        .collect();
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

/// The folders that a place with one `*` names.
fn expand(place: &str) -> Vec<PathBuf> {
    let Some((before, after)) = place.split_once('*') else {
        return vec![place.into()];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = Path::new(&format!("{parent}/")).read_dir() else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .collect()
}

/// From `postgres (PostgreSQL) 15.8 (Debian 15.8-1)` or `... 18beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn install_command(major: Option<u32>) -> String {
    let (debian, brew) = match major {
        Some(major) => (format!("postgresql-{major}"), format!("postgresql@{major}")),
        None => ("postgresql".to_owned(), "postgresql".to_owned()),
    };
    if cfg!(target_os = "macos") {
        format!("brew install {brew}")
    } else if Path::new("/usr/bin/dnf").exists() {
        "dnf install postgresql-server".to_owned()
    } else if Path::new("/usr/bin/apt-get").exists() {
        format!("apt-get install {debian}")
    } else {
        format!("apt-get install {debian}, dnf install postgresql-server, or brew install {brew}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(major: u32) -> Binaries {
        Binaries {
            folder: format!("/{major}").into(),
            major,
        }
    }

    #[test]
    fn new_files_get_the_newest_and_old_ones_their_own() {
        let all = || vec![at(15), at(17), at(16)];
        assert_eq!(choose(all(), None).unwrap(), at(17));
        assert_eq!(choose(all(), Some(16)).unwrap(), at(16));
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        let message = choose(vec![at(17)], Some(15)).unwrap_err().to_string();
        assert!(
            message.contains("PostgreSQL 15") && message.contains("install"),
            "{message}"
        );
        assert!(
            choose(Vec::new(), None)
                .unwrap_err()
                .to_string()
                .contains("install")
        );
        assert!(
            choose(vec![at(13)], None)
                .unwrap_err()
                .to_string()
                .contains("too old")
        );
    }

    #[test]
    fn versions_are_read_from_what_the_program_says() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.8 (Debian 15.8-1)\n"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("something else"), None);
    }
}
