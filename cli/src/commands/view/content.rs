//! What is shown: splats, a mesh or points, the photos they were made from, and where the camera stands at first.

use crate::args::View as Arguments;
use crate::commands::render::{orbit_cameras, stated_cameras};
use crate::console::Console;
use crate::fitted::{self, UP};
use crate::inputs::{Run, Scene, read_whole, scene_file, up_of_mesh};
use crate::published::{MIN_CAMERAS, distance_ahead};
use crate::sequences;
use anyhow::{Result, bail};
use nalgebra::Vector3;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tessera_engine::blocks::TILES_FOLDER;
use tessera_engine::datasets::DataError;
use tessera_engine::datasets::camera::{Camera, Pose};
use tessera_engine::datasets::capture::{Capture, Frame};
use tessera_engine::datasets::format::tiles::{PageFiles, open_manifest};
use tessera_engine::datasets::format::volumetric::{SegmentPage, VideoFile, is_video_scene_name};
use tessera_engine::datasets::format::{self, Contents, MeshSequence, SplatFormat};
use tessera_engine::datasets::image::read_photo;
use tessera_engine::datasets::scene::{Mesh, SplatCloud, camera_from_scene};
use tessera_engine::rbf::file::RbfFile;
use tessera_engine::render::{PathCamera, orbit_of_points, orbit_past_photos};
use tessera_engine::target::DEFAULT_BACKGROUND;
use tessera_viewer::camera::looking_at;
use tessera_viewer::renderer::{FieldScene, MeshData};
use tessera_viewer::streamed::Surroundings;
use tessera_viewer::window::{Content, Moving, MovingMesh, Photo, Streamed};

/// Field of view of a camera that is given by where it stands, radians.
const FIELD_OF_VIEW: f64 = 0.9;

/// A scene with its first view.
pub struct Opened {
    /// For the window.
    pub shown: Content,
    /// The first view, as exactly as it was asked for.
    pub camera: Camera,
}

/// Opens a run folder, a splat file, a mesh, a point cloud, a fitted shape or picture.
pub fn open(path: &Path, args: &Arguments, console: &Console) -> Result<Opened> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    if RbfFile::is_named(path) {
        refuse_time(path, args)?;
        return of_fitted(path, None, name, args, console);
    }
    let run = Run::of(path)?;
    if let Some(sequence) = sequences::find(path, run.as_ref())? {
        return of_sequence(sequence, &photos_of(run.as_ref()), name, args, console);
    }
    if args.fps.is_some() {
        bail!("{}: holds no meshes of several moments, and --fps is for these", path.display());
    }
    let file = scene_file(path, run.is_some())?;
    if is_video_scene_name(&file) {
        return of_moving(&file, run, name, args, console);
    }
    refuse_time(&file, args)?;
    if RbfFile::is_named(&file) {
        return of_fitted(&file, run, name, args, console);
    }
    if SplatFormat::of(&file) == Some(SplatFormat::Tiles) {
        return of_tiles(&file, run_around(&file)?, name, args, console);
    }
    match Contents::of(&file)? {
        Contents::Splats => of_scene(Scene { cloud: read_whole(&file)?, run }, name, None, args, console),
        Contents::Mesh | Contents::Points => {
            let read = format::read_mesh(&file)?;
            read.warnings.iter().for_each(|warning| console.warn(format_args!("{}: {warning}", file.display())));
            let photos = photos_of(run.as_ref());
            let up = if photos.is_empty() { up_of_mesh(&read.mesh, &file) } else { common_up(&photos) };
            of_mesh(read.mesh, photos, name, up, args)
        }
    }
}

