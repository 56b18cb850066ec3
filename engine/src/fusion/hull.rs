//! The visual hull: what lies inside of all outlines (Laurentini 1994).
//!
//! Each mask becomes a picture of signed distances from its outline, in pixels (exact Euclidean distances: Felzenszwalb and Huttenlocher,
//! "Distance transforms of sampled functions", 2012). A place is inside by the least of what the views say, at its depth. That changes evenly, so
//! marching cubes finds a smooth surface on a coarse grid. Beyond the border of a picture its last pixels go on: an object that a picture
//! cuts off is not cut off there.

use super::View;
use crate::meshing::Distances;
use crate::{Error, Result};
use nalgebra::{Matrix3, Point3, Vector3};
use rayon::prelude::*;

/// Cells a side with which the box around the hull is sought.
const COARSE: usize = 48;
/// How often the box is enlarged, and by how much, before the hull counts as open.
const ENLARGEMENTS: usize = 5;
const ENLARGEMENT: f64 = 1.6;
/// Distances in pictures exceed those in space, at most by so much: what is said is never more than the truth.
const CAUTION: f32 = 0.5;
/// From the mask's share of a pixel on, the pixel is inside.
pub const INSIDE: f32 = 0.5;

/// A cube in the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cube {
    /// Its middle.
    pub middle: Vector3<f64>,
    /// Length of a side.
    pub side: f64,
}

impl Cube {
    /// A place of the unit cube in the world.
    fn place(&self, p: [f32; 3]) -> Point3<f64> {
        Point3::from(self.middle + self.side * (Vector3::from(p.map(f64::from)).add_scalar(-0.5)))
    }
}

/// The outlines of all views, over a cube.
pub struct Hull<'a> {
    views: &'a [View],
    outlines: Vec<Vec<f32>>,
    /// What the unit cube of [`Distances`] stands for.
    pub cube: Cube,
}

impl<'a> Hull<'a> {
    /// The hull, in a cube that it just fills.
    ///
    /// # Errors
    /// When the outlines have no volume in common, or leave it open.
    pub fn new(views: &'a [View]) -> Result<Self> {
        let outlines = views.par_iter().map(|view| signed_distances(&view.alpha, view.size())).collect();
        let mut hull = Self { views, outlines, cube: first_cube(views)? };
        for _ in 0..ENLARGEMENTS {
            let Some([low, high]) = hull.occupied() else {
                return Err(apart());
            };
            if low.iter().all(|x| *x > 0) && high.iter().all(|x| *x + 1 < COARSE) {
                let cell = 1.0 / COARSE as f32;
                let corner = |at: [usize; 3], by: f32| hull.cube.place(at.map(|x| (x as f32 + by) * cell)).coords;
                let [low, high] = [corner(low, -1.0), corner(high, 2.0)];
                hull.cube = Cube { middle: 0.5 * (low + high), side: (high - low).max() };
                return Ok(hull);
            }
            hull.cube.side *= ENLARGEMENT;
        }
        Err(Error::setting(
            "the outlines do not say how far the object reaches: no view looks at it from the side; add views from other directions",
        ))
    }

    /// The lowest and the highest coarse cells that the hull may reach into.
    fn occupied(&self) -> Option<[[usize; 3]; 2]> {
        let cell = 1.0 / COARSE as f32;
        let at = |i: usize| [i % COARSE, i / COARSE % COARSE, i / COARSE.pow(2)];
        // Half a diagonal from the middle.
        let reach = CAUTION * 0.5 * 3.0f32.sqrt() * cell;
        let inside = (0..COARSE.pow(3)).into_par_iter().map(at);
        let inside = inside.filter(|c| self.distance(c.map(|x| (x as f32 + 0.5) * cell)) < reach);
        inside.map(|c| [c, c]).reduce_with(|a, b| {
            [std::array::from_fn(|k| a[0][k].min(b[0][k])), std::array::from_fn(|k| a[1][k].max(b[1][k]))]
        })
    }

