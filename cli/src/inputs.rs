//! What commands are given: scenes, and captures with their remarks.

use crate::args::Skipping;
use crate::console::Console;
use crate::report::{bytes, count, count_of};
use crate::settings::{self, Settings};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use tessera_engine::blocks::{TILES_FOLDER, find_points};
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::format::stream::{SplatHeader, collect};
use tessera_engine::datasets::format::{self, SplatFormat};
use tessera_engine::datasets::scene::{Mesh, SplatCloud};
use tessera_engine::rbf::radiance::RADIANCE_FILE;
use tessera_engine::surface::{MESH_FILE, SURFACE_FILE, Surface};
use tessera_engine::target::DEFAULT_BACKGROUND;
use tessera_engine::train::{RunConfig, RunFolder, available_memory};
use tessera_engine::volumetric_video::MOVING_SCENE;

/// The file in a run folder that holds its splats.
pub const RUN_SCENE: &str = "scene.ply";

/// The folder in a run folder for poses that were found for photos or a video.
pub const FOUND_POSES: &str = "capture";

/// Splats from a file or a run folder, which also knows how they were trained.
#[derive(Debug)]
pub struct Scene {
    pub cloud: SplatCloud,
    pub run: Option<Run>,
}

/// How a scene was trained.
#[derive(Debug)]
pub struct Run {
    pub folder: PathBuf,
    pub config: RunConfig,
    pub settings: Settings,
}

impl Scene {
    /// Reads the splats at `path`.
    ///
    /// # Errors
    /// When it is neither a run folder with a scene nor a splat file.
    pub fn open(path: &Path) -> Result<Self> {
        let run = Run::of(path)?;
        if let Some(run) = run.as_ref().filter(|run| !run.is_splats()) {
            bail!(
                "{}: holds {}, not splats; draw it with tessera render, make a mesh of it with tessera mesh, measure it with tessera eval, \
                 or look at it with tessera view",
                path.display(),
                match run.settings {
                    Settings::Surface(_) => "a surface",
                    Settings::Video(_) => "a moving scene",
                    _ => "radiance",
                }
            );
        }
        let file = scene_file(path, run.is_some())?;
        Ok(Self { cloud: read_whole(&file)?, run })
    }

    /// The colour behind it: that of its run, else as is usual.
    pub fn background(&self) -> [f32; 3] {
        self.settings().map_or(DEFAULT_BACKGROUND, Settings::background)
    }

    /// The settings of its run.
    pub fn settings(&self) -> Option<&Settings> {
        self.run.as_ref().map(|run| &run.settings)
    }
}

impl Run {
    /// Where its posed photos are: poses that were found for photos lie in the run folder itself.
    pub fn capture(&self) -> PathBuf {
        let found = self.folder.join(FOUND_POSES);
        if found.is_dir() { found } else { self.config.capture.clone() }
    }

    /// Opens its posed photos as it was trained on them: if without bad ones, they are left out again.
    ///
    /// # Errors
    /// When they have been moved or damaged since.
    pub fn open_capture(&self) -> tessera_engine::datasets::Result<Capture> {
        Skipping { skip_bad: self.config.skip_bad }.open(&self.capture())
    }

    /// Whether it becomes splats that do not move.
    pub fn is_splats(&self) -> bool {
        matches!(self.settings, Settings::Splats(_) | Settings::Blocks(_) | Settings::Anchors(_))
    }

    /// The levels of detail that a run of blocks leaves, when they are there.
    pub fn tiles(&self) -> Option<PathBuf> {
        let tiles = self.folder.join(TILES_FOLDER);
        (matches!(self.settings, Settings::Blocks(_) | Settings::Anchors(_)) && tiles.is_dir()).then_some(tiles)
    }

    /// Whether it trains a surface.
    pub fn is_surface(&self) -> bool {
        matches!(self.settings, Settings::Surface(_))
    }

    /// The run whose folder or whose scene `path` is, if there is one.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let is_scene = path.is_file() && path.file_name().is_some_and(|name| name == RUN_SCENE);
        let folder = path.parent().filter(|_| is_scene).unwrap_or(path);
        // The parent of a name alone is empty.
        Self::find(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
    }

    /// The run in the folder `path`, if there is one.
    ///
    /// # Errors
    /// When its configuration is damaged.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        if !RunFolder::is_at(path) {
            return Ok(None);
        }
        let config = RunFolder::read_config(path)?;
        let settings = settings::of_run(&config, path)?;
        Ok(Some(Self { folder: path.to_owned(), config, settings }))
    }
}

/// Reads all splats of a file into memory.
///
/// # Errors
/// When there is no room for them, or the file is damaged.
pub fn read_whole(file: &Path) -> Result<SplatCloud> {
    let mut source = format::open_splats(file)?;
    check_room(file, source.header(), available_memory().map(|memory| memory.free))?;
    Ok(collect(source.as_mut())?)
}

