//! Files that appear whole or not at all and survive a power cut: temporary file, fsync, rename, fsync of the folder.

use crate::{Error, Result};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Temporary files begin like this, so that what a killed program left can be told and removed.
const TEMPORARY_PREFIX: &str = ".tessera-";

/// Writes `path` through `write`, replacing what is there in the end. On failure what was there stays.
pub(super) fn write(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || -> io::Result<()> {
        let temporary = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(folder)?;
        share_with_others(temporary.as_file())?;
        let mut out = BufWriter::with_capacity(1 << 20, temporary.as_file());
        write(&mut out)?;
        out.flush()?;
        drop(out);
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|e| e.error)?;
        sync_folder(folder)
    };
    attempt().map_err(|e| Error::write(path, &e))
}

/// Removes temporary files that a killed program left in `folder`. Failing to is no harm.
pub(super) fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Temporary files are private to the user; results are ordinary files.
#[cfg(unix)]
fn share_with_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share_with_others(_: &File) -> io::Result<()> {
    Ok(())
}

/// Makes the rename itself durable. Only Unix can open folders.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_one_clear_sentence_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("scene.ply");
        write(&path, |out| out.write_all(b"good")).expect("there is room");
        let full = write(&path, |out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let said = full.expect_err("the disk is full").to_string();
        assert!(said.contains("scene.ply: cannot be written because the disk is full; free some space"), "{said}");
        assert_eq!(std::fs::read(&path).expect("still there"), b"good");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "a temporary file was left");
    }

    #[test]
    fn leftovers_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join(".tessera-abc"), b"half").expect("writable");
        std::fs::write(folder.path().join("config.toml"), b"").expect("writable");
        remove_leftovers(folder.path());
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["config.toml"]);
    }
}
