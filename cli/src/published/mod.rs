//! Scenes made ready for the web page: splats as tiles, meshes as GLB, those of several moments as one that plays, moving scenes as they are, with a place to begin looking
//! from, and pictures for browsers that cannot draw.

mod fitted;
mod orbit;

use crate::console::Console;
use crate::inputs::{Run, scene_file, up_of_mesh};
use crate::progress::Progress;
use crate::report::count;
use crate::sequences;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tessera_engine::datasets::format::stream::{CHUNK_SPLATS, SplatSource};
use tessera_engine::datasets::format::tiles::{self, MANIFEST};
use tessera_engine::datasets::format::volumetric::{VideoFile, is_video_scene_name};
use tessera_engine::datasets::format::{self, Contents, Existing, WriteOptions};
use tessera_engine::datasets::scene::Mesh;
use tessera_engine::rbf::file::RbfFile;
use tessera_viewer::export::Scene;
use tessera_viewer::page::{FirstView, MESH, MOVING, SEQUENCE};

pub use orbit::{MIN_CAMERAS, Orbit, begin_at, distance_ahead};

/// Behind scenes of which it is not known what they were trained on: the ground of the page.
const DARK: [f32; 3] = [0.05, 0.06, 0.07];

/// What users say about the page; nothing for what is usual.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// What the scene is called.
    pub title: Option<String>,
    /// What is behind it.
    pub background: Option<[f32; 3]>,
}

/// A scene as the page takes it.
#[derive(Debug)]
pub struct Published {
    /// What it is called.
    pub title: String,
    /// Where it is.
    pub scene: Scene,
    /// Behind it.
    pub background: [f32; 3],
    /// Where to begin looking from, of a moving scene; known once there are cameras around it.
    pub view: Option<FirstView>,
    run: Option<Run>,
    mesh: Option<Mesh>,
    /// Where it was made, if it was.
    temporary: Option<TempDir>,
}

impl Published {
    /// Takes a run folder, a file with splats, a moving scene, a mesh or points, meshes of several moments, a fitted shape or picture, tiles, or
    /// an exported folder; what is not yet as the page takes it becomes so in a temporary folder.
    ///
    /// # Errors
    /// When there is no scene at `path`, it cannot be read, or the disk refuses.
    pub fn prepare(path: &Path, look: &Look, console: &Console) -> Result<Self> {
        let run = Run::of(path)?;
        let title = look.title.clone().unwrap_or_else(|| name_of(path));
        let of_run = run.as_ref().map(|run| run.settings.background());
        let background = look.background.or(of_run).unwrap_or(DARK);
        let published = Self {
            title,
            scene: Scene::Tiles(path.to_owned()),
            background,
            view: None,
            run,
            mesh: None,
            temporary: None,
        };
        if published.run.is_none() && path.join(MANIFEST).is_file() {
            tiles::open_manifest(path)?;
            return Ok(published);
        }
        if let Some(tiles) = published.run.as_ref().filter(|_| path.is_dir()).and_then(Run::tiles) {
            return Ok(Self { scene: Scene::Tiles(tiles), ..published });
        }
        if is_exported(path, MESH) {
            return Ok(Self { scene: Scene::Mesh(path.join(MESH)), ..published });
        }
        if is_exported(path, SEQUENCE) {
            return Ok(Self { scene: Scene::Sequence(path.join(SEQUENCE)), ..published });
        }
        if is_exported(path, MOVING) {
            return Ok(Self { scene: Scene::Moving(path.join(MOVING)), ..published });
        }
        let temporary = tempfile::Builder::new().prefix("tessera-").tempdir();
        let temporary = temporary.context("no temporary folder can be made")?;
        if let Some(sequence) = sequences::find(path, published.run.as_ref())? {
            let glb = temporary.path().join(SEQUENCE);
            sequences::animate(&sequence, None, &glb, Existing::Keep, console, |mesh| mesh)?;
            return Ok(Self { scene: Scene::Sequence(glb), temporary: Some(temporary), ..published });
        }
        let file = scene_file(path, published.run.is_some())?;
        let (scene, mesh) = match is_video_scene_name(&file) {
            true => (moving(&file, temporary.path())?, None),
            false => still(&file, temporary.path(), console)?,
        };
        Ok(Self { scene, mesh, temporary: Some(temporary), ..published })
    }

