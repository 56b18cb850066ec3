//! EasyVolcap and EasyMocap: `intri.yml` and `extri.yml` beside `images/CAMERA/FRAME.jpg` or `videos/CAMERA.mp4`, and perhaps
//! `masks/CAMERA/FRAME.png`; calibrations in `optimized/` are better ones.
//!
//! The files are OpenCV's FileStorage: `names`, and for each camera NAME the matrix `K_NAME`, distortion `D_NAME` or
//! `dist_NAME` (k1, k2, p1, p2, k3, ...), size `H_NAME` and `W_NAME`, rotation `Rot_NAME` (3x3) or `R_NAME` (Rodrigues), and
//! translation `T_NAME`, from the world to the camera with OpenCV's axes. EasyVolcap sends rays through pixel centres at
//! (x + 0.5, y + 0.5), so the principal point counts from the image's corner. `sync.json` says by how many seconds each
//! camera's frames are late.

use super::opencv_yaml::Document;
use super::{Calibrated, Rig};
use crate::camera::{Camera, Distortion, Lens, Pose};
use crate::capture::not_a_number::{Number, quoted};
use crate::capture::{Capture, OpenOptions};
use crate::files::{Files, join};
use crate::{DataError, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use std::collections::HashMap;
use std::sync::Arc;

/// Folders with calibrations, best first.
const FOLDERS: [&str; 2] = ["optimized", ""];
const INTRINSICS: &str = "intri.yml";
const EXTRINSICS: &str = "extri.yml";
const OFFSETS: &str = "sync.json";
/// How far from orthonormal a rotation may be.
const ROTATION_TOLERANCE: f64 = 0.01;

fn folder(files: &Files) -> Option<&'static str> {
    let has = |folder: &str, name: &str| files.exists(&join(folder, name));
    FOLDERS.into_iter().find(|folder| has(folder, INTRINSICS) && has(folder, EXTRINSICS))
}

pub(in crate::capture) fn is_here(files: &Files) -> bool {
    folder(files).is_some()
}

/// # Errors
/// When the calibration is damaged or incomplete, or what was filmed does not fit to it.
pub(in crate::capture) fn load(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let folder = folder(&files).unwrap_or_default();
    let (intrinsics, extrinsics) = (join(folder, INTRINSICS), join(folder, EXTRINSICS));
    let read = |path: &str| -> Result<Document> {
        Document::parse(&files.read_text(path)?).map_err(|reason| wrong(&files, path, reason))
    };
    let (lenses, poses) = (read(&intrinsics)?, read(&extrinsics)?);
    let names = poses.words("names").or_else(|| lenses.words("names")).filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| wrong(&files, &extrinsics, "lists no cameras under 'names'".to_owned()))?;
    let mut cameras = Vec::with_capacity(names.len());
    for name in names {
        let camera = lens(&lenses, &name).map_err(|reason| wrong(&files, &intrinsics, reason))?;
        let camera_from_world = pose(&poses, &name).map_err(|reason| wrong(&files, &extrinsics, reason))?;
        cameras.push(Calibrated { name, camera, camera_from_world, split: None });
    }
    let offsets = offsets(&files)?;
    let synced = if offsets.is_empty() { "" } else { ", times by sync.json" };
    let layout = format!("EasyVolcap ({intrinsics}, {extrinsics}{synced})");
    let (points, warnings, source) = (Vec::new(), Vec::new(), extrinsics);
    Rig { files, layout, source, cameras, prefers_photos: true, offsets, points, warnings }.finish(options)
}

fn wrong(files: &Files, path: &str, reason: String) -> DataError {
    DataError::new(files.display_path(path), reason).remedy("export the calibration again")
}

