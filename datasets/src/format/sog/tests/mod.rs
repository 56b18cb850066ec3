//! What the SOG reader and writer promise.

mod handmade;
mod read;
mod write;

use crate::format::made::{difference, numbers};
use std::path::PathBuf;

/// A file of the development data, if it is there.
fn shared(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("TESSERA_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")), PathBuf::from);
    Some(data.join("splats").join(name)).filter(|path| path.exists())
}