/// Splats, of which it may be known where up is.
fn of_scene(scene: Scene, name: String, up: Option<[f64; 3]>, args: &Arguments, console: &Console) -> Result<Opened> {
    // Splats are shown as they are stored; cameras of captures and files are placed in the world.
    let stored_from_world = scene.cloud.scene_from_world;
    let as_stored = |camera: PathCamera| {
        let camera_from_world = camera_from_scene(&stored_from_world, &camera.camera_from_world);
        PathCamera { camera_from_world, ..camera }
    };
    let mut photos = photos_of(scene.run.as_ref());
    for photo in &mut photos {
        photo.camera_from_world = camera_from_scene(&stored_from_world, &photo.camera_from_world);
    }
    let up = up.unwrap_or_else(|| common_up(&photos));
    let circle = |count| orbit_cameras(&scene, count, args.size, console).into_iter().map(as_stored).collect();
    let mut first = first_look(args, up, circle)?;
    if args.cameras.is_some() {
        first.camera = as_stored(first.camera);
    }
    let background = args.background.unwrap_or_else(|| scene.background());
    let shown = Shown { cloud: Some(scene.cloud), photos, ..Shown::default() };
    Ok(opened(name, shown, background, &first, up))
}

/// The run that left these levels of detail, where they still lie in its folder.
fn run_around(tiles: &Path) -> Result<Option<Run>> {
    match tiles.parent().filter(|_| tiles.file_name().is_some_and(|name| name == TILES_FOLDER)) {
        Some(folder) => Run::of(folder),
        None => Ok(None),
    }
}

/// A streamed scene: only its coarsest page is read here, to find a first view.
fn of_tiles(path: &Path, run: Option<Run>, name: String, args: &Arguments, console: &Console) -> Result<Opened> {
    let manifest = open_manifest(path)?;
    let mut files = PageFiles::beside(path);
    let bytes = files.read(&manifest, 0)?;
    let coarse = manifest
        .decode_page(0, &bytes)
        .map_err(|e| DataError::new(path, format!("its first page {e}")).remedy("copy or export the scene again"))?;
    let surroundings = Surroundings::of_splats(&coarse.means).map(|around| around.told(&manifest));
    let up = manifest.up.map(|up| up.map(f64::from));
    let mut opened = of_scene(Scene { cloud: coarse, run }, name, up, args, console)?;
    opened.shown.cloud = None;
    if let (Some(start), None, None) = (manifest.camera, args.camera, &args.cameras) {
        let [eye, target] = [start.position, start.target].map(|point| point.map(f64::from));
        opened.shown.start = looking_at(eye, target, opened.shown.up);
        opened.shown.distance = Some((Vector3::from(target) - Vector3::from(eye)).norm());
        opened.shown.fov = f64::from(start.fov_y);
        opened.camera = with_vertical_fov(args.size, opened.shown.fov);
    }
    let (pages, files) = (manifest.clone(), Mutex::new(files));
    let read = move |node| {
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        files.read(&pages, node).map_err(|error| error.to_string())
    };
    opened.shown.streamed = Some(Streamed { manifest, surroundings, read: Arc::new(read) });
    Ok(opened)
}

/// A moving scene: only what is seen first is read here, to find a first view.
fn of_moving(path: &Path, run: Option<Run>, name: String, args: &Arguments, console: &Console) -> Result<Opened> {
    let mut file = VideoFile::open(path)?;
    let manifest = file.manifest.clone();
    let (start, length) = (args.time.unwrap_or(0.0), manifest.timeline.duration());
    if !(0.0..=length).contains(&start) {
        bail!("{}: lasts {length:.2} seconds; --time {start} is not among them", path.display());
    }
    let cloud = file.at(start)?;
    let surroundings = Surroundings::of_splats(&cloud.means);
    let mut opened = of_scene(Scene { cloud, run }, name, None, args, console)?;
    opened.shown.cloud = None;
    for photo in &mut opened.shown.photos {
        photo.time = photo.time.map(|time| manifest.timeline.seconds_at(time));
    }
    let file = Mutex::new(file);
    let read = move |page: &SegmentPage| {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.read_page(page).map_err(|error| error.to_string())
    };
    opened.shown.moving = Some(Moving { manifest, surroundings, start, read: Arc::new(read) });
    Ok(opened)
}

