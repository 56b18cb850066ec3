//! A walk around a scene: where the page begins looking from, and pictures for browsers that cannot draw.

use super::Published;
use crate::commands::render::orbit_cameras;
use crate::console::Console;
use crate::inputs::Scene as Splats;
use anyhow::{Context, Result, bail};
use nalgebra::{Point3, Vector3};
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::format;
use tessera_engine::datasets::format::tiles::{self, MANIFEST, Manifest, PageFiles, StartCamera};
use tessera_engine::datasets::format::volumetric::VideoFile;
use tessera_engine::datasets::image::{Image8, encode_jpeg};
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::render::{Painter as _, PathCamera, SplatPainter, orbit_of_points, scene_of_cloud, to_image};
use tessera_viewer::export::Scene;
use tessera_viewer::page::FirstView;
use tessera_viewer::renderer::{Gpu, MeshData, Renderer, Style, View};
use tessera_viewer::streamed::Surroundings;

/// Size of the pictures.
const SIZE: [u32; 2] = [640, 400];
/// Their quality as JPEG, 1 to 100.
const QUALITY: u8 = 80;
/// Larger scenes are drawn from coarser pages of their tree.
const MAX_PAINTED_SPLATS: u64 = 500_000;
/// The fewest cameras by which a circle's middle is found.
pub const MIN_CAMERAS: u32 = 8;

/// Cameras around a scene, and what draws it.
pub struct Orbit {
    cameras: Vec<PathCamera>,
    painter: Painter,
}

enum Painter {
    Splats(Box<SplatPainter>),
    Mesh(Box<Renderer>, Style),
    /// There is nothing to draw, or nothing to draw with.
    None,
}

impl Published {
    /// Places `count` cameras around the scene, and makes the first one the place to begin looking from, where the tiles are
    /// ours to change.
    ///
    /// # Errors
    /// When the scene cannot be read.
    pub fn orbit(&mut self, count: u32, console: &Console) -> Result<Orbit> {
        let mut orbit = match self.scene.clone() {
            Scene::Tiles(tiles) => self.around_splats(&tiles, count, console)?,
            Scene::Mesh(file) | Scene::Sequence(file) => self.around_mesh(&file, count, console)?,
            Scene::Moving(file) => self.around_moment(&file, count, console)?,
        };
        orbit.cameras.truncate(count as usize);
        Ok(orbit)
    }

    fn around_splats(&mut self, tiles: &Path, count: u32, console: &Console) -> Result<Orbit> {
        let orbit = self.around_cloud(painted_cloud(tiles)?, count, console);
        if self.is_temporary() {
            begin_at(tiles, &orbit.cameras)?;
        }
        Ok(orbit)
    }

    /// Around the first moment of a moving scene.
    fn around_moment(&mut self, file: &Path, count: u32, console: &Console) -> Result<Orbit> {
        let cloud = VideoFile::open(file)?.at(0.0)?;
        let (around, scene_from_world) = (Surroundings::of_splats(&cloud.means), cloud.scene_from_world);
        let orbit = self.around_cloud(cloud, count, console);
        let start = start(&orbit.cameras, &scene_from_world);
        self.view = start.zip(around).map(|((camera, up), Surroundings { bounds, near })| FirstView {
            camera,
            up,
            bounds,
            near,
        });
        Ok(orbit)
    }

    fn around_cloud(&mut self, cloud: SplatCloud, count: u32, console: &Console) -> Orbit {
        let scene = Splats { cloud, run: self.run.take() };
        if scene.cloud.is_empty() {
            return Orbit { cameras: Vec::new(), painter: Painter::None };
        }
        let cameras = orbit_cameras(&scene, count.max(MIN_CAMERAS), SIZE, console);
        let place = scene_of_cloud(&scene.cloud);
        let painter = Painter::Splats(Box::new(SplatPainter::of(scene.cloud, &place, self.background)));
        Orbit { cameras, painter }
    }

    /// Around a mesh, or the first of several moments.
    fn around_mesh(&mut self, file: &Path, count: u32, console: &Console) -> Result<Orbit> {
        let mesh = match self.mesh.take() {
            Some(mesh) => mesh,
            None => format::read_mesh(file)?.mesh,
        };
        let cameras = orbit_of_points(&mesh.positions, [0.0, 1.0, 0.0], count as usize, SIZE);
        if count == 0 {
            return Ok(Orbit { cameras, painter: Painter::None });
        }
        let gpu = match Gpu::headless() {
            Ok(gpu) => gpu,
            Err(error) => {
                console.warn(format_args!("no pictures for browsers without WebGPU: {error}"));
                return Ok(Orbit { cameras: Vec::new(), painter: Painter::None });
            }
        };
        let mut renderer = Renderer::new(&gpu);
        renderer.add_mesh(&MeshData::of(&mesh)?)?;
        let near = Surroundings::of_surfaces(&mesh.positions).map_or(Style::default().near, |around| around.near);
        let style = Style { background: self.background, near, ..Style::default() };
        Ok(Orbit { cameras, painter: Painter::Mesh(Box::new(renderer), style) })
    }
}

impl Orbit {
    /// How many pictures there will be.
    pub fn len(&self) -> usize {
        if matches!(self.painter, Painter::None) { 0 } else { self.cameras.len() }
    }

