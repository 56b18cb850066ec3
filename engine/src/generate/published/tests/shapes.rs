//! Times, pictures and surfaces.

use super::super::config::Scheduler;
use super::super::picture::Prepared;
use super::super::sampler::times;
use super::super::sparse_vae::DISTANCES;
use super::super::surface::{Surface, centred, distances_near, voxels_near};
use crate::generate::measure::is_one_closed_part;
use std::path::Path;
use tessera_datasets::image::Image8;
use tessera_datasets::scene::Mesh;

fn scheduler(shift: f64) -> Scheduler {
    serde_json::from_value(serde_json::json!({ "shift": shift })).expect("a scheduler")
}

#[test]
fn times_are_shifted_twice_at_their_end() {
    // Worked out from the reference's scheduler.
    for (shift, steps, last) in [(6.0, 50, [0.2265, 0.1393, 0.0348]), (8.0, 15, [0.585, 0.406, 0.060])] {
        let times = times(&scheduler(shift), steps);
        assert!(times.len() == steps + 1 && times[0] == 1.0 && times[steps] == 0.0, "from noise to a shape");
        for (time, expected) in times[steps - 3..].iter().zip(last) {
            assert!((time - expected).abs() < 6e-4, "{time} and not {expected}");
        }
    }
    assert_eq!(times(&scheduler(6.0), 1), [1.0, 0.0]);
}

/// A coloured rectangle on nothing.
fn cut_out(size: [u32; 2], object: [u32; 4]) -> Image8 {
    let mut picture = Image8::new(size[0], size[1], 4);
    for y in object[1]..object[3] {
        for x in object[0]..object[2] {
            picture.data[4 * (y * size[0] + x) as usize..][..4].copy_from_slice(&[200, 100, 0, 255]);
        }
    }
    picture
}

#[test]
fn an_object_is_put_in_the_middle_of_a_white_square() {
    let path = Path::new("photo.png");
    let size = 84;
    // Twice as wide as high.
    let prepared = Prepared::new(&cut_out([200, 120], [50, 30, 150, 80]), size, path).expect("a picture");
    let at = |x: usize, y: usize| [0, 1, 2].map(|c| prepared.colours[(c * size + y) * size + x]);
    let normal =
        |rgb: [f32; 3]| [0, 1, 2].map(|c| (rgb[c] / 255.0 - [0.485, 0.456, 0.406][c]) / [0.229, 0.224, 0.225][c]);
    let white = normal([255.0; 3]);
    for (place, expected) in
        [([42, 42], normal([200.0, 100.0, 0.0])), ([42, 3], white), ([3, 42], white), ([42, 22], white)]
    {
        let found = at(place[0], place[1]);
        let off = (0..3).map(|c| (found[c] - expected[c]).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{place:?}: {found:?} and not {expected:?}");
    }
    // The border is 16 of 84 + 32 pixels, and the object half as high as wide.
    let shown = prepared.patches([6, 14]);
    let row = |y: usize| shown[6 * y..][..6].iter().map(|shows| if *shows { 'x' } else { '.' }).collect::<String>();
    assert_eq!([0, 1, 2, 3, 4, 5].map(row), ["......", "xxxxxx", "xxxxxx", "xxxxxx", "xxxxxx", "......"]);
    let mut opaque = cut_out([20, 20], [0, 0, 20, 20]);
    let said = |picture: &Image8| Prepared::new(picture, size, path).map_err(|e| e.to_string()).expect_err("none");
    assert!(said(&opaque).contains("has no transparency"), "{}", said(&opaque));
    opaque.data.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 0);
    assert!(said(&opaque).contains("transparent everywhere"), "{}", said(&opaque));
    let colours = Image8::new(8, 8, 3);
    assert!(said(&colours).contains("cut the object out"), "{}", said(&colours));
}

/// Distances of a ball in the voxels near its surface, in latent voxels.
fn ball(side: usize, radius: f32) -> (Vec<[i32; 4]>, Vec<f32>) {
    let middle = 0.5 * (8 * side) as f32;
    let distance = |p: [usize; 3]| {
        let squared: f32 = p.iter().map(|x| (*x as f32 - middle).powi(2)).sum();
        squared.sqrt() - radius
    };
    let (mut voxels, mut distances) = (Vec::new(), Vec::new());
    for i in 0..side.pow(3) {
        let latent = [i / (side * side), i / side % side, i % side];
        let own: Vec<f32> = (0..DISTANCES)
            .map(|k| distance([latent[0] * 8 + k / 64, latent[1] * 8 + k / 8 % 8, latent[2] * 8 + k % 8]))
            .collect();
        if own.iter().any(|d| d.abs() < 3.0) {
            voxels.push([0, latent[0] as i32, latent[1] as i32, latent[2] as i32]);
            distances.extend(own.iter().map(|d| (d / 8.0).clamp(-1.0, 1.0)));
        }
    }
    (voxels, distances)
}

