use super::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn seeded() -> Pcg64 {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    Pcg64::seed_from_u64(seed)
}

/// A sphere of radius 1, each pole one place, of about `2 n²` triangles, all corners on it.
fn sphere(n: u32) -> Mesh {
    let angle = |i: u32| std::f32::consts::PI * i as f32 / n as f32;
    let place = |i: u32, j: u32| {
        let (theta, phi) = (angle(i), angle(2 * j));
        if i == n {
            return [0.0, 0.0, -1.0];
        }
        [theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()]
    };
    let positions = (0..=n).flat_map(|i| (0..n).map(move |j| place(i, j))).collect();
    let vertex = |i: u32, j: u32| i * n + j % n;
    let quads = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let triangles = quads
        .flat_map(|(i, j)| {
            [
                [vertex(i, j), vertex(i + 1, j), vertex(i + 1, j + 1)],
                [vertex(i, j), vertex(i + 1, j + 1), vertex(i, j + 1)],
            ]
        })
        .collect();
    Mesh { positions, triangles, ..Mesh::default() }
}

fn random_place(rng: &mut Pcg64, reach: f32) -> [f32; 3] {
    std::array::from_fn(|_| rng.random_range(-reach..reach))
}

#[test]
fn distances_to_a_sphere_are_signed_and_true() {
    let mut rng = seeded();
    let n = 64;
    let distance = MeshDistance::new(&sphere(n)).expect("a good mesh");
    assert_eq!(distance.degenerate(), 2 * n as usize, "quads at the poles have one triangle without an area each");
    // Triangles lie inside the sphere by no more than the sagitta of their longest edge.
    let sagitta = 1.0 - (std::f32::consts::PI / n as f32 * std::f32::consts::SQRT_2).cos();
    for _ in 0..500 {
        let place = random_place(&mut rng, 1.5);
        let exact = V3::from(place).norm() - 1.0;
        let got = distance.signed(place);
        assert!(got > exact - 1e-5 && got < exact + sagitta + 1e-5, "{got} instead of {exact} at {place:?}");
    }
}

#[test]
fn the_tree_finds_what_looking_at_every_triangle_finds() {
    let mut rng = seeded();
    let triangles: Vec<[V3; 3]> = (0..300)
        .map(|_| {
            let middle = V3::from(random_place(&mut rng, 1.0));
            std::array::from_fn(|_| middle + V3::from(random_place(&mut rng, 0.1)))
        })
        .collect();
    let one_by_one: Vec<Tree> = triangles.iter().map(|t| Tree::new(&[*t])).collect();
    let tree = Tree::new(&triangles);
    for _ in 0..200 {
        let place = V3::from(random_place(&mut rng, 1.5));
        let expected = one_by_one.iter().map(|t| t.closest(place, f32::INFINITY).0).fold(f32::INFINITY, f32::min);
        let (got, triangle) = tree.closest(place, f32::INFINITY);
        assert!((got - expected).abs() <= 1e-6, "{got} instead of {expected}");
        assert_eq!(tree.closest(place, got * 1.01), (got, triangle), "a true bound changes nothing");
    }
}

#[test]
fn a_mesh_with_a_hole_still_has_an_inside() {
    let mut rng = seeded();
    let mut mesh = sphere(48);
    // A cap of a tenth of the height is missing.
    mesh.triangles.retain(|t| t.iter().all(|&v| mesh.positions[v as usize][2] < 0.8));
    let distance = MeshDistance::new(&mesh).expect("a good mesh");
    for _ in 0..500 {
        let place = random_place(&mut rng, 1.5);
        let radius = V3::from(place).norm();
        // Near the hole the border lies somewhere across it.
        if place[2] < 0.5 && (radius - 1.0).abs() > 0.01 {
            assert_eq!(distance.is_inside(place), radius < 1.0, "{place:?} at radius {radius}");
        }
    }
}

#[test]
fn places_on_the_surface_are_spread_by_area() {
    let mut rng = seeded();
    let distance = MeshDistance::new(&sphere(32)).expect("a good mesh");
    let mut upper = 0;
    for i in 0..2000 {
        let (place, normal) = distance.on_surface((i as f64 + 0.5) / 2000.0, rng.random(), rng.random());
        assert!(distance.signed(place).abs() < 1e-5);
        assert!(V3::from(normal).dot(&V3::from(place)) > 0.9, "normals point outwards");
        upper += usize::from(place[2] > 0.0);
    }
    // Half of the area, in steps of one place.
    assert!((990..=1010).contains(&upper), "{upper} of 2000 places lie in the upper half");
}

#[test]
fn meshes_without_a_surface_are_refused() {
    let message = |mesh: &Mesh| MeshDistance::new(mesh).expect_err("must be refused").to_string();
    let mut mesh = sphere(8);
    mesh.positions[3][1] = f32::NAN;
    assert!(message(&mesh).contains("vertex 3"));
    let cloud = Mesh { triangles: Vec::new(), ..sphere(8) };
    assert!(message(&cloud).contains("no triangles"));
    let flat = Mesh { positions: vec![[0.0; 3]; 3], triangles: vec![[0, 1, 2]], ..Mesh::default() };
    assert!(message(&flat).contains("no triangle has an area"));
}
