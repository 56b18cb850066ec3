//! PLY files: Gaussian splats in the INRIA layout, and coloured point clouds.
//!
//! The header is parsed here by hand and rows are read by property offset, so that any property order, extra
//! properties and all three encodings work, and a million splats are read in well under a second.

mod header;
mod point_cloud;
mod splats;
mod table;

pub use point_cloud::{parse_points, read_points, write_points};
pub(super) use splats::{create_splats, open_splats};
pub use splats::{parse_splats, read_splats, write_splats};

#[cfg(test)]
mod tests;

use crate::{DataError, Result};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Opens a file together with its length, against which counts in its header are checked.
fn open(path: &Path) -> Result<(BufReader<File>, u64)> {
    let unreadable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => DataError::new(path, "does not exist"),
        _ => DataError::new(path, format!("cannot be read ({e})")),
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(DataError::new(path, "is not a regular file").remedy("name a PLY file"));
    }
    Ok((BufReader::with_capacity(1 << 20, file), metadata.len()))
}
