//! `tessera synth`.

use super::parse_size;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use tessera_engine::datasets::synthetic::{LensKind, SceneKind};

#[derive(Debug, Args)]
pub struct Synth {
    /// Which scene; `object` photographs a mesh of yours, `normals` draws its normals
    #[arg(value_enum)]
    pub name: SceneName,
    /// The mesh for `object` and `normals`: PLY, OBJ, OFF or GLB
    pub mesh: Option<PathBuf>,
    /// Folder to write; with --splats, the splat file
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// Write this many splats on the scene's surfaces instead of a capture
    #[arg(long, value_name = "N")]
    pub splats: Option<u64>,
    /// Degree of the splats' spherical harmonics
    #[arg(long, value_name = "DEGREE", default_value_t = 3, requires = "splats")]
    pub sh_degree: u8,
    /// Size of the pictures [default: 400x300, 320x240 for the moving scene, 512x512 for normals]
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub size: Option<[u32; 2]>,
    /// Number of camera positions; depends on the scene by default, 6 for normals
    #[arg(long, alias = "cameras", value_parser = clap::value_parser!(u32).range(1..))]
    pub views: Option<u32>,
    /// Chooses how things are scattered
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// The cameras' lens
    #[arg(long, value_enum, default_value_t = LensName::Pinhole)]
    pub lens: LensName,
    /// Side of the terrain in metres
    #[arg(long, default_value_t = 200.0)]
    pub extent: f64,
    /// Time steps of the animated scene (24 by default) and of the moving one (300)
    #[arg(long)]
    pub frames: Option<u32>,
    /// Write the moving scene as a video for each camera, with an EasyVolcap calibration
    #[arg(long)]
    pub video: bool,
    /// Number of sparse points
    #[arg(long, default_value_t = 10_000)]
    pub points: usize,
    /// Standard deviation of the sparse points in metres
    #[arg(long, default_value_t = 0.0)]
    pub point_noise: f64,
    /// Samples per pixel
    #[arg(long, default_value_t = 9)]
    pub samples: u32,
    /// Leave out the surroundings and write them transparent
    #[arg(long)]
    pub rgba: bool,
    /// With normals: all views around at one height, as multi-view generators make them, instead of on all sides
    #[arg(long)]
    pub ring: bool,
    /// Replace a synthetic capture that is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SceneName {
    /// Objects on a table in a studio
    StillLife,
    /// A furnished room, seen from within
    Room,
    /// A landscape of any extent, seen from the air
    Terrain,
    /// Moving objects and a walking figure, filmed by a ring of cameras
    Animated,
    /// Balls and boxes that move, repeat and rest, filmed by a ring of cameras for as long as wanted
    Moving,
    /// A mesh of yours in a studio, from all sides: in its vertices' colours, or of marble
    Object,
    /// Normal maps of a mesh from all sides, for `tessera fuse`
    Normals,
}

impl SceneName {
    /// The ray-traced scene, or `None` for the moving stage and for normal maps.
    pub fn kind(self) -> Option<SceneKind> {
        match self {
            Self::StillLife => Some(SceneKind::StillLife),
            Self::Room => Some(SceneKind::Room),
            Self::Terrain => Some(SceneKind::Terrain),
            Self::Animated => Some(SceneKind::Animated),
            Self::Object => Some(SceneKind::Object),
            Self::Moving | Self::Normals => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LensName {
    /// No distortion
    Pinhole,
    /// Barrel and tangential distortion
    Opencv,
    /// A wide fisheye
    Fisheye,
}

impl From<LensName> for LensKind {
    fn from(name: LensName) -> Self {
        match name {
            LensName::Pinhole => Self::Pinhole,
            LensName::Opencv => Self::OpenCv,
            LensName::Fisheye => Self::Fisheye,
        }
    }
}
