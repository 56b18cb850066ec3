//! What the loop asks of a method.

use super::{CheckpointReader, CheckpointWriter, MemoryPlan};
use crate::Result;
use crate::evaluate::EvalReport;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tessera_datasets::image::Image8;

/// What one training step found out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// The loss that the step descended; not finite when training has diverged.
    pub loss: f64,
    /// Of the training picture of this step, in dB.
    pub psnr: f64,
    /// How many of what the method grows there are.
    pub count: u64,
    /// What is counted: "splats".
    pub count_name: &'static str,
}

/// A way to learn a scene. It owns its parameters, its optimiser and its random numbers.
///
/// All of it is deterministic: the same settings and the same steps give the same bits, whatever the number of
/// threads and however often [`Method::evaluate`], [`Method::preview`] and [`Method::save`] are called in between.
pub trait Method {
    /// Its name on the command line and in `config.toml`.
    fn name(&self) -> &'static str;

    /// How many steps it takes.
    fn total_steps(&self) -> u64;

    /// What it will need of memory at its largest.
    fn memory_plan(&self) -> MemoryPlan;

    /// What makes it need less memory.
    fn memory_remedy(&self) -> &'static str {
        "lower --max-splats or --resolution"
    }

    /// Takes the step number `step`; they are counted from 0 to one less than [`Method::total_steps`].
    ///
    /// # Errors
    /// When a photo cannot be read or the step cannot be computed.
    fn step(&mut self, step: u64) -> Result<StepReport>;

    /// Whether to stop before the next step, when the user has `asked` to or not. Where several processes train together, the user may
    /// have asked any of them.
    fn agrees_to_stop(&mut self, asked: bool) -> bool {
        asked
    }

    /// Measures the scene on the held-out photos; `None` when there are none.
    ///
    /// # Errors
    /// When a photo cannot be read.
    fn evaluate(&mut self) -> Result<Option<EvalReport>>;

    /// A picture of the scene as it is now; `None` when there is nothing to show.
    ///
    /// # Errors
    /// When it cannot be rendered.
    fn preview(&mut self) -> Result<Option<Image8>>;

    /// Brings what is elsewhere, on a device, to where [`Method::save`] and [`Method::export`] see it. Called before them.
    ///
    /// # Errors
    /// When it cannot be fetched.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Hands over everything that [`Method::load`] needs to continue bit for bit: parameters, optimiser state, random
    /// number generators, schedules. Nothing is copied.
    ///
    /// # Errors
    /// When some state cannot be written.
    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()>;

    /// Takes back what [`Method::save`] handed over.
    ///
    /// # Errors
    /// When something is missing or does not fit the settings.
    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()>;

    /// Writes the result into `folder`, each file whole or not at all, and says which files those are.
    ///
    /// # Errors
    /// When a file cannot be written.
    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>>;

    /// What the summary of a complete training says beside times and quality: names and values.
    fn facts(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// All settings, the seed among them, as TOML ([`crate::config::Config::to_toml`]).
    fn config_toml(&self) -> String;

    /// What the user should know since the last call. Called after every step.
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}
