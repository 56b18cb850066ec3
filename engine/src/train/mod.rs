//! The loop that all methods share, and what it leaves on disk.
//!
//! A method owns its parameters and says how one step is computed ([`Method`]); [`run`] calls it, reports typed
//! [`Event`]s, measures it on the held-out photos, and keeps checkpoints in a [`RunFolder`] so that killing the program
//! at any moment loses at most the steps since the last one. Nothing in a training result depends on the wall clock or
//! on the number of threads: a resumed run ends in the same bits as an undisturbed one.

mod checkpoint;
mod durable;
mod event;
mod memory;
mod method;
mod metrics_log;
mod run;
mod run_folder;

pub use checkpoint::{CheckpointReader, CheckpointWriter};
pub use event::Event;
pub(crate) use memory::in_units;
pub use memory::{AvailableMemory, MemoryItem, MemoryPlan, available_memory};
pub use method::{Method, StepReport};
pub(crate) use metrics_log::{Content as MetricsContent, Line as MetricsLine, MetricsLog};
pub use run::{Outcome, RunOptions, run};
pub use run_folder::{Existing, RunConfig, RunFolder};

/// Writes `bytes` to `path`: the whole file appears, or nothing.
pub(crate) fn write_whole(path: &std::path::Path, bytes: &[u8]) -> crate::Result<()> {
    durable::write(path, |out| std::io::Write::write_all(out, bytes))
}

#[cfg(test)]
mod tests;
