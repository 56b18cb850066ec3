//! The command line.

mod bench;
mod fit;
mod fuse;
mod generate;
mod mesh;
mod plan;
mod reconstruct;
mod synth;
mod view;
mod web;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use tessera_engine::datasets::capture::{Capture, OpenOptions, Split};
use tessera_engine::datasets::convert::Most;
use tessera_engine::datasets::format::{SogVersion, SpzVersion};
use tessera_engine::render::Layer;
use tessera_engine::train::RunConfig;

pub use bench::{Bench, BenchKind, RbfSubject};
pub use fit::{Fit, FitImage, FitOptions, FitSdf};
pub use fuse::Fuse;
pub use generate::{
    ComputingOptions, Generate, GenerateCheck, GenerateEval, GenerateImage, GenerateSample, GenerateTrain, MADE,
    MakingOptions,
};
pub use mesh::Mesh;
pub use plan::Plan;
pub use reconstruct::{Choices, Method, Reconstruct};
pub use synth::{LensName, SceneName, Synth};
pub use view::View;
pub use web::{Export, Serve};

/// Photos to 3D scenes.
#[derive(Debug, Parser)]
#[command(name = "tessera", version, about = "Turns photos into 3D scenes", subcommand_required = true)]
#[command(after_help = "New here? `tessera demo` makes a small scene, reconstructs it and shows what came out.\n\
                        Exit status: 0 success, 1 failure, 2 wrong usage, 130 interrupted.")]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Clone, Copy, Debug, Args)]
pub struct Common {
    /// Say what is being done in detail (RUST_LOG chooses more finely)
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Show no progress and no remarks, only warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Number of threads; all processors by default. Results do not depend on it
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// Settings of what a command computes: those of a file, then single ones.
#[derive(Debug, Args)]
pub struct ChosenSettings {
    /// Start of all random numbers: the same seed gives the same bits
    #[arg(long)]
    pub seed: Option<u64>,
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting, as often as needed
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// List all settings and stop
    #[arg(long)]
    pub help_settings: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a small scene, reconstruct it from its pictures, and show what came out
    Demo(Demo),
    /// Train a scene from posed photos, a folder of photos or a video
    Reconstruct(Reconstruct),
    /// Divide a large capture into blocks and say what training them will take
    Plan(Plan),
    /// Measure a scene on the photos of a capture
    Eval(Eval),
    /// Render pictures or a video of a scene
    Render(Render),
    /// Make a mesh of a surface
    Mesh(Mesh),
    /// Look at a scene in a window, or take a screenshot without one
    View(View),
    /// Show a scene in the browser, streamed from this program
    Serve(Serve),
    /// Write a scene as a web page: a folder for any file host, or one .html file
    Export(Export),
    /// Convert between scene formats, by extension, and edit scenes on the way
    Convert(Convert),
    /// Fit a picture or the shape of a mesh with radial basis functions
    #[command(subcommand)]
    Fit(Fit),
    /// Fuse normal maps into a closed mesh
    Fuse(Fuse),
    /// Train a generator of shapes, and make shapes with it
    #[command(subcommand)]
    Generate(Generate),
    /// Make a capture with exact cameras, depth and geometry
    Synth(Synth),
    /// Say what a capture, run folder or scene file holds
    Info(Info),
    /// Say what this machine offers and which helpers are installed
    Doctor(Doctor),
    /// Measure training or drawing speed on this machine
    Bench(Bench),
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Folder for all that the demo makes
    #[arg(short, long, value_name = "DIR", default_value = "runs/demo")]
    pub output: PathBuf,
    /// Training steps
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
}

#[derive(Debug, Args)]
pub struct Eval {
    /// Run folder or splat file; with --reference a mesh or the run folder of a surface
    #[arg(value_name = "RUN|SCENE")]
    pub scene: PathBuf,
    /// The capture; that of the run when left out
    pub capture: Option<PathBuf>,
    /// Measure the mesh against this mesh or point cloud instead: Chamfer distance, F-score, angles of normals
    #[arg(long, value_name = "MESH", conflicts_with = "pictures")]
    pub reference: Option<PathBuf>,
    /// Distance below which a point counts for the F-score [default: 0.5 % of the reference's diagonal]
    #[arg(long, value_name = "LENGTH", requires = "reference", value_parser = parse_length)]
    pub threshold: Option<f64>,
    /// Also measure along the borders between the blocks of this plan: a plan.json or the run folder of blocks; in such a run its own
    #[arg(long, value_name = "PLAN", conflicts_with = "reference")]
    pub plan: Option<PathBuf>,
    /// With --reference: compare only what the capture's photos see
    #[arg(long, requires = "reference")]
    pub seen: bool,
    /// Measure the mesh by DTU's protocol, in millimetres, against the scans in this folder (ObsMask and Points, as DTU's archives unpack); it is first
    /// cut to the photos' masks
    #[arg(long, value_name = "DIR", requires = "scan", conflicts_with_all = ["reference", "pictures", "plan"])]
    pub dtu: Option<PathBuf>,
    /// With --dtu: the number of the scan
    #[arg(long, value_name = "N", requires = "dtu")]
    pub scan: Option<u32>,
    #[command(flatten)]
    pub photos: Photos,
    /// Colour behind what is cut out of photos, and behind the scene, as R,G,B in [0, 1]
    #[arg(long, value_parser = parse_colour, value_name = "R,G,B")]
    pub background: Option<[f32; 3]>,
    /// Also write photo, rendering and error side by side into this folder
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Which photos of a capture, and how large.
#[derive(Debug, Args)]
pub struct Photos {
    /// Part of the capture
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    pub split: SplitName,
    /// Every N-th photo is for testing; as in the run by default
    #[arg(long, value_name = "N")]
    pub test_every: Option<usize>,
    /// Longest side, in pixels, to which photos are reduced; 0 keeps their size; as in the run by default
    #[arg(long, value_name = "PIXELS")]
    pub resolution: Option<u32>,
    #[command(flatten)]
    pub skipping: Skipping,
}

/// What becomes of damaged photos and videos.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Skipping {
    /// Go on with the sound part of a capture that is damaged or incomplete; decodes all of it first
    #[arg(long)]
    pub skip_bad: bool,
}

impl Skipping {
    /// Opens a capture so.
    ///
    /// # Errors
    /// When it is in no layout that we know, or damaged in a way that is not skipped.
    pub fn open(self, path: &Path) -> tessera_engine::datasets::Result<Capture> {
        Capture::open_with(path, OpenOptions { skip_bad: self.skip_bad })
    }

