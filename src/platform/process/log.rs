//! A child's output in a file of bounded size. The child itself holds the file open, so that neither side
//! ever waits for the other; must not know who writes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, fchown, lchown};
use std::path::Path;

use rustix::fs::OFlags;

use super::user::Account;

/// Past this it becomes `<name>.1`, replacing the one before.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Opens it for appending; only its owner, the child's user, may read it.
pub(super) fn open(path: &Path, account: Option<&Account>) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {
                if let Some(account) = account {
                    lchown(folder, Some(account.uid), Some(account.gid))?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    rotate(path)?;
    let file = options().create(true).append(true).open(path)?;
    if let Some(account) = account {
        fchown(&file, Some(account.uid), Some(account.gid))?;
    }
    Ok(file)
}

/// As root in a folder of the child's user: what that user may have put there as a link is not followed.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Copies and empties it when it has grown too large: the writer, which appends, goes on in the same file.
pub(super) fn rotate(path: &Path) -> io::Result<()> {
    let mut file = match options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() <= MAX_BYTES {
        return Ok(());
    }
    let aside = path.with_extension("log.1");
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    io::copy(
        &mut file,
        &mut options().create_new(true).write(true).open(aside)?,
    )?;
    file.set_len(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_large_log_is_set_aside_and_its_writer_goes_on() {
        let folder = std::env::temp_dir().join(format!("betternews-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.log");
        let mut writer = open(&path, None).unwrap();
        writer
            .write_all(&vec![b'x'; MAX_BYTES as usize + 1])
            .unwrap();
        rotate(&path).unwrap();
        writer.write_all(b"next").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"next");
        assert_eq!(
            folder.join("x.log.1").metadata().unwrap().len(),
            MAX_BYTES + 1
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
