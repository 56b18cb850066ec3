//! The container of a GLB file that is being written: JSON first, though what it says is known last.

use super::document::{GLB_BIN, GLB_JSON, GLB_MAGIC};
use crate::format::AtomicFile;
use crate::{DataError, Result};
use serde_json::Value;
use std::io::{Seek, SeekFrom};

/// The header of the file and that of its JSON chunk.
const BEFORE_JSON: u64 = 20;
/// The header of the binary chunk.
const BEFORE_BINARY: u64 = 8;

/// Where the binary part begins when the JSON is at most as long as `longest`.
pub(super) fn binary_start(longest: &Value) -> u64 {
    BEFORE_JSON + (longest.to_string().len() as u64).next_multiple_of(4) + BEFORE_BINARY
}

/// Writes everything before the binary part, which is `binary_bytes` long (a multiple of 4) and begins at
/// `binary_start`. Spaces fill the room that `json` leaves.
///
/// # Errors
/// When the file is longer than the format can say (4 GiB), or the disk refuses.
pub(super) fn put_header(file: &mut AtomicFile, json: &Value, binary_start: u64, binary_bytes: u64) -> Result<()> {
    let mut text = json.to_string().into_bytes();
    let room = binary_start - BEFORE_JSON - BEFORE_BINARY;
    debug_assert!(text.len() as u64 <= room, "the JSON was announced shorter than it is");
    text.resize(usize::try_from(room).unwrap_or(text.len()), b' ');
    let length = |bytes: u64| u32::try_from(bytes).map_err(|_| too_long(file));
    let words = [GLB_MAGIC, 2, length(binary_start + binary_bytes)?, length(room)?, GLB_JSON];
    let binary = [length(binary_bytes)?, GLB_BIN];
    file.seek(SeekFrom::Start(0)).map_err(|e| file.unwritable(&e))?;
    file.put(words.map(u32::to_le_bytes).as_flattened())?;
    file.put(&text)?;
    file.put(binary.map(u32::to_le_bytes).as_flattened())
}

/// What is said about contents that do not fit.
pub(super) fn too_long(file: &AtomicFile) -> DataError {
    DataError::new(file.path(), "would become longer than 4 GiB, the most that a GLB file can be")
        .remedy("write .ply or .spz, or fewer splats or a lower SH degree")
}
