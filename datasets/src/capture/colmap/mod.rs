//! COLMAP models, binary and text (<https://colmap.github.io/format.html>).
//!
//! A model is three files, `cameras`, `images` and `points3D`, in `sparse/0`, `sparse`, `colmap/sparse/0`,
//! `colmap/sparse` or the root. COLMAP writes one model for every group of images that it could connect; the one with
//! most images is read. Poses are world-to-camera with OpenCV axes, so they are taken as they stand.

mod binary;
mod text;

use super::assemble::{Draft, DraftFrame};
use super::images::{find_image, find_photos};
use super::{Capture, DepthSource, Frame, MaskKind, MaskSource, OpenOptions, Point};
use crate::camera::{Camera, LensModel, Pose};
use crate::files::{Files, join};
use crate::{DataError, Result};
use nalgebra::{Quaternion, Translation3, UnitQuaternion};
use std::collections::HashMap;
use std::sync::Arc;

/// Folders that may hold the photos, best first; `""` is the root.
const IMAGE_FOLDERS: [&str; 6] = ["images", "images_2", "images_4", "images_8", "input", ""];
const MASK_FOLDERS: [&str; 2] = ["masks", "mask"];
const DEPTH_FOLDER: &str = "depths";
/// Metres per unit of a 16-bit PNG, the convention of depth cameras.
const PNG_DEPTH_UNIT: f64 = 0.001;

/// A posed image of a model.
#[derive(Clone, Debug, PartialEq)]
struct ModelImage {
    name: String,
    camera: u32,
    /// (w, x, y, z), not always of unit length.
    rotation: [f64; 4],
    translation: [f64; 3],
}

/// One of COLMAP's folders of three files.
struct Model {
    folder: String,
    ending: &'static str,
    images: Vec<ModelImage>,
}

/// What is wrong within a file, without its name.
type Parsed<T> = std::result::Result<T, String>;

/// Whether there is a model.
pub(super) fn is_here(files: &Files) -> bool {
    !model_folders(files).unwrap_or_default().is_empty()
}

/// Reads the largest model and finds its photos, masks and depth images.
pub(super) fn load(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let Posed { kind, place, source, images, points, mut warnings } = posed(&files)?;
    let names: Vec<&str> = images.iter().map(|(name, ..)| name.as_str()).collect();
    let folder = image_folder(&files, &names);
    let paths: Vec<String> = names.iter().map(|name| join(folder, name)).collect();
    let photos = find_photos(&files, &paths, options, &mut warnings)?;
    let mut frames = Vec::with_capacity(photos.len());
    for (((name, camera, camera_from_world), path), photo) in images.iter().zip(paths).zip(photos) {
        let frame = Frame {
            name: String::new(),
            image: path,
            video_frame: None,
            mask: find_mask(&files, name),
            depth: find_depth(&files, name),
            normals: None,
            camera: *camera,
            camera_from_world: *camera_from_world,
            time: None,
            rig_camera: None,
            split: None,
        };
        frames.push(DraftFrame { frame, photo });
    }
    if frames.iter().any(|draft| draft.frame.depth.as_ref().is_some_and(|depth| depth.path.ends_with("png"))) {
        warnings.push("depth PNGs are taken to hold thousandths of a world unit".to_owned());
    }
    let layout = format!("COLMAP {kind} model in {place}");
    Draft { files, layout, source, frames, points, warnings }.finish()
}

/// The largest model of a folder with its lenses put to its images.
pub(super) struct Posed {
    /// "binary" or "text".
    kind: &'static str,
    /// The model's folder, in words.
    pub(super) place: String,
    /// The file that lists the images.
    pub(super) source: String,
    /// Name, lens and pose (camera from world) of every image.
    pub(super) images: Vec<(String, Camera, Pose)>,
    pub(super) points: Vec<Point>,
    pub(super) warnings: Vec<String>,
}

/// # Errors
/// When the model is damaged.
pub(super) fn posed(files: &Files) -> Result<Posed> {
    let mut warnings = Vec::new();
    let model = largest_model(files, &mut warnings)?;
    let cameras = model.read(files, "cameras", binary::cameras, text::cameras)?;
    let points = match model.path_if_there(files, "points3D") {
        Some(_) => model.read(files, "points3D", binary::points, text::points)?,
        None => {
            warnings.push(format!("{} has no points3D{}", model.where_it_is(), model.ending));
            Vec::new()
        }
    };
    let source = model.path("images");
    let wrong = |reason: String| DataError::new(files.display_path(&source), reason).remedy("export the model again");
    let mut images = Vec::with_capacity(model.images.len());
    for image in &model.images {
        let camera = *cameras.get(&image.camera).ok_or_else(|| {
            wrong(format!("{} refers to camera {}, which cameras{} lacks", image.name, image.camera, model.ending))
        })?;
        images.push((image.name.clone(), camera, pose(image).map_err(wrong)?));
    }
    let kind = if model.ending == ".bin" { "binary" } else { "text" };
    let place = model.where_it_is().to_owned();
    Ok(Posed { kind, place, source, images, points, warnings })
}

impl Model {
    fn path(&self, part: &str) -> String {
        join(&self.folder, &format!("{part}{}", self.ending))
    }

    fn path_if_there(&self, files: &Files, part: &str) -> Option<String> {
        Some(self.path(part)).filter(|path| files.exists(path))
    }

    fn where_it_is(&self) -> &str {
        if self.folder.is_empty() { "the root" } else { &self.folder }
    }