fn lens(document: &Document, name: &str) -> std::result::Result<Camera, String> {
    let Some((3, 3, k)) = document.matrix(&format!("K_{name}")) else {
        return Err(format!("has no 3x3 matrix K_{name}"));
    };
    let distortion = ["D", "dist"].iter().find_map(|key| document.matrix(&format!("{key}_{name}")));
    let coefficients = distortion.map_or(&[][..], |(_, _, data)| data);
    let side = |key: &str| match document.number(&format!("{key}_{name}")) {
        None => Ok(0),
        Some(pixels) if (1.0..=65_535.0).contains(&pixels) => Ok(pixels.round() as u32),
        Some(pixels) => Err(format!("says that {key}_{name} is {pixels} pixels")),
    };
    if k[1].abs() > 1e-6 * k[0].abs() {
        return Err(format!("has skewed pixels in K_{name}, which no lens model here has"));
    }
    let lens = Lens {
        focal: [k[0] / k[8], k[4] / k[8]],
        centre: [k[2] / k[8], k[5] / k[8]],
        distortion: opencv_distortion(coefficients).map_err(|reason| format!("{reason} for camera {name}"))?,
    };
    Ok(Camera { width: side("W")?, height: side("H")?, lens })
}

/// From OpenCV's order: k1, k2, p1, p2, k3, k4, k5, k6, and thin prisms and tilts, which must be zero.
pub(super) fn opencv_distortion(coefficients: &[f64]) -> std::result::Result<Distortion, String> {
    let at = |index: usize| coefficients.get(index).copied().unwrap_or(0.0);
    if coefficients.iter().skip(8).any(|c| *c != 0.0) {
        return Err("has thin-prism or tilt coefficients, which no lens model here has,".to_owned());
    }
    if coefficients.iter().all(|c| *c == 0.0) {
        return Ok(Distortion::None);
    }
    Ok(Distortion::Polynomial { k: [at(0), at(1), at(4), at(5), at(6), at(7)], p: [at(2), at(3)] })
}

fn pose(document: &Document, name: &str) -> std::result::Result<Pose, String> {
    let full = [format!("Rot_{name}"), format!("R_{name}")].into_iter().find_map(|key| match document.matrix(&key) {
        Some((3, 3, data)) => Some(Matrix3::from_row_slice(data)),
        _ => None,
    });
    let rotation = match (full, document.matrix(&format!("R_{name}"))) {
        (Some(matrix), _) => {
            let off = (matrix.transpose() * matrix - Matrix3::identity()).amax();
            if off > ROTATION_TOLERANCE || matrix.determinant() < 0.0 {
                return Err(format!("has something else than a rotation in Rot_{name}"));
            }
            let unchecked = Rotation3::from_matrix_unchecked(matrix);
            UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_eps(&matrix, 1e-12, 100, unchecked))
        }
        (None, Some((_, _, &[x, y, z]))) => UnitQuaternion::from_scaled_axis(Vector3::new(x, y, z)),
        _ => return Err(format!("has neither a 3x3 matrix Rot_{name} nor a rotation vector R_{name}")),
    };
    let Some((_, _, &[x, y, z])) = document.matrix(&format!("T_{name}")) else {
        return Err(format!("has no translation T_{name} of three numbers"));
    };
    Ok(Pose::from_parts(Translation3::new(x, y, z), rotation))
}

/// Seconds by camera name; not finite where the file says so.
fn offsets(files: &Files) -> Result<HashMap<String, f64>> {
    let Some(path) = FOLDERS.map(|folder| join(folder, OFFSETS)).into_iter().find(|path| files.exists(path)) else {
        return Ok(HashMap::new());
    };
    let read: serde_json::Result<HashMap<String, Number>> = serde_json::from_slice(&quoted(&files.read(&path)?));
    let offsets = read.map_err(|e| {
        DataError::new(files.display_path(&path), format!("does not hold one number for each camera ({e})"))
            .remedy("write {\"CAMERA\": SECONDS, ...}, or remove it")
    })?;
    Ok(offsets.into_iter().map(|(name, Number(seconds))| (name, seconds)).collect())
}
