//! `tessera reconstruct`, and the settings that `tessera plan` takes as well.

use super::Skipping;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use tessera_kernels::device::Request;

#[derive(Debug, Args)]
pub struct Reconstruct {
    /// Posed capture (COLMAP, nerfstudio, Blender, LLFF, IDR; folder or zip), rig of videos, folder of photos, or video; with --resume
    /// that of the run when left out
    #[arg(required_unless_present_any = ["resume", "settings", "join"])]
    pub capture: Option<PathBuf>,
    #[command(flatten)]
    pub skipping: Skipping,
    /// Run folder; named after the capture, in runs/, by default
    #[arg(short, long, value_name = "RUN")]
    pub output: Option<PathBuf>,
    /// What is trained [default: splats, or with --resume what the run is]
    #[arg(long, value_enum)]
    pub method: Option<Method>,
    #[command(flatten)]
    pub choices: Choices,
    /// Where to compute: auto (a GPU if one can be used), cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: Request,
    /// Continue the run in the output folder, with changed settings if any are given
    #[arg(long, conflicts_with = "force", requires = "output")]
    pub resume: bool,
    /// Replace the run in the output folder
    #[arg(long)]
    pub force: bool,
    /// Train so many blocks at the same time, in processes that share the processors (--method blocks or anchors)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Help the process that trains the blocks in the output folder, from here or from another machine that shares the folder
    #[arg(long, requires = "output", conflicts_with_all = ["capture", "resume", "force", "workers", "json"])]
    pub join: bool,
    /// End safely when standard input ends: the process that leads has ended
    #[arg(long, hide = true, requires = "join")]
    pub until_input_ends: bool,
    /// Print progress to standard output, one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Show the scene in a window as it grows
    #[arg(long)]
    pub view: bool,
    /// Let browsers on this machine watch the scene as it grows, on port 8080 or --serve=PORT
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "8080", conflicts_with = "view")]
    pub serve: Option<u16>,
}

/// How something is trained.
#[derive(Debug, Args)]
pub struct Choices {
    /// Settings that go together [default: balanced]
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Training steps, of each block with --method blocks or anchors; every schedule stretches with them
    #[arg(long)]
    pub steps: Option<u64>,
    /// How many splats the scene grows to, or each block while it is trained
    #[arg(long, value_name = "N")]
    pub max_splats: Option<u64>,
    /// Number of blocks of a large scene; 0 chooses by the number of photos
    #[arg(long, value_name = "N")]
    pub blocks: Option<u64>,
    /// Longest side, in pixels, to which photos are reduced; 0 keeps their size
    #[arg(long, value_name = "PIXELS")]
    pub resolution: Option<u32>,
    /// Hold out every N-th photo for testing; 0 for none
    #[arg(long, value_name = "N")]
    pub test_every: Option<u64>,
    /// When a GPU's memory does not suffice: stop, or shrink the scene until it does [default: stop]
    #[arg(long, value_enum)]
    pub on_oom: Option<OnOom>,
    /// Start of all random numbers: the same seed gives the same bits
    #[arg(long)]
    pub seed: Option<u64>,
    /// TOML file with settings, or the config.toml of another run
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting, as often as needed; `--set help` lists them
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// 3D Gaussian splats
    #[default]
    Splats,
    /// 3D Gaussian splats of a large scene, trained block by block
    Blocks,
    /// Anchors of a large scene in blocks that share a decoder, written as splats
    Anchors,
    /// A closed surface, which becomes a mesh
    Surface,
    /// A small field of density and colours, decoded by radial basis functions
    Rbf,
    /// A moving scene: Gaussians in space and time, from photos with times
    Video,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// A look at what comes out, in minutes
    Fast,
    /// The defaults
    Balanced,
    /// More steps and more splats, for machines with time
    Quality,
    /// Smaller files at about the same quality (--method rbf)
    Compact,
}

impl Preset {
    /// Its name in the engine.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Quality => "quality",
            Self::Compact => "compact",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnOom {
    /// Say what would fit, and stop with a checkpoint
    Stop,
    /// Go on with fewer splats
    Shrink,
}

impl OnOom {
    /// Its name as a setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Shrink => "shrink",
        }
    }
}
