//! `tessera mesh`.

use super::parse_share;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Mesh {
    /// Run folder of a surface or of radiance, or a fitted shape (.rbf)
    #[arg(value_name = "RUN|SHAPE")]
    pub run: PathBuf,
    /// File to write: .glb, .ply or .obj; of a moving surface a .glb file holds all moments and plays them
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Cells along the longest side of the box around the surface; 512 by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=4096))]
    pub resolution: Option<u32>,
    /// Leave out parts with less than this share of the largest part's area
    #[arg(long, value_name = "SHARE", default_value = "0.0005", value_parser = parse_share)]
    pub least_part: f32,
    /// Simplify to at most so many triangles, each moment of a moving surface by itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(4..))]
    pub faces: Option<u64>,
    /// Cover the mesh with a texture of the run's photos, so many pixels a side, instead of colours of vertices
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(64..=16384), conflicts_with = "no_colours")]
    pub texture: Option<u32>,
    /// Of a moving surface, mesh the last moment alone
    #[arg(long)]
    pub last: bool,
    /// Leave out the vertices' colours
    #[arg(long)]
    pub no_colours: bool,
    /// Replace the output if it is there
    #[arg(long)]
    pub force: bool,
}
