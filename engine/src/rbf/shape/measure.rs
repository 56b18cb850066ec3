//! How good a fitted shape is.

use super::Shape;
use crate::Result;
use crate::mesh_distance::MeshDistance;
use crate::meshing::Distances;
use crate::meshing::MeshOptions;
use crate::metrics::geometry;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::Serialize;
use tessera_datasets::scene::Mesh;

/// Cells along each side of the cube, in each of which one place is compared.
const CELLS: usize = 128;
/// Cells along the cube of the mesh that is compared.
const MESH_RESOLUTION: usize = 384;

/// What a comparison with the mesh found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ShapeReport {
    /// Volume inside both by volume inside at least one, from two million places spread over the cube.
    pub iou: f64,
    /// Mean angle between the normals of both meshes at nearest points, both ways, in degrees.
    pub normal_error_deg: f64,
    /// Mean distance between the two meshes, both ways, as a share of the mesh's size.
    pub chamfer: f64,
    /// Numbers that were learned.
    pub parameters: usize,
    /// Floating-point operations of one place.
    pub operations: usize,
}

pub(super) fn measure(shape: &Shape, distance: &MeshDistance, mesh: &Mesh) -> Result<ShapeReport> {
    let options = MeshOptions { resolution: MESH_RESOLUTION, ..MeshOptions::default() };
    let ours = shape.mesh_in_cube(&options, &mut |_, _| {})?;
    let report = geometry::compare(&ours, mesh, None, None)?;
    Ok(ShapeReport {
        iou: iou(shape, distance),
        normal_error_deg: report.normal_degrees.unwrap_or(f64::NAN),
        chamfer: report.chamfer / report.reference_size,
        parameters: shape.field.learned(),
        operations: shape.field.operations(),
    })
}

fn iou(shape: &Shape, distance: &MeshDistance) -> f64 {
    let slices = (0..CELLS).into_par_iter().map_init(Default::default, |scratch, z| {
        let mut rng = Pcg64::seed_from_u64(z as u64);
        let places: Vec<[f32; 3]> = (0..CELLS * CELLS)
            .map(|i| [i % CELLS, i / CELLS, z].map(|c| (c as f32 + rng.random::<f32>()) / CELLS as f32))
            .collect();
        let mut ours = Vec::with_capacity(places.len());
        shape.append(scratch, &places, &mut ours);
        let mut counts = [0usize; 2];
        for (place, ours) in places.iter().zip(ours) {
            let (ours, theirs) = (ours < 0.0, distance.is_inside(*place));
            counts[0] += usize::from(ours && theirs);
            counts[1] += usize::from(ours || theirs);
        }
        counts
    });
    let [both, any] = slices.reduce(|| [0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
    both as f64 / any.max(1) as f64
}
