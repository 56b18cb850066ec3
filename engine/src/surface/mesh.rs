//! From a surface to a mesh in the capture's coordinates.

use super::Surface;
use super::field::{Field, Look, Tile, harmonics};
use crate::meshing::{MeshOptions, Progress, tidied, zero_level};
use crate::{Error, Result};
use rayon::prelude::*;
use tessera_datasets::scene::Mesh;

/// Places looked at at a time.
const CHUNK: usize = 256;

/// The mesh of a surface. `progress` is told how much of how much is done.
///
/// # Errors
/// When there is no surface.
pub fn extract(surface: &Surface, options: &MeshOptions, progress: Progress<'_>) -> Result<Mesh> {
    let faces = surface.scene_box.in_cube();
    let found = zero_level(&surface.field, options.resolution, faces, progress);
    let (positions, triangles) = tidied(found, options, progress);
    if triangles.is_empty() {
        return Err(Error::setting(
            "the surface is empty: there is no place in the box where the distance changes its sign; train longer, or set box_min \
             and box_max around the object",
        ));
    }
    let (normals, colours) = looks(&surface.field, &positions, options.colours);
    let in_scene = |p: [f32; 3]| surface.scene_box.from_cube(p.map(f64::from)).map(|x| x as f32);
    let mesh = Mesh {
        positions: positions.into_iter().map(in_scene).collect(),
        normals,
        colours,
        triangles,
        scene_from_world: surface.scene_from_world,
        ..Mesh::default()
    };
    Ok(mesh.transformed(&surface.scene_from_world.inverse()))
}

/// Normals of length 1 and colours of places on the surface.
fn looks(field: &Field, positions: &[[f32; 3]], colours: bool) -> (Vec<[f32; 3]>, Vec<[u8; 3]>) {
    let chunks = positions.par_chunks(CHUNK).map_init(Tile::default, |tile, places| {
        field.make_room(places.len(), tile);
        places.iter().enumerate().for_each(|(i, place)| tile.place(i, *place));
        field.surface(tile);
        let unit = |n: [f32; 3]| {
            let length = n.iter().map(|x| x * x).sum::<f32>().sqrt();
            if length > 1e-12 { n.map(|x| x / length) } else { [0.0, 0.0, 1.0] }
        };
        let normals: Vec<[f32; 3]> = (0..places.len()).map(|i| unit(tile.normal_of(i))).collect();
        if !colours {
            return (normals, Vec::new());
        }
        let of_direction: Vec<_> = normals.iter().map(|n| harmonics(n.map(|x| -x))).collect();
        field.colours(tile, |i| Look { harmonics: &of_direction[i], code: &[] });
        let byte = |x: f32| (255.0 * x).round() as u8;
        let colours = (0..places.len()).map(|i| field.colour_of(tile, i).map(byte)).collect();
        (normals, colours)
    });
    let (normals, colours): (Vec<_>, Vec<_>) = chunks.collect::<Vec<_>>().into_iter().unzip();
    (normals.concat(), colours.concat())
}