/// Meshes of several moments: only some are read here, to find a first view.
fn of_sequence(
    sequence: MeshSequence,
    photos: &[Photo],
    name: String,
    args: &Arguments,
    console: &Console,
) -> Result<Opened> {
    let sequence = match args.fps {
        Some(rate) => sequence.at_rate(rate),
        None => sequence,
    };
    let (start, length) = (args.time.unwrap_or(0.0), sequence.end());
    if !(0.0..=length).contains(&start) {
        bail!("{}: lasts {length:.2} seconds; --time {start} is not among them", sequence.path().display());
    }
    let (count, rate) = (sequence.len(), sequence.timeline().frame_rate);
    console.note(format_args!("{count} meshes, {rate:.4} a second"));
    let places = sequence.places()?;
    let up = if photos.is_empty() { [0.0, 1.0, 0.0] } else { common_up(photos) };
    let first = first_look(args, up, |count| orbit_of_points(&places, up, count as usize, args.size))?;
    let background = args.background.unwrap_or(DEFAULT_BACKGROUND);
    let mut opened = opened(name, Shown::default(), background, &first, up);
    let (moments, surroundings) = (sequences::moments(&sequence), Surroundings::of_surfaces(&places));
    let read = move |moment: u32| {
        let read = sequence.read(moment as usize).map_err(|error| error.to_string())?;
        MeshData::of(&read.mesh).map_err(|error| error.to_string())
    };
    opened.shown.meshes = Some(MovingMesh { moments, surroundings, start, read: Arc::new(read) });
    Ok(opened)
}

fn refuse_time(path: &Path, args: &Arguments) -> Result<()> {
    if args.time.is_some() {
        bail!("{}: does not move; --time is for moving scenes", path.display());
    }
    Ok(())
}

fn with_vertical_fov([width, height]: [u32; 2], fov: f64) -> Camera {
    let across = f64::from(width) / f64::from(height) * (0.5 * fov).tan();
    Camera::from_horizontal_fov(width, height, 2.0 * across.atan())
}

/// The photos that a run was trained on, where they still are.
fn photos_of(run: Option<&Run>) -> Vec<Photo> {
    let capture = run.and_then(|run| run.open_capture().ok());
    capture.map_or_else(Vec::new, photos)
}

fn of_mesh(mesh: Mesh, photos: Vec<Photo>, name: String, up: [f64; 3], args: &Arguments) -> Result<Opened> {
    let first = first_look(args, up, |count| orbit_of_points(&mesh.positions, up, count as usize, args.size))?;
    let background = args.background.unwrap_or(DEFAULT_BACKGROUND);
    let shown = Shown { mesh: Some(mesh), photos, ..Shown::default() };
    Ok(opened(name, shown, background, &first, up))
}

/// A fitted field, seen from before it, or as the photos of its run suggest it.
fn of_fitted(path: &Path, run: Option<Run>, name: String, args: &Arguments, console: &Console) -> Result<Opened> {
    let of_run = run.as_ref().map(|run| run.settings.background());
    let background = args.background.or(of_run).unwrap_or(DEFAULT_BACKGROUND);
    let seen = fitted::open(path, console)?;
    let capture = run.as_ref().and_then(|run| run.open_capture().ok());
    let past_photos = |count: u32| {
        let capture = capture.as_ref()?;
        orbit_past_photos(seen.middle(), capture, count as usize, args.size)
    };
    let photos = capture.clone().map_or_else(Vec::new, photos);
    let up = if matches!(seen.scene, FieldScene::Volume(_)) { common_up(&photos) } else { UP };
    let circle = |count: u32| past_photos(count).unwrap_or_else(|| seen.cameras(up, count as usize, args.size));
    let mut first = first_look(args, up, circle)?;
    if args.camera.is_none() && matches!(seen.scene, FieldScene::Picture(_)) {
        // It lies in the plane z = 0.
        first.distance = Some(first.camera.camera_from_world.inverse().translation.z.abs());
    }
    let shown = Shown { field: Some(Arc::new(seen.scene)), photos, ..Shown::default() };
    Ok(opened(name, shown, background, &first, up))
}