    fn read<T>(
        &self,
        files: &Files,
        part: &str,
        from_binary: fn(&[u8]) -> Parsed<T>,
        from_text: fn(&str) -> Parsed<T>,
    ) -> Result<T> {
        let path = self.path(part);
        let parsed =
            if self.ending == ".bin" { from_binary(&files.read(&path)?) } else { from_text(&files.read_text(&path)?) };
        parsed.map_err(|reason| DataError::new(files.display_path(&path), reason).remedy("export the model again"))
    }
}

/// All folders with a model, from the first place that has any.
fn model_folders(files: &Files) -> Result<Vec<(String, &'static str)>> {
    let ending = |folder: &str| {
        let has = |ending: &str| {
            let part = |name: &str| files.exists(&join(folder, &format!("{name}{ending}")));
            part("cameras") && part("images")
        };
        [".bin", ".txt"].into_iter().find(|ending| has(ending))
    };
    for place in ["sparse", "colmap/sparse", "colmap", ""] {
        let mut folders: Vec<String> = Vec::new();
        if !place.is_empty() {
            let names = files.list_dir(place)?;
            let numbered = names.iter().filter(|name| name.parse::<u32>().is_ok());
            folders.extend(numbered.map(|name| join(place, name)));
        }
        folders.push(place.to_owned());
        let found: Vec<_> = folders.into_iter().filter_map(|f| ending(&f).map(|ending| (f, ending))).collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

fn largest_model(files: &Files, warnings: &mut Vec<String>) -> Result<Model> {
    let mut largest: Option<Model> = None;
    let folders = model_folders(files)?;
    let models = folders.len();
    for (folder, ending) in folders {
        let mut model = Model { folder, ending, images: Vec::new() };
        model.images = model.read(files, "images", binary::images, text::images)?;
        if largest.as_ref().is_none_or(|best| model.images.len() > best.images.len()) {
            largest = Some(model);
        }
    }
    let model =
        largest.ok_or_else(|| DataError::new(files.root(), "holds no COLMAP model").remedy("put it into sparse/0"))?;
    if models > 1 {
        let (count, place) = (model.images.len(), model.where_it_is());
        warnings
            .push(format!("COLMAP made {models} separate models; {place} is used, the largest with {count} images"));
    }
    Ok(model)
}

/// The first folder that holds one of the images.
fn image_folder(files: &Files, names: &[&str]) -> &'static str {
    let holds_some = |folder: &&&'static str| names.iter().any(|name| find_image(files, &join(folder, name)).is_some());
    let mut candidates = IMAGE_FOLDERS.iter().filter(|folder| files.is_dir(folder));
    candidates.find(holds_some).copied().unwrap_or(IMAGE_FOLDERS[0])
}

fn find_mask(files: &Files, name: &str) -> Option<MaskSource> {
    let path = MASK_FOLDERS.iter().find_map(|folder| beside(files, folder, name, &["png", "jpg"]))?;
    Some(MaskSource { path, kind: MaskKind::Ignore })
}

fn find_depth(files: &Files, name: &str) -> Option<DepthSource> {
    let path = beside(files, DEPTH_FOLDER, name, &["exr", "png"])?;
    let scale = if path.ends_with("png") { PNG_DEPTH_UNIT } else { 1.0 };
    Some(DepthSource { path, scale })
}

/// `FOLDER/NAME.ending` as COLMAP wants it (`a.jpg.png`), or `FOLDER/STEM.ending`.
fn beside(files: &Files, folder: &str, name: &str, endings: &[&str]) -> Option<String> {
    if !files.is_dir(folder) {
        return None;
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let candidates = [name, stem].into_iter().flat_map(|n| endings.iter().map(move |e| format!("{folder}/{n}.{e}")));
    candidates.into_iter().find(|path| files.exists(path))
}

fn pose(image: &ModelImage) -> Parsed<Pose> {
    let [w, x, y, z] = image.rotation;
    let quaternion = Quaternion::new(w, x, y, z);
    let finite = image.rotation.iter().chain(&image.translation).all(|v| v.is_finite());
    let rotation = UnitQuaternion::try_new(quaternion, 1e-6).filter(|_| finite);
    let rotation = rotation.ok_or_else(|| format!("the pose of {} is not a finite rigid motion", image.name))?;
    Ok(Pose::from_parts(Translation3::from(image.translation), rotation))
}

/// A camera from the values that both encodings hold.
fn camera(id: u32, model: LensModel, size: (u64, u64), parameters: &[f64]) -> Parsed<Camera> {
    let pixels = |value: u64| u32::try_from(value).ok().filter(|v| *v > 0);
    let (Some(width), Some(height)) = (pixels(size.0), pixels(size.1)) else {
        return Err(format!("camera {id} has the impossible size {}x{}", size.0, size.1));
    };
    let wrong_count = || {
        let (name, wanted) = (model.name(), model.parameter_count());
        format!("camera {id} is {name} with {} parameters instead of {wanted}", parameters.len())
    };
    Ok(Camera { width, height, lens: model.lens(parameters).ok_or_else(wrong_count)? })
}

type Cameras = HashMap<u32, Camera>;

fn insert_camera(cameras: &mut Cameras, id: u32, camera: Camera) -> Parsed<()> {
    match cameras.insert(id, camera) {
        None => Ok(()),
        Some(_) => Err(format!("holds camera {id} twice")),
    }
}
