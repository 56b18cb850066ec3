//! A file that is being read, on disk or in memory, with its length: counts in files are checked against it.

use crate::{DataError, Result};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are read from a disk at once.
const BUFFER: usize = 1 << 20;

trait Bytes: Read + Seek + Send {}
impl<T: Read + Seek + Send> Bytes for T {}

/// The bytes of a file, from where [`Read`] has come to.
pub(in crate::format) struct Input {
    path: PathBuf,
    /// All bytes, of a file in memory.
    memory: Option<Arc<[u8]>>,
    reader: BufReader<Box<dyn Bytes>>,
    length: u64,
    position: u64,
}

impl Input {
    /// Opens a file on disk.
    ///
    /// # Errors
    /// When it is missing, unreadable, or a folder.
    pub(in crate::format) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| DataError::unreadable(path, &e))?;
        let metadata = file.metadata().map_err(|e| DataError::unreadable(path, &e))?;
        if !metadata.is_file() {
            return Err(DataError::new(path, "is not a regular file").remedy("name a file"));
        }
        let reader = BufReader::with_capacity(BUFFER, Box::new(file) as Box<dyn Bytes>);
        Ok(Self { path: path.to_owned(), memory: None, reader, length: metadata.len(), position: 0 })
    }

    /// A file in memory; `path` is for messages.
    pub(in crate::format) fn memory(bytes: impl Into<Arc<[u8]>>, path: &Path) -> Self {
        let bytes = bytes.into();
        let reader = BufReader::new(Box::new(Cursor::new(bytes.clone())) as Box<dyn Bytes>);
        Self { path: path.to_owned(), length: bytes.len() as u64, memory: Some(bytes), reader, position: 0 }
    }

    /// The same file, to be read from another place at the same time.
    ///
    /// # Errors
    /// When it has vanished.
    pub(in crate::format) fn again(&self) -> Result<Self> {
        let mut input = match &self.memory {
            Some(bytes) => Self::memory(bytes.clone(), &self.path),
            None => Self::open(&self.path)?,
        };
        input.go_to(self.position)?;
        Ok(input)
    }

    /// What messages call the file.
    pub(in crate::format) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub(in crate::format) fn length(&self) -> u64 {
        self.length
    }

    /// Goes on at this byte.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(in crate::format) fn go_to(&mut self, position: u64) -> Result<()> {
        if position != self.position {
            self.reader.seek(SeekFrom::Start(position)).map_err(|e| DataError::unreadable(&self.path, &e))?;
            self.position = position;
        }
        Ok(())
    }

    /// Fills `bytes` with what comes next.
    ///
    /// # Errors
    /// When the file ends before, or the disk refuses.
    pub(in crate::format) fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.read_exact(bytes).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => truncated(&self.path),
            _ => DataError::unreadable(&self.path, &e),
        })
    }
}

impl Read for Input {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(bytes)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
        self.position += amount as u64;
    }
}

/// What is said about a file that ends too early.
pub(in crate::format) fn truncated(path: &Path) -> DataError {
    DataError::new(path, "ends in the middle of its splats").remedy("copy it again from its source")
}

/// What is said about a splat that cannot be used; the first is number 0.
pub(in crate::format) fn bad_splat(path: &Path, splat: u64, what: &str) -> DataError {
    DataError::new(path, format!("has {what} at splat {splat}")).remedy("remove that splat or export again")
}