#[test]
fn a_shell_of_voxels_becomes_one_closed_surface_without_a_wall_inside() {
    let side = 8;
    let (voxels, distances) = ball(side, 20.0);
    assert!(voxels.len() < 300, "the middle has no voxels");
    let mesh = Surface::new(&voxels, &distances, side).mesh(0.0, 0.0);
    assert!(is_one_closed_part(&mesh), "one closed part");
    for p in &mesh.positions {
        let length = p.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 20.0 / 32.0).abs() < 0.003, "a place {length} from the middle");
    }
    let outwards =
        mesh.positions.iter().zip(&mesh.normals).all(|(p, n)| (0..3).map(|k| p[k] * n[k]).sum::<f32>() > 0.0);
    assert!(outwards, "normals point outwards");
}

#[test]
fn a_surface_that_reaches_the_border_is_closed_there() {
    let side = 4;
    let voxels: Vec<[i32; 4]> = (0..64).map(|i| [0, i / 16, i / 4 % 4, i % 4]).collect();
    let mesh = Surface::new(&voxels, &vec![-1.0; 64 * DISTANCES], side).mesh(0.2, 0.0);
    assert!(is_one_closed_part(&mesh), "one closed part");
}

#[test]
fn voxels_near_a_mesh_are_those_with_a_place_near_it() {
    let side = 16;
    let (voxels, distances) = ball(8, 20.0);
    let mut mesh = Surface::new(&voxels, &distances, 8).mesh(0.0, 0.0);
    centred(&mut mesh);
    let reach = mesh.positions.iter().flatten().fold(0.0f32, |reach, x| reach.max(x.abs()));
    assert!((reach - 0.95).abs() < 1e-4, "it fills the cube: {reach}");
    let found = voxels_near(&mesh, side);
    // A ball's distances are known; the mesh is a polyhedron a little inside of it.
    let place = |x: i32| x as f32 / (8 * side - 1) as f32 * 2.0 - 1.0;
    let away = |p: [i32; 3]| (p.map(place).iter().map(|x| x * x).sum::<f32>().sqrt() - 0.95).abs() * 0.5;
    for i in 0..(side as i32).pow(3) {
        let latent = [i / 256, i / 16 % 16, i % 16];
        let nearest =
            (0..512).map(|k| away([latent[0] * 8 + k / 64, latent[1] * 8 + k / 8 % 8, latent[2] * 8 + k % 8]));
        let nearest = nearest.fold(f32::INFINITY, f32::min) * (8 * side) as f32;
        let is_found = found.binary_search(&[0, latent[0], latent[1], latent[2]]).is_ok();
        if (nearest - 4.0).abs() > 0.3 {
            assert_eq!(is_found, nearest < 4.0, "{latent:?}, {nearest} voxels away");
        }
    }
    assert!(voxels_near(&Mesh::default(), side).is_empty(), "nothing is near nothing");
}

#[test]
fn distances_near_a_mesh_are_signed_and_in_units_of_four_voxels() {
    let (voxels, distances) = ball(8, 20.0);
    let mesh = Surface::new(&voxels, &distances, 8).mesh(0.0, 0.0);
    let (near, found) = distances_near(&mesh, 8).expect("a surface");
    assert!(near.is_sorted(), "voxels in order");
    let exact = |voxel: &[i32; 4]| {
        let place = [voxel[1], voxel[2], voxel[3]].map(|x| x as f32 * 2.0 / 63.0 - 1.0);
        (place.iter().map(|x| x * x).sum::<f32>().sqrt() - 20.0 / 32.0) / (4.0 * 2.0 / 64.0)
    };
    for (voxel, distance) in near.iter().zip(&found) {
        // The mesh is less than 0.003 away from the ball, as above.
        assert!((distance - exact(voxel)).abs() < 0.024, "{voxel:?}: {distance} and not {}", exact(voxel));
        assert!(distance.abs() < 1.0, "{voxel:?} is far");
    }
    let all = (0..64i32.pow(3)).map(|i| [0, i / 4096, i / 64 % 64, i % 64]);
    let expected = all.filter(|voxel| exact(voxel).abs() < 0.97).count();
    assert!(near.len() >= expected, "{} voxels, and at least {expected} are near", near.len());
}
