//! IDR and NeuS captures (Yariv et al. 2020, Wang et al. 2021): `cameras_sphere.npz` or `cameras.npz` beside `image/`
//! and `mask/`.
//!
//! `world_mat_i` is the projection `K [R | t]` of image `i` in the order of names, for pixels whose centres are at
//! whole numbers. `scale_mat_i` maps the unit sphere around the object to the world; its inverse is the capture's
//! normalisation.

use super::assemble::Draft;
use super::images::Photo;
use super::in_order::InOrder;
use super::{Capture, OpenOptions};
use crate::camera::{Camera, Distortion, Lens, Pose, Similarity};
use crate::files::Files;
use crate::format::npy::{Array, parse_npz};
use crate::{DataError, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use std::sync::Arc;

const CAMERAS: [&str; 2] = ["cameras_sphere.npz", "cameras.npz"];
const IMAGE_FOLDERS: [&str; 3] = ["image", "images", "rgb"];
/// How many pixels skew may move the border of the image: what calibration leaves by rounding.
const MAX_SKEW_PIXELS: f64 = 0.25;

/// # Errors
/// When the cameras are damaged or not as many as the images, or an image cannot be read.
pub(super) fn load(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let Some(source) = CAMERAS.into_iter().find(|name| files.exists(name)) else {
        return Err(DataError::new(files.root(), format!("holds neither {} nor {}", CAMERAS[0], CAMERAS[1]))
            .remedy("put the cameras there"));
    };
    let path = files.display_path(source);
    let is_needed = |name: &str| name.starts_with("world_mat_") && !name.contains("inv") || name == "scale_mat_0";
    let mut matrices = parse_npz(&files.read(source)?, &path, is_needed)?;
    let scale = matrices.remove("scale_mat_0");
    let photos = InOrder::find(&files, &IMAGE_FOLDERS, matrices.len(), "cameras", &path, options)?;
    let layout = format!("IDR/NeuS ({source}, {}/)", photos.folder);
    let warnings = photos.warnings.clone();
    let frames = photos.frames(|index, image, photo| {
        let name = format!("world_mat_{index}");
        let remedy = "leave that camera and its image out";
        let missing = || DataError::new(&path, format!("has no {name} for {image}")).remedy(remedy);
        let (width, height) = photo.map_or((1, 1), Photo::stored_size);
        decompose(matrices.get(&name).ok_or_else(missing)?, width, height)
            .map_err(|reason| DataError::new(&path, format!("{name} {reason}")).remedy(remedy))
    })?;
    let draft = Draft { files, layout, source: source.to_owned(), frames, points: Vec::new(), warnings };
    let mut capture = draft.finish()?;
    if let Some(scene_from_world) = scale.as_ref().and_then(normalisation) {
        capture.scene_from_world = scene_from_world;
    }
    Ok(capture)
}

/// Intrinsics and pose from a projection matrix, by RQ decomposition (Hartley and Zisserman 2004, section 6.2.4), or
/// what is wrong with it.
fn decompose(matrix: &Array, width: u32, height: u32) -> std::result::Result<(Camera, Pose), String> {
    let ([4, 4] | [3, 4]) = matrix.shape[..] else { return Err(format!("has the shape {:?}", matrix.shape)) };
    if matrix.data.iter().any(|v| !v.is_finite()) {
        return Err("holds numbers that are not finite".to_owned());
    }
    let row = |r: usize| Vector3::new(matrix.data[4 * r], matrix.data[4 * r + 1], matrix.data[4 * r + 2]);
    let last = Vector3::new(matrix.data[3], matrix.data[7], matrix.data[11]);
    let [m1, m2, m3] = [0, 1, 2].map(row);
    // A projection is the same up to scale and sign; these make K[2][2] = 1 and R a rotation.
    let sign = m1.dot(&m2.cross(&m3)).signum();
    let scale = sign / m3.norm();
    let [m1, m2, r3, last] = [m1, m2, m3, last].map(|v| v * scale);
    let cy = m2.dot(&r3);
    let across = m2 - cy * r3;
    let fy = across.norm();
    let r2 = across / fy;
    let (cx, skew) = (m1.dot(&r3), m1.dot(&r2));
    let across = m1 - cx * r3 - skew * r2;
    let fx = across.norm();
    let r1 = across / fx;
    if ![fx, fy, cx, cy, skew].iter().all(|v| v.is_finite()) || fx < 1e-6 || fy < 1e-6 {
        return Err("is no projection of a camera".to_owned());
    }
    if (skew * f64::from(height) / fy).abs() > MAX_SKEW_PIXELS {
        return Err(format!("has skewed pixels (skew {skew:.3}), which no lens model here has"));
    }
    let ty = (last.y - cy * last.z) / fy;
    let tx = (last.x - cx * last.z - skew * ty) / fx;
    let rotation = Rotation3::from_matrix_unchecked(Matrix3::from_rows(&[r1, r2, r3].map(|r| r.transpose())));
    let translation = Translation3::new(tx, ty, last.z);
    let pose = Pose::from_parts(translation, UnitQuaternion::from_rotation_matrix(&rotation));
    // From "centre of the first pixel is (0, 0)" to "corner of the image is (0, 0)".
    let lens = Lens { focal: [fx, fy], centre: [cx + 0.5, cy + 0.5], distortion: Distortion::None };
    Ok((Camera { width, height, lens }, pose))
}

/// The inverse of a scale matrix, if it is a uniform scale and a translation.
fn normalisation(matrix: &Array) -> Option<Similarity> {
    let ([4, 4] | [3, 4]) = matrix.shape[..] else { return None };
    let m = |r: usize, c: usize| matrix.data[4 * r + c];
    let scale = m(0, 0);
    let uniform =
        (0..3).all(|r| (0..3).all(|c| (m(r, c) - if r == c { scale } else { 0.0 }).abs() <= 1e-5 * scale.abs()));
    let valid = uniform && scale > 0.0 && scale.is_finite() && (0..3).all(|r| m(r, 3).is_finite());
    let translation = Translation3::new(m(0, 3), m(1, 3), m(2, 3));
    valid.then(|| Similarity::from_parts(translation, UnitQuaternion::identity(), scale).inverse())
}

#[cfg(test)]
mod tests;
