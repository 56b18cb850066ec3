//! What the window is given to show, as plain data: it opens no files itself.

use crate::moving::Moments;
use crate::renderer::{FieldScene, MeshData};
use crate::streamed::Surroundings;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tessera_datasets::camera::{Camera, Pose};
use tessera_datasets::format::tiles::Manifest;
use tessera_datasets::format::volumetric::{SegmentPage, VideoManifest};
use tessera_datasets::image::Image8;
use tessera_datasets::scene::{Mesh, MovingSplats, SplatCloud};

/// A scene.
#[derive(Clone, Debug)]
pub struct Content {
    /// For the window's title.
    pub name: String,
    /// Splats, if there are any.
    pub cloud: Option<SplatCloud>,
    /// Splats at many levels of detail, read as views need them. They can be looked at but not edited.
    pub streamed: Option<Streamed>,
    /// Splats that move, read as they are seen. They can be looked at but not edited.
    pub moving: Option<Moving>,
    /// Meshes of several moments, read as they are seen.
    pub meshes: Option<MovingMesh>,
    /// Mesh or point cloud, if there is one.
    pub mesh: Option<Mesh>,
    /// Fitted shape or picture, if there is one.
    pub field: Option<Arc<FieldScene>>,
    /// Photos that it was made from.
    pub photos: Vec<Photo>,
    /// sRGB colour behind it.
    pub background: [f32; 3],
    /// Where the camera stands at first.
    pub start: Pose,
    /// How far ahead of it lies what it turns about, where that is known.
    pub distance: Option<f64>,
    /// Vertical angle of view at first, radians.
    pub fov: f64,
    /// Upwards in the world.
    pub up: [f64; 3],
}

impl Content {
    /// Where most of it is; none of an empty scene.
    pub fn surroundings(&self) -> Option<Surroundings> {
        let splats = self.cloud.as_ref().and_then(|cloud| Surroundings::of_splats(&cloud.means));
        let streamed = || self.streamed.as_ref().and_then(|streamed| streamed.surroundings);
        let moving = || self.moving.as_ref().and_then(|moving| moving.surroundings);
        let meshes = || self.meshes.as_ref().and_then(|meshes| meshes.surroundings);
        let surfaces = || self.mesh.as_ref().and_then(|mesh| Surroundings::of_surfaces(&mesh.positions));
        let field = || self.field.as_ref().and_then(|field| Surroundings::of_surfaces(&field.bounds()));
        splats.or_else(streamed).or_else(moving).or_else(meshes).or_else(surfaces).or_else(field)
    }

    /// Whether it is a picture, which is shifted and not turned.
    pub fn is_flat(&self) -> bool {
        self.field.as_deref().is_some_and(|field| matches!(field, FieldScene::Picture(_)))
    }
}

/// A scene whose pages stay where they are until a view needs them.
#[derive(Clone)]
pub struct Streamed {
    /// What is known of it.
    pub manifest: Manifest,
    /// Where most of it is; none of a scene without splats.
    pub surroundings: Option<Surroundings>,
    /// Reads the page of a node.
    pub read: ReadPage,
}

/// The bytes of a node's page, or why they cannot be had.
pub type ReadPage = Arc<dyn Fn(u32) -> Result<Vec<u8>, String> + Send + Sync>;

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").field("header", &self.manifest.header).finish_non_exhaustive()
    }
}

/// A moving scene whose pages stay where they are until they are seen.
#[derive(Clone)]
pub struct Moving {
    /// What is known of it.
    pub manifest: VideoManifest,
    /// Where most of it is at the moment that is shown first; none of a scene without splats.
    pub surroundings: Option<Surroundings>,
    /// The moment that is shown first, seconds after the first frame.
    pub start: f64,
    /// Reads a page of the manifest.
    pub read: ReadMoving,
}

/// The splats of a page, or why they cannot be had.
pub type ReadMoving = Arc<dyn Fn(&SegmentPage) -> Result<MovingSplats, String> + Send + Sync>;

impl fmt::Debug for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moving").field("timeline", &self.manifest.timeline).finish_non_exhaustive()
    }
}

/// Meshes of several moments, each of which stays where it is until it is seen.
#[derive(Clone)]
pub struct MovingMesh {
    /// When they are seen.
    pub moments: Moments,
    /// Where they are; none of meshes without vertices.
    pub surroundings: Option<Surroundings>,
    /// What is shown first, seconds after the first moment.
    pub start: f64,
    /// Reads the mesh of a moment by its number.
    pub read: ReadMoment,
}

/// The mesh of a moment, or why it cannot be had.
pub type ReadMoment = Arc<dyn Fn(u32) -> Result<MeshData, String> + Send + Sync>;

impl fmt::Debug for MovingMesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MovingMesh").field("timeline", &self.moments.timeline).finish_non_exhaustive()
    }
}

/// Decodes a photo when it is looked at.
pub type Decode = Arc<dyn Fn() -> Result<Image8, String> + Send + Sync>;

/// A photo and the camera that took it.
#[derive(Clone)]
pub struct Photo {
    /// Its name in the capture.
    pub name: String,
    /// Lens and size.
    pub camera: Camera,
    /// Where it stood.
    pub camera_from_world: Pose,
    /// When it was taken: seconds after the first frame of a moving scene.
    pub time: Option<f64>,
    /// Its pixels.
    pub decode: Decode,
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Photo").field("name", &self.name).finish_non_exhaustive()
    }
}

/// News of a running training.
#[derive(Debug)]
pub enum Update {
    /// The splats as they are now; they replace those that are shown.
    Splats(SplatCloud),
    /// What is being done, in a line.
    Status(String),
}

/// What only the program around the window can do. Errors are sentences for people.
pub trait Host {
    /// Reads a scene.
    ///
    /// # Errors
    /// When it cannot be read.
    fn open(&mut self, path: &Path) -> Result<Content, String>;

    /// Writes splats; the extension names the format.
    ///
    /// # Errors
    /// When they cannot be written.
    fn save(&mut self, cloud: &SplatCloud, path: &Path) -> Result<(), String>;

    /// Writes a picture, `[height, width, 3]`.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save_picture(&mut self, picture: &Image8, path: &Path) -> Result<(), String>;

    /// Writes cameras for `tessera render --cameras`.
    ///
    /// # Errors
    /// When they cannot be written.
    fn save_cameras(&mut self, cameras: &[(Camera, Pose)], path: &Path) -> Result<(), String>;

    /// Begins a video of pictures of one size, or a folder of pictures when the name has no extension.
    ///
    /// # Errors
    /// When it cannot be written.
    fn begin_video(&mut self, size: [u32; 2], fps: u32, path: &Path) -> Result<Box<dyn Video>, String>;
}

/// A video that is being written. Dropped before it is finished, nothing of it is left.
pub trait Video {
    /// Adds a picture, `[height, width, 3]`.
    ///
    /// # Errors
    /// When it cannot be written.
    fn add(&mut self, picture: &Image8) -> Result<(), String>;

    /// Gives it its name.
    ///
    /// # Errors
    /// When it cannot be completed.
    fn finish(self: Box<Self>) -> Result<(), String>;
}

/// How the window starts.
pub struct Options {
    /// Width and height, pixels.
    pub size: [u32; 2],
    /// The scene.
    pub content: Content,
    /// News of a training, if one is running.
    pub updates: Option<Receiver<Update>>,
    /// Harmonics above this degree are ignored at first.
    pub sh_degree: u8,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("size", &self.size).field("content", &self.content.name).finish_non_exhaustive()
    }
}
