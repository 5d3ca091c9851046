//! Files to staged rows: a thread of its own reads and converts, while what it has made is sent to the database.
//! Must not know what becomes of the rows.

use super::{Fault, ImportError, NAMED, Progress, Summary, hn, json, queries};
use crate::platform::db::copy::Rows;
use sqlx::PgConnection;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::{Sender, channel};

/// Bytes of rows sent at once.
const BATCH_BYTES: usize = 1 << 20;

/// Batches that may wait for the database.
const WAITING: usize = 4;

/// What the reading thread sends.
enum Batch {
    Rows(Vec<u8>),
    Fault(Fault),
    /// Bytes read of all files.
    Read(u64),
    Failed(ImportError),
    Done {
        items: u64,
        odd_urls: u64,
    },
}

/// Stages all items of the files, and counts what was read.
///
/// # Errors
/// A file that cannot be read, or the database.
pub async fn stage(
    conn: &mut PgConnection,
    files: Vec<PathBuf>,
    summary: &mut Summary,
    progress: &mut impl FnMut(Progress),
) -> Result<(), ImportError> {
    let total = files
        .iter()
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .sum();
    let mut copy = conn.copy_in_raw(queries::COPY_STAGE).await?;
    let (sender, mut receiver) = channel(WAITING);
    tokio::task::spawn_blocking(move || Reader::new(sender).read(&files));
    let mut result = Err(ImportError::Reader);
    while let Some(batch) = receiver.recv().await {
        match batch {
            Batch::Rows(rows) => {
                copy.send(rows).await?;
            }
            Batch::Fault(fault) => {
                summary.faults += 1;
                if summary.named_faults.len() < NAMED {
                    summary.named_faults.push(fault);
                }
            }
            Batch::Read(done) => progress(Progress::Read { done, total }),
            Batch::Failed(error) => result = Err(error),
            Batch::Done { items, odd_urls } => {
                (summary.read, summary.odd_urls) = (items, odd_urls);
                result = Ok(());
            }
        }
    }
    match result {
        Ok(()) => copy.finish().await.map(|_| ()).map_err(ImportError::from),
        Err(error) => {
            // The server answers an abort with an error of its own; what went wrong here is the one to tell.
            let _ = copy.abort("the import failed").await;
            Err(error)
        }
    }
}

struct Reader {
    sender: Sender<Batch>,
    rows: Rows,
    items: u64,
    odd_urls: u64,
}

impl Reader {
    fn new(sender: Sender<Batch>) -> Self {
        Self {
            sender,
            rows: Rows::new(hn::COLUMNS),
            items: 0,
            odd_urls: 0,
        }
    }

    /// Reads until the end, or until nobody listens any more.
    fn read(mut self, files: &[PathBuf]) {
        let mut before = 0;
        for file in files {
            match self.read_file(file, before) {
                Ok(length) => before += length,
                Err(source) => {
                    let _ = self.sender.blocking_send(Batch::Failed(ImportError::File {
                        file: file.clone(),
                        source,
                    }));
                    return;
                }
            }
            if self.sender.blocking_send(Batch::Read(before)).is_err() {
                return;
            }
        }
        let last = Batch::Rows(self.rows.finish());
        let done = Batch::Done {
            items: self.items,
            odd_urls: self.odd_urls,
        };
        let _ = self
            .sender
            .blocking_send(last)
            .and_then(|()| self.sender.blocking_send(done));
    }

    /// Gives the bytes of the file.
    fn read_file(&mut self, file: &Path, before: u64) -> io::Result<u64> {
        let length = Cell::new(0);
        let input = Counted {
            input: File::open(file)?,
            length: &length,
        };
        json::read(
            BufReader::with_capacity(1 << 18, input),
            |(line, object)| {
                let item = match object {
                    Ok(object) => hn::parse(&object.json, object.nested),
                    Err(reason) => Err(reason.to_owned()),
                };
                let sent = match item {
                    Ok(Some(item)) => self.add(&item, before + length.get()),
                    Ok(None) => Ok(()),
                    Err(reason) => self.send(Batch::Fault(Fault {
                        file: file.to_owned(),
                        line,
                        reason,
                    })),
                };
                match sent {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(Gone) => ControlFlow::Break(()),
                }
            },
        )?;
        Ok(length.get())
    }

    fn add(&mut self, item: &hn::Item, read: u64) -> Result<(), Gone> {
        self.items += 1;
        self.odd_urls += u64::from(item.odd_url);
        item.stage(
            i64::try_from(self.items).unwrap_or(i64::MAX),
            &mut self.rows,
        );
        if self.rows.len() < BATCH_BYTES {
            return Ok(());
        }
        let rows = self.rows.take();
        self.send(Batch::Rows(rows))?;
        self.send(Batch::Read(read))
    }

    fn send(&self, batch: Batch) -> Result<(), Gone> {
        self.sender.blocking_send(batch).map_err(|_| Gone)
    }
}

/// Nobody listens any more.
struct Gone;

/// A file whose bytes are counted as they are read.
struct Counted<'a> {
    input: File,
    length: &'a Cell<u64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.length.set(self.length.get() + read as u64);
        Ok(read)
    }
}
