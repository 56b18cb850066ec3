//! What is known of each block on the disk: how good it was when blocks were compared, whether it is complete, and how far it has
//! come otherwise. Every process reads it, and only the one that has a block's lock writes it.

use super::weights::Quality;
use crate::exchange::meeting::host_name;
use crate::train::RunFolder;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use tessera_datasets::format::{Existing, write_atomically};

/// The folder in a run folder with a run for each block.
pub const BLOCKS_FOLDER: &str = "blocks";
/// The file in a block's folder that says how far it is.
const RECORD_FILE: &str = "block.json";
/// The file in a block's folder that says who trains it.
const WORKER_FILE: &str = ".worker.json";

/// What is known of a block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// How good it was when blocks were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Quality>,
    /// What it became, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Finished>,
}

/// A complete block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Steps that it was trained for.
    pub steps: u64,
    /// Seconds that this took.
    pub seconds: f64,
    /// Splats in its cell.
    pub splats: u64,
    /// What the learned transforms of its photos, in the plan's order, multiply a typical colour by; none if none are learned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gains: Vec<[f64; 3]>,
}

/// Who trains a block, or did last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The machine's name, where the system tells.
    pub host: String,
    /// The process's number there.
    pub process: u32,
}

impl Worker {
    /// This process.
    fn this() -> Self {
        Self { host: host_name(), process: std::process::id() }
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process, self.host)
    }
}

/// The blocks of a run on the disk.
#[derive(Clone, Debug)]
pub struct Ledger {
    run: PathBuf,
    count: usize,
}

impl Ledger {
    /// The `count` blocks of the run in this folder.
    pub fn new(run: &Path, count: usize) -> Self {
        Self { run: run.to_owned(), count }
    }

    /// Where a block is.
    pub fn folder(&self, block: usize) -> PathBuf {
        self.run.join(BLOCKS_FOLDER).join(format!("{:04}", block + 1))
    }

    /// What is known of a block.
    ///
    /// # Errors
    /// When its record is damaged.
    pub fn record(&self, block: usize) -> Result<Record> {
        let path = self.folder(block).join(RECORD_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Record::default()),
            Err(e) => return Err(Error::read(&path, &e)),
        };
        let damaged = |e| Error::file(&path, format!("is no record of a block ({e})"), "remove it and use --resume");
        serde_json::from_str(&text).map_err(damaged)
    }

    /// What is known of all blocks.
    ///
    /// # Errors
    /// When a record is damaged.
    pub fn records(&self) -> Result<Vec<Record>> {
        (0..self.count).map(|block| self.record(block)).collect()
    }

    /// Writes down what is known of a block, whose folder is there.
    pub(super) fn write(&self, block: usize, record: &Record) -> Result<()> {
        let path = self.folder(block).join(RECORD_FILE);
        let text = serde_json::to_string(record).map_err(|e| Error::write(&path, &e.into()))?;
        Ok(write_atomically(&path, Existing::Replace, |out| out.write_all(text.as_bytes()))?)
    }

    /// Writes down that this process trains a block, whose folder is there.
    pub(super) fn sign(&self, block: usize) -> Result<()> {
        let path = self.folder(block).join(WORKER_FILE);
        let text = serde_json::to_string(&Worker::this()).map_err(|e| Error::write(&path, &e.into()))?;
        Ok(write_atomically(&path, Existing::Replace, |out| out.write_all(text.as_bytes()))?)
    }

    /// Who trains a block, or did last, if that is known.
    pub fn worker(&self, block: usize) -> Option<Worker> {
        let text = std::fs::read_to_string(self.folder(block).join(WORKER_FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Steps of a block that are safe on the disk.
    pub fn steps(&self, block: usize, record: &Record) -> u64 {
        let checkpointed = || RunFolder::newest_step(self.folder(block)).unwrap_or(0);
        record.finished.as_ref().map_or_else(checkpointed, |finished| finished.steps)
    }
}
