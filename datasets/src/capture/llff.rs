//! LLFF captures (Mildenhall et al. 2019): `poses_bounds.npy` beside `images/`, and perhaps `masks/`.
//!
//! Each of the `[N, 17]` rows is a 3x5 matrix and two depth bounds. The matrix is world-from-camera with axes
//! [down, right, back], then the camera's position, then height, width and focal length in pixels. Rows belong to the
//! images in the order of their names. The principal point is the image's middle.

use super::assemble::Draft;
use super::in_order::InOrder;
use super::{Capture, OpenOptions};
use crate::camera::{Camera, Distortion, Lens, Pose};
use crate::files::Files;
use crate::format::npy::parse_npy;
use crate::{DataError, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use std::sync::Arc;

pub(super) const POSES: &str = "poses_bounds.npy";
const ROW: usize = 17;
/// Folders of photos in order of preference; the numbered ones hold the same photos downscaled.
const IMAGE_FOLDERS: [&str; 4] = ["images", "images_2", "images_4", "images_8"];

/// # Errors
/// When the poses are damaged or not as many as the images, or an image cannot be read.
pub(super) fn load(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let path = files.display_path(POSES);
    let rows = rows(&files)?;
    let photos = InOrder::find(&files, &IMAGE_FOLDERS, rows.len(), "poses", &path, options)?;
    let layout = format!("LLFF ({POSES}, {}/)", photos.folder);
    let warnings = photos.warnings.clone();
    let frames = photos.frames(|index, image, _| {
        parse_row(&rows[index]).map_err(|reason| {
            DataError::new(&path, format!("the pose of {image} {reason}")).remedy("leave that image and its row out")
        })
    })?;
    Draft { files, layout, source: POSES.to_owned(), frames, points: Vec::new(), warnings }.finish()
}

/// The rows of the file.
///
/// # Errors
/// When it is damaged or of another shape.
pub(super) fn rows(files: &Files) -> Result<Vec<[f64; ROW]>> {
    let path = files.display_path(POSES);
    let array = parse_npy(&files.read(POSES)?, &path)?;
    let [_, ROW] = array.shape[..] else {
        let reason = format!("holds an array of shape {:?} instead of [N, {ROW}]", array.shape);
        return Err(DataError::new(path, reason).remedy("make it with LLFF's imgs2poses.py"));
    };
    Ok(array.data.as_chunks::<ROW>().0.to_vec())
}

/// Camera and pose, or what is wrong with the row.
pub(super) fn parse_row(row: &[f64; ROW]) -> std::result::Result<(Camera, Pose), &'static str> {
    // Column `c` of the 3x5 matrix.
    let column = |c: usize| Vector3::new(row[c], row[5 + c], row[10 + c]);
    if row[..15].iter().any(|v| !v.is_finite()) {
        return Err("holds numbers that are not finite");
    }
    let [down, right, back, position] = [0, 1, 2, 3].map(column);
    let [height, width, focal]: [f64; 3] = column(4).into();
    if !(1.0..=1e6).contains(&height) || !(1.0..=1e6).contains(&width) || focal <= 0.0 {
        return Err("has an image size or focal length that makes no sense");
    }
    let axes = Matrix3::from_columns(&[right, down, -back]);
    let off = axes.transpose() * axes - Matrix3::identity();
    if off.amax() > 0.01 || axes.determinant() < 0.0 {
        return Err("is no rotation");
    }
    let orthonormal = Rotation3::from_matrix_eps(&axes, 1e-12, 100, Rotation3::from_matrix_unchecked(axes));
    let world_from_camera =
        Pose::from_parts(Translation3::from(position), UnitQuaternion::from_rotation_matrix(&orthonormal));
    let centre = [0.5 * width, 0.5 * height];
    let lens = Lens { focal: [focal; 2], centre, distortion: Distortion::None };
    let camera = Camera { width: width.round() as u32, height: height.round() as u32, lens };
    Ok((camera, world_from_camera.inverse()))
}

#[cfg(test)]
pub(super) mod tests;
