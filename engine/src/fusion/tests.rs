use super::*;
use crate::train::available_memory;
use std::path::Path;
use tessera_datasets::synthetic::{NormalMapOptions, write_normal_maps};
use vector::{add, length, scaled, sub};

/// A ball of radius 1 around the origin, as an octahedron that was divided a few times.
pub fn ball(divisions: u32) -> (Vec<V3<f32>>, Vec<[u32; 3]>) {
    let mut positions: Vec<V3<f32>> =
        vec![[1., 0., 0.], [-1., 0., 0.], [0., 1., 0.], [0., -1., 0.], [0., 0., 1.], [0., 0., -1.]];
    let mut triangles = vec![[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]];
    for _ in 0..divisions {
        let edges = Edges::of(&triangles, positions.len()).expect("a ball is closed");
        let first = positions.len() as u32;
        for [a, b] in &edges.ends {
            let middle = add(positions[*a as usize], positions[*b as usize]);
            positions.push(vector::unit(middle).expect("no edge passes through the middle"));
        }
        let of = |(t, e): (&[u32; 3], &[u32; 3])| {
            let [m, n, o] = e.map(|edge| first + edge);
            [[t[0], m, o], [m, t[1], n], [o, n, t[2]], [m, n, o]]
        };
        triangles = triangles.iter().zip(&edges.of_triangle).flat_map(of).collect();
    }
    (positions, triangles)
}

/// Two balls that touch, not around the origin, red on one side.
fn snowman() -> Mesh {
    let (positions, triangles) = ball(4);
    let mut mesh = Mesh::default();
    for (middle, radius) in [([3.0, 0.0, 1.0], 1.0), ([3.0, 1.3, 1.2], 0.7)] {
        let first = mesh.positions.len() as u32;
        mesh.positions.extend(positions.iter().map(|p| add(middle, scaled(*p, radius))));
        mesh.normals.extend(&positions);
        mesh.triangles.extend(triangles.iter().map(|t| t.map(|v| first + v)));
    }
    mesh.colours = mesh.positions.iter().map(|p| if p[0] > 3.0 { [200, 30, 30] } else { [30, 30, 200] }).collect();
    mesh
}

fn written(folder: &Path, options: &NormalMapOptions) {
    write_normal_maps((&snowman(), Path::new("snowman")), options, folder, false, &|_, _| {}).expect("normal maps");
}

fn small() -> FusionConfig {
    FusionConfig { steps: 80, resolution: 96, hull_cells: 40, hull_faces: 1500, ..FusionConfig::default() }
}

fn fused(input: &Input, convention: Convention) -> Result<Fused> {
    let (views, _) = input.views(96)?;
    fuse(&views, convention, &small(), Some(4000), &AtomicBool::new(false), &mut |_| {})
}

/// How far places are from the nearer of the snowman's balls, on average.
fn off(mesh: &Mesh) -> f32 {
    let ball = |p: &V3<f32>, middle: V3<f32>, radius: f32| (length(sub(*p, middle)) - radius).abs();
    let nearest = |p: &V3<f32>| ball(p, [3.0, 0.0, 1.0], 1.0).min(ball(p, [3.0, 1.3, 1.2], 0.7));
    mesh.positions.iter().map(nearest).sum::<f32>() / mesh.positions.len() as f32
}

#[test]
fn six_normal_maps_become_the_mesh_that_they_were_drawn_from() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().join("maps");
    written(&folder, &NormalMapOptions { size: [96, 96], ..NormalMapOptions::default() });
    let input = Input::open(&folder, &Ring::default()).expect("a capture");
    assert!(input.has_photos && input.maps.len() == 6, "{:?}", input.maps);
    let plan = input.memory_plan(96).expect("headers");
    assert!(plan.total() > 6 * 96 * 96 * 50 && plan.check(available_memory(), "").is_ok(), "{plan}");
    let fused = fused(&input, Convention::default()).expect("a mesh");
    assert!(Edges::of(&fused.mesh.triangles, fused.mesh.positions.len()).is_some(), "the mesh is open");
    assert!(fused.mesh.triangles.len() <= 4000, "{} triangles", fused.mesh.triangles.len());
    // A pixel is 0.03 wide; the object 2.9 long.
    assert!(off(&fused.mesh) < 0.015, "vertices are {} from the balls on average", off(&fused.mesh));
    assert!(fused.normal_degrees < 8.0 && fused.outline_iou > 0.97, "{} {}", fused.normal_degrees, fused.outline_iou);
}

