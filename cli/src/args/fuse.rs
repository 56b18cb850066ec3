//! `tessera fuse`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use tessera_engine::fusion::{Axes, Space};

#[derive(Debug, Args)]
#[command(
    after_help = "NORMALS is a capture with cameras (transforms.json with normal_file_path, or whose images are normal maps; COLMAP and others), or a \
                  plain folder of maps, in the order of their names, seen from around the object: --fov, --elevation, --distance and --clockwise are for \
                  those. Outlines come from masks, else from alpha, else from a black background."
)]
pub struct Fuse {
    /// Folder of normal maps, or a transforms.json
    #[arg(required_unless_present = "settings")]
    pub normals: Option<PathBuf>,
    /// File to write: .glb, .ply or .obj
    #[arg(short, long, value_name = "FILE", required_unless_present = "settings")]
    pub output: Option<PathBuf>,
    /// Whose axes the maps' normals are given in
    #[arg(long, value_enum, default_value_t = SpaceName::World)]
    pub space: SpaceName,
    /// Directions that red, green and blue stand for; of a camera, x is right, y up and z towards it
    #[arg(long, value_name = "AXES", default_value = "x,y,z", allow_hyphen_values = true)]
    pub axes: Axes,
    /// Horizontal field of view of cameras around the object, in degrees
    #[arg(long, value_name = "DEGREES", default_value_t = 60.0, value_parser = parse_fov)]
    pub fov: f64,
    /// Height of cameras around the object above its middle, in degrees
    #[arg(long, value_name = "DEGREES", default_value_t = 0.0, allow_negative_numbers = true, value_parser = parse_elevation)]
    pub elevation: f64,
    /// Distance of cameras around the object from its middle [default: 1.3 with a field of view of 60 degrees: an object of size 1 fills two
    /// thirds of the picture]
    #[arg(long, value_name = "LENGTH", value_parser = super::parse_length)]
    pub distance: Option<f64>,
    /// The second camera stands to the left of the first, seen from the object's front, and not to the right
    #[arg(long)]
    pub clockwise: bool,
    /// Simplify to at most so many triangles
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(4..))]
    pub faces: Option<u64>,
    /// Cover the mesh with a texture of the capture's photos, so many pixels a side
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(64..=16384))]
    pub texture: Option<u32>,
    /// Steps of the descent
    #[arg(long)]
    pub steps: Option<u64>,
    /// Longest side, in pixels, to which maps are reduced; 0 keeps their size
    #[arg(long, value_name = "PIXELS")]
    pub resolution: Option<u32>,
    /// Any setting, as often as needed; `--set help` lists them
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Replace the output if it is there
    #[arg(long)]
    pub force: bool,
    /// Print the final figures as one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpaceName {
    /// The world's: the same direction has the same colour in all maps
    World,
    /// Each camera's: what faces the camera has the same colour in all maps
    Camera,
}

impl From<SpaceName> for Space {
    fn from(name: SpaceName) -> Self {
        match name {
            SpaceName::World => Self::World,
            SpaceName::Camera => Self::Camera,
        }
    }
}

fn parse_fov(text: &str) -> Result<f64, String> {
    let degrees = text.parse().ok().filter(|degrees| (1.0..=170.0).contains(degrees));
    degrees.ok_or_else(|| "a field of view is a number of degrees from 1 to 170".to_owned())
}

fn parse_elevation(text: &str) -> Result<f64, String> {
    let degrees = text.parse().ok().filter(|degrees| (-89.0..=89.0).contains(degrees));
    degrees.ok_or_else(|| "an elevation is a number of degrees from -89 to 89".to_owned())
}
