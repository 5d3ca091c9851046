//! Where child processes keep their files: the data folder, and a short private folder for sockets. Must not know
//! what is kept there.

use std::fs::{DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::user::{self, Account};

/// Where data go that were to lie below a folder that the children's user may not enter.
const OPEN_PLACE: &str = "/var/lib/betternews";

/// Why there is no place to keep files; each is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder cannot be made or read.
    #[error("the data folder {} cannot be used: {source}", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else's thing lies where the private socket folder belongs.
    #[error("{} is not a private folder of user {uid}: remove it", path.display())]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// Whose it should be.
        uid: u32,
    },
    /// Started as root, and the machine has no user to hand over to.
    #[error(
        "started as root, but there is neither a user postgres nor a user nobody to run the databases as"
    )]
    NoAccount,
}

/// The places, settled once at start.
#[derive(Debug, Clone)]
pub struct Home {
    /// The data folder, absolute.
    pub data: PathBuf,
    /// The folder for sockets: short, private to the children's user, and always the same for one data folder, so that
    /// other processes of it find a running server.
    pub runtime: PathBuf,
    /// Whom children run as, where that is not this process's own user.
    pub account: Option<Account>,
    /// The folder that was asked for, where the data had to go elsewhere.
    pub moved_from: Option<PathBuf>,
}

impl Home {
    /// Settles the places for the data folder `wanted`, and makes the folders. As root, children run as the one who
    /// owns the data already, else as `postgres` or `nobody`; where that user may not enter `wanted`, the data go below
    /// `/var/lib/betternews`, and a warning says so.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn settle(wanted: &Path) -> Result<Self, Error> {
        let wanted = make_folder(wanted)?;
        if !user::is_root() {
            let runtime = private_folder(&wanted, None)?;
            return Ok(Self {
                data: wanted,
                runtime,
                account: None,
                moved_from: None,
            });
        }
        let account = match owner(&wanted) {
            Some(account) => account,
            None => user::service_account().ok_or(Error::NoAccount)?,
        };
        let (data, moved_from) = if user::can_enter(&account, &wanted) {
            (wanted, None)
        } else {
            let data =
                make_folder(&make_folder(Path::new(OPEN_PLACE))?.join(folder_name(&wanted)))?;
            tracing::warn!(
                data.path = %data.display(),
                "the databases' user may not enter {}: their data lie in {}",
                wanted.display(),
                data.display()
            );
            (data, Some(wanted))
        };
        let runtime = private_folder(&data, Some(&account))?;
        Ok(Self {
            data,
            runtime,
            account: Some(account),
            moved_from,
        })
    }

    /// Where the output of the child `name` goes.
    pub fn log(&self, name: &str) -> PathBuf {
        self.data.join("log").join(name).with_extension("log")
    }

    /// Makes a folder below the data folder that only the children's user may enter, or takes over one of root's.
    ///
    /// # Errors
    /// [`Error::Data`].
    pub fn own_folder(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Data {
            path: path.to_owned(),
            source,
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        self.hand_over(path).map_err(failed)
    }

    /// Gives what root owns at `path`, and all below it, to the children's user; follows no links.
    ///
    /// # Errors
    /// What the system said.
    pub fn hand_over(&self, path: &Path) -> io::Result<()> {
        match &self.account {
            Some(account) => change_owner(path, account),
            None => Ok(()),
        }
    }
}

/// Makes the folder and gives its one true path. As root it can be entered by all, whatever the umask: what it holds
/// protects itself.
fn make_folder(path: &Path) -> Result<PathBuf, Error> {
    let make = || {
        if path.is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(path)?;
        if user::is_root() {
            std::fs::set_permissions(path, Permissions::from_mode(0o711))?;
        }
        Ok(())
    };
    make()
        .and_then(|()| path.canonicalize())
        .map_err(|source| Error::Data {
            path: path.to_owned(),
            source,
        })
}

/// Who, other than root, owns data already: what lies in the folder says it before the folder does.
fn owner(data: &Path) -> Option<Account> {
    ["postgres", "redis", ""]
        .into_iter()
        .filter_map(|name| data.join(name).symlink_metadata().ok())
        .map(|meta| Account {
            uid: meta.uid(),
            gid: meta.gid(),
        })
        .find(|account| account.uid != 0)
}

fn change_owner(path: &Path, account: &Account) -> io::Result<()> {
    let meta = path.symlink_metadata()?;
    if meta.uid() == account.uid {
        return Ok(());
    }
    if meta.is_dir() {
        for entry in path.read_dir()? {
            change_owner(&entry?.path(), account)?;
        }
    }
    // Last, so that a change cut off in the middle is taken up again.
    lchown(path, Some(account.uid), Some(account.gid))
}

/// A path as the name of one folder: `/srv/news/data` is `srv_news_data`. No two paths share one.
fn folder_name(path: &Path) -> String {
    let text = path.to_string_lossy();
    let name: String = text
        .trim_start_matches('/')
        .chars()
        .map(|c| match c {
            '/' => "_".to_owned(),
            '_' => "__".to_owned(),
            c => c.to_string(),
        })
        .collect();
    if name.len() > 100 { hash(path) } else { name }
}

fn hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The folder for sockets: below `/tmp`, since a socket's path may have 107 bytes and must not lie on a network share.
fn private_folder(data: &Path, account: Option<&Account>) -> Result<PathBuf, Error> {
    let uid = account.map_or_else(user::own_uid, |account| account.uid);
    let path = Path::new("/tmp").join(format!("betternews-{uid}-{}", hash(data)));
    let failed = |source| Error::Data {
        path: path.clone(),
        source,
    };
    match DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    // Looked at without following links. `/tmp` is sticky: what is ours now cannot be swapped by another user.
    let meta = path.symlink_metadata().map_err(failed)?;
    let expected = is_private(&meta, uid) || user::is_root() && is_private(&meta, 0);
    if !expected {
        return Err(Error::NotPrivate { path, uid });
    }
    if let Some(account) = account {
        lchown(&path, Some(account.uid), Some(account.gid)).map_err(failed)?;
    }
    Ok(path)
}

fn is_private(meta: &Metadata, uid: u32) -> bool {
    meta.is_dir() && meta.uid() == uid && meta.mode() & 0o077 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_name_that_no_other_path_has() {
        assert_eq!(folder_name(Path::new("/srv/news/data")), "srv_news_data");
        assert_ne!(
            folder_name(Path::new("/srv/a_b")),
            folder_name(Path::new("/srv/a/b"))
        );
        assert_eq!(
            folder_name(Path::new(&format!("/{}", "x".repeat(300)))).len(),
            12
        );
    }

    #[test]
    fn a_socket_path_stays_below_the_limit_and_a_link_is_refused() {
        let data = std::env::temp_dir().join("x".repeat(200));
        let path = private_folder(&data, None).unwrap();
        assert_eq!(private_folder(&data, None).unwrap(), path);
        assert!(path.join(".s.PGSQL.5432").as_os_str().len() <= 107);
        std::fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/etc", &path).unwrap();
        assert!(matches!(
            private_folder(&data, None),
            Err(Error::NotPrivate { .. })
        ));
        std::fs::remove_file(&path).unwrap();
    }
}
