//! `tessera generate`.

use super::ChosenSettings;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use tessera_engine::generate::published::Resolution;
use tessera_kernels::device::{Precision, Request};

#[derive(Debug, Subcommand)]
pub enum Generate {
    /// Learn to make shapes, from made ones or from meshes
    Train(GenerateTrain),
    /// Make shapes: meshes and a picture of them all
    Sample(GenerateSample),
    /// Measure a generator: its shapes against held-out ones
    Eval(GenerateEval),
    /// Make a mesh of the object in a picture, with the published weights of Direct3D-S2
    Image(GenerateImage),
    /// Look whether published weights are complete and fit their settings
    Check(GenerateCheck),
}

/// The word for made shapes in place of a folder.
pub const MADE: &str = "shapes";

#[derive(Debug, Args)]
pub struct GenerateTrain {
    /// What to learn from: "shapes" makes mugs, chairs, tables, lamps, bottles and planes; or a folder of meshes, each class in a folder of its own
    #[arg(long, value_name = "shapes|DIR", default_value = MADE)]
    pub data: PathBuf,
    #[command(flatten)]
    pub cache: CacheOptions,
    /// File to write, .safetensors; while training its checkpoint lies beside it
    #[arg(short, long, value_name = "FILE", required_unless_present = "help_settings")]
    pub output: Option<PathBuf>,
    /// Go on from the checkpoint beside the output
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub computing: ComputingOptions,
    #[command(flatten)]
    pub chosen: ChosenSettings,
    /// Replace the output, and a checkpoint beside it
    #[arg(long)]
    pub force: bool,
    /// Print the final figures as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Where distances of meshes are kept.
#[derive(Debug, Args)]
pub struct CacheOptions {
    /// Folder where signed distances of meshes are kept between runs; .tessera-shapes in the folder of --data by default
    #[arg(long = "cache", value_name = "DIR", requires = "data")]
    pub folder: Option<PathBuf>,
}

/// Where layers are computed, and how exactly.
#[derive(Debug, Args)]
pub struct ComputingOptions {
    /// Where to compute: auto (a GPU if one can be used), cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: Request,
    /// In which numbers a GPU multiplies matrices: single, or bf16 by its tensor cores, which is faster and less exact
    #[arg(long, value_name = "single|bf16", default_value = "single")]
    pub precision: Precision,
}

/// How shapes are made.
#[derive(Debug, Args)]
pub struct MakingOptions {
    /// Steps from noise to a shape [default: 25]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub steps: Option<u16>,
    /// By how much the class is stressed; 1 is not at all, and takes half the time [default: 1]
    #[arg(long, value_parser = at_least_zero)]
    pub guidance: Option<f32>,
    /// Start of all random numbers: the same seed makes the same shapes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct GenerateSample {
    /// A model of `tessera generate train`
    pub model: PathBuf,
    /// What to make; all classes in turn when left out
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// Folder for the meshes and the contact sheet
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    #[command(flatten)]
    pub making: MakingOptions,
    #[command(flatten)]
    pub computing: ComputingOptions,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
    /// Print the final figures as one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct GenerateEval {
    /// A model of `tessera generate train`
    pub model: PathBuf,
    /// What it has learned from
    #[arg(long, value_name = "shapes|DIR", default_value = MADE)]
    pub data: PathBuf,
    #[command(flatten)]
    pub cache: CacheOptions,
    /// How many shapes to make and to compare with held-out ones; as many as were held out when left out
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub count: Option<u32>,
    #[command(flatten)]
    pub making: MakingOptions,
    #[command(flatten)]
    pub computing: ComputingOptions,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The folder holds config.yaml, model_dense, model_sparse_512 and model_sparse_1024 (.ckpt or .safetensors) as they are published, and \
                  dinov2_vitl14_reg4_pretrain (.pth or .safetensors). docs/guide/generation.md says where the files are and how much memory they need."
)]
pub struct GenerateImage {
    /// Picture of the object, cut out: its alpha says where it is
    #[arg(required_unless_present = "help_settings")]
    pub picture: Option<PathBuf>,
    /// Folder with the published settings and weights
    #[arg(long, value_name = "DIR", required_unless_present = "help_settings")]
    pub weights: Option<PathBuf>,
    /// Mesh to write: .glb, .ply or .obj
    #[arg(short, long, value_name = "FILE", required_unless_present = "help_settings")]
    pub output: Option<PathBuf>,
    /// Voxels along a side; the finer ones begin with the coarse ones' surface
    #[arg(long, value_enum, default_value_t = ResolutionName::Coarse)]
    pub resolution: ResolutionName,
    /// Make details anew for this mesh, in place of making where the shape is; y and z as the models have them
    #[arg(long, value_name = "FILE")]
    pub mesh: Option<PathBuf>,
    #[command(flatten)]
    pub computing: ComputingOptions,
    #[command(flatten)]
    pub chosen: ChosenSettings,
    /// Replace the output if it is there
    #[arg(long)]
    pub force: bool,
    /// Print the final figures as one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct GenerateCheck {
    /// Folder with the published settings and weights
    pub weights: PathBuf,
    /// Up to which voxels along a side shapes are to be made
    #[arg(long, value_enum, default_value_t = ResolutionName::Fine)]
    pub resolution: ResolutionName,
    /// Also send this mesh through the autoencoder of details, and say how near it comes back
    #[arg(long, value_name = "FILE")]
    pub mesh: Option<PathBuf>,
    /// Write what comes back of the mesh: .glb, .ply or .obj
    #[arg(short, long, value_name = "FILE", requires = "mesh")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub computing: ComputingOptions,
    /// Replace the output if it is there
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResolutionName {
    /// 512
    #[value(name = "512")]
    Coarse,
    /// 1024
    #[value(name = "1024")]
    Fine,
}

impl From<ResolutionName> for Resolution {
    fn from(name: ResolutionName) -> Self {
        match name {
            ResolutionName::Coarse => Self::Coarse,
            ResolutionName::Fine => Self::Fine,
        }
    }
}

fn at_least_zero(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("must be a number of at least 0".to_owned()),
    }
}
