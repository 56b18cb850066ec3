//! From depth maps to a grid of distances (Curless and Levoy, "A volumetric method for building complex models from range images", 1996).
//!
//! Each map says of each cell how far along its ray the surface is behind the cell, up to a limit; cells farther than that behind the surface it does not
//! see. The mean of what maps say changes its sign where the surface is. What no map sees is taken to be inside, so that surfaces are closed.

use super::sweeping::distances_from_signs;
use crate::rays::SceneBox;
use crate::rays::SeenPlace;
use nalgebra::Vector3;
use rayon::prelude::*;
use tessera_kernels::camera_projection::View;

/// Cells per side.
pub const RESOLUTION: usize = 192;
/// How far from the surface maps are asked, in cells.
const LIMIT: f32 = 4.0;

/// What one camera sees.
#[derive(Clone, Debug)]
pub struct DepthMap {
    /// From the scene to its pixels.
    pub view: View,
    /// `[H, W]`, depth along the camera's axis in scene units; 0 where nothing is seen however far.
    pub depth: Vec<f32>,
}

/// Distances at the middles of the cells of the unit cube, positive outside.
#[derive(Clone, Debug, PartialEq)]
pub struct DistanceGrid {
    resolution: usize,
    values: Vec<f32>,
}

impl DistanceGrid {
    /// The distances of the surface that `maps` show; `None` when there is none in the box.
    pub fn fused(maps: &[DepthMap], scene_box: &SceneBox) -> Option<Self> {
        let values = asked(maps, scene_box, RESOLUTION);
        Self::from_values(RESOLUTION, distances_from_signs(&values, RESOLUTION))
    }

    /// A grid of these distances; `None` when it has no surface or another size.
    pub fn from_values(resolution: usize, values: Vec<f32>) -> Option<Self> {
        let both = values.iter().any(|d| *d < 0.0) && values.iter().any(|d| *d > 0.0);
        (both && values.len() == resolution.pow(3)).then_some(Self { resolution, values })
    }

    /// All of them, x fastest.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Cells per side.
    pub fn resolution(&self) -> usize {
        self.resolution
    }

    /// The middles of the cells at the surface.
    pub fn near_surface(&self) -> Vec<[f32; 3]> {
        let (n, side) = (self.resolution, 1.0 / self.resolution as f32);
        let near = (0..self.values.len()).filter(|&i| self.values[i].abs() < side);
        near.map(|i| [i % n, i / n % n, i / (n * n)].map(|x| (x as f32 + 0.5) * side)).collect()
    }

    /// The distance at a place, interpolated.
    pub fn at(&self, place: [f32; 3]) -> f32 {
        let n = self.resolution;
        let last = (n - 1) as f32;
        let p = place.map(|x| (x * n as f32 - 0.5).clamp(0.0, last));
        let low = p.map(|x| (x as usize).min(n - 2));
        let f: [f32; 3] = std::array::from_fn(|k| p[k] - low[k] as f32);
        let value = |c: usize| {
            let [x, y, z]: [usize; 3] = std::array::from_fn(|k| low[k] + (c >> k & 1));
            self.values[x + n * (y + n * z)]
        };
        let weight = |c: usize| (0..3).map(|k| if c >> k & 1 == 1 { f[k] } else { 1.0 - f[k] }).product::<f32>();
        (0..8).map(|c| weight(c) * value(c)).sum()
    }
}

/// The mean of what maps say of each cell's middle, in cells; cells that no map sees are as far inside as can be.
fn asked(maps: &[DepthMap], scene_box: &SceneBox, n: usize) -> Vec<f32> {
    let cell = scene_box.side() / n as f64;
    let mut values = vec![-LIMIT; n * n * n];
    values.par_chunks_mut(n).enumerate().for_each(|(row, values)| {
        let at = |x: usize| [x, row % n, row / n].map(|x| (x as f64 + 0.5) / n as f64);
        let places: Vec<Vector3<f64>> = (0..n).map(|x| Vector3::from(scene_box.from_cube(at(x)))).collect();
        let mut sums = vec![(0.0f32, 0.0f32); n];
        for map in maps {
            for (place, sum) in places.iter().zip(&mut sums) {
                if let Some(ahead) = map.ahead_of(place) {
                    let ahead = ahead / cell as f32;
                    if ahead > -LIMIT {
                        *sum = (sum.0 + ahead.min(LIMIT), sum.1 + 1.0);
                    }
                }
            }
        }
        for (value, (sum, count)) in values.iter_mut().zip(sums) {
            if count > 0.0 {
                *value = sum / count;
            }
        }
    });
    values
}