    /// Draws the pictures and hands each of them over as JPEG, until `stop`.
    ///
    /// # Errors
    /// When one cannot be drawn or encoded, as `take`, or because of `stop`.
    pub fn draw(&mut self, stop: &AtomicBool, mut take: impl FnMut(usize, Vec<u8>) -> Result<()>) -> Result<()> {
        for i in 0..self.len() {
            if stop.load(Ordering::Relaxed) {
                bail!("interrupted; nothing was written");
            }
            let picture = self.picture(i)?;
            take(i, encode_jpeg(&picture, QUALITY).context("a picture cannot be encoded")?)?;
        }
        Ok(())
    }

    fn picture(&mut self, index: usize) -> Result<Image8> {
        let PathCamera { camera, camera_from_world, .. } = self.cameras[index].clone();
        match &mut self.painter {
            Painter::Splats(painter) => {
                let view = painter.view(&camera, &camera_from_world)?;
                Ok(to_image(painter.paint(&view)))
            }
            Painter::Mesh(renderer, style) => {
                let picture = renderer.picture(&View { camera, camera_from_world }, style)?;
                Ok(Image8 { width: picture.width, height: picture.height, channels: 3, data: picture.rgb })
            }
            Painter::None => bail!("there is nothing to draw"),
        }
    }
}

/// All splats of a small scene, those of coarser pages of a large one.
fn painted_cloud(tiles: &Path) -> Result<SplatCloud> {
    let manifest = tiles::open_manifest(tiles)?;
    if manifest.header.count <= MAX_PAINTED_SPLATS {
        return Ok(format::read_splats(tiles)?);
    }
    let mut files = PageFiles::beside(tiles);
    let mut cloud = manifest.header.empty_cloud(MAX_PAINTED_SPLATS as usize);
    for node in coarse_cut(&manifest) {
        let bytes = files.read(&manifest, node)?;
        let page = manifest.decode_page(node, &bytes);
        cloud.append(&page.map_err(|error| anyhow::anyhow!("{}: page {node} {error}", tiles.display()))?);
    }
    Ok(cloud)
}

/// Nodes that show everything with at most [`MAX_PAINTED_SPLATS`]: the coarsest are refined first.
fn coarse_cut(manifest: &Manifest) -> Vec<u32> {
    let tree = &manifest.tree;
    let splats = |node: u32| u64::from(tree.node(node).splats);
    // Errors are not negative, so their bits are in their order.
    let entry = |node: u32| (tree.node(node).error.to_bits(), node);
    let mut cut = Vec::new();
    let mut coarse = BinaryHeap::from([entry(0)]);
    let mut total = splats(0);
    while let Some((_, node)) = coarse.pop() {
        let children = tree.node(node).children.clone();
        let finer = total - splats(node) + children.clone().map(splats).sum::<u64>();
        if children.is_empty() || finer > MAX_PAINTED_SPLATS {
            cut.push(node);
        } else {
            total = finer;
            coarse.extend(children.map(entry));
        }
    }
    cut
}

/// Makes the manifest say where to begin looking from: from the first of a circle of cameras.
///
/// # Errors
/// When the manifest cannot be read or written.
pub fn begin_at(tiles: &Path, orbit: &[PathCamera]) -> Result<()> {
    let mut manifest = tiles::open_manifest(tiles)?;
    let Some((camera, up)) = start(orbit, &manifest.header.scene_from_world) else { return Ok(()) };
    (manifest.camera, manifest.up) = (Some(camera), Some(up));
    let path = tiles.join(MANIFEST);
    std::fs::write(&path, manifest.to_json()).with_context(|| format!("{}: cannot be written", path.display()))
}

/// How far ahead of the first camera of a circle lies what all of them look at.
pub fn distance_ahead(orbit: &[PathCamera]) -> Option<f64> {
    let positions = || orbit.iter().map(|camera| camera.camera_from_world.inverse().translation.vector);
    let middle = positions().sum::<Vector3<f64>>() / orbit.len() as f64;
    let pose = orbit.first()?.camera_from_world.inverse();
    let forward = pose.rotation * Vector3::z();
    // The middle lies level with the camera, what is looked at on the axis below or above it.
    let across = middle - pose.translation.vector;
    Some((across.norm_squared() / forward.dot(&across).abs().max(1e-9)).max(1e-6))
}

/// The first camera of an orbit, and up, in stored coordinates.
fn start(orbit: &[PathCamera], scene_from_world: &Similarity) -> Option<(StartCamera, [f32; 3])> {
    let first = orbit.first()?;
    let ups = orbit.iter().map(|camera| camera.camera_from_world.inverse().rotation * -Vector3::y());
    let up = ups.sum::<Vector3<f64>>();
    let pose = first.camera_from_world.inverse();
    let (eye, forward) = (pose.translation.vector, pose.rotation * Vector3::z());
    let target = eye + forward * distance_ahead(orbit)?;
    let stored = |point: Vector3<f64>| (scene_from_world * Point3::from(point)).coords.map(|c| c as f32).into();
    let lens = &first.camera.lens;
    let fov_y = 2.0 * (0.5 * f64::from(first.camera.height) / lens.focal[1]).atan();
    let up = (scene_from_world.isometry.rotation * up).try_normalize(1e-9)?;
    let camera = StartCamera { position: stored(eye), target: stored(target), fov_y: fov_y as f32 };
    Some((camera, up.map(|c| c as f32).into()))
}
