//! `tessera mesh`.

use super::parse_share;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Mesh {
    /// Run folder of a surface or of radiance, or a fitted shape (.rbf)
    #[arg(value_name = "RUN|SHAPE")]
    pub run: PathBuf,
    /// File to write: .glb, .ply or .obj
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Cells along the longest side of the box around the surface
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=4096))]
    pub resolution: u32,
    /// Leave out parts with less than this share of the largest part's area
    #[arg(long, value_name = "SHARE", default_value = "0.0005", value_parser = parse_share)]
    pub least_part: f32,
    /// Simplify to at most so many triangles
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(4..))]
    pub faces: Option<u64>,
    /// Cover the mesh with a texture of the run's photos, so many pixels a side, instead of colours of vertices
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(64..=16384), conflicts_with = "no_colours")]
    pub texture: Option<u32>,
    /// Leave out the vertices' colours
    #[arg(long)]
    pub no_colours: bool,
    /// Replace the output if it is there
    #[arg(long)]
    pub force: bool,
}
