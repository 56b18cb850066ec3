//! From the scene to the unit cube that the field fills, and steps along rays through it.
//!
//! Box coordinates `p` reach from -1 to 1 along the box's longest side. In a scene with bounds the unit cube is that of the box,
//! `u = (p + 1) / 2`. Else it holds all of space, contracted (Barron et al., "Mip-NeRF 360", 2022, with the largest coordinate as the norm, so
//! that cells stay cubes):
//!
//! ```text
//! q = p                        where |p|∞ ≤ 1
//! q = (2 - 1/|p|∞) p/|p|∞      elsewhere                 u = q/4 + 1/2
//! ```
//!
//! A step is as long as the setting says inside the box, and grows with `|p|∞²` outside, as the cells there do.

use super::config::{Bounds, RadianceConfig};
use crate::rays::{RayMaker, SceneBox, TracedRay};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use tessera_kernels::occupancy::{MarchedRay, OccupancyGrid};

/// Samples of a ray at most.
const MOST_SAMPLES: usize = 4096;

/// What the unit cube is, and how rays are stepped along.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Space {
    /// Where the subject is.
    pub scene_box: SceneBox,
    /// Whether there is something outside of the box.
    pub unbounded: bool,
    /// Length of a step inside the box, in box coordinates.
    pub step: f32,
    /// Between which distances rays are looked along where there are no bounds, in box coordinates.
    pub near_far: [f32; 2],
}

impl Space {
    /// The space of a training on photos that are all cut out or are not.
    pub fn new(scene_box: SceneBox, cut_out: bool, config: &RadianceConfig) -> Self {
        let unbounded = match config.bounds {
            Bounds::Auto => !cut_out,
            Bounds::Box => false,
            Bounds::None => true,
        };
        Self {
            scene_box,
            unbounded,
            step: 2.0 * 3.0f32.sqrt() / config.ray_steps as f32,
            near_far: [config.near as f32, config.far as f32],
        }
    }

    /// Whether the numbers of a file mean anything.
    pub fn is_possible(&self) -> bool {
        let [near, far] = self.near_far;
        let side = self.scene_box.side();
        self.step > 1e-4 && self.step < 1.0 && near >= 0.0 && near < far && far <= 1e5 && side > 0.0 && side.is_finite()
    }

    /// The ray through a place in the picture, in pixels, in sides of the box from its lowest corner.
    pub fn ray(&self, maker: &RayMaker, pixel: [f64; 2], jitter: f32) -> TracedRay {
        let ray = match self.unbounded {
            true => Some(maker.ray_between(pixel, self.near_far.map(|t| 0.5 * t))),
            false => maker.ray(pixel),
        };
        TracedRay { ray, jitter }
    }

    /// By what gradients of a sample at `t` are multiplied so that what is close to a camera, where rays are dense and other cameras do not look,
    /// is not learned before what all see: 1 at the distance of the box's centre and beyond (Philip and Deschaintre, "Floaters No More", 2023).
    #[inline]
    pub fn evened(&self, ray: &MarchedRay, t: f32) -> f32 {
        let squared: f32 = ray.origin.iter().map(|x| (x - 0.5) * (x - 0.5)).sum();
        (t * t / squared.max(1e-6)).min(1.0)
    }

    /// From sides of the box to the unit cube.
    #[inline]
    pub fn to_cube(&self, x: [f32; 3]) -> [f32; 3] {
        if !self.unbounded {
            return x;
        }
        let p = x.map(|x| 2.0 * x - 1.0);
        let norm = largest(p);
        let scale = if norm > 1.0 { (2.0 - 1.0 / norm) / norm } else { 1.0 };
        p.map(|p| 0.25 * scale * p + 0.5)
    }

    /// From the unit cube to sides of the box; the cube's faces are infinitely far away.
    pub fn from_cube(&self, u: [f32; 3]) -> [f32; 3] {
        if !self.unbounded {
            return u;
        }
        let q = u.map(|u| 4.0 * u - 2.0);
        let norm = largest(q);
        // |q|∞ = 2 - 1/|p|∞
        let scale = if norm > 1.0 { 1.0 / ((2.0 - norm).max(1e-6) * norm) } else { 1.0 };
        q.map(|q| 0.5 * scale * q + 0.5)
    }

