//! Scenes made ready for the web page: as tiles, with a place to begin looking from, and pictures for browsers that cannot draw.

use crate::commands::render::orbit_cameras;
use crate::console::Console;
use crate::inputs::{Run, Scene, scene_file};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::count;
use anyhow::{Context, Result, bail};
use nalgebra::{Point3, Vector3};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tempfile::TempDir;
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::format::stream::{CHUNK_SPLATS, SplatSource};
use tessera_engine::datasets::format::tiles::{self, MANIFEST, PageFiles, StartCamera};
use tessera_engine::datasets::format::{self, Existing, WriteOptions};
use tessera_engine::datasets::image::encode_jpeg;
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::render::{PathCamera, SplatPainter, scene_of_cloud, to_image};

/// Size of the pictures for browsers that cannot draw.
const PICTURE_SIZE: [u32; 2] = [640, 400];
/// Their quality as JPEG, 1 to 100.
const PICTURE_QUALITY: u8 = 80;
/// Larger scenes are drawn from the coarsest page of their tree in these pictures.
const MAX_PAINTED_SPLATS: u64 = 500_000;

/// A scene as tiles.
#[derive(Debug)]
pub struct Published {
    /// What it is called.
    pub title: String,
    /// The folder with the tiles.
    pub tiles: PathBuf,
    run: Option<Run>,
    /// Where the tiles were made, if they were.
    temporary: Option<TempDir>,
}

impl Published {
    /// Takes a run folder, a splat file or tiles; what is not tiles becomes tiles in a temporary folder.
    ///
    /// # Errors
    /// When there is no scene at `path`, it cannot be read, or the disk refuses.
    pub fn prepare(path: &Path, title: Option<&str>, console: &Console) -> Result<Self> {
        let run = Run::find(path)?;
        let title = title.map_or_else(|| name_of(path), str::to_owned);
        if run.is_none() && path.join(MANIFEST).is_file() {
            tiles::open_manifest(path)?;
            return Ok(Self { title, tiles: path.to_owned(), run, temporary: None });
        }
        let file = scene_file(path, run.is_some())?;
        let temporary =
            tempfile::Builder::new().prefix("tessera-").tempdir().context("no temporary folder can be made")?;
        let tiles = temporary.path().join("scene.tiles");
        let mut source = format::open_splats(&file)?;
        let total = source.header().count;
        console.note(format_args!("arranging {} splats in levels of detail", count(u128::from(total))));
        let mut progress = Progress::new(console, "reading");
        write_tiles(source.as_mut(), &tiles, |done| {
            progress.update(done, total, || format!("{} splats", count(u128::from(done))));
        })?;
        let published = Self { title, tiles, run, temporary: Some(temporary) };
        Ok(published)
    }

    /// Draws `count` pictures around the scene, as JPEG, and makes the first one's camera the place to begin looking from,
    /// where the tiles are ours to change.
    ///
    /// # Errors
    /// When the scene cannot be read or the user wants no more.
    pub fn orbit(&mut self, count: u32, console: &Console) -> Result<Vec<Vec<u8>>> {
        let scene = Scene { cloud: self.painted_cloud()?, run: self.run.take() };
        if scene.cloud.is_empty() {
            return Ok(Vec::new());
        }
        let cameras = orbit_cameras(&scene, count.max(8), PICTURE_SIZE, console);
        if self.temporary.is_some() {
            begin_at(&self.tiles, &cameras)?;
        }
        let mut painter = SplatPainter::new(&scene.cloud, &scene_of_cloud(&scene.cloud), scene.background());
        let mut progress = Progress::new(console, "pictures");
        let cameras = &cameras[..cameras.len().min(count as usize)];
        interrupt::stoppable(|stop| {
            let mut pictures = Vec::new();
            for (i, camera) in cameras.iter().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    bail!("interrupted; nothing was written");
                }
                let view = painter.view(&camera.camera, &camera.camera_from_world)?;
                let picture = to_image(painter.paint(&view));
                pictures.push(encode_jpeg(&picture, PICTURE_QUALITY).context("a picture cannot be encoded")?);
                progress.count(i + 1, cameras.len());
            }
            Ok(pictures)
        })
    }

    /// All splats of a small scene, the coarsest page of a large one.
    fn painted_cloud(&self) -> Result<SplatCloud> {
        let manifest = tiles::open_manifest(&self.tiles)?;
        if manifest.header.count <= MAX_PAINTED_SPLATS {
            return Ok(format::read_splats(&self.tiles)?);
        }
        let bytes = PageFiles::beside(&self.tiles).read(&manifest, 0)?;
        manifest.decode_page(0, &bytes).map_err(|error| anyhow::anyhow!("{}: {error}", self.tiles.display()))
    }
}

/// Writes splats as tiles; `read` is told how many have been read so far.
///
/// # Errors
/// When they cannot be read or written.
pub fn write_tiles(source: &mut dyn SplatSource, tiles: &Path, mut read: impl FnMut(u64)) -> Result<()> {
    let header = source.header().clone();
    let mut sink = format::create_splats(tiles, &header, &WriteOptions::default(), Existing::Keep)?;
    let mut chunk = header.empty_cloud(CHUNK_SPLATS);
    let mut done = 0;
    while source.next_chunk(&mut chunk)? {
        sink.put(&chunk)?;
        done += chunk.len() as u64;
        read(done);
    }
    Ok(sink.finish()?)
}

/// Makes the manifest say where to begin looking from.
fn begin_at(tiles: &Path, orbit: &[PathCamera]) -> Result<()> {
    let mut manifest = tiles::open_manifest(tiles)?;
    let Some((camera, up)) = start(orbit, &manifest.header.scene_from_world) else { return Ok(()) };
    (manifest.camera, manifest.up) = (Some(camera), Some(up));
    let path = tiles.join(MANIFEST);
    std::fs::write(&path, manifest.to_json()).with_context(|| format!("{}: cannot be written", path.display()))
}

/// The first camera of an orbit, and up, in stored coordinates.
fn start(orbit: &[PathCamera], scene_from_world: &Similarity) -> Option<(StartCamera, [f32; 3])> {
    let poses = || orbit.iter().map(|camera| camera.camera_from_world.inverse());
    let first = orbit.first()?;
    let n = orbit.len() as f64;
    let middle = poses().map(|pose| pose.translation.vector).sum::<Vector3<f64>>() / n;
    let up = poses().map(|pose| pose.rotation * -Vector3::y()).sum::<Vector3<f64>>();
    let pose = first.camera_from_world.inverse();
    let (eye, forward) = (pose.translation.vector, pose.rotation * Vector3::z());
    let target = eye + forward * forward.dot(&(middle - eye)).abs().max(1e-6);
    let stored = |point: Vector3<f64>| (scene_from_world * Point3::from(point)).coords.map(|c| c as f32).into();
    let lens = &first.camera.lens;
    let fov_y = 2.0 * (0.5 * f64::from(first.camera.height) / lens.focal[1]).atan();
    let up = (scene_from_world.isometry.rotation * up).try_normalize(1e-9)?;
    let camera = StartCamera { position: stored(eye), target: stored(target), fov_y: fov_y as f32 };
    Some((camera, up.map(|c| c as f32).into()))
}

/// `scene.ply` of the run `fox` is called fox.
fn name_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match folder {
        Some(folder) if stem == "scene" => folder,
        _ => stem,
    }
}
