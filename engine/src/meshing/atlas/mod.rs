//! A mesh laid out flat, so that a picture can cover it.
//!
//! - `charts`: the surface is cut into pieces that are nearly flat, each seen from above it.
//! - `pack`: their places in a square.
//! - [`Atlas`]: the mesh with texture coordinates, and which texel shows which place.

mod charts;
mod pack;

use crate::{Error, Result};
use charts::Chart;
use rayon::prelude::*;
use tessera_datasets::scene::Mesh;

/// Texels between a chart and the border of its rectangle: what is interpolated at its rim is its own.
pub const PADDING: u32 = 2;

/// A mesh whose triangles lie in a square of texels, none over another.
#[derive(Clone, Debug)]
pub struct Atlas {
    /// Texels of a side.
    pub size: u32,
    /// With texture coordinates: a vertex for each chart that it lies in.
    pub mesh: Mesh,
}

/// A place on the surface that a texel shows.
#[derive(Clone, Copy, Debug)]
pub struct Texel {
    /// In the square, row by row.
    pub index: u32,
    /// In the mesh's coordinates.
    pub place: [f32; 3],
    /// Of length 1.
    pub normal: [f32; 3],
}

impl Atlas {
    /// Lays out `mesh`, which must have normals, in a square of `size` texels a side.
    ///
    /// # Errors
    /// When the mesh falls into more pieces than there is room for.
    pub fn new(mesh: &Mesh, size: u32) -> Result<Self> {
        let area: f64 = mesh.area();
        // As if three fifths of the square were covered; packing finds out.
        let texel = (area / (0.6 * f64::from(size).powi(2))).sqrt().max(f64::MIN_POSITIVE);
        let charts = charts::of(mesh, texel);
        let extents: Vec<[f64; 2]> = charts.iter().map(Chart::extent).collect();
        let packed = pack::packed(&extents, texel, size).ok_or_else(|| {
            Error::setting(format!(
                "the mesh falls into {} nearly flat pieces, for which a texture of {size}x{size} has no room; use a larger one, or fewer triangles \
                 (--faces)",
                charts.len()
            ))
        })?;
        let mut out = Mesh { scene_from_world: mesh.scene_from_world, ..Mesh::default() };
        for (chart, corner) in charts.iter().zip(&packed.corners) {
            let first = out.positions.len() as u32;
            for (&vertex, place) in chart.vertices.iter().zip(&chart.places) {
                out.positions.push(mesh.positions[vertex as usize]);
                out.normals.push(mesh.normals[vertex as usize]);
                let at = |k: usize| (f64::from(corner[k] + PADDING) + place[k] / packed.texel) / f64::from(size);
                out.uvs.push([at(0) as f32, at(1) as f32]);
            }
            out.triangles.extend(chart.triangles.iter().map(|t| t.map(|v| first + v)));
        }
        Ok(Self { size, mesh: out })
    }

    /// The texels whose middles lie in a triangle.
    pub fn texels(&self) -> Vec<Texel> {
        let mesh = &self.mesh;
        let of_triangle = |t: &[u32; 3]| {
            let side = f64::from(self.size);
            let corners = t.map(|v| mesh.uvs[v as usize].map(|x| f64::from(x) * side));
            let mix = |values: &[[f32; 3]], shares: &[f64; 3]| -> [f32; 3] {
                std::array::from_fn(|k| {
                    (0..3).map(|i| f64::from(values[t[i] as usize][k]) * shares[i]).sum::<f64>() as f32
                })
            };
            let texel = |[x, y]: [u32; 2], shares: [f64; 3]| {
                let normal = nalgebra::Vector3::from(mix(&mesh.normals, &shares));
                let normal = normal.try_normalize(0.0).unwrap_or_else(nalgebra::Vector3::z).into();
                Texel { index: y * self.size + x, place: mix(&mesh.positions, &shares), normal }
            };
            middles_in(corners, self.size).map(move |(at, shares)| texel(at, shares)).collect::<Vec<_>>()
        };
        mesh.triangles.par_iter().flat_map_iter(of_triangle).collect()
    }
}

