//! Nearly flat pieces of a surface.

use super::middles_in;
use nalgebra::{Matrix2, Vector2, Vector3};
use std::collections::{HashMap, VecDeque};
use tessera_datasets::scene::Mesh;

type V3 = Vector3<f64>;

/// The least cosine between a triangle and the mean of the piece that takes it in.
const TAKEN_IN: f64 = 0.7;
/// The least cosine between a triangle and the direction that its piece is at last seen from.
const KEPT: f64 = 0.35;
/// How far inside a triangle, as a share of it, a texel's middle must lie to count as covered.
const COVERED: f64 = 1e-3;
/// The largest piece in texels of a side: what is looked at for overlaps.
const LARGEST: f64 = 8192.0;

/// A piece, seen from above it.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Numbers of the mesh's vertices.
    pub vertices: Vec<u32>,
    /// Where they lie, from (0, 0) on, in units of the mesh.
    pub places: Vec<[f64; 2]>,
    /// Indices of `vertices`.
    pub triangles: Vec<[u32; 3]>,
}

/// Cuts `mesh` into pieces; where two parts of one would cover the same texel, of that size, one of them is a piece of its own.
pub fn of(mesh: &Mesh, texel: f64) -> Vec<Chart> {
    let corners = |t: &[u32; 3]| t.map(|v| V3::from(mesh.positions[v as usize].map(f64::from)));
    let doubled: Vec<V3> = mesh.triangles.iter().map(|t| cross(corners(t))).collect();
    let neighbours = neighbours(&mesh.triangles);
    let mut waiting: VecDeque<u32> = (0..mesh.triangles.len() as u32).collect();
    let mut is_free = vec![true; mesh.triangles.len()];
    let mut charts = Vec::new();
    while let Some(seed) = waiting.pop_front() {
        if !is_free[seed as usize] {
            continue;
        }
        let (mut piece, axis) = grown(seed, &doubled, &neighbours, &mut is_free);
        let mut dropped = split_off(&mut piece, |t| t != seed && cosine(&doubled[t as usize], &axis) < KEPT);
        let mut chart = Chart::seen_from(axis, &piece, mesh);
        let covered = chart.covered_twice(texel);
        if !covered.is_empty() {
            let mut place = 0..;
            dropped.extend(split_off(&mut piece, |_| place.next().is_some_and(|i: usize| covered[i])));
            chart = Chart::seen_from(axis, &piece, mesh);
        }
        for t in dropped {
            is_free[t as usize] = true;
            waiting.push_back(t);
        }
        charts.push(chart);
    }
    charts
}

/// Takes out of a list what `is_out` says.
fn split_off(piece: &mut Vec<u32>, mut is_out: impl FnMut(u32) -> bool) -> Vec<u32> {
    let (out, kept) = piece.iter().partition(|&&t| is_out(t));
    *piece = kept;
    out
}

/// Free triangles around `seed` that face about where the others do, and that direction.
fn grown(seed: u32, doubled: &[V3], neighbours: &[[u32; 3]], is_free: &mut [bool]) -> (Vec<u32>, V3) {
    let mut sum = doubled[seed as usize];
    let mut piece = vec![seed];
    is_free[seed as usize] = false;
    let mut next = 0;
    while let Some(&t) = piece.get(next) {
        next += 1;
        for &n in neighbours[t as usize].iter().filter(|n| **n != u32::MAX) {
            if is_free[n as usize] && cosine(&doubled[n as usize], &sum) >= TAKEN_IN {
                is_free[n as usize] = false;
                sum += doubled[n as usize];
                piece.push(n);
            }
        }
    }
    (piece, sum.try_normalize(0.0).unwrap_or_else(V3::z))
}

/// 1 for triangles without an area: they go with any.
fn cosine(doubled: &V3, direction: &V3) -> f64 {
    let lengths = doubled.norm() * direction.norm();
    if lengths > 0.0 { doubled.dot(direction) / lengths } else { 1.0 }
}

fn cross([a, b, c]: [V3; 3]) -> V3 {
    (b - a).cross(&(c - a))
}