    /// How far a place of the unit cube is outside, at least; negative inside.
    fn distance(&self, place: [f32; 3]) -> f32 {
        let place = self.cube.place(place);
        let of_view = |(view, outline): (&View, &Vec<f32>)| {
            let c = view.camera_from_world * place;
            let Some(pixel) = view.pixel(&c) else { return 1.0 };
            let unit = c.z / (view.camera.lens.focal[0].min(view.camera.lens.focal[1]) * self.cube.side);
            CAUTION * unit as f32 * interpolated(outline, view.size(), pixel)
        };
        self.views.iter().zip(&self.outlines).map(of_view).fold(f32::NEG_INFINITY, f32::max)
    }
}

impl Distances for Hull<'_> {
    type Scratch = ();

    fn append(&self, (): &mut (), places: &[[f32; 3]], out: &mut Vec<f32>) {
        out.extend(places.iter().map(|place| self.distance(*place)));
    }
}

fn apart() -> Error {
    Error::setting(
        "the outlines have no volume in common: the cameras do not look at the same place; check that cameras and maps belong together, and with \
         views around the object --fov, --elevation and --clockwise",
    )
}

/// A cube around where the views' outlines are: around the place nearest to the rays through their middles, as large as the largest.
fn first_cube(views: &[View]) -> Result<Cube> {
    /// Of the place between the cameras, which counts where rays do not tell, for they are parallel.
    const PRIOR: f64 = 1e-3;
    let middle: Vector3<f64> =
        views.iter().map(View::position).fold(Vector3::zeros(), |a, b| a + b) / views.len().max(1) as f64;
    let (mut a, mut b) = (PRIOR * Matrix3::identity(), PRIOR * middle);
    let outlines: Vec<([f64; 2], f64)> = views.iter().map(outline).collect();
    for (view, (pixel, _)) in views.iter().zip(&outlines) {
        let [u, v] = view.camera.lens.unproject_clamped(*pixel);
        let direction = view.camera_from_world.rotation.inverse() * Vector3::new(u, v, 1.0).normalize();
        let across = Matrix3::identity() - direction * direction.transpose();
        a += across;
        b += across * view.position();
    }
    let middle = a.try_inverse().ok_or_else(apart)? * b;
    let mut half: f64 = 0.0;
    for (view, (_, radius)) in views.iter().zip(&outlines) {
        let depth = (view.camera_from_world * Point3::from(middle)).z;
        if depth <= 0.0 {
            return Err(apart());
        }
        half = half.max(radius * depth / view.camera.lens.focal[0].min(view.camera.lens.focal[1]));
    }
    Ok(Cube { middle, side: 2.2 * half })
}

/// The middle of a mask, and how far it reaches from there, in pixels.
fn outline(view: &View) -> ([f64; 2], f64) {
    let width = view.size()[0];
    let inside = || (0..view.alpha.len()).filter(|i| view.alpha[*i] >= INSIDE);
    let pixels = || inside().map(|i| [(i % width) as f64 + 0.5, (i / width) as f64 + 0.5]);
    let count = inside().count().max(1) as f64;
    let middle = pixels().fold([0.0; 2], |sum, p| [sum[0] + p[0] / count, sum[1] + p[1] / count]);
    let reach = pixels().map(|p| (p[0] - middle[0]).hypot(p[1] - middle[1])).fold(0.0, f64::max);
    (middle, reach + 1.0)
}

/// `[H, W]`: how far the middle of each pixel is from the outline, in pixels, negative inside.
fn signed_distances(alpha: &[f32], size: [usize; 2]) -> Vec<f32> {
    let to = |wanted: bool| distances_to(alpha.iter().map(|a| (*a >= INSIDE) == wanted), size);
    let (to_inside, to_outside) = (to(true), to(false));
    let signed = |(outside, inside): (f32, f32)| if outside > 0.0 { outside - 0.5 } else { 0.5 - inside };
    to_inside.into_iter().zip(to_outside).map(signed).collect()
}

