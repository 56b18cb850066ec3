//! Checkpoints: named tensors and JSON in one safetensors file for each kept step, `step-000123.safetensors`.
//!
//! Each is written beside its final name and renamed when it is on the disk, then all but the two newest are removed.
//! Every tensor carries a checksum: a damaged newest checkpoint is noticed, and the one before it is used.

mod reader;
mod writer;

pub use reader::CheckpointReader;
pub use writer::CheckpointWriter;

use super::durable;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How many checkpoints are kept: the newest, and one in case it is damaged.
const KEPT: usize = 2;
/// The one key of the file's metadata, under which the [`Description`] is kept as JSON. With more than one their order
/// in the file would be random.
const METADATA_KEY: &str = "tessera";

/// What a checkpoint says about itself and what is not a tensor.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    version: String,
    method: String,
    step: u64,
    /// Seconds of training so far, for the user only.
    seconds: f64,
    /// CRC-32 of each tensor's bytes.
    checksums: BTreeMap<String, u32>,
    /// The method's own values, each as JSON text: numbers of 128 bits survive that way.
    state: BTreeMap<String, String>,
}

/// The checkpoints of a run.
#[derive(Debug)]
pub(crate) struct CheckpointStore {
    folder: PathBuf,
}

impl CheckpointStore {
    /// Checkpoints in `folder`, which exists.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes the checkpoint of `step` and removes those that it makes superfluous.
    pub(crate) fn write(&self, writer: CheckpointWriter<'_>, method: &str, step: u64, seconds: f64) -> Result<PathBuf> {
        let path = self.path_of(step);
        writer.write(&path, method, step, seconds)?;
        self.prune(step)?;
        Ok(path)
    }

    /// The checkpoint of `step`.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub(crate) fn at(&self, step: u64) -> Result<CheckpointReader> {
        CheckpointReader::open(self.path_of(step))
    }

    /// Where the checkpoint after so many steps is, if there is one.
    pub(crate) fn path_of(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:06}.safetensors"))
    }

    /// The newest checkpoint that is whole, if there is any, and a warning for each newer one that is damaged.
    ///
    /// # Errors
    /// When there are checkpoints but none is whole.
    pub(super) fn newest(&self) -> Result<(Option<CheckpointReader>, Vec<String>)> {
        durable::remove_leftovers(&self.folder);
        let mut warnings = Vec::new();
        let found = self.list()?;
        let count = found.len();
        for (_, path) in found {
            match CheckpointReader::open(&path) {
                Ok(reader) => return Ok((Some(reader), warnings)),
                Err(e) => warnings.push(format!("{e}; the checkpoint before it is used instead")),
            }
        }
        if count > 0 {
            let reason = format!("holds {count} checkpoints and all are damaged");
            return Err(Error::file(&self.folder, reason, "start again with --force"));
        }
        Ok((None, warnings))
    }

    /// The step of the newest checkpoint, of which nothing but the name is looked at.
    pub(super) fn newest_step(&self) -> Option<u64> {
        self.list().ok()?.first().map(|(step, _)| *step)
    }

    /// All checkpoints with their steps, the newest first.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let entries = fs::read_dir(&self.folder).map_err(|e| Error::read(&self.folder, &e))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| Error::read(&self.folder, &e))?.path();
            found.extend(step_of(&path).map(|step| (step, path)));
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Removes what is older than the kept ones, and what is newer than `step`: it belongs to steps that were damaged
    /// or given up.
    fn prune(&self, step: u64) -> Result<()> {
        let (newer, mut older): (Vec<_>, Vec<_>) = self.list()?.into_iter().partition(|(s, _)| *s > step);
        let superfluous = older.split_off(older.len().min(KEPT));
        for (_, path) in newer.into_iter().chain(superfluous) {
            fs::remove_file(&path).map_err(|e| Error::write(&path, &e))?;
        }
        Ok(())
    }
}

fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()
}

#[cfg(test)]
mod tests;
