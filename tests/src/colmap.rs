//! COLMAP's binary models, written from a made capture so that tests can spoil any number in them.

use std::path::Path;
use tessera_datasets::camera::LensModel;
use tessera_datasets::capture::Capture;

/// COLMAP's number of the PINHOLE model.
pub const PINHOLE: i32 = 1;

/// The three files of a model.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// `cameras.bin`: number, model, width, height, parameters.
    pub cameras: Vec<(u32, i32, [u64; 2], Vec<f64>)>,
    /// `images.bin`: rotation (w, x, y, z), translation, camera, name.
    pub images: Vec<([f64; 4], [f64; 3], u32, String)>,
    /// `points3D.bin`: positions and colours.
    pub points: Vec<([f64; 3], [u8; 3])>,
}

impl Model {
    /// The model of a posed capture whose photos share one lens.
    ///
    /// # Panics
    /// When the capture has no photos.
    pub fn of(capture: &Capture) -> Self {
        let camera = &capture.frames.first().expect("a photo").camera;
        let (model, parameters) = LensModel::describe(&camera.lens);
        let size = [camera.width, camera.height].map(u64::from);
        let images = capture.frames.iter().map(|frame| {
            let q = frame.camera_from_world.rotation.quaternion();
            let name = frame.image.rsplit('/').next().unwrap_or(&frame.image).to_owned();
            ([q.w, q.i, q.j, q.k], frame.camera_from_world.translation.vector.into(), 1, name)
        });
        Self {
            cameras: vec![(1, model.id() as i32, size, parameters)],
            images: images.collect(),
            points: capture.points.iter().map(|p| (p.position, p.colour)).collect(),
        }
    }

    /// Writes `sparse/0` into the folder of a capture.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, capture: &Path) {
        let folder = capture.join("sparse/0");
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        for (name, bytes) in [
            ("cameras.bin", self.cameras_bin()),
            ("images.bin", self.images_bin()),
            ("points3D.bin", self.points_bin()),
        ] {
            std::fs::write(folder.join(name), bytes).expect("a file can be written");
        }
    }

    fn cameras_bin(&self) -> Vec<u8> {
        let mut out = count(self.cameras.len());
        for (id, model, size, parameters) in &self.cameras {
            out.extend(id.to_le_bytes());
            out.extend(model.to_le_bytes());
            size.iter().for_each(|side| out.extend(side.to_le_bytes()));
            put(&mut out, parameters);
        }
        out
    }

    fn images_bin(&self) -> Vec<u8> {
        let mut out = count(self.images.len());
        for (id, (rotation, translation, camera, name)) in self.images.iter().enumerate() {
            out.extend((id as u32 + 1).to_le_bytes());
            put(&mut out, rotation);
            put(&mut out, translation);
            out.extend(camera.to_le_bytes());
            out.extend(name.as_bytes());
            out.push(0);
            // No observations.
            out.extend(0_u64.to_le_bytes());
        }
        out
    }

    fn points_bin(&self) -> Vec<u8> {
        let mut out = count(self.points.len());
        for (id, (position, colour)) in self.points.iter().enumerate() {
            out.extend((id as u64 + 1).to_le_bytes());
            put(&mut out, position);
            out.extend(colour);
            put(&mut out, &[0.5]);
            // No track.
            out.extend(0_u64.to_le_bytes());
        }
        out
    }
}

fn count(number: usize) -> Vec<u8> {
    (number as u64).to_le_bytes().to_vec()
}

fn put(out: &mut Vec<u8>, values: &[f64]) {
    values.iter().for_each(|value| out.extend(value.to_le_bytes()));
}
