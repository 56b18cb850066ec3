//! How the object has moved as a whole since the moment before: the rotation and the shift with which the surface as it was fits
//! the photos of now best.
//!
//! Least squares of colours along a few thousand fixed rays, by Gauss-Newton with damping (Levenberg 1944, Marquardt 1963). The
//! derivatives by the six numbers of a motion are differences of pictures: seven pictures of those rays for each round. A sharp
//! outline says nothing to a ray that passes it at some distance, so the surface is looked at blurred first, then sharper and
//! sharper.

use super::super::Surface;
use super::super::occupied::occupied;
use super::super::trace::{TraceSettings, Traced};
use crate::Result;
use crate::frames::FrameSet;
use crate::rays::paint::Seen;
use crate::rays::{RayMaker, TracedRay, TrainingRay, of_pixel};
use nalgebra::{Isometry3, Matrix6, Translation3, UnitQuaternion, Vector3, Vector6};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use tessera_kernels::camera_projection::View;
use tessera_kernels::occupancy::OccupancyGrid;
use tessera_kernels::sdf_render::Ray;

/// Rays that are drawn, and at most so many of them that show the object before or now are compared.
const DRAWN: usize = 16_384;
const COMPARED: usize = 1_024;
/// Opacity that tells the object from what is around it.
const SHOWN: f32 = 0.05;
/// The inverse width of the surface, in sides of the box, when it is looked at first, and its growth until it is as sharp as it is.
const BLURRED: f32 = 64.0;
const SHARPER: f32 = 3.0;
/// By so much of the surface's width the motion is changed for differences of pictures: radians, and sides of the box.
const STEP: f64 = 0.25;
/// Rounds at most with each sharpness; a change below this, in widths of the surface, ends them.
const ROUNDS: usize = 10;
const SETTLED: f64 = 0.01;
/// From this difference of colours on the loss grows linearly.
const HUBER: f64 = 0.2;
/// Rays looked along at a time.
const CHUNK: usize = 64;

/// The photos of a moment and the surface of the moment before.
pub(super) struct Alignment<'a> {
    surface: &'a Surface,
    frames: &'a FrameSet,
    /// The middle of the box, about which it turns, and the box's side; object coordinates.
    middle: Vector3<f64>,
    side: f64,
    seed: u64,
    /// How sharp the surface is looked at, and which cells that needs.
    sharpness: f32,
    occupancy: OccupancyGrid,
    /// What is compared.
    compared: Vec<Compared>,
}

/// The frame and the pixel that are looked at, and what should be seen there.
type Compared = (usize, [usize; 2], TrainingRay);
/// Colours that are seen minus colours of photos, three for each ray.
type Differences = Vec<f64>;

impl<'a> Alignment<'a> {
    /// Of the surface to photos in the scene of the first moment.
    pub fn new(surface: &'a Surface, frames: &'a FrameSet, seed: u64) -> Self {
        let [low, high] = surface.scene_box.corners.map(Vector3::from);
        Self {
            surface,
            frames,
            middle: 0.5 * (low + high),
            side: surface.scene_box.side(),
            seed,
            sharpness: surface.sharpness,
            occupancy: surface.occupancy.clone(),
            compared: Vec::new(),
        }
    }

    /// Where the object is: from the scene to the coordinates that the surface is kept in. Begins with the best of `guesses`.
    ///
    /// # Errors
    /// When a photo cannot be read.
    pub fn find(&mut self, guesses: &[Isometry3<f64>]) -> Result<Isometry3<f64>> {
        let Some(first) = guesses.first() else { return Ok(Isometry3::identity()) };
        self.look_with(BLURRED.min(self.surface.sharpness));
        self.choose_pixels(first)?;
        let mut best = (*first, loss(&self.differences(first)));
        for guess in &guesses[1..] {
            let of_guess = loss(&self.differences(guess));
            if of_guess < best.1 {
                best = (*guess, of_guess);
            }
        }
        let mut object_from_scene = self.improve(best.0);
        while self.sharpness < self.surface.sharpness {
            self.look_with((SHARPER * self.sharpness).min(self.surface.sharpness));
            object_from_scene = self.improve(object_from_scene);
        }
        Ok(object_from_scene)
    }

    fn look_with(&mut self, sharpness: f32) {
        self.sharpness = sharpness;
        self.occupancy = occupied(&self.surface.field, self.surface.config.occupancy_resolution, sharpness);
    }

    /// The best motion near one, with the surface as sharp as it is looked at.
    fn improve(&self, mut object_from_scene: Isometry3<f64>) -> Isometry3<f64> {
        let mut differences = self.differences(&object_from_scene);
        let mut damping = 1e-3;
        for _ in 0..ROUNDS {
            let (normal, gradient) = self.normal_equations(&object_from_scene, &differences);
            let mut improved = false;
            while !improved && damping < 1e3 {
                let damped = normal + damping * Matrix6::from_diagonal(&normal.diagonal().add_scalar(1e-9));
                let Some(change) = damped.cholesky().map(|c| -c.solve(&gradient)) else { break };
                let moved = self.moved(&object_from_scene, &change);
                let now = self.differences(&moved);
                improved = loss(&now) < loss(&differences);
                if improved {
                    (object_from_scene, differences) = (moved, now);
                    damping = (0.2 * damping).max(1e-6);
                    if change.norm() * f64::from(self.sharpness) < SETTLED {
                        return object_from_scene;
                    }
                } else if change.norm() * f64::from(self.sharpness) < SETTLED {
                    return object_from_scene;
                } else {
                    damping *= 16.0;
                }
            }
            if !improved {
                break;
            }
        }
        object_from_scene
    }

