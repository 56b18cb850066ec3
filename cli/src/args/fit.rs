//! `tessera fit`.

use super::ChosenSettings;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use tessera_engine::rbf::image::Crop;
use tessera_kernels::device::Request;

#[derive(Debug, Subcommand)]
pub enum Fit {
    /// A picture: PNG, JPEG, WebP, TIFF, BMP or EXR; large ones tile by tile
    Image(FitImage),
    /// A shape: the signed distance from any triangle mesh, closed or not
    Sdf(FitSdf),
}

#[derive(Debug, Args)]
pub struct FitImage {
    /// The picture
    #[arg(required_unless_present = "help_settings")]
    pub input: Option<PathBuf>,
    /// Fit only this part of it, in pixels from its top left corner
    #[arg(long, value_name = "X,Y,WIDTH,HEIGHT", value_parser = parse_crop)]
    pub crop: Option<Crop>,
    #[command(flatten)]
    pub options: FitOptions,
}

#[derive(Debug, Args)]
pub struct FitSdf {
    /// The mesh: PLY, OBJ, OFF or GLB
    #[arg(required_unless_present = "help_settings")]
    pub input: Option<PathBuf>,
    #[command(flatten)]
    pub options: FitOptions,
}

/// What both fits understand.
#[derive(Debug, Args)]
pub struct FitOptions {
    /// File to write, .rbf
    #[arg(short, long, value_name = "FILE", required_unless_present = "help_settings")]
    pub output: Option<PathBuf>,
    /// Settings that go together
    #[arg(long, value_enum, default_value_t = FitPreset::Fast)]
    pub preset: FitPreset,
    /// Training steps, of each tile of a picture; every schedule stretches with them
    #[arg(long)]
    pub steps: Option<u64>,
    /// Where to compute: auto (a GPU if one can be used), cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: Request,
    #[command(flatten)]
    pub chosen: ChosenSettings,
    /// Replace the output if it is there
    #[arg(long)]
    pub force: bool,
    /// Print the final figures as one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FitPreset {
    /// The smallest file
    Compact,
    /// The shortest time
    Fast,
}

impl FitPreset {
    /// Its name in the engine.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Fast => "fast",
        }
    }
}

fn parse_crop(text: &str) -> Result<Crop, String> {
    let numbers: Vec<u32> = text.split(',').map_while(|part| part.trim().parse().ok()).collect();
    match numbers[..] {
        [x, y, width, height] if text.split(',').count() == 4 => Ok(Crop { x, y, width, height }),
        _ => Err("must be four whole numbers: X,Y,WIDTH,HEIGHT".to_owned()),
    }
}
