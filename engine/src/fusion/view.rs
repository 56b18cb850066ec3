//! A normal map with its outline and its camera.

use super::hull::INSIDE;
use crate::{Error, Result};
use nalgebra::{Point3, Vector3};
use std::path::Path;
use tessera_datasets::camera::{Camera, Pose};
use tessera_datasets::image::{Image8, Mask8};

/// Without a mask and without alpha, a pixel shows something when one of its channels is above this.
const BLACK: u8 = 12;
/// Vectors shorter than this say nothing.
const LEAST_LENGTH: f32 = 0.2;
/// By so much the lengths of vectors may differ from 1 on average: rounding and compression change them less, and photos are farther off.
const UNEVEN: f32 = 0.25;

/// One view of the object.
#[derive(Clone, Debug)]
pub struct View {
    /// The map's file, for messages.
    pub name: String,
    /// Lens and size.
    pub camera: Camera,
    /// From the world to the camera.
    pub camera_from_world: Pose,
    /// `[H, W, 3]`: the map's channels from -1 to 1, of length 1; zeros where nothing is known.
    pub channels: Vec<[f32; 3]>,
    /// `[H, W]`: the share of each pixel that the object covers.
    pub alpha: Vec<f32>,
    /// Squared distance from the axis, at depth 1, beyond which the lens sees nothing.
    farthest: f64,
}

impl View {
    /// A view of a map as it was decoded, at most `max_side` pixels large (0: as large as it is). The outline is the mask, else the map's alpha, else
    /// where the map is not black.
    ///
    /// # Errors
    /// When the map has another shape than its camera or its mask, nothing or everything is inside the outline, or the colours are not normals.
    pub fn new(
        path: &Path,
        map: &Image8,
        mask: Option<&Mask8>,
        (camera, camera_from_world): (&Camera, &Pose),
        max_side: u32,
    ) -> Result<Self> {
        let wrong = |reason: String, remedy: &str| Err(Error::file(path, reason, remedy));
        let shape = |width: u32, height: u32| f64::from(width) / f64::from(height.max(1));
        // A shape may differ by the rounding of a side to whole pixels.
        let rounding = 1.0 + 1.0 / f64::from(map.width.min(map.height).max(1));
        let ratio = shape(map.width, map.height) / shape(camera.width, camera.height);
        if !(1.0 / rounding..=rounding).contains(&ratio) {
            let reason = format!(
                "is {}x{}, but its camera takes pictures of {}x{}",
                map.width, map.height, camera.width, camera.height
            );
            return wrong(reason, "give the map the size of its photo, or its camera the size of the map");
        }
        if let Some(mask) = mask.filter(|mask| (mask.width, mask.height) != (map.width, map.height)) {
            let reason = format!("is {}x{}, but its mask is {}x{}", map.width, map.height, mask.width, mask.height);
            return wrong(reason, "give both the same size");
        }
        let cut_out = cut_out(map, mask);
        let longest = map.width.max(map.height);
        let side = |side: u32| (u64::from(side) * u64::from(max_side) / u64::from(longest)).max(1) as u32;
        let cut_out = match max_side {
            0 => cut_out,
            most if longest <= most => cut_out,
            _ => cut_out.resized(side(map.width), side(map.height)),
        };
        let mut view = Self {
            name: path.display().to_string(),
            camera: camera.resized(cut_out.width, cut_out.height),
            camera_from_world: *camera_from_world,
            channels: Vec::new(),
            alpha: cut_out.data.chunks_exact(4).map(|p| f32::from(p[3]) / 255.0).collect(),
            farthest: camera.lens.max_valid_radius_squared(),
        };
        let inside = view.alpha.iter().filter(|a| **a >= INSIDE).count();
        if inside == 0 {
            return wrong(
                "shows nothing: no pixel is inside its outline".to_owned(),
                "check its mask or its alpha channel, or leave the view out",
            );
        }
        if inside == view.alpha.len() {
            let reason = "has an outline that fills the whole picture, so it says nothing about the shape".to_owned();
            return wrong(reason, "give it an alpha channel, a mask, or a black background");
        }
        view.read(&cut_out).map_or_else(|(reason, remedy)| wrong(reason, remedy), |()| Ok(view))
    }

    /// Width and height.
    pub fn size(&self) -> [usize; 2] {
        [self.camera.width as usize, self.camera.height as usize]
    }

    /// Where the camera stands.
    pub fn position(&self) -> Vector3<f64> {
        self.camera_from_world.inverse().translation.vector
    }

    /// Where a place in the camera's space lies in the picture; `None` behind the camera and where its lens sees nothing.
    pub fn pixel(&self, c: &Point3<f64>) -> Option<[f64; 2]> {
        let (u, v) = (c.x / c.z, c.y / c.z);
        if c.z <= 0.0 || u * u + v * v > self.farthest {
            return None;
        }
        let uv = self.camera.lens.distort(u, v).uv;
        Some([0, 1].map(|k| self.camera.lens.focal[k] * uv[k] + self.camera.lens.centre[k]))
    }

    /// Whether the object reaches the border of the picture.
    pub fn is_cut_off(&self) -> bool {
        let [width, height] = self.size();
        let is_border = |i: usize| {
            let (x, y) = (i % width, i / width);
            x == 0 || y == 0 || x + 1 == width || y + 1 == height
        };
        (0..self.alpha.len()).any(|i| is_border(i) && self.alpha[i] >= INSIDE)
    }

    /// Reads the vectors; else says what is wrong with them, and what helps.
    fn read(&mut self, map: &Image8) -> std::result::Result<(), (String, &'static str)> {
        let (mut off, mut known) = (0.0, 0.0f32);
        for (pixel, alpha) in map.data.chunks_exact(4).zip(&self.alpha) {
            let vector = [0, 1, 2].map(|k| f32::from(pixel[k]) / 127.5 - 1.0);
            let length = super::vector::length(vector);
            if *alpha < INSIDE || length < LEAST_LENGTH || pixel[..3] == [0; 3] {
                self.channels.push([0.0; 3]);
                continue;
            }
            self.channels.push(vector.map(|x| x / length));
            off += (length - 1.0).abs();
            known += 1.0;
        }
        if known == 0.0 || off / known > UNEVEN {
            let reason = "is no normal map: its colours, from -1 to 1, are not vectors of length 1".to_owned();
            return Err((reason, "name a folder of normal maps, or a transforms.json with normal_file_path"));
        }
        Ok(())
    }
}

/// The map with its outline as alpha.
fn cut_out(map: &Image8, mask: Option<&Mask8>) -> Image8 {
    let mut out = Image8::new(map.width, map.height, 4);
    let pixels = map.data.chunks_exact(usize::from(map.channels));
    for (i, (to, from)) in out.data.chunks_exact_mut(4).zip(pixels).enumerate() {
        to[..3].copy_from_slice(&from[..3]);
        let by_colour = if from[..3].iter().any(|c| *c > BLACK) { 255 } else { 0 };
        to[3] = mask.map_or_else(|| from.get(3).copied().unwrap_or(by_colour), |mask| mask.data[i]);
    }
    out
}