/// How far each pixel is from the nearest one that is marked.
fn distances_to(marked: impl Iterator<Item = bool>, [width, height]: [usize; 2]) -> Vec<f32> {
    /// Farther than any pixel, and its square is exact.
    const FAR: f32 = 65_536.0;
    let mut squares: Vec<f32> = marked.map(|m| if m { 0.0 } else { FAR * FAR }).collect();
    let mut column = vec![0.0; height];
    for x in 0..width {
        (0..height).for_each(|y| column[y] = squares[y * width + x]);
        let lowest = lower_parabolas(&column);
        (0..height).for_each(|y| squares[y * width + x] = lowest[y]);
    }
    squares.par_chunks_mut(width).for_each(|row| {
        let lowest = lower_parabolas(row);
        row.copy_from_slice(&lowest);
    });
    squares.into_iter().map(|s| s.sqrt().min(FAR)).collect()
}

/// The least of `values[j] + (i - j)²` over all `j`, for each `i`.
fn lower_parabolas(values: &[f32]) -> Vec<f32> {
    let value = |j: usize| f64::from(values[j]);
    let meet = |j: usize, k: usize| {
        ((value(k) + (k * k) as f64) - (value(j) + (j * j) as f64)) / (2.0 * (k as f64 - j as f64))
    };
    // Parabolas of the lower envelope, and where each begins to be the lowest.
    let mut envelope = vec![(0usize, f64::NEG_INFINITY)];
    for k in 1..values.len() {
        let mut begin = meet(envelope[envelope.len() - 1].0, k);
        while envelope.len() > 1 && begin <= envelope[envelope.len() - 1].1 {
            envelope.pop();
            begin = meet(envelope[envelope.len() - 1].0, k);
        }
        envelope.push((k, begin));
    }
    let mut at = 0;
    let lowest = (0..values.len()).map(|i| {
        while at + 1 < envelope.len() && envelope[at + 1].1 <= i as f64 {
            at += 1;
        }
        let j = envelope[at].0;
        (value(j) + (i as f64 - j as f64).powi(2)) as f32
    });
    lowest.collect()
}

/// A picture between its pixels' middles; beyond its border as at its border.
fn interpolated(values: &[f32], [width, height]: [usize; 2], pixel: [f64; 2]) -> f32 {
    let at = |k: usize, side: usize| (pixel[k] - 0.5).clamp(0.0, side as f64 - 1.0);
    let (x, y) = (at(0, width), at(1, height));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (across, down) = ((x - left as f64) as f32, (y - top as f64) as f32);
    let row = |y: usize| values[y * width + left] * (1.0 - across) + values[y * width + right] * across;
    row(top) * (1.0 - down) + row(bottom) * down
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn distances_are_those_to_the_nearest_marked_pixel() {
        let seed = tessera_test_seed::test_seed();
        let mut rng = rand_pcg::Pcg32::seed_from_u64(seed);
        let size = [rng.random_range(1..20), rng.random_range(1..20)];
        let marked: Vec<bool> = (0..size[0] * size[1]).map(|_| rng.random_bool(0.1)).collect();
        let found = distances_to(marked.iter().copied(), size);
        let place = |i: usize| [(i % size[0]) as f32, (i / size[0]) as f32];
        for i in 0..marked.len() {
            let apart = |j: usize| (place(i)[0] - place(j)[0]).hypot(place(i)[1] - place(j)[1]);
            let nearest = (0..marked.len()).filter(|j| marked[*j]).map(apart).fold(65_536.0, f32::min);
            // Roots of whole numbers below 800, rounded once or twice.
            assert!(
                (found[i] - nearest).abs() < 1e-4,
                "seed {seed}: pixel {i} of {size:?} is {} away, not {nearest}",
                found[i]
            );
        }
    }
}
