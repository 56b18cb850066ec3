//! What commands are given: scenes, and captures with their remarks.

use crate::console::Console;
use crate::report::{count, count_of};
use crate::settings::{self, Settings};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::format::{self, SplatFormat};
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::surface::{MESH_FILE, SURFACE_FILE, Surface};
use tessera_engine::target::DEFAULT_BACKGROUND;
use tessera_engine::train::{RunConfig, RunFolder};

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
        if run.as_ref().is_some_and(Run::is_surface) {
            bail!(
                "{}: holds a surface, not splats; make a mesh of it with tessera mesh, measure it with tessera eval, or look at it \
                 with tessera view",
                path.display()
            );
        }
        let file = scene_file(path, run.is_some())?;
        Ok(Self { cloud: format::read_splats(file)?, run })
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
    let files = [RUN_SCENE, MESH_FILE].map(|name| path.join(name));
    match (is_run, files.into_iter().find(|file| file.is_file())) {
        (true, Some(file)) => Ok(file),
        (true, None) => bail!("{name}: holds a run that has no {RUN_SCENE} yet; complete it with --resume"),
        (false, _) => bail!("{name}: is a folder but no run folder; name a run folder or a splat file"),
    }
}

/// Opens a posed capture and says what it is.
///
/// # Errors
/// When it is not in any layout that we know, or damaged.
pub fn open_capture(path: &Path, console: &Console) -> Result<Capture> {
    let capture = Capture::open(path)?;
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
