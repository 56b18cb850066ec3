//! Arguments of `tessera bench`.

use super::parse_size;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use tessera_kernels::device::{Precision, Request};

/// What else can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchKind {
    /// Fields of radial basis functions: a picture, a shape and radiance, beside networks
    Rbf,
    /// Spatial sparse attention beside attention over all tokens
    Attention,
    /// Volumetric video: training, and drawing moments at 1920x1080
    Video,
    /// A surface from photos: samples along rays that are learned from
    Surface,
}

/// What fields of radial basis functions are measured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RbfSubject {
    /// A picture of 512x512 pixels
    Image,
    /// A mesh
    Shape,
    /// Photos of an object
    Radiance,
}

impl RbfSubject {
    /// Where it is in the folder of test data.
    pub fn file(self) -> &'static str {
        match self {
            Self::Image => "images/albert.exr",
            Self::Shape => "meshes/armadillo.obj",
            Self::Radiance => "synthetic/nerf_chair",
        }
    }
}

#[derive(Debug, Args)]
pub struct Bench {
    /// Measure this in place of training splats
    #[arg(value_enum, conflicts_with_all = ["view", "splats"])]
    pub kind: Option<BenchKind>,
    /// Folder of the test data; TESSERA_DATA or ../shared/data by default
    #[arg(long, value_name = "DIR", requires = "kind")]
    pub data: Option<PathBuf>,
    /// Numbers of tokens to measure attention with, with commas between; 8,192 to 131,072 by default
    #[arg(long, value_name = "N,...", value_delimiter = ',', requires = "kind", value_parser = clap::value_parser!(u64).range(16..=1_000_000))]
    pub tokens: Vec<u64>,
    /// Measure with this alone
    #[arg(long, value_enum, requires = "kind")]
    pub only: Option<RbfSubject>,
    /// Capture to train on; a made scene by default
    #[arg(long, value_name = "DIR")]
    pub capture: Option<PathBuf>,
    /// Training steps that are measured; 200 by default
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Any training setting, as often as needed
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Where to train, or to measure attention: auto (a GPU if one can be used), cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<Request>,
    /// In which numbers a GPU multiplies matrices of attention: single, or bf16 on its tensor cores
    #[arg(long, value_name = "PRECISION", requires = "kind")]
    pub precision: Option<Precision>,
    /// Measure how fast splats are drawn instead
    #[arg(long, conflicts_with_all = ["capture", "steps", "settings", "device", "precision"])]
    pub view: bool,
    /// Splats to measure with, or several numbers with commas between: so many points of the scene, from the first step on.
    /// With --view 100,000, then 1 and 4 million by default
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=60_000_000))]
    pub splats: Vec<u64>,
    /// Run folder, splat file or fitted field (.rbf) that is drawn, in place of made scenes
    #[arg(long, value_name = "RUN|FILE", requires = "view", conflicts_with = "splats")]
    pub scene: Option<PathBuf>,
    /// Pictures that are drawn of each scene
    #[arg(long, value_name = "N", default_value_t = 20, requires = "view")]
    pub frames: usize,
    /// Size of the pictures that are drawn
    #[arg(long, value_name = "WxH", default_value = "640x360", requires = "view", value_parser = parse_size)]
    pub size: [u32; 2],
    /// Print JSON: one object, or one for each number of splats that is trained with
    #[arg(long)]
    pub json: bool,
}
