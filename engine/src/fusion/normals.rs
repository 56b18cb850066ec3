//! Normals of vertices, how much those of neighbouring triangles differ, and the derivatives of both.

use super::remesh::Edges;
use super::vector::{Number, V3, accumulate, add, cross, dot, doubled_area, length, scaled, sub};

/// The normals of a mesh's vertices: the means of their triangles' normals, weighted by area.
#[derive(Clone, Debug)]
pub struct Normals<R> {
    /// `[N]`, of length 1; z where there is none.
    pub units: Vec<V3<R>>,
    /// `[N]`: lengths of the sums that they are the directions of; 0 where there is none.
    lengths: Vec<R>,
}

impl<R: Number> Normals<R> {
    /// Of a mesh.
    pub fn of(positions: &[V3<R>], triangles: &[[u32; 3]]) -> Self {
        let mut units = vec![[R::default(); 3]; positions.len()];
        for t in triangles {
            let normal = doubled_area(t.map(|v| positions[v as usize]));
            t.iter().for_each(|&v| units[v as usize] = add(units[v as usize], normal));
        }
        let mut lengths = Vec::with_capacity(units.len());
        for sum in &mut units {
            let length = length(*sum);
            let is_known = length > R::splat(1e-30);
            *sum = if is_known { scaled(*sum, length.recip()) } else { [R::default(), R::default(), R::splat(1.0)] };
            lengths.push(if is_known { length } else { R::default() });
        }
        Self { units, lengths }
    }

    /// Adds derivatives with respect to the positions of a number whose derivatives with respect to the normals are given.
    pub fn backward(
        &self,
        positions: &[V3<R>],
        triangles: &[[u32; 3]],
        of_units: &[V3<R>],
        of_positions: &mut [V3<R>],
    ) {
        let of_sum = |v: u32| {
            let (unit, length, of_unit) = (self.units[v as usize], self.lengths[v as usize], of_units[v as usize]);
            if length == R::default() {
                return [R::default(); 3];
            }
            scaled(sub(of_unit, scaled(unit, dot(unit, of_unit))), length.recip())
        };
        let of_sums: Vec<V3<R>> = (0..positions.len() as u32).map(of_sum).collect();
        for t in triangles {
            let of_normal = t.iter().fold([R::default(); 3], |sum, &v| add(sum, of_sums[v as usize]));
            area_backward(positions, *t, of_normal, of_positions);
        }
    }
}

/// Adds derivatives through twice a triangle's area as a vector, `(b - a) × (c - a)`.
fn area_backward<R: Number>(positions: &[V3<R>], t: [u32; 3], of_area: V3<R>, of_positions: &mut [V3<R>]) {
    let [a, b, c] = t.map(|v| positions[v as usize]);
    let of_b = cross(sub(c, a), of_area);
    let of_c = cross(of_area, sub(b, a));
    accumulate(&mut of_positions[t[1] as usize], of_b, R::splat(1.0));
    accumulate(&mut of_positions[t[2] as usize], of_c, R::splat(1.0));
    accumulate(&mut of_positions[t[0] as usize], add(of_b, of_c), R::splat(-1.0));
}

/// `weight` times the mean over edges of one minus the cosine between the triangles beside them; adds its derivatives.
pub fn unevenness<R: Number>(
    positions: &[V3<R>],
    triangles: &[[u32; 3]],
    edges: &Edges,
    weight: R,
    of_positions: &mut [V3<R>],
) -> R {
    let areas: Vec<V3<R>> = triangles.iter().map(|t| doubled_area(t.map(|v| positions[v as usize]))).collect();
    let mut of_areas = vec![[R::default(); 3]; areas.len()];
    let each = weight * R::splat(1.0 / edges.ends.len().max(1) as f64);
    let mut sum = R::default();
    for sides in &edges.sides {
        let pair = sides.map(|side| side as usize / 3);
        let lengths = pair.map(|t| length(areas[t]));
        if lengths.iter().any(|l| *l <= R::splat(1e-30)) {
            continue;
        }
        let units = [0, 1].map(|k| scaled(areas[pair[k]], lengths[k].recip()));
        let cosine = dot(units[0], units[1]);
        sum = sum + each * (R::splat(1.0) - cosine);
        for k in 0..2 {
            let of_unit = sub(units[1 - k], scaled(units[k], cosine));
            accumulate(&mut of_areas[pair[k]], of_unit, -each * lengths[k].recip());
        }
    }
    for (t, of_area) in triangles.iter().zip(of_areas) {
        area_backward(positions, *t, of_area, of_positions);
    }
    sum
}