/// The texels of a square whose middles lie in a triangle, with the shares of its corners there.
fn middles_in(corners: [[f64; 2]; 3], size: u32) -> impl Iterator<Item = ([u32; 2], [f64; 3])> {
    let [a, b, c] = corners;
    let cross = |p: [f64; 2], q: [f64; 2], r: [f64; 2]| (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
    let area = cross(a, b, c);
    let range = move |k: usize| {
        let (low, high) = (a[k].min(b[k]).min(c[k]), a[k].max(b[k]).max(c[k]));
        let inside = |x: f64| x.clamp(0.0, f64::from(size)) as u32;
        inside((low - 0.5).ceil())..inside((high - 0.5).floor() + 1.0)
    };
    let middles = range(1).flat_map(move |y| range(0).map(move |x| [x, y]));
    middles.filter(move |_| area.abs() > 0.0).filter_map(move |[x, y]| {
        let p = [f64::from(x) + 0.5, f64::from(y) + 0.5];
        let shares = [cross(p, b, c) / area, cross(a, p, c) / area, cross(a, b, p) / area];
        shares.iter().all(|s| *s >= 0.0).then_some(([x, y], shares))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A closed box with sides of 2, 1 and 0.5, each of `n` times `n` squares.
    fn cuboid(n: usize) -> Mesh {
        let mut mesh = Mesh::default();
        let sides = [2.0f32, 1.0, 0.5];
        for axis in 0..3 {
            for up in [false, true] {
                let first = mesh.positions.len() as u32;
                for i in 0..(n + 1) * (n + 1) {
                    let (u, v) = ((i % (n + 1)) as f32 / n as f32, (i / (n + 1)) as f32 / n as f32);
                    let mut p = [0.0; 3];
                    (p[axis], p[(axis + 1) % 3], p[(axis + 2) % 3]) = (f32::from(u8::from(up)), u, v);
                    mesh.positions.push(std::array::from_fn(|k| p[k] * sides[k]));
                    let mut normal = [0.0; 3];
                    normal[axis] = if up { 1.0 } else { -1.0 };
                    mesh.normals.push(normal);
                }
                for i in 0..n * n {
                    let a = first + (i / n * (n + 1) + i % n) as u32;
                    let (b, c, d) = (a + 1, a + n as u32 + 2, a + n as u32 + 1);
                    mesh.triangles.extend(if up { [[a, b, c], [a, c, d]] } else { [[a, c, b], [a, d, c]] });
                }
            }
        }
        mesh
    }

    #[test]
    fn a_box_is_laid_out_without_overlap_and_covers_most_of_the_square() {
        let mesh = cuboid(6);
        let atlas = Atlas::new(&mesh, 256).expect("there is room");
        assert_eq!(atlas.mesh.triangles.len(), mesh.triangles.len());
        assert!(atlas.mesh.is_consistent() && (atlas.mesh.area() - mesh.area()).abs() < 1e-4);
        assert!(atlas.mesh.uvs.iter().flatten().all(|x| (0.0..=1.0).contains(x)), "a corner lies outside");
        let texels = atlas.texels();
        let mut indices: Vec<u32> = texels.iter().map(|t| t.index).collect();
        indices.sort_unstable();
        // A middle on the border of two triangles belongs to both: corners are multiples of no half texel in general.
        let count = indices.len();
        indices.dedup();
        assert!(count - indices.len() <= count / 100, "{} of {count} texels show two places", count - indices.len());
        assert!(indices.len() > 256 * 256 / 3, "only {} texels are used", indices.len());
        for texel in &texels {
            // On a side, and with its normal.
            let is_on = |k: usize| {
                let end = if texel.normal[k] > 0.0 { [2.0, 1.0, 0.5][k] } else { 0.0 };
                texel.normal[k].abs() > 0.99 && (texel.place[k] - end).abs() < 1e-5
            };
            assert!((0..3).any(is_on), "{texel:?} lies on no side");
        }
    }

    #[test]
    fn layers_above_each_other_do_not_share_texels() {
        // A ramp that turns twice around an axis: seen from above its turns cover each other.
        let steps = 96;
        let mut mesh = Mesh::default();
        for i in 0..=steps {
            let angle = 2.0 * std::f32::consts::TAU * i as f32 / steps as f32;
            for radius in [0.5, 1.0] {
                mesh.positions.push([radius * angle.cos(), radius * angle.sin(), 0.02 * angle]);
            }
        }
        mesh.triangles =
            (0..steps).flat_map(|i| [[2 * i, 2 * i + 1, 2 * i + 3], [2 * i, 2 * i + 3, 2 * i + 2]]).collect();
        mesh.compute_normals();
        let atlas = Atlas::new(&mesh, 128).expect("there is room");
        let texels = atlas.texels();
        let mut seen = vec![None; 128 * 128];
        for texel in texels {
            let other = seen[texel.index as usize].replace(texel.place[2]);
            let apart = other.map_or(0.0, |z: f32| (z - texel.place[2]).abs());
            // One turn is 0.126 higher than the one below; a neighbouring triangle at most a step.
            assert!(apart < 0.02, "a texel shows two turns that are {apart} apart");
        }
        assert_eq!(atlas.mesh.triangles.len(), 2 * steps as usize);
    }
}
