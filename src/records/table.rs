//! A CSV table that is written during a run, with the checksum of what has been written.

use crate::error::{Error, Result};
use crate::train::TableChecksum;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file with the length and the checksum of the bytes written to it.
struct ChecksummedFile {
    file: File,
    bytes: u64,
    crc32: crc32fast::Hasher,
}

impl Write for ChecksummedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.crc32.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A table that is being written.
pub(crate) struct Table {
    path: PathBuf,
    rows: csv::Writer<ChecksummedFile>,
}

impl Table {
    /// Creates an empty table. An existing file is overwritten.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(Error::io(&path, "create"))?;
        let rows = csv::Writer::from_writer(ChecksummedFile { file, bytes: 0, crc32: Default::default() });
        Ok(Self { path, rows })
    }

    /// Opens a table, removes the rows after a checkpoint, and continues it.
    pub(crate) fn truncated(path: PathBuf, TableChecksum { bytes, crc32 }: TableChecksum) -> Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(Error::io(&path, "open"))?;
        let mut existing = vec![];
        (&mut file).take(bytes).read_to_end(&mut existing).map_err(Error::io(&path, "read"))?;
        let modified = |message: String| {
            let remedy = "put the file back as it was, or remove the run's directory to run it again";
            Error::format(&path, existing.len() as u64, format!("{message}; {remedy}"))
        };
        if (existing.len() as u64) < bytes {
            return Err(modified(format!("the file had {bytes} bytes at the checkpoint, and is now shorter")));
        }
        let found = crc32fast::hash(&existing);
        if found != crc32 {
            let message = format!(
                "the first {bytes} bytes are not those of the checkpoint (CRC-32 {found:08x}, not {crc32:08x})"
            );
            return Err(modified(message));
        }
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(Error::io(&path, "write"))?;
        let summed = ChecksummedFile { file, bytes, crc32: crc32fast::Hasher::new_with_initial(crc32) };
        let rows = csv::WriterBuilder::new().has_headers(bytes == 0).from_writer(summed);
        Ok(Self { path, rows })
    }

    /// Appends rows and passes them to the operating system.
    pub(crate) fn append<T: Serialize>(&mut self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        for row in rows {
            self.rows.serialize(row).map_err(write_error(&self.path))?;
        }
        self.rows.flush().map_err(Error::io(&self.path, "write"))
    }

    /// Appends rows without column names; writes `header` first if the table is empty.
    pub(crate) fn append_with_header<T: Serialize>(
        &mut self,
        header: &[String],
        rows: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        if self.rows.get_ref().bytes == 0 {
            self.rows.write_record(header).map_err(write_error(&self.path))?;
        }
        self.append(rows)
    }

    /// Waits until all rows are on disk.
    pub(crate) fn sync(&self) -> Result<TableChecksum> {
        let ChecksummedFile { file, bytes, crc32 } = self.rows.get_ref();
        file.sync_all().map_err(Error::io(&self.path, "write"))?;
        Ok(TableChecksum { bytes: *bytes, crc32: crc32.clone().finalize() })
    }
}

fn write_error(path: &Path) -> impl FnOnce(csv::Error) -> Error {
    let path = path.to_owned();
    move |error| match error.into_kind() {
        csv::ErrorKind::Io(source) => Error::Io { path, action: "write", source },
        other => Error::option(path.display().to_string(), format!("{other:?}")),
    }
}
