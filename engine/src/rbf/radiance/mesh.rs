//! The baked form of radiance: a mesh where it becomes opaque, with the colours that it has when it is looked at from right above.

use super::space::Space;
use super::trace::{colour, density};
use super::{Radiance, harmonics};
use crate::meshing::{Distances, MeshOptions, Progress, tidied, zero_level};
use crate::rbf::field::Tile;
use crate::rbf::learner::TILE;
use crate::{Error, Result};
use rayon::prelude::*;
use tessera_datasets::scene::Mesh;

/// A density that hides half of what is behind it within this share of the box's side is where the mesh is.
const THICKNESS: f32 = 1.0 / 128.0;

/// What stands for a distance is at most this, so that no place seems far from the surface: density says nothing about how far it is.
const NEAR: f32 = 1e-4;

/// Density as if it were a distance: positive where little is hidden.
struct Thickness<'a>(&'a Radiance);

impl Distances for Thickness<'_> {
    type Scratch = Tile;

    fn append(&self, tile: &mut Tile, places: &[[f32; 3]], out: &mut Vec<f32>) {
        let Radiance { field, space, occupancy, .. } = self.0;
        let level = std::f32::consts::LN_2 / (2.0 * THICKNESS);
        let side = occupancy.resolution() as f32;
        let is_empty = |u: [f32; 3]| {
            let cell = u.map(|u| (u * side).clamp(0.0, side - 1.0) as usize);
            !occupancy.is_set(occupancy.index(cell))
        };
        field.prepare(tile);
        for places in places.chunks(TILE) {
            if places.iter().all(|place| is_empty(space.to_cube(*place))) {
                out.resize(out.len() + places.len(), NEAR);
                continue;
            }
            field.make_room(places.len(), tile);
            places.iter().enumerate().for_each(|(i, place)| tile.place(i, space.to_cube(*place)));
            field.values(tile, &[]);
            // Within the same on both sides, so that vertices lie where a line crosses, whatever the density inside is.
            out.extend(places.iter().enumerate().map(|(i, place)| match is_empty(space.to_cube(*place)) {
                true => NEAR,
                false => NEAR * ((level - density(field, tile, i)) / level).clamp(-1.0, 1.0),
            }));
        }
    }
}

impl Radiance {
    /// Its mesh in the box, in the capture's world. `progress` is told how much of how much is done.
    ///
    /// # Errors
    /// When nothing in the box is opaque.
    pub fn mesh(&self, options: &MeshOptions, progress: Progress<'_>) -> Result<Mesh> {
        let faces = self.space.scene_box.in_cube();
        let found = zero_level(&Thickness(self), options.resolution, faces, progress);
        let (positions, triangles) = tidied(found, options, progress);
        if triangles.is_empty() {
            return Err(Error::setting(
                "nothing in the box is opaque: train longer, or set box_min and box_max around the subject",
            ));
        }
        let mut mesh = Mesh { positions, triangles, scene_from_world: self.scene_from_world, ..Mesh::default() };
        mesh.compute_normals();
        if options.colours {
            mesh.colours = self.colours(&mesh.positions, &mesh.normals);
        }
        let in_scene = |p: [f32; 3]| self.space.scene_box.from_cube(p.map(f64::from)).map(|x| x as f32);
        mesh.positions.iter_mut().for_each(|p| *p = in_scene(*p));
        Ok(mesh.transformed(&self.scene_from_world.inverse()))
    }

    /// Colours of places, in sides of the box, against their normals.
    fn colours(&self, places: &[[f32; 3]], normals: &[[f32; 3]]) -> Vec<[u8; 3]> {
        let (field, space): (_, &Space) = (&self.field, &self.space);
        let of_chunk = |tile: &mut Tile, (places, normals): (&[[f32; 3]], &[[f32; 3]])| {
            field.prepare(tile);
            field.make_room(places.len(), tile);
            places.iter().enumerate().for_each(|(i, place)| tile.place(i, space.to_cube(*place)));
            field.values(tile, &[]);
            let of_one = |(i, normal): (usize, &[f32; 3])| {
                let from_above = harmonics(self.config.sh_degree, normal.map(|x| -x));
                colour(field, tile, i, &from_above).map(|x| (255.0 * x).round() as u8)
            };
            normals.iter().enumerate().map(of_one).collect::<Vec<_>>()
        };
        let chunks = places.par_chunks(TILE).zip(normals.par_chunks(TILE));
        chunks.map_init(Tile::default, of_chunk).collect::<Vec<_>>().concat()
    }
}
