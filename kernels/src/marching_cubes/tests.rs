use super::table::Case;
use super::*;
use std::collections::HashMap;

fn sphere(resolution: usize, cells: usize) -> Surface {
    let bricks = resolution / cells;
    let value = |p: [usize; 3]| {
        let half = resolution as f32 / 2.0;
        p.iter().map(|&x| (x as f32 - half).powi(2)).sum::<f32>().sqrt() - 0.35 * resolution as f32
    };
    let pieces: Vec<Piece> = (0..bricks.pow(3))
        .map(|b| {
            let base = [b % bricks, b / bricks % bricks, b / bricks.pow(2)].map(|x| x * cells);
            let side = cells + 1;
            let corner = |i: usize| [i % side, i / side % side, i / side.pow(2)];
            let values: Vec<f32> =
                (0..side.pow(3)).map(|i| value(std::array::from_fn(|k| base[k] + corner(i)[k]))).collect();
            brick(&values, cells, base.map(|x| x as u32))
        })
        .collect();
    weld(&pieces)
}

fn volume(surface: &Surface) -> f64 {
    let p = |v: u32| surface.positions[v as usize].map(f64::from);
    let determinant = |t: &[u32; 3]| {
        let [a, b, c] = t.map(p);
        a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    };
    surface.triangles.iter().map(determinant).sum::<f64>() / 6.0
}

/// Every directed edge of a closed, oriented surface is met once, and its opposite too.
fn assert_closed(triangles: &[[u32; 3]]) {
    let mut edges: HashMap<[u32; 2], i32> = HashMap::new();
    for t in triangles {
        (0..3).for_each(|i| *edges.entry([t[i], t[(i + 1) % 3]]).or_default() += 1);
    }
    for (edge, count) in &edges {
        assert_eq!((*count, edges.get(&[edge[1], edge[0]])), (1, Some(&1)), "the edge {edge:?}");
    }
}

#[test]
fn a_sphere_is_closed_and_has_its_volume_whatever_the_bricks() {
    let whole = sphere(32, 32);
    assert_closed(&whole.triangles);
    let expected = 4.0 / 3.0 * std::f64::consts::PI * (0.35f64 * 32.0).powi(3);
    let volume = volume(&whole);
    // Chords lie inside the sphere: the error is about (cell / radius)² / 8 of the volume.
    assert!((0.99..1.0).contains(&(volume / expected)), "volume {volume} instead of {expected}");
    let bricks = sphere(32, 8);
    assert_eq!((bricks.positions.len(), bricks.triangles.len()), (whole.positions.len(), whole.triangles.len()));
    assert_eq!(bricks.positions, whole.positions);
    assert_closed(&bricks.triangles);
}

#[test]
fn noise_gives_a_closed_surface_in_every_case_of_signs() {
    use rand::{RngExt, SeedableRng};
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    let mut rng = rand_pcg::Pcg64::seed_from_u64(seed);
    const CELLS: usize = 24;
    let corner = |i: usize| [i % (CELLS + 1), i / (CELLS + 1) % (CELLS + 1), i / (CELLS + 1).pow(2)];
    let value = |i: usize| {
        let border = corner(i).iter().any(|&x| x == 0 || x == CELLS);
        if border { 1.0 } else { rng.random_range(-1.0f32..1.0) }
    };
    let values: Vec<f32> = (0..(CELLS + 1).pow(3)).map(value).collect();
    let surface = weld(&[brick(&values, CELLS, [0; 3])]);
    assert!(surface.triangles.len() > 10_000);
    assert_closed(&surface.triangles);
    assert!(volume(&surface) > 0.0);
}

#[test]
fn complementary_cases_have_the_same_edges() {
    for signs in 1..255 {
        let edges = |case: &Case| {
            let mut edges: Vec<_> = case.iter().flatten().map(|e| (e.corner, e.axis)).collect();
            edges.sort_unstable();
            edges.dedup();
            edges
        };
        assert_eq!(edges(&CASES[signs]), edges(&CASES[255 - signs]), "case {signs}");
    }
    assert!(CASES[0].is_empty() && CASES[255].is_empty());
}
