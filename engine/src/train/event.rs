//! Progress as a stream of typed events: the command line draws bars from it, `--json` prints it, a viewer shows it.

use super::MemoryPlan;
use crate::evaluate::EvalReport;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Something that happened in a run. As JSON, each is one object whose `event` names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Training begins, or continues when `step` is not 0.
    Started {
        /// The method's name.
        method: String,
        /// Steps that are done already.
        step: u64,
        /// Steps in all.
        total: u64,
        /// What will be needed of memory.
        memory: MemoryPlan,
    },
    /// What follows is about another part of the scene, until the next of these (`--method blocks`).
    Block {
        /// Its number, from 1.
        block: usize,
        /// How many there are.
        blocks: usize,
        /// Photos that it is trained on.
        photos: usize,
        /// Steps of it that are done.
        step: u64,
        /// Steps until another block has its turn.
        total: u64,
    },
    /// Steps were taken. Sent at most ten times a second, and for the last step.
    Step {
        /// Steps done.
        step: u64,
        /// Steps in all.
        total: u64,
        /// Loss of the last step.
        loss: f64,
        /// Of the training picture of the last step, in dB.
        psnr: f64,
        /// How many of what the method grows there are.
        count: u64,
        /// What is counted.
        count_name: String,
        /// The rate over the last seconds, without evaluation and checkpoints.
        steps_per_second: f64,
        /// What is left at that rate.
        seconds_left: f64,
    },
    /// The held-out photos were compared.
    Evaluated {
        /// Steps done.
        step: u64,
        /// What came out.
        report: EvalReport,
    },
    /// A checkpoint is safely on disk.
    Checkpointed {
        /// Steps done.
        step: u64,
        /// Where it is.
        path: PathBuf,
    },
    /// A picture was written.
    Preview {
        /// Steps done.
        step: u64,
        /// Where it is.
        path: PathBuf,
    },
    /// The user should know this.
    Warning {
        /// One sentence.
        message: String,
    },
    /// Training was asked to stop and can be continued with `--resume`.
    Interrupted {
        /// Steps done, all of them in the checkpoint.
        step: u64,
    },
    /// Training is complete and its result is on disk.
    Finished {
        /// Seconds of training, those before a resume included.
        seconds: f64,
        /// The files of the result.
        outputs: Vec<PathBuf>,
    },
}