#[test]
fn a_plain_folder_of_maps_is_seen_from_a_ring() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().join("maps");
    written(&folder, &NormalMapOptions { size: [96, 96], views: 4, ring: true, ..NormalMapOptions::default() });
    std::fs::remove_file(folder.join("transforms.json")).expect("a file");
    let ring = Ring::default();
    let input = Input::open(&folder, &ring).expect("a plain folder");
    assert!(input.has_photos, "photos lie in images/");
    let around = fused(&input, Convention::default()).expect("a mesh");
    assert!(around.outline_iou > 0.95, "outlines agree by {}", around.outline_iou);
    // The first view looks along -z, the second along -x, and the first one's depth of the upper ball is 0.2 nearer.
    let mean = |from: f32, to: f32| {
        let at = |p: &&V3<f32>| (from..to).contains(&p[1]);
        let chosen: Vec<&V3<f32>> = around.mesh.positions.iter().filter(at).collect();
        chosen.iter().map(|p| p[2]).sum::<f32>() / chosen.len().max(1) as f32
    };
    assert!(mean(0.25, 1.0) > mean(-1.0, 0.0) + 0.03, "the head leans towards the first camera");
    let clockwise = Input::open(&folder, &Ring { clockwise: true, ..ring }).expect("maps");
    let message = fused(&clockwise, Convention::default()).expect_err("the views go the other way").to_string();
    assert!(message.contains("--clockwise"), "{message}");
}

#[test]
fn a_wrong_convention_is_told_with_the_flags_for_the_right_one() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().join("maps");
    written(&folder, &NormalMapOptions { size: [64, 64], ..NormalMapOptions::default() });
    let input = Input::open(&folder, &Ring::default()).expect("a capture");
    for (space, axes) in [(Space::World, "x,-y,z"), (Space::World, "y,x,z"), (Space::Camera, "x,y,z")] {
        let convention = Convention { space, axes: axes.parse().expect("axes") };
        let message = fused(&input, convention).expect_err("a wrong convention").to_string();
        assert!(message.contains("--space world --axes=x,y,z"), "{convention}: {message}");
    }
}

#[test]
fn what_cannot_be_fused_is_said() {
    use tessera_datasets::camera::{Camera, Pose};
    use tessera_datasets::image::{Image8, Mask8};
    let camera = Camera::from_horizontal_fov(8, 8, 1.0);
    let view = |pixel: [u8; 4], other: [u8; 4], mask: Option<&Mask8>, camera: &Camera| {
        let mut map = Image8::new(8, 8, 4);
        map.data
            .chunks_exact_mut(4)
            .enumerate()
            .for_each(|(i, p)| p.copy_from_slice(if i == 0 { &other } else { &pixel }));
        View::new(Path::new("map.png"), &map, mask, (camera, &Pose::identity()), 0)
            .map(|_| ())
            .expect_err("wrong")
            .to_string()
    };
    let (facing, nothing) = ([128, 128, 255, 255], [0; 4]);
    assert!(view(nothing, nothing, None, &camera).contains("shows nothing"));
    assert!(view(facing, facing, None, &camera).contains("fills the whole picture"));
    assert!(view([128, 128, 128, 255], nothing, None, &camera).contains("no normal map"));
    let mask = Mask8 { width: 4, height: 8, data: vec![255; 32] };
    assert!(view(facing, nothing, Some(&mask), &camera).contains("its mask is 4x8"));
    assert!(view(facing, nothing, None, &Camera::from_horizontal_fov(8, 4, 1.0)).contains("takes pictures of 8x4"));

    // Cameras that look away from each other, and cameras that see nearly the same.
    let seen = |places: [[f64; 3]; 2], turn: f64| {
        let views: Vec<View> = places
            .iter()
            .enumerate()
            .map(|(i, place)| {
                let mut map = Image8::new(16, 16, 4);
                for (p, pixel) in map.data.chunks_exact_mut(4).enumerate() {
                    if (6..10).contains(&(p % 16)) && (6..10).contains(&(p / 16)) {
                        pixel.copy_from_slice(&facing);
                    }
                }
                let pose = Pose::new(nalgebra::Vector3::from(*place), nalgebra::Vector3::y() * turn * i as f64);
                let camera = Camera::from_horizontal_fov(16, 16, 1.0);
                View::new(Path::new("map.png"), &map, None, (&camera, &pose.inverse()), 0).expect("a view")
            })
            .collect();
        let stop = AtomicBool::new(false);
        fuse(&views, Convention::default(), &small(), None, &stop, &mut |_| {}).expect_err("no mesh").to_string()
    };
    assert!(seen([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], std::f64::consts::PI).contains("no volume in common"));
    // Both look at the same place, but their outlines are wider than the angle between them.
    assert!(seen([[0.0; 3], [0.1, 0.0, 0.0]], -0.05).contains("no view looks at it from the side"));
}

#[test]
fn an_interrupted_fusion_says_so() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().join("maps");
    written(&folder, &NormalMapOptions { size: [48, 48], ..NormalMapOptions::default() });
    let (views, _) = Input::open(&folder, &Ring::default()).and_then(|input| input.views(0)).expect("views");
    let stopped = fuse(&views, Convention::default(), &small(), None, &AtomicBool::new(true), &mut |_| {});
    assert!(matches!(stopped, Err(Error::Interrupted(_))), "a stop is an interruption");
}