    /// As the user says, or as the run was trained.
    pub fn or_of(self, run: Option<&RunConfig>) -> Self {
        Self { skip_bad: self.skip_bad || run.is_some_and(|run| run.skip_bad) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// Photos that were trained on
    Train,
    /// Photos for choosing settings, where the capture has such
    Validation,
    /// Photos that were held out
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Train => Self::Train,
            SplitName::Validation => Self::Validation,
            SplitName::Test => Self::Test,
        }
    }
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("path").args(["cameras", "capture", "orbit"]))]
pub struct Render {
    /// Run folder, splat file, or a fitted picture (.rbf), which needs no cameras
    #[arg(value_name = "RUN|SCENE")]
    pub scene: PathBuf,
    /// Folder for PNG files, or a video when the name ends in .mp4; for a fitted picture a .png or .exr file
    #[arg(short, long)]
    pub output: PathBuf,
    /// Cameras from a transforms.json
    #[arg(long, value_name = "FILE")]
    pub cameras: Option<PathBuf>,
    /// Cameras of a capture's photos
    #[arg(long, value_name = "CAPTURE")]
    pub capture: Option<PathBuf>,
    #[command(flatten)]
    pub photos: Photos,
    /// So many cameras on a circle around the scene
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub orbit: Option<u32>,
    /// When a moving scene is looked at, in the capture's own time, in all pictures
    #[arg(long, value_name = "T", allow_negative_numbers = true, conflicts_with = "frames")]
    pub time: Option<f64>,
    /// One picture for each frame of a moving scene, by the cameras one after the other
    #[arg(long)]
    pub frames: bool,
    /// Size of the pictures with --orbit
    #[arg(long, value_name = "WxH", default_value = "800x600", value_parser = parse_size)]
    pub size: [u32; 2],
    /// What is shown
    #[arg(long, value_enum, default_value_t = LayerName::Colour)]
    pub layer: LayerName,
    /// Pictures per second of a video
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub fps: u32,
    /// Colour behind the scene, as R,G,B in [0, 1]; as in the run by default
    #[arg(long, value_parser = parse_colour, value_name = "R,G,B")]
    pub background: Option<[f32; 3]>,
    /// Write a fitted picture with 16 bits instead of 8
    #[arg(long, conflicts_with = "path")]
    pub sixteen_bits: bool,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayerName {
    /// What a camera sees
    Colour,
    /// Depth, blue for near and red for far
    Depth,
    /// Opacity
    Alpha,
}

impl From<LayerName> for Layer {
    fn from(name: LayerName) -> Self {
        match name {
            LayerName::Colour => Self::Colour,
            LayerName::Depth => Self::Depth,
            LayerName::Alpha => Self::Alpha,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "What is asked for happens in the order of this list: --merge, --drop-invalid, --crop, --crop-sphere, --seen-by, --drop-floaters, \
                        --min-opacity, --sh-degree, --max-splats, then rotation, scale and translation."
)]
pub struct Convert {
    /// Splat file, moving scene (.t4d), mesh, point cloud, run folder, or meshes of several moments: a folder of them or an animated .glb
    pub input: PathBuf,
    /// File to write; its extension names the format. May be left out with --dry-run
    #[arg(required_unless_present = "dry_run")]
    pub output: Option<PathBuf>,
    /// Also take the splats of this file, to where the input's are stored; as often as needed
    #[arg(long, value_name = "FILE", conflicts_with = "points")]
    pub merge: Vec<PathBuf>,
    /// Write the splats' centres and colours as a point cloud
    #[arg(long)]
    pub points: bool,
    /// Of a moving scene (.t4d) or of meshes of several moments, write these frames only, the last one included; the output is named like
    /// frame_%04d.ply
    #[arg(long, value_name = "A-B", value_parser = parse_frames)]
    pub frames: Option<RangeInclusive<u32>>,
    /// Keep what lies in this box, in the input's coordinates
    #[arg(long, value_name = "X0,Y0,Z0,X1,Y1,Z1", allow_hyphen_values = true, value_parser = parse_box)]
    pub crop: Option<[[f32; 3]; 2]>,
    /// Keep what lies within a distance of a place, in the input's coordinates
    #[arg(long, value_name = "X,Y,Z,RADIUS", allow_hyphen_values = true, value_parser = parse_ball)]
    pub crop_sphere: Option<([f32; 3], f32)>,
    /// Keep what the cameras of this capture saw
    #[arg(long, value_name = "CAPTURE")]
    pub seen_by: Option<PathBuf>,
    /// How many of these cameras must have seen it
    #[arg(long, value_name = "N", default_value_t = 1, requires = "seen_by", value_parser = clap::value_parser!(u32).range(1..))]
    pub seen_at_least: u32,
    /// Remove splats that float in the air; the strength is from 0 to 1. Look first with --dry-run
    #[arg(long, value_name = "STRENGTH", num_args = 0..=1, require_equals = true, default_missing_value = "0.5", value_parser = parse_share)]
    pub drop_floaters: Option<f32>,
    /// Write the floaters into a file of their own, also with --dry-run
    #[arg(long, value_name = "FILE", requires = "drop_floaters")]
    pub floaters_to: Option<PathBuf>,
    /// Remove splats that are less opaque than this, from 0 to 1
    #[arg(long, value_name = "OPACITY", value_parser = parse_share)]
    pub min_opacity: Option<f32>,
    /// Keep spherical harmonics up to this degree
    #[arg(long, value_name = "DEGREE", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub sh_degree: Option<u8>,
    /// Merge near, alike splats until this many, or this share of them, are left
    #[arg(long, value_name = "N|N%", value_parser = parse_most)]
    pub max_splats: Option<Most>,
    /// Turn the scene about x, then y, then z, in degrees; colours turn with it
    #[arg(long, value_name = "X,Y,Z", allow_hyphen_values = true, value_parser = parse_vector)]
    pub rotate: Option<[f64; 3]>,
    /// Make the scene larger or smaller by this factor
    #[arg(long, value_name = "FACTOR", value_parser = parse_factor)]
    pub scale: Option<f64>,
    /// Move the scene
    #[arg(long, value_name = "X,Y,Z", allow_hyphen_values = true, value_parser = parse_vector)]
    pub translate: Option<[f64; 3]>,
    /// Put splats that are near each other in space near each other in the file
    #[arg(long)]
    pub morton: bool,
    /// Keep splats in their order in formats that would choose a better one
    #[arg(long, conflicts_with = "morton")]
    pub keep_order: bool,
    /// Leave out splats with numbers that are not finite, instead of refusing them; of PLY and .splat files
    #[arg(long)]
    pub drop_invalid: bool,
    /// Version of SPZ files: 3 is what most programs read, 4 is smaller and newer, 1 and 2 are for programs from before 2025
    #[arg(long, value_name = "1|2|3|4", value_parser = parse_spz_version)]
    pub spz_version: Option<SpzVersion>,
    /// Version of SOG scenes: 2 is what programs read, 1 is for those from before autumn 2025
    #[arg(long, value_name = "1|2", value_parser = parse_sog_version)]
    pub sog_version: Option<SogVersion>,
    /// Read the file again, draw it beside the scene it was made from, and say how far they are apart
    #[arg(long)]
    pub verify: bool,
    /// Fail, and write nothing, when they are farther apart than this PSNR in dB
    #[arg(long, value_name = "DB", default_value_t = 30.0, requires = "verify", value_parser = parse_decibels)]
    pub min_psnr: f64,
    /// Write nothing, and say what would be done
    #[arg(long, conflicts_with_all = ["verify", "force"])]
    pub dry_run: bool,
    /// Replace the output if it is there
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Info {
    /// Capture, run folder or scene file
    pub path: PathBuf,
    #[command(flatten)]
    pub skipping: Skipping,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Reads the command line; wrong usage ends the program with exit status 2.
pub fn parse() -> Arguments {
    Arguments::parse()
}

fn parse_size(text: &str) -> Result<[u32; 2], String> {
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| (8..=16_384).contains(side));
    let size = text.split_once('x').and_then(|(width, height)| Some([side(width)?, side(height)?]));
    size.ok_or_else(|| "a size is WIDTHxHEIGHT in pixels, from 8 to 16384, such as 800x600".to_owned())
}

fn parse_colour(text: &str) -> Result<[f32; 3], String> {
    let channels: Option<Vec<f32>> = text.split(',').map(|channel| channel.trim().parse().ok()).collect();
    let colour = channels.and_then(|channels| <[f32; 3]>::try_from(channels).ok());
    let colour = colour.filter(|colour| colour.iter().all(|channel| (0.0..=1.0).contains(channel)));
    colour.ok_or_else(|| "a colour is three numbers from 0 to 1, such as 1,1,1 for white".to_owned())
}

fn parse_vector(text: &str) -> Result<[f64; 3], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let vector = numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok());
    let vector = vector.filter(|vector| vector.iter().all(|number| number.is_finite()));
    vector.ok_or_else(|| "three numbers are needed, such as 90,0,0".to_owned())
}

fn parse_box(text: &str) -> Result<[[f32; 3]; 2], String> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let corners = numbers.and_then(|numbers| <[f32; 6]>::try_from(numbers).ok());
    let corners = corners.map(|[x0, y0, z0, x1, y1, z1]| [[x0, y0, z0], [x1, y1, z1]]);
    let is_box = |[low, high]: &[[f32; 3]; 2]| (0..3).all(|axis| low[axis] <= high[axis]);
    corners.filter(is_box).ok_or_else(|| {
        "a box is six numbers, its lowest and its highest corner, such as -1,-1,-1,1,1,1; inf and -inf are open sides"
            .to_owned()
    })
}

