//! A child's output in a file of bounded size. The child itself holds the file open, so that neither side
//! ever waits for the other; must not know who writes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Past this it becomes `<name>.1`, replacing the one before.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Opens it for appending, readable by its owner alone.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    rotate(path)?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Copies and empties it when it has grown too large: the writer, which appends, goes on in the same file.
pub(super) fn rotate(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(meta) if meta.len() > MAX_BYTES => {
            std::fs::copy(path, path.with_extension("log.1"))?;
            OpenOptions::new().write(true).open(path)?.set_len(0)
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_large_log_is_set_aside_and_its_writer_goes_on() {
        let folder = std::env::temp_dir().join(format!("betternews-log-{}", std::process::id()));
        let path = folder.join("x.log");
        let mut writer = open(&path).unwrap();
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
