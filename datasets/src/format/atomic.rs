//! Output files that appear whole or not at all, whatever happens while they are written.

use crate::{DataError, Result};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// What becomes of a file that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and writing fails.
    Keep,
    /// It is replaced in the end.
    Replace,
}

/// Writes a file through `write` into a temporary file beside it, which takes its name once it is complete.
///
/// # Errors
/// When the file exists and is to be kept, its folder is missing or read-only, the disk is full, or `write` fails.
/// Nothing is left behind then.
pub fn write_atomically(
    path: impl AsRef<Path>,
    existing: Existing,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if existing == Existing::Keep && path.exists() {
        return Err(exists(path));
    }
    let unwritable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            DataError::new(path, "cannot be written because its folder does not exist").remedy("create the folder")
        }
        io::ErrorKind::StorageFull => DataError::new(path, "cannot be written because the disk is full")
            .remedy("free some space or write elsewhere"),
        _ => DataError::new(path, format!("cannot be written ({error})")),
    };
    let temporary = temporary_file(folder).map_err(unwritable)?;
    let mut out = BufWriter::with_capacity(1 << 20, temporary);
    write(&mut out).map_err(unwritable)?;
    let temporary = out.into_inner().map_err(|e| unwritable(e.into_error()))?;
    let persisted = match existing {
        Existing::Keep => temporary.persist_noclobber(path),
        Existing::Replace => temporary.persist(path),
    };
    match persisted {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(e) => Err(unwritable(e.error)),
    }
}

fn exists(path: &Path) -> DataError {
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
