//! A folder of normal maps: with cameras of its own, or around the object at equal angles.

use super::View;
use super::hull::INSIDE;
use crate::train::MemoryPlan;
use crate::{Error, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;
use tessera_datasets::camera::{Camera, Pose, Similarity};
use tessera_datasets::capture::{Capture, Frame, MaskKind, MaskSource};
use tessera_datasets::files::{Files, join};
use tessera_datasets::image::{decode, decode_mask, file_dimensions};

/// The endings of maps, photos and masks.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "exr"];
/// What makes a folder a capture with cameras.
const CAMERAS: [&str; 5] =
    ["transforms.json", "transforms_train.json", "sparse", "cameras_sphere.npz", "poses_bounds.npy"];

/// Cameras around an object, all at one height, at equal angles, the first one in front. The world has y up and the first camera on its z axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ring {
    /// Horizontal field of view in degrees.
    pub fov: f64,
    /// Height above the horizon in degrees.
    pub elevation: f64,
    /// From the middle of the object; the default is one and a half times what shows a cube of side 1 whole, were it flat.
    pub distance: Option<f64>,
    /// From one view to the next the camera moves clockwise, seen from above.
    pub clockwise: bool,
}

impl Default for Ring {
    fn default() -> Self {
        Self { fov: 60.0, elevation: 0.0, distance: None, clockwise: false }
    }
}

impl Ring {
    /// From the world to the camera of the view `index` of `count`.
    fn pose(&self, index: usize, count: usize) -> Pose {
        let turn = std::f64::consts::TAU * index as f64 / count as f64 * if self.clockwise { -1.0 } else { 1.0 };
        let elevation = self.elevation.to_radians();
        let distance = self.distance.unwrap_or(1.5 * 0.5 / (0.5 * self.fov.to_radians()).tan());
        let back = Vector3::new(elevation.cos() * turn.sin(), elevation.sin(), elevation.cos() * turn.cos());
        let right = Vector3::new(turn.cos(), 0.0, -turn.sin());
        let axes = Matrix3::from_columns(&[right, -back.cross(&right), -back]);
        let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(axes));
        Pose::from_parts(Translation3::from(distance * back), rotation).inverse()
    }
}

/// Normal maps that are there to be fused, not yet decoded.
#[derive(Clone, Debug)]
pub struct Input {
    /// Cameras and masks, and the photos if there are some.
    pub capture: Capture,
    /// The map of each frame, within the capture's files.
    pub maps: Vec<String>,
    /// Whether the frames' images are photos, and not the maps themselves.
    pub has_photos: bool,
}

impl Input {
    /// Finds the maps of a folder. One that is a capture names them as `normal_file_path`, or has them as its images. In any other folder they are
    /// the pictures in `normals/`, or in the folder itself, in the order of their names, seen from `ring`; photos may lie in `images/` and masks in
    /// `masks/` under the same names.
    ///
    /// # Errors
    /// When there are fewer than two, or cameras or photos cannot be read.
    pub fn open(path: &Path, ring: &Ring) -> Result<Self> {
        let is_capture = |files: &Files| CAMERAS.iter().any(|name| files.exists(name) || files.is_dir(name));
        let input = if path.extension().is_some_and(|ending| ending == "json") {
            Self::of_capture(Capture::open(path)?)
        } else {
            let files = Files::open(path)?;
            if is_capture(&files) { Self::of_capture(Capture::open(path)?) } else { Self::around(files, ring)? }
        };
        if input.maps.len() < 2 {
            let found = if input.maps.is_empty() { "holds no normal maps" } else { "holds a single normal map" };
            return Err(Error::file(path, found, "give at least two views, or better six from all sides"));
        }
        Ok(input)
    }

    fn of_capture(mut capture: Capture) -> Self {
        let has_photos = capture.frames.iter().any(|frame| frame.normals.is_some());
        capture.frames.retain(|frame| !has_photos || frame.normals.is_some());
        let maps = capture.frames.iter().map(|frame| frame.normals.clone().unwrap_or_else(|| frame.image.clone()));
        Self { maps: maps.collect(), capture, has_photos }
    }

