//! A mesh of fewer triangles that keeps what its vertices look like.

use super::{Progress, simplified};
use rayon::prelude::*;
use tessera_datasets::scene::{Mesh, NearestPoints};

/// Vertices that a new one takes its colour from.
const NEIGHBOURS: usize = 4;

/// The mesh with at most `faces` triangles, or as few as its shape allows. Each vertex has the colour of the vertices that were nearest to it, the nearer the
/// more, and a normal of its new triangles, if there were such. Textures are not kept: their coordinates belong to the triangles of before.
pub fn coarser(mesh: &Mesh, faces: usize, progress: Progress<'_>) -> Mesh {
    if mesh.triangles.len() <= faces {
        return mesh.clone();
    }
    let (positions, triangles) = simplified(&mesh.positions, &mesh.triangles, faces, progress);
    let colours = if mesh.colours.is_empty() { Vec::new() } else { colours_at(mesh, &positions) };
    let scene_from_world = mesh.scene_from_world;
    let mut found = Mesh { positions, triangles, colours, scene_from_world, ..Mesh::default() };
    if !mesh.normals.is_empty() {
        found.compute_normals();
    }
    found
}

fn colours_at(mesh: &Mesh, places: &[[f32; 3]]) -> Vec<[u8; 3]> {
    let tree = NearestPoints::new(&mesh.positions);
    let colour = |place: &[f32; 3]| {
        let (mut sum, mut total) = ([0.0f32; 3], 0.0f32);
        for (squared, slot) in tree.nearest_to::<NEIGHBOURS>(*place) {
            let Some(vertex) = tree.order().get(slot as usize) else { continue };
            let weight = 1.0 / squared.sqrt().max(1e-12);
            let of_vertex = mesh.colours[*vertex as usize];
            (0..3).for_each(|k| sum[k] += weight * f32::from(of_vertex[k]));
            total += weight;
        }
        sum.map(|value| (value / total.max(f32::MIN_POSITIVE)).round() as u8)
    };
    places.par_iter().map(colour).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sphere of radius 1 whose colours are those of its places.
    fn sphere() -> Mesh {
        let (rings, around) = (40u32, 80u32);
        let mut mesh = Mesh::default();
        for ring in 0..=rings {
            for step in 0..around {
                let (up, turn) = (
                    std::f32::consts::PI * ring as f32 / rings as f32,
                    std::f32::consts::TAU * step as f32 / around as f32,
                );
                mesh.positions.push([up.sin() * turn.cos(), up.cos(), up.sin() * turn.sin()]);
            }
        }
        for ring in 0..rings {
            for step in 0..around {
                let [a, b] = [step, (step + 1) % around].map(|step| ring * around + step);
                mesh.triangles.extend([[a, b, a + around], [b, b + around, a + around]]);
            }
        }
        mesh.colours = mesh.positions.iter().map(|p| p.map(shade)).collect();
        mesh.compute_normals();
        mesh
    }

    fn shade(x: f32) -> u8 {
        (127.0 + 120.0 * x).round() as u8
    }

    #[test]
    fn a_coarser_mesh_has_the_shape_and_the_colours_of_the_fine_one() {
        let fine = sphere();
        let coarse = coarser(&fine, 600, &mut |_, _| {});
        assert!(coarse.is_consistent() && (500..=600).contains(&coarse.triangles.len()), "{}", coarse.triangles.len());
        assert!((coarse.area() / fine.area() - 1.0).abs() < 0.03, "{} in place of {}", coarse.area(), fine.area());
        for ((position, colour), normal) in coarse.positions.iter().zip(&coarse.colours).zip(&coarse.normals) {
            let off = (0..3)
                .map(|k| position[k].mul_add(120.0, 127.0) - f32::from(colour[k]))
                .fold(0.0f32, |m, d| m.max(d.abs()));
            assert!(off < 12.0, "the colour at {position:?} is {colour:?}");
            let along: f32 = (0..3).map(|k| normal[k] * position[k]).sum();
            assert!(along.abs() > 0.9, "the normal at {position:?} is {normal:?}");
        }
    }

    #[test]
    fn a_mesh_of_few_triangles_stays_as_it_is() {
        let fine = sphere();
        assert_eq!(coarser(&fine, fine.triangles.len(), &mut |_, _| {}), fine);
    }
}