fn parse_ball(text: &str) -> Result<([f32; 3], f32), String> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| <[f32; 4]>::try_from(numbers).ok());
    let numbers = numbers.filter(|n| n.iter().all(|n| n.is_finite()) && n[3] >= 0.0);
    numbers
        .map(|[x, y, z, radius]| ([x, y, z], radius))
        .ok_or_else(|| "a sphere is four numbers, its centre and its radius, such as 0,0,0,2.5".to_owned())
}

/// Frames by their numbers, the last one included: `7` or `100-199`.
fn parse_frames(text: &str) -> Result<RangeInclusive<u32>, String> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let range = match text.split_once('-') {
        Some((from, to)) => number(from).zip(number(to)),
        None => number(text).map(|frame| (frame, frame)),
    };
    let range = range.filter(|(from, to)| from <= to);
    range
        .map(|(from, to)| from..=to)
        .ok_or_else(|| "frames are a number, or two with a dash, such as 100-199".to_owned())
}

fn parse_most(text: &str) -> Result<Most, String> {
    let share = |text: &str| text.trim().parse::<f64>().ok().filter(|percent| *percent > 0.0 && *percent <= 100.0);
    let most = match text.strip_suffix('%') {
        Some(percent) => share(percent).map(|percent| Most::Share(percent / 100.0)),
        None => text.parse::<u32>().ok().filter(|&n| n > 0).map(|n| Most::Splats(n as usize)),
    };
    most.ok_or_else(|| "a number of splats is needed, such as 500000, or a share of them, such as 25%".to_owned())
}