/// An error when a scene is larger than the memory that is free, where that is known.
fn check_room(file: &Path, header: &SplatHeader, free: Option<u64>) -> Result<()> {
    let values = 14 + 3 * SplatCloud::rest_coefficients(header.sh_degree) as u64;
    let needed = header.count.saturating_mul(4 * values);
    let Some(free) = free.filter(|&free| needed > free) else { return Ok(()) };
    bail!(
        "{}: has {} splats, for which {} of memory are needed and {} are free; make a streamed scene of it, which is read as far as \
         it is seen (tessera convert {0} scene.tiles)",
        file.display(),
        count(u128::from(header.count)),
        bytes(needed),
        bytes(free)
    )
}

/// The surface of a run.
///
/// # Errors
/// When it is of another method, not finished, or damaged.
pub fn open_surface(run: &Run) -> Result<Surface> {
    let name = run.folder.display();
    if !run.is_surface() {
        bail!("{name}: was trained with --method {}; a mesh needs a run of --method surface", run.config.method);
    }
    let file = run.folder.join(SURFACE_FILE);
    if !file.is_file() {
        bail!("{name}: holds a run that has no {SURFACE_FILE} yet; complete it with --resume");
    }
    Ok(Surface::read(&file)?)
}

/// The splat file or mesh that `path` stands for.
pub fn scene_file(path: &Path, is_run: bool) -> Result<PathBuf> {
    let name = path.display();
    // Some formats are folders.
    if !path.is_dir() || (!is_run && SplatFormat::to_read(path).is_ok()) {
        return Ok(path.to_owned());
    }
    let files = [RUN_SCENE, MOVING_SCENE, RADIANCE_FILE, MESH_FILE].map(|name| path.join(name));
    match (is_run, files.into_iter().find(|file| file.is_file())) {
        (true, Some(file)) => Ok(file),
        (true, None) => bail!("{name}: holds a run that has no {RUN_SCENE} yet; complete it with --resume"),
        (false, _) => bail!("{name}: is a folder but no run folder; name a run folder or a splat file"),
    }
}

/// Where up is in a mesh: along y by custom. Clouds of points are made by structure from motion, where y points down, but in glTF.
pub fn up_of_mesh(mesh: &Mesh, file: &Path) -> [f64; 3] {
    let extension = file.extension().unwrap_or_default();
    let is_gltf = ["glb", "gltf"].iter().any(|gltf| extension.eq_ignore_ascii_case(gltf));
    let is_down = mesh.triangles.is_empty() && !is_gltf;
    [0.0, if is_down { -1.0 } else { 1.0 }, 0.0]
}

/// Finds points for a capture that is to be divided into blocks and has none, and says so.
///
/// # Errors
/// When none can be found.
pub fn complete_points(capture: &mut Capture, settings: &Settings, console: &Console) -> Result<()> {
    let test_every = match settings {
        Settings::Blocks(config) => config.splats.test_every,
        Settings::Anchors(config) => config.test_every,
        _ => return Ok(()),
    };
    if let Some(found) = find_points(capture, test_every)? {
        let found = count(found as u128);
        console.note(format_args!("the capture has no sparse points: a plane sweep over its photos found {found}"));
    }
    Ok(())
}

/// Opens a posed capture and says what it is.
///
/// # Errors
/// When it is not in any layout that we know, or damaged.
pub fn open_capture(path: &Path, skipping: Skipping, console: &Console) -> Result<Capture> {
    let capture = skipping.open(path)?;
    console.note(describe(&capture));
    capture.warnings.iter().for_each(|warning| console.warn(warning));
    Ok(capture)
}

/// A capture in one line.
pub fn describe(capture: &Capture) -> String {
    let photos = count_of(capture.frames.len(), "photo", "photos");
    let points = match capture.points.len() {
        0 => "no points".to_owned(),
        n => format!("{} points", count(n as u128)),
    };
    format!("{}: {}, {photos}, {points}", capture.name, capture.layout)
}

/// Bytes of a scene that was written: of all its files, or of the folder that it describes.
pub fn size_of_scene(path: &Path, format: SplatFormat) -> u64 {
    format.places(path).iter().map(|place| size_of(place)).sum()
}

/// Bytes of a file, or of all files in a folder.
pub fn size_of(path: &Path) -> u64 {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => std::fs::read_dir(path).map_or(0, |entries| entries.flatten().map(|e| size_of(&e.path())).sum()),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_larger_than_memory_is_a_sentence_with_a_way_out() {
        let cloud = SplatCloud::with_capacity(0, 3);
        let header = SplatHeader { count: 10_000_000, ..SplatHeader::of(&cloud) };
        let file = Path::new("large.ply");
        assert!(check_room(file, &header, None).is_ok(), "what is not known is tried");
        assert!(check_room(file, &header, Some(2_360_000_000)).is_ok(), "59 numbers of 4 bytes each");
        let said = check_room(file, &header, Some(2_359_999_999)).expect_err("too large").to_string();
        for part in ["large.ply: has 10,000,000 splats", "are free", "tessera convert large.ply scene.tiles"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
