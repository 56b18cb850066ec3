//! `tessera plan`.

use super::{Choices, Skipping};
use clap::Args;
use std::path::PathBuf;
use tessera_kernels::device::Request;

#[derive(Debug, Args)]
#[command(
    after_help = "Settings are those of `tessera reconstruct --method blocks`. Exit status 1 when memory or disk do not suffice."
)]
pub struct Plan {
    /// Posed capture with sparse points
    pub capture: PathBuf,
    #[command(flatten)]
    pub skipping: Skipping,
    #[command(flatten)]
    pub choices: Choices,
    /// Where the blocks would be trained: auto (a GPU if one can be used), cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: Request,
    /// Run folder that the blocks would go to: its disk is looked at
    #[arg(short, long, value_name = "RUN", default_value = "runs")]
    pub output: PathBuf,
    /// Draw cells, cameras and points, seen from above, as a PNG file
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// Take no steps to measure how long training will take
    #[arg(long)]
    pub quick: bool,
    /// Replace the map if it is there
    #[arg(long, requires = "map")]
    pub force: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
