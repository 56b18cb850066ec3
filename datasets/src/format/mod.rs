//! Scene files: one file per format, reader beside writer.
//!
//! [`read_splats`] and [`write_splats`] choose the format by the file's extension. Whatever is written appears whole or
//! not at all ([`write_atomically`]).

mod atomic;
pub(crate) mod npy;
pub mod ply;

pub use atomic::{Existing, write_atomically};

use crate::scene::SplatCloud;
use crate::{DataError, Result};
use std::path::Path;

/// Extensions of splat files that can be read and written.
const SPLAT_EXTENSIONS: &[&str] = &["ply"];

/// Reads a splat file of any supported format.
///
/// # Errors
/// When the extension is unknown, or the file is missing, damaged, or not of that format.
pub fn read_splats(path: impl AsRef<Path>) -> Result<SplatCloud> {
    let path = path.as_ref();
    check_extension(path)?;
    ply::read_splats(path)
}

/// Writes a splat file in the format that its extension names.
///
/// # Errors
/// When the extension is unknown, the file exists and `force` is not set, the cloud's arrays differ in length, or the
/// disk refuses.
pub fn write_splats(path: impl AsRef<Path>, cloud: &SplatCloud, force: bool) -> Result<()> {
    let path = path.as_ref();
    check_extension(path)?;
    ply::write_splats(path, cloud, if force { Existing::Replace } else { Existing::Keep })
}

fn check_extension(path: &Path) -> Result<()> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if SPLAT_EXTENSIONS.contains(&extension.as_str()) {
        return Ok(());
    }
    let supported = SPLAT_EXTENSIONS.iter().map(|e| format!(".{e}")).collect::<Vec<_>>().join(", ");
    let reason = if extension.is_empty() {
        "has no extension that names a splat format".to_owned()
    } else {
        format!("has the extension .{extension}, which is no supported splat format")
    };
    Err(DataError::new(path, reason).remedy(format!("use one of: {supported}")))
}
