//! Made captures with exact cameras, images, depth, normals and geometry, for demos, tests and benchmarks.
//!
//! Scenes are triangle meshes with procedural textures, rendered by a small ray caster, so that what is written
//! as geometry is exactly what was photographed. The world is in metres with z up. Everything follows from the
//! seed and the options, bit for bit, whatever the number of threads.

mod bvh;
mod cameras;
mod geometry;
mod light;
mod moving;
mod noise;
mod normal_maps;
mod render;
mod scenes;
mod splats;
mod texture;
mod write;

pub use moving::{MOVING_FRAME_RATE, MovingOptions, write_moving};
pub use normal_maps::{NormalMapOptions, write_normal_maps};
pub use render::RenderedView;
pub use splats::{MadeSplats, splats};
pub use write::write;

use crate::camera::Camera;
use crate::capture::{DepthSource, Frame, Point, Split};
use crate::scene::Mesh;
use crate::{DataError, Result};
use rand::{RngExt, SeedableRng};
use render::{RayTable, World};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

/// Frames per second of moving scenes.
pub const FRAME_RATE: f64 = 12.0;

/// Which scene is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SceneKind {
    /// Objects on a table in a studio, photographed from all sides: the demo's scene.
    #[default]
    StillLife,
    /// A furnished room, photographed from within.
    Room,
    /// A landscape of any extent, photographed from the air.
    Terrain,
    /// Moving objects and a walking figure, filmed by a ring of cameras.
    Animated,
    /// The mesh of [`Options::mesh`] in a studio, photographed from all sides.
    Object,
}

impl SceneKind {
    /// Every scene, in the order in which help texts list them.
    pub const ALL: [Self; 5] = [Self::StillLife, Self::Room, Self::Terrain, Self::Animated, Self::Object];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::StillLife => "still-life",
            Self::Room => "room",
            Self::Terrain => "terrain",
            Self::Animated => "animated",
            Self::Object => "object",
        }
    }

    /// One line for help texts.
    pub fn description(self) -> &'static str {
        match self {
            Self::StillLife => "objects on a table in a studio, photographed from all sides",
            Self::Room => "a furnished room, photographed from within",
            Self::Terrain => "a landscape of any extent with houses, trees and rocks, photographed from the air",
            Self::Animated => "moving objects and a walking figure, filmed by a ring of cameras",
            Self::Object => "a mesh of yours in a studio, photographed from all sides",
        }
    }
}

impl fmt::Display for SceneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SceneKind {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            format!("there is no synthetic scene '{name}'; there are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

/// The lens of the cameras.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LensKind {
    /// No distortion.
    #[default]
    Pinhole,
    /// Barrel and tangential distortion, principal point off the middle.
    OpenCv,
    /// A wide Kannala-Brandt fisheye.
    Fisheye,
}

impl LensKind {
    /// Every lens with its name on the command line.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Pinhole, "pinhole"), (Self::OpenCv, "opencv"), (Self::Fisheye, "fisheye")];
}

impl fmt::Display for LensKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for LensKind {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let known = Self::ALL.map(|(_, name)| name).join(", ");
        let found = Self::ALL.into_iter().find(|(_, n)| *n == name);
        found.map(|(kind, _)| kind).ok_or_else(|| format!("there is no lens '{name}'; there are {known}"))
    }
}

/// How a synthetic capture is made. [`Options::default`] is what the demo uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Width of the pictures in pixels, 8 to 16384; 400 by default.
    pub width: u32,
    /// Height of the pictures in pixels, 8 to 16384; 300 by default.
    pub height: u32,
    /// Number of camera positions, at most a million. By default 40 for the still life and an object, 60 for the room, 12
    /// for the animated scene; for the terrain it grows with the extent (at most 30 m apart).
    pub views: Option<u32>,
    /// Chooses how things are scattered; 0 by default.
    pub seed: u64,
    /// The lens; a pinhole by default.
    pub lens: LensKind,
    /// Side of the square that is flown over, in metres, 10 to 5000; only the terrain uses it. 200 by default.
    pub extent: f64,
    /// Time steps, [`FRAME_RATE`] per second, 1 to 100000; only the animated scene uses them. 24 by default.
    pub frames: u32,
    /// Number of sparse points, at most ten million, standing in for those of structure from motion; 10000 by
    /// default.
    pub points: usize,
    /// Standard deviation of each coordinate of the sparse points in metres; 0 by default: they are exact.
    pub point_noise: f64,
    /// Samples per pixel, 1 to 1024, rounded up to a square number; 9 by default.
    pub samples_per_pixel: u32,
    /// Writes RGBA with straight alpha; leaves out the studio around still life, object and animated scene, and the sky.
    /// Off by default.
    pub rgba: bool,
    /// What the scene of an object shows; none by default.
    pub mesh: Option<Arc<Mesh>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            width: 400,
            height: 300,
            views: None,
            seed: 0,
            lens: LensKind::Pinhole,
            extent: 200.0,
            frames: 24,
            points: 10_000,
            point_noise: 0.0,
            samples_per_pixel: 9,
            rgba: false,
            mesh: None,
        }
    }
}

