//! HyperNeRF and Nerfies (Park et al. 2021): `dataset.json`, `metadata.json`, `camera/ID.json` and `rgb/1x/ID.png`.
//!
//! A camera file holds `orientation` (world to camera, OpenCV's axes), `position`, `focal_length`, `principal_point` from the
//! image's corner, `pixel_aspect_ratio`, and distortion in OpenCV's order of kinds: `radial` [k1, k2, k3], `tangential`
//! [p1, p2]. Times are the metadata's `time_id` or `warp_id` over the largest one; `camera_id` says which camera of a pair it was.

use super::assemble::{Draft, DraftFrame};
use super::images::find_photos;
use super::{Capture, Frame, OpenOptions, Point, Split};
use crate::camera::{Camera, Distortion, Lens, Pose};
use crate::files::Files;
use crate::format::npy::parse_npy;
use crate::{DataError, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

const DATASET: &str = "dataset.json";
/// Folders of photos, largest first.
const SCALES: [u32; 5] = [1, 2, 4, 8, 16];
const POINTS: &str = "points.npy";
/// Their colour is not known.
const GREY: [u8; 3] = [128; 3];

#[derive(Deserialize)]
struct Dataset {
    ids: Vec<String>,
    #[serde(default)]
    train_ids: HashSet<String>,
    #[serde(default)]
    val_ids: HashSet<String>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    warp_id: Option<u32>,
    time_id: Option<u32>,
    camera_id: Option<u32>,
}

#[derive(Deserialize)]
struct StatedCamera {
    orientation: [[f64; 3]; 3],
    position: [f64; 3],
    focal_length: f64,
    principal_point: [f64; 2],
    #[serde(default)]
    skew: f64,
    #[serde(default = "one")]
    pixel_aspect_ratio: f64,
    #[serde(default, alias = "radial_distortion")]
    radial: Vec<f64>,
    #[serde(default, alias = "tangential_distortion")]
    tangential: Vec<f64>,
    image_size: [u32; 2],
}

fn one() -> f64 {
    1.0
}

pub(super) fn is_here(files: &Files) -> bool {
    files.exists(DATASET) && files.is_dir("camera") && files.is_dir("rgb")
}

/// # Errors
/// When a file is missing or damaged, or a camera makes no sense.
pub(super) fn load(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let dataset: Dataset = json(&files, DATASET)?;
    let metadata: HashMap<String, Metadata> =
        if files.exists("metadata.json") { json(&files, "metadata.json")? } else { HashMap::new() };
    let folder = SCALES.map(|scale| format!("rgb/{scale}x")).into_iter().find(|folder| files.is_dir(folder));
    let folder = folder.ok_or_else(|| {
        DataError::new(files.display_path("rgb"), "holds no photos in 1x, 2x, 4x, 8x or 16x").remedy("put them there")
    })?;
    let mut warnings = Vec::new();
    let paths: Vec<String> = dataset.ids.iter().map(|id| format!("{folder}/{id}.png")).collect();
    let photos = find_photos(&files, &paths, options, &mut warnings)?;
    let step = |id: &str| metadata.get(id).and_then(|m| m.time_id.or(m.warp_id));
    let last = dataset.ids.iter().filter_map(|id| step(id)).max();
    let mut frames = Vec::with_capacity(photos.len());
    for ((id, image), photo) in dataset.ids.iter().zip(paths).zip(photos) {
        let path = format!("camera/{id}.json");
        let (camera, camera_from_world) = json::<StatedCamera>(&files, &path)?.camera().map_err(|reason| {
            DataError::new(files.display_path(&path), reason).remedy("leave that frame out of dataset.json")
        })?;
        let is_in = |ids: &HashSet<String>, split| ids.contains(id).then_some(split);
        frames.push(DraftFrame {
            frame: Frame {
                name: String::new(),
                image,
                video_frame: None,
                mask: None,
                depth: None,
                normals: None,
                camera,
                camera_from_world,
                time: step(id).map(|step| f64::from(step) / f64::from(last.unwrap_or(1).max(1))),
                rig_camera: metadata.get(id).and_then(|m| m.camera_id),
                split: is_in(&dataset.train_ids, Split::Train).or(is_in(&dataset.val_ids, Split::Validation)),
            },
            photo,
        });
    }
    let points = if files.exists(POINTS) { points(&files)? } else { Vec::new() };
    let layout = format!("HyperNeRF or Nerfies ({DATASET}, {folder}/)");
    Draft { files, layout, source: DATASET.to_owned(), frames, points, warnings }.finish()
}

fn json<T: DeserializeOwned>(files: &Files, path: &str) -> Result<T> {
    serde_json::from_slice(&files.read(path)?).map_err(|e| {
        DataError::new(files.display_path(path), format!("is not what HyperNeRF writes there ({e})"))
            .remedy("export it again")
    })
}

impl StatedCamera {
    fn camera(&self) -> std::result::Result<(Camera, Pose), String> {
        if self.skew.abs() > 1e-6 * self.focal_length.abs() {
            return Err("has skewed pixels, which no lens model here has".to_owned());
        }
        let rows = self.orientation;
        let axes = Matrix3::from_fn(|r, c| rows[r][c]);
        let off = (axes.transpose() * axes - Matrix3::identity()).amax();
        if off.is_nan() || off > 0.01 || axes.determinant() < 0.0 {
            return Err("has an orientation that is no rotation".to_owned());
        }
        let rotation = Rotation3::from_matrix_eps(&axes, 1e-12, 100, Rotation3::from_matrix_unchecked(axes));
        let rotation = UnitQuaternion::from_rotation_matrix(&rotation);
        let translation = -(rotation * Vector3::from(self.position));
        let at = |values: &[f64], index: usize| values.get(index).copied().unwrap_or(0.0);
        let k = [at(&self.radial, 0), at(&self.radial, 1), at(&self.radial, 2), 0.0, 0.0, 0.0];
        let p = [at(&self.tangential, 0), at(&self.tangential, 1)];
        let is_straight = k == [0.0; 6] && p == [0.0; 2];
        let lens = Lens {
            focal: [self.focal_length, self.focal_length * self.pixel_aspect_ratio],
            centre: self.principal_point,
            distortion: if is_straight { Distortion::None } else { Distortion::Polynomial { k, p } },
        };
        let [width, height] = self.image_size;
        Ok((Camera { width, height, lens }, Pose::from_parts(Translation3::from(translation), rotation)))
    }
}

/// `[N, 3]` positions in the cameras' world.
fn points(files: &Files) -> Result<Vec<Point>> {
    let path = files.display_path(POINTS);
    let array = parse_npy(&files.read(POINTS)?, &path)?;
    let [_, 3] = array.shape[..] else {
        let reason = format!("holds an array of shape {:?} instead of [N, 3]", array.shape);
        return Err(DataError::new(path, reason).remedy("remove it, or export it again"));
    };
    let (rows, _) = array.data.as_chunks::<3>();
    Ok(rows.iter().map(|&position| Point { position, colour: GREY }).collect())
}