/// What of a scene there is.
#[derive(Default)]
struct Shown {
    cloud: Option<SplatCloud>,
    mesh: Option<Mesh>,
    field: Option<Arc<FieldScene>>,
    photos: Vec<Photo>,
}

fn opened(name: String, shown: Shown, background: [f32; 3], first: &FirstLook, up: [f64; 3]) -> Opened {
    let FirstLook { camera: first, distance } = first;
    let fov = 2.0 * (0.5 * f64::from(first.camera.height) / first.camera.lens.focal[1]).atan();
    let start = first.camera_from_world;
    let Shown { cloud, mesh, field, photos } = shown;
    let distance = *distance;
    let shown = Content {
        name,
        cloud,
        streamed: None,
        moving: None,
        meshes: None,
        mesh,
        field,
        photos,
        background,
        start,
        distance,
        fov,
        up,
    };
    Opened { shown, camera: first.camera }
}

/// The first camera, and how far ahead of it lies what it turns about, where that is known.
struct FirstLook {
    camera: PathCamera,
    distance: Option<f64>,
}

/// The camera that was asked for, else the first of a circle around the scene.
fn first_look(args: &Arguments, up: [f64; 3], circle: impl FnOnce(u32) -> Vec<PathCamera>) -> Result<FirstLook> {
    if let Some(camera) = stated_camera(args, up)? {
        let distance = args.camera.map(|[x, y, z, tx, ty, tz]| Vector3::new(tx - x, ty - y, tz - z).norm());
        return Ok(FirstLook { camera, distance });
    }
    let mut circle = circle(MIN_CAMERAS);
    let distance = distance_ahead(&circle);
    Ok(FirstLook { camera: circle.remove(0), distance })
}

/// The camera that was asked for, upright.
fn stated_camera(args: &Arguments, up: [f64; 3]) -> Result<Option<PathCamera>> {
    if let Some([x, y, z, tx, ty, tz]) = args.camera {
        let camera = Camera::from_horizontal_fov(args.size[0], args.size[1], FIELD_OF_VIEW);
        let camera_from_world = looking_at([x, y, z], [tx, ty, tz], up);
        return Ok(Some(PathCamera { name: String::new(), camera, camera_from_world, time: None }));
    }
    let Some(file) = &args.cameras else { return Ok(None) };
    let mut cameras = stated_cameras(file)?;
    if args.frame >= cameras.len() {
        let (name, n) = (file.display(), cameras.len());
        bail!("{name}: has {n} cameras, numbered from 0; --frame {} is not among them", args.frame);
    }
    Ok(Some(cameras.swap_remove(args.frame)))
}

/// The photos of a capture, decoded when they are looked at.
pub fn photos(capture: Capture) -> Vec<Photo> {
    let files = capture.files;
    let photo = |frame: &Frame| {
        let (files, shown) = (files.clone(), frame.clone());
        let pixels = move || read_photo(&files, &shown).map_err(|error| error.to_string());
        Photo {
            name: frame.name.clone(),
            camera: frame.camera,
            camera_from_world: frame.camera_from_world,
            time: frame.time,
            decode: Arc::new(pixels),
        }
    };
    capture.frames.iter().map(photo).collect()
}

/// What is up in most photos; against y, as structure from motion has it, without any.
pub fn common_up(photos: &[Photo]) -> [f64; 3] {
    let up = |pose: &Pose| pose.inverse() * Vector3::new(0.0, -1.0, 0.0);
    let sum: Vector3<f64> = photos.iter().map(|photo| up(&photo.camera_from_world)).sum();
    sum.try_normalize(1e-6).map_or([0.0, -1.0, 0.0], Into::into)
}