/// For each side of each triangle the one beyond it; `u32::MAX` where there is none, or more than one.
fn neighbours(triangles: &[[u32; 3]]) -> Vec<[u32; 3]> {
    let side = |t: &[u32; 3], k: usize| [t[k].min(t[(k + 1) % 3]), t[k].max(t[(k + 1) % 3])];
    let of_triangle = |(i, t): (usize, &[u32; 3])| [0, 1, 2].map(|k| (side(t, k), i as u32, k));
    let mut sides: Vec<([u32; 2], u32, usize)> = triangles.iter().enumerate().flat_map(of_triangle).collect();
    sides.sort_unstable();
    let mut found = vec![[u32::MAX; 3]; triangles.len()];
    for same in sides.chunk_by(|a, b| a.0 == b.0) {
        if let [(_, a, at_a), (_, b, at_b)] = same {
            found[*a as usize][*at_a] = *b;
            found[*b as usize][*at_b] = *a;
        }
    }
    found
}

impl Chart {
    /// Triangles of `mesh` seen from above, turned so that they are wide rather than high.
    fn seen_from(axis: V3, piece: &[u32], mesh: &Mesh) -> Self {
        let right = axis.cross(&if axis.x.abs() < 0.8 { V3::x() } else { V3::y() }).normalize();
        let up = axis.cross(&right);
        let mut chart = Self::default();
        let mut number: HashMap<u32, u32> = HashMap::new();
        for &t in piece {
            chart.triangles.push(mesh.triangles[t as usize].map(|v| {
                *number.entry(v).or_insert_with(|| {
                    let p = V3::from(mesh.positions[v as usize].map(f64::from));
                    chart.vertices.push(v);
                    chart.places.push([p.dot(&right), p.dot(&up)]);
                    chart.vertices.len() as u32 - 1
                })
            }));
        }
        chart.turn_wide();
        chart
    }

    /// Turns it so that it reaches farthest along x, and moves it to the origin.
    fn turn_wide(&mut self) {
        let count = self.places.len().max(1) as f64;
        let mean = self.places.iter().map(|p| Vector2::from(*p)).sum::<Vector2<f64>>() / count;
        let spread = self.places.iter().map(|p| Vector2::from(*p) - mean).map(|d| d * d.transpose());
        let eigen = spread.sum::<Matrix2<f64>>().symmetric_eigen();
        let along: Vector2<f64> = eigen.eigenvectors.column(eigen.eigenvalues.imax()).into();
        let turned = |p: &[f64; 2]| [along.x * p[0] + along.y * p[1], -along.y * p[0] + along.x * p[1]];
        self.places.iter_mut().for_each(|p| *p = turned(p));
        let low: [f64; 2] = std::array::from_fn(|k| self.places.iter().map(|p| p[k]).fold(f64::INFINITY, f64::min));
        self.places.iter_mut().for_each(|p| *p = std::array::from_fn(|k| p[k] - low[k]));
    }

    /// Width and height.
    pub fn extent(&self) -> [f64; 2] {
        std::array::from_fn(|k| self.places.iter().map(|p| p[k]).fold(0.0, f64::max))
    }

    /// Which triangles would cover a texel that an earlier one covers; empty when none do.
    fn covered_twice(&self, texel: f64) -> Vec<bool> {
        let extent = self.extent();
        let texel = texel.max(extent[0].max(extent[1]) / LARGEST);
        let [width, height] = extent.map(|x| (x / texel) as usize + 1);
        let mut is_covered = vec![false; width * height];
        let mut twice = vec![false; self.triangles.len()];
        for (t, twice) in self.triangles.iter().zip(&mut twice) {
            let corners = t.map(|v| self.places[v as usize].map(|x| x / texel));
            let inside = |(at, shares): ([u32; 2], [f64; 3])| {
                shares.iter().all(|s| *s > COVERED).then_some(at[1] as usize * width + at[0] as usize)
            };
            let own: Vec<usize> = middles_in(corners, width.max(height) as u32).filter_map(inside).collect();
            *twice = own.iter().any(|&i| is_covered[i]);
            if !*twice {
                own.iter().for_each(|&i| is_covered[i] = true);
            }
        }
        if twice.contains(&true) { twice } else { Vec::new() }
    }
}
