//! Outputs that appear whole or not at all, whatever happens while they are written.

use crate::{DataError, Result};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that are moved within a file at once.
const MOVE_BYTES: u64 = 1 << 20;

/// What becomes of a file that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and writing fails.
    Keep,
    /// It is replaced in the end.
    Replace,
}

/// A file that takes its name when it is committed, and vanishes when it is dropped before that. What was written can be
/// read again.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    /// What messages call it.
    shown: PathBuf,
    existing: Existing,
    out: BufWriter<tempfile::NamedTempFile>,
}

impl AtomicFile {
    /// Begins a temporary file beside `path`.
    ///
    /// # Errors
    /// When the file exists and is to be kept, or its folder is missing or read-only.
    pub fn create(path: impl AsRef<Path>, existing: Existing) -> Result<Self> {
        let path = path.as_ref().to_owned();
        if existing == Existing::Keep && path.exists() {
            return Err(exists(&path));
        }
        if path.is_dir() {
            return Err(DataError::new(&path, "is a folder").remedy("name a file"));
        }
        let temporary = temporary_file(folder_of(&path)).map_err(|e| DataError::unwritable(&path, &e))?;
        Ok(Self { shown: path.clone(), path, existing, out: BufWriter::with_capacity(1 << 20, temporary) })
    }

    /// The same file, called by another name in messages: that of what it is a part of.
    #[must_use]
    pub(super) fn called(self, shown: &Path) -> Self {
        Self { shown: shown.to_owned(), ..self }
    }

    /// Where the file will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What an error of writing means to the user.
    pub fn unwritable(&self, error: &io::Error) -> DataError {
        DataError::unwritable(&self.shown, error)
    }

    /// [`Write::write_all`] with an error that names the file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| DataError::unwritable(&self.shown, &e))
    }

    /// Cuts the file off after so many bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn truncate(&mut self, length: u64) -> Result<()> {
        let cut = self.out.flush().and_then(|()| self.out.get_ref().as_file().set_len(length));
        cut.map_err(|e| DataError::unwritable(&self.shown, &e))
    }

    /// Moves what has been written to another place in the file. The ranges may overlap. The position afterwards is any.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn move_bytes(&mut self, from: u64, to: u64, length: u64) -> Result<()> {
        if from == to {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let mut moved = 0;
        while moved < length {
            let n = MOVE_BYTES.min(length - moved);
            // Nothing may be overwritten before it is moved.
            let offset = if to > from { length - moved - n } else { moved };
            bytes.resize(n as usize, 0);
            self.move_piece(from + offset, to + offset, &mut bytes)
                .map_err(|e| DataError::unwritable(&self.shown, &e))?;
            moved += n;
        }
        Ok(())
    }

    fn move_piece(&mut self, from: u64, to: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(from))?;
        self.read_exact(bytes)?;
        self.seek(SeekFrom::Start(to))?;
        self.write_all(bytes)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the disk is full, or a file has appeared that is to be kept.
    pub fn commit(self) -> Result<()> {
        let path = self.path;
        let temporary = self.out.into_inner().map_err(|e| DataError::unwritable(&self.shown, e.error()))?;
        let persisted = match self.existing {
            Existing::Keep => temporary.persist_noclobber(&path),
            Existing::Replace => temporary.persist(&path),
        };
        match persisted {
            Ok(_) => Ok(()),
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&path)),
            Err(e) => Err(DataError::unwritable(&self.shown, &e.error)),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Read for AtomicFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.out.flush()?;
        self.out.get_mut().read(bytes)
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.out.seek(position)
    }
}

/// Writes a file through `write` into an [`AtomicFile`].
///
/// # Errors
/// When the file exists and is to be kept, its folder is missing or read-only, the disk is full, or `write` fails.
/// Nothing is left behind then.
pub fn write_atomically(
    path: impl AsRef<Path>,
    existing: Existing,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let mut file = AtomicFile::create(path, existing)?;
    write(&mut file).map_err(|e| file.unwritable(&e))?;
    file.commit()
}

/// A folder that takes its name when it is committed, and vanishes with all that is in it when it is dropped before.
pub struct AtomicFolder {
    path: PathBuf,
    existing: Existing,
    temporary: tempfile::TempDir,
}

impl AtomicFolder {
    /// Begins a temporary folder beside `path`.
    ///
    /// # Errors
    /// When `path` exists and is to be kept, or its parent is missing or read-only.
    pub fn create(path: impl AsRef<Path>, existing: Existing) -> Result<Self> {
        let path = path.as_ref().to_owned();
        if existing == Existing::Keep && path.exists() {
            return Err(exists(&path));
        }
        if path.is_file() {
            return Err(DataError::new(&path, "is a file where a folder should be").remedy("name a folder"));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tessera-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o777));
        }
        let temporary = builder.tempdir_in(folder_of(&path)).map_err(|e| DataError::unwritable(&path, &e))?;
        Ok(Self { path, existing, temporary })
    }

    /// Where the folder will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the folder is until then, for files that are gone before.
    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// Begins a file in the folder. It is there as soon as it is dropped.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn file(&self, name: &str) -> Result<BufWriter<File>> {
        let file = File::create(self.temporary.path().join(name)).map_err(|e| DataError::unwritable(&self.path, &e))?;
        Ok(BufWriter::with_capacity(1 << 20, file))
    }

    /// Writes a whole file in the folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        std::fs::write(self.temporary.path().join(name), bytes).map_err(|e| DataError::unwritable(&self.path, &e))
    }

    /// What an error of writing means to the user.
    pub fn unwritable(&self, error: &io::Error) -> DataError {
        DataError::unwritable(&self.path, error)
    }

    /// Gives the folder its name. One that is replaced goes only when the new one is complete.
    ///
    /// # Errors
    /// When a folder is in the way that is to be kept, or the disk refuses.
    pub fn commit(self) -> Result<()> {
        if self.path.exists() {
            if self.existing == Existing::Keep {
                return Err(exists(&self.path));
            }
            // Two renames: the old folder is out of the way before the new one takes its place.
            let old = tempfile::Builder::new().prefix(".tessera-").suffix(".old").tempdir_in(folder_of(&self.path));
            let old = old.map_err(|e| DataError::unwritable(&self.path, &e))?;
            std::fs::rename(&self.path, old.path().join("replaced"))
                .map_err(|e| DataError::unwritable(&self.path, &e))?;
        }
        let temporary = self.temporary.keep();
        std::fs::rename(&temporary, &self.path).map_err(|e| {
            std::fs::remove_dir_all(&temporary).ok();
            DataError::unwritable(&self.path, &e)
        })
    }
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(super) fn exists(path: &Path) -> DataError {
    DataError::new(path, "exists already").remedy("choose another name, or overwrite it with --force")
}

fn temporary_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tessera-").suffix(".tmp");
    #[cfg(unix)]
    {
        // Temporary files are private by default; this one becomes an ordinary file, subject to the umask.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