fn parse_spz_version(text: &str) -> Result<SpzVersion, String> {
    let version = SpzVersion::ALL.into_iter().find(|version| version.number().to_string() == text);
    version.ok_or_else(|| "the versions that can be written are 1, 2, 3 and 4".to_owned())
}

fn parse_sog_version(text: &str) -> Result<SogVersion, String> {
    let version = SogVersion::ALL.into_iter().find(|version| version.number().to_string() == text);
    version.ok_or_else(|| "the versions that can be written are 1 and 2".to_owned())
}

fn parse_share(text: &str) -> Result<f32, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a number from 0 to 1 is needed, such as 0.5".to_owned())
}

fn parse_decibels(text: &str) -> Result<f64, String> {
    let decibels = text.parse().ok().filter(|decibels| (0.0..=120.0).contains(decibels));
    decibels.ok_or_else(|| "a PSNR is a number from 0 to 120".to_owned())
}

/// Frames for each second.
fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1000.0).contains(rate));
    rate.ok_or_else(|| "a rate is a number of frames for each second, from 0.001 to 1000".to_owned())
}

fn parse_length(text: &str) -> Result<f64, String> {
    let length = text.parse().ok().filter(|length: &f64| length.is_finite() && *length > 0.0);
    length.ok_or_else(|| "a length is a positive number".to_owned())
}