    /// Turned and shifted once more: radians about the box's middle, then sides of the box.
    fn moved(&self, object_from_scene: &Isometry3<f64>, by: &Vector6<f64>) -> Isometry3<f64> {
        let turn = UnitQuaternion::from_scaled_axis(Vector3::new(by[0], by[1], by[2]));
        let shift = self.side * Vector3::new(by[3], by[4], by[5]);
        let about_middle = Translation3::from(self.middle + shift) * turn * Translation3::from(-self.middle);
        about_middle * object_from_scene
    }

    /// J W Jᵀ and J W r of the differences r with Huber's weights W.
    fn normal_equations(
        &self,
        object_from_scene: &Isometry3<f64>,
        differences: &Differences,
    ) -> (Matrix6<f64>, Vector6<f64>) {
        let mut columns = Vec::with_capacity(6);
        let step = STEP / f64::from(self.sharpness);
        for k in 0..6 {
            let mut by = Vector6::zeros();
            by[k] = step;
            let moved = self.differences(&self.moved(object_from_scene, &by));
            columns.push(moved.iter().zip(differences).map(|(m, d)| (m - d) / step).collect::<Vec<f64>>());
        }
        let (mut normal, mut gradient) = (Matrix6::zeros(), Vector6::zeros());
        for (i, difference) in differences.iter().enumerate() {
            let row = Vector6::from_fn(|k, _| columns[k][i]);
            let weight = (HUBER / difference.abs().max(1e-12)).min(1.0);
            normal += weight * row * row.transpose();
            gradient += weight * *difference * row;
        }
        (normal, gradient)
    }

    /// Random pixels that show the object where it is taken to be or where it is, evenly thinned out.
    fn choose_pixels(&mut self, object_from_scene: &Isometry3<f64>) -> Result<()> {
        let mut rng = Pcg64::seed_from_u64(self.seed);
        let background = self.surface.config.background;
        let mut drawn = Vec::with_capacity(DRAWN);
        for i in 0..self.frames.len() {
            let frame = self.frames.load(i, 1)?;
            let (width, height) = (frame.view.width, frame.view.height);
            for _ in 0..DRAWN.div_ceil(self.frames.len()) {
                let pixel = [rng.random_range(0..width), rng.random_range(0..height)];
                let behind = match frame.is_cut_out() {
                    true => std::array::from_fn(|_| rng.random_range(0.0..1.0)),
                    false => background,
                };
                let nowhere = |_| TracedRay { ray: None, jitter: 0.0 };
                drawn.extend(of_pixel(&frame, pixel, nowhere, behind).map(|wanted| (i, pixel, wanted)));
            }
        }
        self.compared = drawn;
        let seen = self.look(object_from_scene);
        let shows = |i: &usize| {
            let (.., wanted) = &self.compared[*i];
            wanted.opacity.is_none_or(|o| o > SHOWN) || seen[*i].transmittance < 1.0 - SHOWN
        };
        let shown: Vec<usize> = (0..seen.len()).filter(shows).collect();
        let count = shown.len().min(COMPARED);
        self.compared = (0..count).map(|k| self.compared[shown[k * shown.len() / count]]).collect();
        Ok(())
    }

    fn differences(&self, object_from_scene: &Isometry3<f64>) -> Differences {
        let of_ray = |(seen, (.., wanted)): (&Seen, &Compared)| -> [f64; 3] {
            std::array::from_fn(|k| f64::from(seen.colour[k]) - f64::from(wanted.colour[k]))
        };
        self.look(object_from_scene).iter().zip(&self.compared).flat_map(of_ray).collect()
    }

    /// What the compared pixels see of an object that is there.
    fn look(&self, object_from_scene: &Isometry3<f64>) -> Vec<Seen> {
        let scene_from_object = object_from_scene.inverse();
        let maker = |i: usize| {
            let view = View::new(self.frames.camera(i), &(self.frames.camera_from_scene(i) * scene_from_object));
            RayMaker::new(&view, &self.surface.scene_box)
        };
        let makers: Vec<RayMaker> = (0..self.frames.len()).map(maker).collect();
        let step = self.surface.step_length(self.sharpness);
        let settings = TraceSettings { step, sharpness: self.sharpness, anneal: 1.0 };
        let look = |traced: &mut Traced, pixels: &[Compared]| -> Vec<Seen> {
            let ray = |&(frame, [x, y], _): &Compared| TracedRay {
                ray: makers[frame].ray([x as f64 + 0.5, y as f64 + 0.5]),
                jitter: 0.5,
            };
            let lines: Vec<TracedRay> = pixels.iter().map(ray).collect();
            traced.trace(&self.surface.field, &self.occupancy, &lines, &settings, |_| &[]);
            let mut weights = Vec::new();
            let spans = pixels.iter().zip(&traced.spans);
            let blended = spans.map(|((.., wanted), span)| {
                let (alphas, colours) = (&traced.alphas[0][span.clone()], &traced.colours[span.clone()]);
                let ray = Ray { alphas, colours, background: wanted.background };
                Seen::blended(&ray, &traced.ts[span.clone()], &mut weights)
            });
            blended.collect()
        };
        self.compared.par_chunks(CHUNK).map_init(Traced::default, look).flatten_iter().collect()
    }
}

/// Huber's, in sum.
fn loss(differences: &Differences) -> f64 {
    let of_one = |d: f64| if d < HUBER { 0.5 * d * d } else { HUBER * (d - 0.5 * HUBER) };
    differences.iter().map(|d| of_one(d.abs())).sum()
}