    /// Length of a step at a place in sides of the box, in box coordinates.
    #[inline]
    pub fn step_at(&self, x: [f32; 3]) -> f32 {
        let growth = if self.unbounded { largest(x.map(|x| 2.0 * x - 1.0)).max(1.0) } else { 1.0 };
        self.step * growth * growth
    }

    /// Appends the distances, in sides of the box, of the steps of a ray that lie in occupied cells.
    pub fn march(&self, grid: &OccupancyGrid, traced: &TracedRay, out: &mut Vec<f32>) -> Range<usize> {
        let begin = out.len();
        let Some(ray) = &traced.ray else { return begin..begin };
        if !self.unbounded {
            return grid.march(ray, 0.5 * self.step, traced.jitter, MOST_SAMPLES, out);
        }
        let side = grid.resolution() as f32;
        let [near, far] = ray.near_far;
        let mut t = near + 0.5 * traced.jitter * self.step_at(ray.at(near));
        while t < far && out.len() - begin < MOST_SAMPLES {
            let x = ray.at(t);
            let cell = self.to_cube(x).map(|u| (u * side).clamp(0.0, side - 1.0) as usize);
            if grid.is_set(grid.index(cell)) {
                out.push(t);
            }
            t += 0.5 * self.step_at(x);
        }
        begin..out.len()
    }

    /// The length of the step of the sample at `t`, in box coordinates.
    #[inline]
    pub fn step_of(&self, ray: &MarchedRay, t: f32) -> f32 {
        if self.unbounded { self.step_at(ray.at(t)) } else { self.step }
    }
}

fn largest(p: [f32; 3]) -> f32 {
    p.into_iter().fold(0.0, |norm, x| norm.max(x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(unbounded: bool) -> Space {
        let scene_box = SceneBox { corners: [[-1.0; 3], [1.0; 3]] };
        Space { scene_box, unbounded, step: 0.01, near_far: [0.1, 64.0] }
    }

    #[test]
    fn contraction_keeps_the_box_and_holds_all_of_space() {
        let space = space(true);
        assert_eq!(space.to_cube([0.5; 3]), [0.5; 3], "the middle");
        assert_eq!(space.to_cube([1.0, 0.5, 0.0]), [0.75, 0.5, 0.25], "the box is the middle half of the cube");
        let far = space.to_cube([1e6, 0.5, 0.5]);
        assert!(far[0] > 0.999 && far[0] <= 1.0, "what is far is at the cube's face: {far:?}");
    }

    #[test]
    fn the_way_back_from_the_cube_is_the_inverse() {
        for unbounded in [false, true] {
            let space = space(unbounded);
            for x in [[0.2, 0.9, 0.4], [3.0, -2.0, 0.5], [-7.0, 8.0, 9.0]] {
                let back = space.from_cube(space.to_cube(x));
                for k in 0..3 {
                    assert!((back[k] - x[k]).abs() < 1e-4 * x[k].abs().max(1.0), "{x:?} came back as {back:?}");
                }
            }
        }
    }

    #[test]
    fn steps_outside_of_the_box_grow_and_empty_cells_are_skipped() {
        let space = space(true);
        let ray = MarchedRay { origin: [0.5; 3], direction: [1.0, 0.0, 0.0], near_far: [0.05, 8.0] };
        let traced = TracedRay { ray: Some(ray), jitter: 0.0 };
        let mut all = Vec::new();
        space.march(&OccupancyGrid::full(32), &traced, &mut all);
        let steps: Vec<f32> = all.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(
            (steps[0] - 0.005).abs() < 1e-5,
            "half of the step, for sides are two of box coordinates: {}",
            steps[0]
        );
        let (last, t) = (steps[steps.len() - 1], all[all.len() - 2]);
        assert!((last / (0.005 * 4.0 * t * t) - 1.0).abs() < 1e-3, "{last} at {t}");
        let mut grid = OccupancyGrid::full(32);
        grid.clear(grid.index([16, 16, 16]));
        let mut fewer = Vec::new();
        space.march(&grid, &traced, &mut fewer);
        assert!(fewer.len() < all.len() && fewer.iter().all(|t| all.contains(t)));
    }
}
