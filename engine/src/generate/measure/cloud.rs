//! Points of surfaces and how far sets of them are apart.

use super::earth_mover::earth_mover;
use crate::{Error, Result};
use nalgebra::Vector3;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tessera_datasets::scene::Mesh;
use tessera_kernels::dispatch;
use tessera_kernels::simd::Lanes;

/// Lanes of eight.
pub(super) const LANES: usize = 8;

/// Points of a surface, coordinate by coordinate.
#[derive(Clone, Debug)]
pub struct Cloud {
    pub(super) axes: [Vec<f32>; 3],
}

dispatch! {
    /// The mean square distance of each point of `a` from the nearest of `b`, of which there is a multiple of eight.
    fn one_way(a: &Cloud, b: &Cloud) -> f32 = one_way_kernel;
}

impl Cloud {
    /// Points that lie evenly on a mesh.
    ///
    /// # Errors
    /// When it has no surface.
    pub fn of(mesh: &Mesh, count: usize, seed: u64) -> Result<Self> {
        let corners = |t: &[u32; 3]| t.map(|v| Vector3::from(mesh.positions[v as usize]));
        let mut areas = Vec::with_capacity(mesh.triangles.len());
        let mut total = 0.0;
        for triangle in &mesh.triangles {
            let [a, b, c] = corners(triangle);
            total += f64::from(0.5 * (b - a).cross(&(c - a)).norm());
            areas.push(total);
        }
        if !(total > 0.0 && total.is_finite()) {
            return Err(Error::setting("a shape without a surface has no points"));
        }
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut axes = [0, 1, 2].map(|_| Vec::with_capacity(count));
        for i in 0..count {
            let along = (i as f64 + rng.random::<f64>()) / count as f64 * total;
            let triangle = areas.partition_point(|sum| *sum <= along).min(areas.len() - 1);
            let [a, b, c] = corners(&mesh.triangles[triangle]);
            let (u, v) = (rng.random::<f32>(), rng.random::<f32>());
            let (u, v) = if u + v > 1.0 { (1.0 - u, 1.0 - v) } else { (u, v) };
            let place: [f32; 3] = (a + u * (b - a) + v * (c - a)).into();
            axes.iter_mut().zip(place).for_each(|(axis, x)| axis.push(x));
        }
        // In no order, so that the first few are a fair choice.
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            order.swap(i, rng.random_range(0..=i));
        }
        Ok(Self { axes: axes.map(|axis| order.iter().map(|i| axis[*i]).collect()) })
    }

    /// So many of them.
    pub fn first(&self, count: usize) -> Self {
        Self { axes: [0, 1, 2].map(|k| self.axes[k][..count.min(self.len())].to_vec()) }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.axes[0].len()
    }

    /// The Chamfer distance.
    pub fn chamfer(&self, other: &Self) -> f64 {
        f64::from(one_way(self, other)) + f64::from(one_way(other, self))
    }

    /// The earth mover's distance from as many points.
    pub fn earth_mover(&self, other: &Self) -> f64 {
        earth_mover(self, other)
    }
}

#[inline(always)]
fn one_way_kernel<V: Lanes>(a: &Cloud, b: &Cloud) -> f32 {
    const ROWS: usize = 4;
    let (count, others) = (a.axes[0].len(), b.axes[0].len());
    assert!(count % ROWS == 0 && others % LANES == 0, "whole groups of points");
    let mut sum = 0.0;
    for first in (0..count).step_by(ROWS) {
        let mut nearest = [V::all(f32::MAX); ROWS];
        for other in (0..others).step_by(LANES) {
            // SAFETY: the assertion above: whole groups of lanes.
            let y = unsafe {
                let at = |k: usize| b.axes[k].as_ptr().add(other);
                [V::load(at(0)), V::load(at(1)), V::load(at(2))]
            };
            for r in 0..ROWS {
                let mut square = V::all(0.0);
                for k in 0..3 {
                    let d = y[k] - V::all(a.axes[k][first + r]);
                    square = d.mul_add(d, square);
                }
                nearest[r] = nearest[r].min(square);
            }
        }
        for nearest in nearest {
            sum += nearest.to_array().into_iter().fold(f32::MAX, f32::min);
        }
    }
    sum / count as f32
}