    /// The folder with all of its files.
    pub fn folder(&self) -> &Path {
        match &self.scene {
            Scene::Tiles(tiles) => tiles,
            Scene::Mesh(file) | Scene::Sequence(file) | Scene::Moving(file) => file.parent().unwrap_or(file),
        }
    }

    /// Whether its folder is ours to change.
    pub fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }
}

/// A moving scene, alone in a folder: nothing else of where it lies is to be served.
fn moving(file: &Path, folder: &Path) -> Result<Scene> {
    VideoFile::open(file)?;
    let alone = folder.join(MOVING);
    // Another name of the same file, where the file system has such; a copy elsewhere.
    let linked = std::fs::hard_link(file, &alone).or_else(|_| std::fs::copy(file, &alone).map(drop));
    linked.with_context(|| format!("{}: cannot be copied to {}", file.display(), alone.display()))?;
    Ok(Scene::Moving(alone))
}

/// A scene that does not move, as tiles or as GLB in a folder; its mesh, if it is one.
fn still(file: &Path, folder: &Path, console: &Console) -> Result<(Scene, Option<Mesh>)> {
    let mesh = match RbfFile::is_named(file) {
        true => Some(fitted::baked(file, console)?),
        false => read(file, console)?,
    };
    let Some(mesh) = mesh else {
        let tiles = folder.join("scene.tiles");
        arrange(file, &tiles, console)?;
        return Ok((Scene::Tiles(tiles), None));
    };
    let glb = folder.join(MESH);
    format::write_mesh(&glb, &mesh, Existing::Keep)
        .with_context(|| format!("{}: cannot be shown on a page", file.display()))?;
    Ok((Scene::Mesh(glb), Some(mesh)))
}

/// The mesh or the points in a file, with y upwards; `None` for splats.
fn read(file: &Path, console: &Console) -> Result<Option<Mesh>> {
    match Contents::of(file)? {
        Contents::Splats => Ok(None),
        Contents::Mesh | Contents::Points => {
            let mut read = format::read_mesh(file)?;
            if up_of_mesh(&read.mesh, file)[1] < 0.0 {
                stand_up(&mut read.mesh);
            }
            read.warnings.iter().for_each(|warning| console.warn(format_args!("{}: {warning}", file.display())));
            Ok(Some(read.mesh))
        }
    }
}

/// Half a turn about x: pages have y upwards, as glTF does.
fn stand_up(mesh: &mut Mesh) {
    for [_, y, z] in mesh.positions.iter_mut().chain(&mut mesh.normals) {
        (*y, *z) = (-*y, -*z);
    }
}

/// A colour as the page takes it.
pub fn page_colour(colour: [f32; 3]) -> [u8; 3] {
    colour.map(|value| (255.0 * value.clamp(0.0, 1.0)).round() as u8)
}

/// Whether this is a folder that `tessera export` wrote for a scene in a file of this name.
fn is_exported(path: &Path, scene: &str) -> bool {
    path.join("index.html").is_file() && path.join(scene).is_file()
}

/// Writes the splats of a file as tiles.
fn arrange(file: &Path, tiles: &Path, console: &Console) -> Result<()> {
    let mut source = format::open_splats(file)?;
    let total = source.header().count;
    console.note(format_args!("arranging {} splats in levels of detail", count(u128::from(total))));
    let mut progress = Progress::new(console, "reading");
    write_tiles(source.as_mut(), tiles, |done| {
        progress.update(done, total, || format!("{} splats", count(u128::from(done))));
    })
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

/// `scene.ply` of the run `fox` is called fox.
fn name_of(path: &Path) -> String {
    let path: PathBuf = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match folder {
        Some(folder) if stem == "scene" => folder,
        _ => stem,
    }
}
