//! A mesh of the user's, floating in the still life's studio: in its own colours, or of marble if its vertices have none.

use super::still_life::{STUDIO_RADIUS, lighting, studio};
use super::Builder;
use crate::scene::Mesh;
use crate::synthetic::Options;
use crate::synthetic::geometry::{self, Place, Triangle, V3, Vertex};
use crate::synthetic::render::Scene;
use crate::synthetic::texture::{Material, Pattern, linear, rgb};

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

/// The mesh with z up in place of y, in a ball of [`RADIUS`] about the origin. Without normals it is as flat as its triangles.
fn sized(mesh: &Mesh, material: u32) -> geometry::Mesh {
    let upright = |[x, y, z]: [f32; 3]| V3::new(x, -z, y);
    let positions: Vec<V3> = mesh.positions.iter().map(|p| upright(*p)).collect();
    let corners = || mesh.triangles.iter().flatten().map(|i| positions[*i as usize]);
    let low = corners().fold(V3::repeat(f32::INFINITY), |low, p| low.inf(&p));
    let high = corners().fold(V3::repeat(f32::NEG_INFINITY), |high, p| high.sup(&p));
    let centre = 0.5 * (low + high);
    let reach = corners().map(|p| (p - centre).norm()).fold(0.0, f32::max);
    let scale = RADIUS / reach.max(f32::MIN_POSITIVE);
    let mut out = geometry::Mesh::default();
    for triangle in &mesh.triangles {
        let [a, b, c] = triangle.map(|i| positions[i as usize]);
        let flat = (b - a).cross(&(c - a)).try_normalize(0.0).unwrap_or_else(V3::z);
        let base = out.vertices.len() as u32;
        out.vertices.extend(triangle.map(|i| i as usize).map(|i| {
            let position = scale * (positions[i] - centre);
            Vertex {
                position,
                normal: mesh.normals.get(i).map_or(flat, |n| upright(*n)),
                texture: mesh.colours.get(i).map_or(position, |c| linear(*c)),
                light: V3::zeros(),
                lit: 0.0,
            }
        }));
        out.triangles.push(Triangle { vertices: [base, base + 1, base + 2], material });
    }
    out
}
