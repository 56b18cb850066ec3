//! Videos with a Qualisys calibration, a file that ends in `.qca.txt`.
//!
//! It is XML with a `camera` for each camera, called by its `serial`. Lengths and sensor places are in 64ths of a pixel with
//! the first pixel's centre at (0, 0), positions in millimetres. The rows of the matrix `r11` to `r33` are the camera's axes
//! in the world: right, up, backwards.

use super::easyvolcap::opencv_distortion;
use super::footage::video_paths;
use super::{Calibrated, Rig};
use crate::camera::{Camera, Lens, Pose};
use crate::capture::{Capture, OpenOptions};
use crate::files::Files;
use crate::{DataError, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use std::collections::HashMap;
use std::sync::Arc;

const ENDING: &str = ".qca.txt";
const UNITS_PER_PIXEL: f64 = 64.0;
const METRES: f64 = 0.001;
const MAX_SKEW: f64 = 1e-6;

fn calibration(files: &Files) -> Option<String> {
    files.list_dir("").ok()?.into_iter().find(|name| name.to_ascii_lowercase().ends_with(ENDING))
}

pub(in crate::capture) fn is_here(files: &Files) -> bool {
    calibration(files).is_some() && video_paths(files).is_ok_and(|videos| !videos.is_empty())
}

/// # Errors
/// When the calibration is damaged, or the videos do not fit to it or to each other.
pub(in crate::capture) fn load(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let source = calibration(&files).unwrap_or_default();
    let wrong = |reason: String| {
        DataError::new(files.display_path(&source), reason).remedy("export it again from Qualisys Track Manager")
    };
    let mut cameras = Vec::new();
    for element in elements(&files.read_text(&source)?) {
        match element.name.as_str() {
            "camera" => {
                cameras.push(Stated { serial: element.text("serial").unwrap_or_default(), ..Stated::default() })
            }
            "fov_video" | "transform" | "intrinsic" => {
                let Some(camera) = cameras.last_mut() else { continue };
                camera.parts.insert(element.name.clone(), element);
            }
            _ => {}
        }
    }
    if cameras.is_empty() {
        return Err(wrong("lists no cameras".to_owned()));
    }
    let cameras = cameras.into_iter().map(|c| c.calibrated()).collect::<std::result::Result<_, _>>().map_err(wrong)?;
    let layout = format!("videos with a Qualisys calibration ({source})");
    let (offsets, points, warnings) = (HashMap::new(), Vec::new(), Vec::new());
    Rig {
        files: files.clone(),
        layout,
        source: source.clone(),
        cameras,
        prefers_photos: false,
        offsets,
        points,
        warnings,
    }
    .finish(options)
}

/// A camera of the file.
#[derive(Default)]
struct Stated {
    serial: String,
    /// By the elements' names.
    parts: HashMap<String, Element>,
}

impl Stated {
    fn calibrated(self) -> std::result::Result<Calibrated, String> {
        let number = |element: &str, name: &str| {
            let found = self.parts.get(element).and_then(|part| part.text(name)?.trim().parse::<f64>().ok());
            found
                .filter(|v| v.is_finite())
                .ok_or_else(|| format!("camera {} has no number {name} in its {element}", self.serial))
        };
        let intrinsic = |name: &str| number("intrinsic", name);
        let transform = |name: &str| number("transform", name);
        let view = |name: &str| number("fov_video", name);
        if intrinsic("skew").unwrap_or(0.0).abs() > MAX_SKEW {
            return Err(format!("camera {} has skewed pixels, which no lens model here has", self.serial));
        }
        let (left, top) = (view("left")?, view("top")?);
        let (width, height) = (view("right")? - left + 1.0, view("bottom")? - top + 1.0);
        if !(1.0..=65_535.0).contains(&width) || !(1.0..=65_535.0).contains(&height) {
            return Err(format!("camera {} has the impossible size {width}x{height}", self.serial));
        }
        // Qualisys writes the word without its n.
        let distortion = [
            "radialDistortion1",
            "radialDistortion2",
            "tangentalDistortion1",
            "tangentalDistortion2",
            "radialDistortion3",
        ]
        .map(|name| intrinsic(name).unwrap_or(0.0));
        let lens = Lens {
            focal: [intrinsic("focalLengthU")? / UNITS_PER_PIXEL, intrinsic("focalLengthV")? / UNITS_PER_PIXEL],
            // The part of the sensor that was filmed begins at left and top; image corners lie half a pixel before centres.
            centre: [
                intrinsic("centerPointU")? / UNITS_PER_PIXEL - left + 0.5,
                intrinsic("centerPointV")? / UNITS_PER_PIXEL - top + 0.5,
            ],
            distortion: opencv_distortion(&distortion)?,
        };
        let axis = |row: usize| -> std::result::Result<Vector3<f64>, String> {
            Ok(Vector3::new(
                transform(&format!("r{row}1"))?,
                transform(&format!("r{row}2"))?,
                transform(&format!("r{row}3"))?,
            ))
        };
        let axes = Matrix3::from_columns(&[axis(1)?, -axis(2)?, -axis(3)?]);
        if (axes.transpose() * axes - Matrix3::identity()).amax() > 0.01 || axes.determinant() < 0.0 {
            return Err(format!("camera {} has something else than a rotation", self.serial));
        }
        let rotation = Rotation3::from_matrix_eps(&axes, 1e-12, 100, Rotation3::from_matrix_unchecked(axes));
        let position = Vector3::new(transform("x")?, transform("y")?, transform("z")?) * METRES;
        let world_from_camera =
            Pose::from_parts(Translation3::from(position), UnitQuaternion::from_rotation_matrix(&rotation));
        let camera = Camera { width: width.round() as u32, height: height.round() as u32, lens };
        Ok(Calibrated { name: self.serial, camera, camera_from_world: world_from_camera.inverse(), split: None })
    }
}

/// A tag and its attributes; what stands between tags means nothing here.
struct Element {
    name: String,
    attributes: HashMap<String, String>,
}

impl Element {
    fn text(&self, name: &str) -> Option<String> {
        self.attributes.get(name).cloned()
    }
}

/// The opening tags of an XML text in their order.
fn elements(text: &str) -> Vec<Element> {
    let tags = text.split('<').skip(1).filter(|tag| !tag.starts_with(['/', '?', '!']));
    tags.map(|tag| {
        let tag = tag.split('>').next().unwrap_or(tag).trim_end_matches('/');
        let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let mut attributes = HashMap::new();
        while let Some((key, value)) = rest.split_once('=') {
            let value = value.trim_start();
            let Some(quote) = value.chars().next().filter(|c| *c == '"' || *c == '\'') else { break };
            let Some((value, after)) = value[1..].split_once(quote) else { break };
            attributes.insert(key.trim().to_owned(), value.to_owned());
            rest = after;
        }
        Element { name: name.to_owned(), attributes }
    })
    .collect()
}
