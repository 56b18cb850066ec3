//! A transforms file as a list of cameras to render from: photos need not exist, and the order is the file's.

use super::{camera_from_world, intrinsics, parse};
use crate::camera::{Camera, Pose};
use crate::files::Files;
use crate::image::file_dimensions;
use crate::{DataError, Result};
use std::path::Path;

/// A camera as a file states it.
#[derive(Clone, Debug, PartialEq)]
pub struct StatedCamera {
    /// The frame's `file_path`.
    pub name: String,
    /// Lens and size; the size is 0x0 when neither the file nor a photo says what it is.
    pub camera: Camera,
    /// From the file's world to the camera.
    pub camera_from_world: Pose,
}

/// The cameras of a transforms file, in its order.
///
/// # Errors
/// When the file is missing, damaged, or lists no frames, or a pose or lens in it makes no sense.
pub fn read_cameras(path: impl AsRef<Path>) -> Result<Vec<StatedCamera>> {
    let path = path.as_ref();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name
        .filter(|_| path.is_file())
        .ok_or_else(|| DataError::new(path, "is not a transforms file").remedy("name a file like transforms.json"))?;
    let files = Files::open(folder)?;
    let transforms = parse(&files, name)?;
    if transforms.frames.is_empty() {
        return Err(DataError::new(path, "lists no frames").remedy("name a file with cameras"));
    }
    let mut cameras = Vec::with_capacity(transforms.frames.len());
    for entry in &transforms.frames {
        let described = |reason: String| {
            DataError::new(path, format!("frame {}: {reason}", entry.file_path)).remedy("leave that frame out")
        };
        // Only when the file leaves the size to the photo is that looked at.
        let states_size = |f: fn(&super::schema::Intrinsics) -> Option<f64>| f(&entry.own).or(f(&transforms.shared));
        let photo = match (states_size(|i| i.w), states_size(|i| i.h)) {
            (Some(_), Some(_)) => (0, 0),
            _ => {
                let found = super::find_image(&files, &super::inside(&files, &entry.file_path));
                found.map(|photo| file_dimensions(&files, &photo)).transpose()?.unwrap_or((0, 0))
            }
        };
        let camera = intrinsics::camera(&transforms.shared, &entry.own, photo).map_err(described)?;
        let has_size = camera.width > 0 && camera.height > 0;
        if has_size && !camera.lens.focal.iter().all(|f| *f > 0.0 && f.is_finite()) {
            return Err(described("its focal length is not positive".to_owned()));
        }
        cameras.push(StatedCamera {
            name: entry.file_path.clone(),
            camera,
            camera_from_world: camera_from_world(&entry.transform_matrix).map_err(described)?,
        });
    }
    Ok(cameras)
}
