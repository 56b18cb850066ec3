//! Arguments of `tessera bench`.

use super::parse_size;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What else can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchKind {
    /// Fields of radial basis functions: a picture, a shape and radiance, beside networks
    Rbf,
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
    #[arg(value_enum, conflicts_with_all = ["capture", "steps", "settings", "view"])]
    pub kind: Option<BenchKind>,
    /// Folder of the test data; TESSERA_DATA or ../shared/data by default
    #[arg(long, value_name = "DIR", requires = "kind")]
    pub data: Option<PathBuf>,
    /// Measure with this alone
    #[arg(long, value_enum, requires = "kind")]
    pub only: Option<RbfSubject>,
    /// Capture to train on; a made scene by default
    #[arg(long, value_name = "DIR")]
    pub capture: Option<PathBuf>,
    /// Training steps that are measured
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
    /// Any training setting, as often as needed
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Measure how fast splats are drawn instead
    #[arg(long, conflicts_with_all = ["capture", "steps", "settings"])]
    pub view: bool,
    /// Splats of the scene that is drawn; 100,000, then 1 and 4 million by default
    #[arg(long, value_name = "N", requires = "view", value_parser = clap::value_parser!(u64).range(1..=60_000_000))]
    pub splats: Option<u64>,
    /// Run folder, splat file or fitted field (.rbf) that is drawn, in place of made scenes
    #[arg(long, value_name = "RUN|FILE", requires = "view", conflicts_with = "splats")]
    pub scene: Option<PathBuf>,
    /// Pictures that are drawn of each scene
    #[arg(long, value_name = "N", default_value_t = 20, requires = "view")]
    pub frames: usize,
    /// Size of the pictures that are drawn
    #[arg(long, value_name = "WxH", default_value = "640x360", requires = "view", value_parser = parse_size)]
    pub size: [u32; 2],
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