impl Options {
    /// What is wrong with the options, if anything.
    fn problem(&self) -> Option<String> {
        let sides = 8..=16_384;
        if !sides.contains(&self.width) || !sides.contains(&self.height) {
            return Some(format!("pictures of {}x{} can't be made: sides go from 8 to 16384", self.width, self.height));
        }
        let in_range = [
            ("views", f64::from(self.views.unwrap_or(1)), 1.0, 1e6),
            ("extent", self.extent, 10.0, 5000.0),
            ("frames", f64::from(self.frames), 1.0, 1e5),
            ("points", self.points as f64, 0.0, 1e7),
            ("point noise", self.point_noise, 0.0, 1e3),
            ("samples per pixel", f64::from(self.samples_per_pixel), 1.0, 1024.0),
        ];
        let wrong = in_range.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value));
        wrong.map(|(name, value, low, high)| format!("{name} can't be {value}: it goes from {low} to {high}"))
    }

    fn samples_side(&self) -> usize {
        f64::from(self.samples_per_pixel).sqrt().ceil() as usize
    }
}

/// A made capture: cameras and sparse points at once, pictures and geometry when asked for.
pub struct SyntheticCapture {
    /// Which scene.
    pub kind: SceneKind,
    /// How it was made.
    pub options: Options,
    /// The pictures in order of time, then of camera, with exact lenses and poses. Image and depth paths are
    /// those that [`write()`] writes. Cameras of moving scenes number themselves; camera 0 is held out.
    pub frames: Vec<Frame>,
    /// Surface points that the cameras see, at the first time step.
    pub points: Vec<Point>,
    rays: RayTable,
    /// The latest time step's world: pictures of one step are usually asked for one after the other.
    world: Mutex<(u32, Arc<World>)>,
}

impl fmt::Debug for SyntheticCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyntheticCapture").field("kind", &self.kind).field("options", &self.options).finish()
    }
}

