//! Pictures of the stage: what rests once for each camera, what moves for each frame.

use super::stage::{Thing, moving, resting, surroundings};
use crate::camera::{Camera, Pose};
use crate::image::Image8;
use crate::synthetic::geometry::V3;

/// Samples per pixel across and down.
const SIDE: usize = 2;
const SAMPLES: usize = SIDE * SIDE;

/// One camera's view of what rests.
pub(super) struct Still {
    width: usize,
    height: usize,
    focal: f32,
    centre: [f32; 2],
    eye: V3,
    /// Right, down and forward in the world.
    axes: [V3; 3],
    /// Linear colour and distance of every sample, [`SAMPLES`] for each pixel.
    samples: Vec<(V3, f32)>,
    /// `[height, width, 3]`
    picture: Vec<u8>,
}

impl Still {
    pub(super) fn new(camera: &Camera, camera_from_world: &Pose) -> Self {
        let world_from_camera = camera_from_world.inverse();
        let axis = |v: nalgebra::Vector3<f64>| (world_from_camera.rotation * v).map(|x| x as f32);
        let mut still = Self {
            width: camera.width as usize,
            height: camera.height as usize,
            focal: camera.lens.focal[0] as f32,
            centre: camera.lens.centre.map(|c| c as f32),
            eye: world_from_camera.translation.vector.map(|x| x as f32),
            axes: [nalgebra::Vector3::x(), nalgebra::Vector3::y(), nalgebra::Vector3::z()].map(axis),
            samples: Vec::new(),
            picture: Vec::new(),
        };
        let things = resting();
        for pixel in 0..still.width * still.height {
            for sample in 0..SAMPLES {
                let direction = still.direction(pixel, sample);
                let spread = still.spread();
                let mut hit = surroundings(still.eye, direction, spread);
                for thing in &things {
                    if let Some(nearer) = thing.hit(still.eye, direction, spread).filter(|h| h.distance < hit.distance)
                    {
                        hit = nearer;
                    }
                }
                still.samples.push((hit.colour, hit.distance));
            }
        }
        let whole: Vec<u8> =
            still.samples.chunks_exact(SAMPLES).flat_map(|pixel| mean(pixel.iter().map(|s| s.0))).collect();
        still.picture = whole;
        still
    }

    /// The picture at `time` seconds.
    pub(super) fn picture(&self, seed: u64, time: f32) -> Image8 {
        let mut data = self.picture.clone();
        let things = moving(seed, time);
        let boxes: Vec<[usize; 4]> = things.iter().map(|thing| self.bounds(thing)).collect();
        for (which, [left, top, right, bottom]) in boxes.iter().copied().enumerate() {
            for pixel in (top..bottom).flat_map(|row| (left..right).map(move |column| (row, column))) {
                // A pixel that an earlier thing may cover is done already.
                if boxes[..which].iter().any(|b| contains(*b, pixel)) {
                    continue;
                }
                let place = pixel.0 * self.width + pixel.1;
                let colours = (0..SAMPLES).map(|sample| self.sample(&things, &boxes, pixel, place, sample));
                data[3 * place..][..3].copy_from_slice(&mean(colours));
            }
        }
        Image8 { width: self.width as u32, height: self.height as u32, channels: 3, data }
    }

    fn sample(&self, things: &[Thing], boxes: &[[usize; 4]], pixel: (usize, usize), place: usize, sample: usize) -> V3 {
        let direction = self.direction(place, sample);
        let (mut colour, mut distance) = self.samples[place * SAMPLES + sample];
        for (thing, _) in things.iter().zip(boxes).filter(|(_, b)| contains(**b, pixel)) {
            if let Some(hit) = thing.hit(self.eye, direction, self.spread()).filter(|hit| hit.distance < distance) {
                (colour, distance) = (hit.colour, hit.distance);
            }
        }
        colour
    }

    /// Points on what rests under the first sample of every pixel: positions and sRGB.
    pub(super) fn points(&self) -> impl Iterator<Item = ([f32; 3], [u8; 3])> + '_ {
        (0..self.width * self.height).map(|pixel| {
            let (colour, distance) = self.samples[pixel * SAMPLES];
            let place = self.eye + self.direction(pixel, 0) * distance;
            (place.into(), mean(std::iter::once(colour)))
        })
    }

    fn direction(&self, pixel: usize, sample: usize) -> V3 {
        let within = |i: usize| (i as f32 + 0.5) / SIDE as f32;
        let x = (pixel % self.width) as f32 + within(sample % SIDE);
        let y = (pixel / self.width) as f32 + within(sample / SIDE);
        let [right, down, forward] = self.axes;
        right * ((x - self.centre[0]) / self.focal) + down * ((y - self.centre[1]) / self.focal) + forward
    }

    /// A sample's size at distance 1.
    fn spread(&self) -> f32 {
        1.0 / (self.focal * SIDE as f32)
    }

    /// Columns and rows that a thing may cover: left, top, and behind the last ones.
    fn bounds(&self, thing: &Thing) -> [usize; 4] {
        let from = thing.centre - self.eye;
        let [x, y, z] = self.axes.map(|axis| axis.dot(&from));
        let reach = thing.reach();
        if z <= reach {
            return [0; 4];
        }
        // A ball's outline is an ellipse; near the axis this is generous, and no ball here is far from it.
        let radius = self.focal * reach / (z - reach) * (1.0 + (x * x + y * y) / (z * z)).sqrt() + 1.0;
        let side = |middle: f32, size: usize| {
            [middle - radius, middle + radius + 1.0].map(|edge| edge.clamp(0.0, size as f32) as usize)
        };
        let [left, right] = side(self.focal * x / z + self.centre[0], self.width);
        let [top, bottom] = side(self.focal * y / z + self.centre[1], self.height);
        [left, top, right, bottom]
    }
}

fn contains([left, top, right, bottom]: [usize; 4], (row, column): (usize, usize)) -> bool {
    (left..right).contains(&column) && (top..bottom).contains(&row)
}

/// The mean of linear colours as sRGB.
fn mean(colours: impl Iterator<Item = V3>) -> [u8; 3] {
    let (sum, count) = colours.fold((V3::zeros(), 0.0), |(sum, count), colour| (sum + colour, count + 1.0));
    let mean = sum / f32::max(count, 1.0);
    [mean.x, mean.y, mean.z].map(|x| (255.0 * crate::image::srgb_from_linear(x)).round() as u8)
}