fn parse_factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (1e-6..=1e6).contains(factor));
    factor.ok_or_else(|| "a factor is a number from 0.000001 to 1000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_and_colours_are_checked() {
        assert_eq!(parse_size("640x480"), Ok([640, 480]));
        for wrong in ["640", "640x", "0x5", "-8x8", "99999x8"] {
            assert!(parse_size(wrong).is_err(), "{wrong} was taken for a size");
        }
        assert_eq!(parse_colour("1, 0.5,0"), Ok([1.0, 0.5, 0.0]));
        for wrong in ["1,2,3", "1,1", "white", "NaN,0,0"] {
            assert!(parse_colour(wrong).is_err(), "{wrong} was taken for a colour");
        }
        assert_eq!(parse_vector("-90, 0,1.5"), Ok([-90.0, 0.0, 1.5]));
        assert!(parse_vector("1,2").is_err() && parse_vector("inf,0,0").is_err());
        assert_eq!(parse_box("-1,-2,-inf, 1,2,3"), Ok([[-1.0, -2.0, f32::NEG_INFINITY], [1.0, 2.0, 3.0]]));
        assert!(["1,1,1,0,0,0", "0,0,0,1,1", "0,0,0,1,1,NaN"].into_iter().all(|wrong| parse_box(wrong).is_err()));
        assert_eq!((parse_share("0.25"), parse_decibels("35")), (Ok(0.25), Ok(35.0)));
        assert_eq!((parse_most("7"), parse_most("12.5%")), (Ok(Most::Splats(7)), Ok(Most::Share(0.125))));
        assert!(["0", "-1", "0%", "101%", "x"].into_iter().all(|wrong| parse_most(wrong).is_err()));
        assert_eq!(parse_ball("-1,0,2,3"), Ok(([-1.0, 0.0, 2.0], 3.0)));
        assert!(["1,2,3", "0,0,0,-1", "0,0,0,inf"].into_iter().all(|wrong| parse_ball(wrong).is_err()));
        assert_eq!(parse_spz_version("4"), Ok(SpzVersion::V4));
        assert!(parse_spz_version("5").is_err());
        assert_eq!(parse_sog_version("1"), Ok(SogVersion::V1));
        assert!(parse_sog_version("3").is_err());
        assert!(parse_share("1.1").is_err() && parse_decibels("-1").is_err());
        assert_eq!(parse_factor("2.5"), Ok(2.5));
        assert!(["0", "-1", "NaN", "1e9"].into_iter().all(|wrong| parse_factor(wrong).is_err()));
    }
}