/// Makes a capture: places cameras, builds the scene and gathers its light; `progress(done, total)` counts lit
/// vertices and is called from several threads.
///
/// # Errors
/// When an option is out of the range that [`Options`] states, or an object's mesh is missing or has no triangles.
pub fn generate(
    kind: SceneKind,
    options: &Options,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<SyntheticCapture> {
    let without_mesh = kind == SceneKind::Object && options.mesh.as_ref().is_none_or(|mesh| mesh.triangles.is_empty());
    let no_mesh = without_mesh.then(|| "there is no mesh to photograph, or one without triangles".to_owned());
    if let Some(problem) = options.problem().or(no_mesh) {
        return Err(DataError::new(format!("synthetic {kind}"), problem));
    }
    let camera = cameras::camera(kind, options);
    let frames = frames(kind, options, camera);
    let rays = RayTable::new(&camera);
    let world = Arc::new(World::new(scenes::build(kind, options, 0), progress));
    let points = sparse_points(options, &frames, &rays, &world);
    Ok(SyntheticCapture { kind, options: options.clone(), frames, points, rays, world: Mutex::new((0, world)) })
}

impl SyntheticCapture {
    /// Number of time steps, 1 when nothing moves.
    pub fn time_steps(&self) -> u32 {
        time_steps(self.kind, &self.options)
    }

    /// The time step of a frame.
    fn time_step(&self, frame: usize) -> u32 {
        (frame / (self.frames.len() / self.time_steps() as usize)) as u32
    }

    /// Renders the picture of frame `index` on all threads.
    ///
    /// # Panics
    /// When there is no such frame.
    pub fn render_view(&self, index: usize) -> RenderedView {
        let world = self.world(self.time_step(index));
        let pose = &self.frames[index].camera_from_world;
        world.render(&self.rays, pose, self.options.samples_side(), self.options.rgba)
    }

    /// The true surface at a time step, in metres, with smooth normals, and colours as lit in the pictures without
    /// reflections.
    ///
    /// Vertices are not shared across texture seams. In a moving scene every time step has the same triangles and the same
    /// order of vertices, so a vertex can be followed through time.
    pub fn surface(&self, time_step: u32) -> Mesh {
        let world = self.world(time_step);
        let vertices = &world.mesh.vertices;
        Mesh {
            positions: vertices.iter().map(|v| v.position.into()).collect(),
            normals: vertices.iter().map(|v| v.normal.into()).collect(),
            colours: world.vertex_colours(),
            triangles: world.mesh.triangles.iter().map(|t| t.vertices).collect(),
            ..Mesh::default()
        }
    }

    fn world(&self, time_step: u32) -> Arc<World> {
        let mut latest = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.0 != time_step {
            let scene = scenes::build(self.kind, &self.options, time_step);
            *latest = (time_step, Arc::new(World::new(scene, &|_, _| {})));
        }
        latest.1.clone()
    }
}

fn time_steps(kind: SceneKind, options: &Options) -> u32 {
    if kind == SceneKind::Animated { options.frames } else { 1 }
}

/// The smallest unit of 1, 2 or 5 times a power of ten metres in which `far` fits 16 bits.
fn depth_unit(far: f64) -> f64 {
    let needed = far / 65_535.0;
    let power = 10f64.powf(needed.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|unit| *unit >= needed).unwrap_or(10.0 * power)
}

fn frames(kind: SceneKind, options: &Options, camera: Camera) -> Vec<Frame> {
    let stands = cameras::stands(kind, options);
    let unit = depth_unit(stands.iter().map(|s| s.far).fold(0.0, f64::max));
    let moving = kind == SceneKind::Animated;
    let mut frames = Vec::with_capacity(stands.len() * time_steps(kind, options) as usize);
    for step in 0..time_steps(kind, options) {
        for (index, stand) in stands.iter().enumerate() {
            let name = if moving { format!("cam{index:02}/{step:04}") } else { format!("{index:04}") };
            frames.push(Frame {
                image: format!("images/{name}.png"),
                video_frame: None,
                mask: None,
                depth: Some(DepthSource { path: format!("depth/{name}.png"), scale: unit }),
                normals: Some(format!("normals/{name}.png")),
                name,
                camera,
                camera_from_world: stand.camera_from_world,
                time: moving.then(|| f64::from(step) / FRAME_RATE),
                rig_camera: moving.then_some(index as u32),
                split: moving.then_some(if index == 0 { Split::Test } else { Split::Train }),
            });
        }
    }
    frames
}

/// Points under random pixels of random views, as structure from motion would find them.
fn sparse_points(options: &Options, frames: &[Frame], rays: &RayTable, world: &World) -> Vec<Point> {
    const PIXELS_PER_LOOK: usize = 64;
    let mut rng = rand_pcg::Pcg32::seed_from_u64(options.seed ^ 0x7061_7274);
    let pixels = options.width as usize * options.height as usize;
    let cameras =
        frames.len() / frames.last().map_or(1, |f| if f.time.is_some() { options.frames as usize } else { 1 });
    let mut points = Vec::with_capacity(options.points);
    // Of a picture that is all sky no point comes back, so the number of looks is bounded.
    let looks = 64 + 64 * options.points / PIXELS_PER_LOOK;
    for _ in 0..looks {
        if points.len() >= options.points {
            break;
        }
        let pose = &frames[rng.random_range(0..cameras)].camera_from_world;
        let chosen: Vec<usize> = (0..PIXELS_PER_LOOK).map(|_| rng.random_range(0..pixels)).collect();
        for (position, colour) in world.look(rays, pose, &chosen) {
            let position = [0, 1, 2].map(|k| f64::from(position[k]) + options.point_noise * normal_deviate(&mut rng));
            points.push(Point { position, colour });
        }
    }
    points.truncate(options.points);
    points
}

/// A number with the standard normal distribution (Box and Muller).
fn normal_deviate(rng: &mut rand_pcg::Pcg32) -> f64 {
    let (a, b): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

#[cfg(test)]
mod tests;