    fn around(files: Files, ring: &Ring) -> Result<Self> {
        let pictures = |folder: &str| -> Result<Vec<String>> {
            let is_picture = |name: &String| {
                name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
            };
            let names = if folder.is_empty() || files.is_dir(folder) { files.list_dir(folder)? } else { Vec::new() };
            Ok(names.into_iter().filter(is_picture).map(|name| join(folder, &name)).collect())
        };
        let mut maps = pictures("normals")?;
        if maps.is_empty() {
            maps = pictures("")?;
        }
        maps.sort();
        let (photos, masks) = (pictures("images")?, pictures("masks")?);
        let stem = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or(path);
            name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
        };
        let of_name = |paths: &[String], map: &str| paths.iter().find(|path| stem(path) == stem(map)).cloned();
        let has_photos = !maps.is_empty() && maps.iter().all(|map| of_name(&photos, map).is_some());
        let mut frames = Vec::new();
        for (index, map) in maps.iter().enumerate() {
            let image = of_name(&photos, map).filter(|_| has_photos).unwrap_or_else(|| map.clone());
            let (width, height) = file_dimensions(&files, &image)?;
            frames.push(Frame {
                name: stem(map),
                image,
                video_frame: None,
                mask: of_name(&masks, map).map(|path| MaskSource { path, kind: MaskKind::Foreground }),
                depth: None,
                normals: Some(map.clone()),
                camera: Camera::from_horizontal_fov(width, height, ring.fov.to_radians()),
                camera_from_world: ring.pose(index, maps.len()),
                time: None,
                rig_camera: None,
                split: None,
            });
        }
        let capture = Capture {
            name: files.name(),
            files: Arc::new(files),
            layout: "normal maps around an object".to_owned(),
            frames,
            points: Vec::new(),
            scene_from_world: Similarity::identity(),
            warnings: Vec::new(),
        };
        Ok(Self { capture, maps, has_photos })
    }

    /// What fusing will need at most: maps of at most `max_side` pixels, 0 for any size.
    ///
    /// # Errors
    /// When a map's header cannot be read.
    pub fn memory_plan(&self, max_side: u32) -> Result<MemoryPlan> {
        let (mut decoded, mut pixels) = (0u64, 0u64);
        for map in &self.maps {
            let (width, height) = file_dimensions(&self.capture.files, map)?;
            let area = u64::from(width) * u64::from(height);
            decoded = decoded.max(8 * area);
            let longest = width.max(height);
            let share =
                if max_side == 0 || longest <= max_side { 1.0 } else { f64::from(max_side) / f64::from(longest) };
            pixels += (area as f64 * share * share) as u64;
        }
        let at_once = rayon::current_num_threads().min(self.maps.len()) as u64;
        Ok(MemoryPlan::default().with("decoding", at_once * decoded, format!("{at_once} maps at full size")).with(
            "views",
            pixels * super::BYTES_PER_PIXEL,
            format!("{pixels} pixels x {} bytes", super::BYTES_PER_PIXEL),
        ))
    }

    /// Decodes the maps, reduced to at most `max_side` pixels a side, and says what is remarkable about them.
    ///
    /// # Errors
    /// When a file cannot be read, is no normal map, or does not fit its camera or its mask.
    pub fn views(&self, max_side: u32) -> Result<(Vec<View>, Vec<String>)> {
        let files = &self.capture.files;
        let view = |(frame, map): (&Frame, &String)| -> Result<View> {
            let path = files.display_path(map);
            let decoded = decode(&files.read(map)?, &path)?;
            let mask =
                frame.mask.as_ref().map(|mask| decode_mask(&files.read(&mask.path)?, &files.display_path(&mask.path)));
            View::new(&path, &decoded, mask.transpose()?.as_ref(), (&frame.camera, &frame.camera_from_world), max_side)
        };
        let views: Vec<View> = self.capture.frames.par_iter().zip(&self.maps).map(view).collect::<Result<_>>()?;
        let cut_off: Vec<&str> = views.iter().filter(|view| view.is_cut_off()).map(|view| view.name.as_str()).collect();
        let mut remarks = Vec::new();
        if let Some(first) = cut_off.first() {
            let count = cut_off.len();
            remarks.push(format!("the object reaches the border of {count} of {} maps ({first} first), beyond which its outline is not known", views.len()));
        }
        debug_assert!(views.iter().all(|view| view.alpha.iter().any(|a| *a >= INSIDE)), "views show something");
        Ok((views, remarks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Point3;

    #[test]
    fn a_ring_looks_at_the_middle_from_where_it_says() {
        let expected: [[f64; 3]; 4] = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]];
        let ring = Ring { distance: Some(2.0), ..Ring::default() };
        for (index, direction) in expected.into_iter().enumerate() {
            let pose = ring.pose(index, 4);
            let position = pose.inverse().translation.vector;
            assert!((position - Vector3::from(direction) * 2.0).norm() < 1e-12, "view {index} stands at {position}");
            let middle = pose * Point3::origin();
            assert!((middle - Point3::new(0.0, 0.0, 2.0)).norm() < 1e-12, "view {index} sees the middle at {middle}");
            let above = pose * Point3::new(0.0, 1.0, 0.0);
            assert!((above - Point3::new(0.0, -1.0, 2.0)).norm() < 1e-12, "view {index} has y up, not {above}");
        }
        let clockwise = Ring { clockwise: true, ..ring };
        assert!((clockwise.pose(1, 4).inverse().translation.vector.x + 2.0).abs() < 1e-12, "clockwise is to the left");
        let above = Ring { elevation: 30.0, ..ring }.pose(0, 4);
        assert!((above.inverse().translation.vector.y - 1.0).abs() < 1e-12, "30 degrees above, at a distance of 2");
        assert!((above * Point3::origin() - Point3::new(0.0, 0.0, 2.0)).norm() < 1e-12);
    }
}
