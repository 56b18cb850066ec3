//! A mesh of the user's, floating in the still life's studio: in its own colours, or of marble if its vertices have none.

use super::Builder;
use super::still_life::{STUDIO_RADIUS, lighting, studio};
use crate::scene::Mesh;
use crate::synthetic::Options;
use crate::synthetic::geometry::{self, Place, Triangle, V3, Vertex};
use crate::synthetic::render::Scene;
use crate::synthetic::texture::{Material, Pattern, linear, rgb};
use std::collections::HashMap;

/// What the cameras look at.
pub(in crate::synthetic) const CENTRE: [f32; 3] = [0.0, 0.0, 1.2];
/// Of the ball that the mesh is brought into.
pub(in crate::synthetic) const RADIUS: f32 = 0.5;

pub(super) fn build(options: &Options) -> Scene {
    let mut b = Builder::default();
    if !options.rgba {
        studio(&mut b, STUDIO_RADIUS, rgb(0x8fa3a8), rgb(0x8f7459));
    }
    if let Some(mesh) = &options.mesh {
        let pattern = match mesh.colours.is_empty() {
            true => Pattern::Marble { base: rgb(0xd8cdb8), vein: rgb(0x5a4630), size: 0.06 },
            false => Pattern::Own,
        };
        let material = b.material(Material::matt(pattern));
        let [x, y, z] = CENTRE;
        b.put(&sized(mesh, material), Place::at(x, y, z));
    }
    b.finish(lighting())
}

/// Triangles that meet at a smaller angle are shaded as one surface if the mesh has no normals, in degrees.
const CREASE: f32 = 40.0;

/// The mesh with z up in place of y, in a ball of [`RADIUS`] about the origin.
fn sized(mesh: &Mesh, material: u32) -> geometry::Mesh {
    let upright = |[x, y, z]: [f32; 3]| V3::new(x, -z, y);
    let positions: Vec<V3> = mesh.positions.iter().map(|p| upright(*p)).collect();
    let corners = || mesh.triangles.iter().flatten().map(|i| positions[*i as usize]);
    let low = corners().fold(V3::repeat(f32::INFINITY), |low, p| low.inf(&p));
    let high = corners().fold(V3::repeat(f32::NEG_INFINITY), |high, p| high.sup(&p));
    let centre = 0.5 * (low + high);
    let reach = corners().map(|p| (p - centre).norm()).fold(0.0, f32::max);
    let scale = RADIUS / reach.max(f32::MIN_POSITIVE);
    let crosses: Vec<V3> = mesh.triangles.iter().map(|t| cross(t.map(|i| positions[i as usize]))).collect();
    let mut around: HashMap<[u32; 3], Vec<u32>> = HashMap::new();
    for (number, triangle) in mesh.triangles.iter().enumerate() {
        triangle.iter().for_each(|i| around.entry(bits(&positions[*i as usize])).or_default().push(number as u32));
    }
    let mut out = geometry::Mesh::default();
    for (number, triangle) in mesh.triangles.iter().enumerate() {
        let own = crosses[number].try_normalize(0.0).unwrap_or_else(V3::z);
        let smooth = |i: usize| -> V3 {
            let beside = around.get(&bits(&positions[i])).into_iter().flatten().map(|n| crosses[*n as usize]);
            let alike = beside.filter(|cross| cross.dot(&own) > CREASE.to_radians().cos() * cross.norm());
            alike.sum::<V3>().try_normalize(0.0).unwrap_or(own)
        };
        let base = out.vertices.len() as u32;
        out.vertices.extend(triangle.map(|i| i as usize).map(|i| {
            let position = scale * (positions[i] - centre);
            Vertex {
                position,
                normal: mesh.normals.get(i).map_or_else(|| smooth(i), |n| upright(*n)),
                texture: mesh.colours.get(i).map_or(position, |c| linear(*c)),
                light: V3::zeros(),
                lit: 0.0,
            }
        }));
        out.triangles.push(Triangle { vertices: [base, base + 1, base + 2], material });
    }
    out
}

/// Twice the area of a triangle, along its normal.
fn cross([a, b, c]: [V3; 3]) -> V3 {
    (b - a).cross(&(c - a))
}

/// The same for vertices in the same place: seams of textures have two.
fn bits(position: &V3) -> [u32; 3] {
    [position.x, position.y, position.z].map(f32::to_bits)
}