impl DepthMap {
    /// How far along the ray through a place the surface is behind it, in scene units; `None` when the camera does not see there.
    fn ahead_of(&self, place: &Vector3<f64>) -> Option<f32> {
        let seen = SeenPlace::of(&self.view, place)?;
        let [x, y] = seen.pixel.map(|x| x as usize);
        let depth = self.depth[y * self.view.width + x];
        Some(if depth > 0.0 { ((f64::from(depth) - seen.depth) * seen.stretch) as f32 } else { f32::INFINITY })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Isometry3, Point3};
    use tessera_datasets::camera::Camera;

    #[test]
    fn depths_of_a_ball_from_all_around_become_its_distances() {
        let (centre, radius) = (Vector3::new(0.1f32, -0.05, 0.2), 0.5f32);
        let scene_box = SceneBox { corners: [[-1.0, -0.9, -0.8], [1.0, 0.9, 1.1]] };
        let maps: Vec<DepthMap> = ring(&centre)
            .map(|view| DepthMap { depth: (0..200 * 160).map(|p| seen(&view, p, &centre, radius)).collect(), view })
            .collect();
        let grid = DistanceGrid::fused(&maps, &scene_box).expect("a surface");
        let cell = (1.0 / RESOLUTION as f64) as f32;
        for place in grid.near_surface() {
            let scene = Vector3::from(scene_box.from_cube(place.map(f64::from))).cast::<f32>();
            let exact = ((scene - centre).norm() - radius) / scene_box.side() as f32;
            // Near its rim a ball is seen edge on, and a pixel is a cell or so: two cells.
            assert!((grid.at(place) - exact).abs() < 2.0 * cell, "{place:?}: {} instead of {exact}", grid.at(place));
        }
        assert!(grid.near_surface().len() > 1000);
    }

    #[test]
    fn where_cameras_see_through_there_is_no_surface() {
        let centre = Vector3::new(0.1f32, -0.05, 0.2);
        let maps: Vec<DepthMap> = ring(&centre).map(|view| DepthMap { view, depth: vec![0.0; 200 * 160] }).collect();
        let [low, high] = [-0.3, 0.3].map(|d| (centre.cast::<f64>().add_scalar(d)).into());
        assert_eq!(DistanceGrid::fused(&maps, &SceneBox { corners: [low, high] }), None);
    }

    /// Twelve cameras of 200x160 pixels around a place, above and below it by turns.
    fn ring(centre: &Vector3<f32>) -> impl Iterator<Item = View> {
        let camera = Camera::from_horizontal_fov(200, 160, 1.1);
        let centre = Point3::from(centre.cast());
        (0..12).map(move |i| {
            let angle = f64::from(i) * std::f64::consts::TAU / 12.0;
            let eye = Point3::new(2.5 * angle.cos(), 2.5 * angle.sin(), if i % 2 == 0 { 1.2 } else { -1.2 });
            View::new(&camera, &Isometry3::face_towards(&eye, &centre, &Vector3::z()).inverse())
        })
    }

    /// The depth of the ball in a pixel, 0 beside it.
    fn seen(view: &View, pixel: usize, centre: &Vector3<f32>, radius: f32) -> f32 {
        let at = [(pixel % view.width) as f64 + 0.5, (pixel / view.width) as f64 + 0.5];
        let [u, v] = view.lens.unproject_within(at, f64::from(view.max_radius_squared));
        let c: [f32; 3] =
            std::array::from_fn(|i| (0..3).map(|j| view.rotation[i][j] * centre[j]).sum::<f32>() + view.translation[i]);
        let (d, c) = (Vector3::new(u as f32, v as f32, 1.0), Vector3::from(c));
        let (a, b) = (d.dot(&d), d.dot(&c));
        let root = b * b - a * (c.dot(&c) - radius * radius);
        if root < 0.0 { 0.0 } else { (b - root.sqrt()) / a }
    }
}
