//! Scenes that are too large to be trained as a whole: block-wise training.
//!
//! - [`Plan`]: the ground is divided into cells that hold about the same work ([`cells`](balanced_cells)), and each block gets the
//!   photos that see its cell. The number of blocks has nothing to do with the number of machines or devices.
//! - [`BlocksRun`]: blocks are trained one after the other, each as a run of its own that can be stopped and resumed, by any method
//!   that ends in splats ([`BlockMethod`]). Once all have come some way they are compared, and weak blocks get more of the steps
//!   that are left ([`weights`]).
//! - Joining: of each block the splats in its cell are kept, so that every place belongs to one block. The scene is written as a
//!   whole and in levels of detail, a chunk at a time.
//! - [`Estimate`]: memory, disk and time before anything begins. [`draw_map`]: the plan as a picture.
//! - [`BorderReport`]: whether the borders are seen.
//!
//! Blocks on the ground, cameras that are chosen by what they see, and cutting to cells are common to the literature: Lin et al.,
//! "VastGaussian", 2024; Liu et al., "CityGaussian", 2024; Fan et al., "Momentum-GS", 2025.

mod ahead;
mod block;
mod borders;
mod cells;
mod config;
mod estimate;
mod finish;
mod ground;
mod ledger;
mod map;
mod merge;
mod plan;
mod points;
mod relay;
mod run;
mod sight;
pub(crate) mod sky;
mod tint;
pub mod weights;

#[cfg(test)]
pub(crate) mod tests;

pub use block::BlockMethod;
pub use borders::{BorderReport, evaluate_borders};
pub use cells::{Cell, Mass, balanced_cells};
pub use config::{BlocksConfig, Division, MAX_BLOCKS, preset};
pub use estimate::{Estimate, Pace};
pub use finish::BlocksOutcome;
pub use ground::Ground;
pub use ledger::{BLOCKS_FOLDER, Finished, Ledger, Record};
pub use map::draw_map;
pub use merge::TILES_FOLDER;
pub(crate) use merge::{Joined, apply, merge, write_joined};
pub use plan::{Block, PLAN_FILE, Plan};
pub use points::find_points;
pub use run::{BlocksJob, BlocksRun, MAP_FILE, METHOD};
pub(crate) use tint::{Gains, Tint, tints};
