//! What a made capture promises: repeatable pictures, depth that agrees with the cameras, complete folders.

use super::*;
use nalgebra::Point3;
use std::collections::BTreeSet;
use std::path::Path;

/// A small landscape: the quickest scene to build.
fn small(lens: LensKind) -> Options {
    Options {
        width: 96,
        height: 64,
        extent: 10.0,
        views: Some(6),
        points: 300,
        samples_per_pixel: 4,
        lens,
        ..Options::default()
    }
}

fn terrain(options: &Options) -> SyntheticCapture {
    generate(SceneKind::Terrain, options, &|_, _| {}).expect("valid options")
}

#[test]
fn the_same_options_make_the_same_bits_on_any_number_of_threads() {
    let options = small(LensKind::Pinhole);
    let first = terrain(&options);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread pool");
    let (again, view) = pool.install(|| {
        let again = terrain(&options);
        let view = again.render_view(3);
        (again, view)
    });
    assert!(first.render_view(3) == view, "a picture depends on the number of threads");
    assert_eq!(first.points, again.points, "sparse points depend on the number of threads");
    assert_eq!(first.surface(0), again.surface(0), "the lit surface depends on the number of threads");
    let other = terrain(&Options { seed: 1, ..options });
    assert!(other.render_view(3) != view, "the seed changes nothing");
}

/// Unprojects the depth of one view and projects the points into another; where both see the same surface,
/// depth and colour must agree. Returns how many pixels were compared.
fn assert_views_agree(capture: &SyntheticCapture, from: usize, to: usize) -> usize {
    let (a, b) = (capture.render_view(from), capture.render_view(to));
    let (frame_a, frame_b) = (&capture.frames[from], &capture.frames[to]);
    let (width, height) = (a.width as usize, a.height as usize);
    let b_from_a = frame_b.camera_from_world * frame_a.camera_from_world.inverse();
    let (mut compared, mut nearer, mut colour_error) = (0, 0, 0.0);
    for index in 0..width * height {
        let pixel = [(index % width) as f64 + 0.5, (index / width) as f64 + 0.5];
        let z = f64::from(a.depth[index]);
        let [u, v] = frame_a.camera.lens.unproject(pixel).expect("every pixel has a ray");
        let point = b_from_a * Point3::new(u * z, v * z, z);
        if z == 0.0 || point.z <= 0.1 {
            continue;
        }
        let [x, y] = frame_b.camera.lens.project::<f64>([point.x, point.y, point.z]).pixel;
        if x < 1.0 || y < 1.0 || x >= width as f64 - 1.0 || y >= height as f64 - 1.0 {
            continue;
        }
        // The pixel and its neighbours bound the depth that may be seen between their centres.
        let (column, row) = (x as usize, y as usize);
        let around = (row - 1..=row + 1).flat_map(|r| (column - 1..=column + 1).map(move |c| r * width + c));
        let depths: Vec<f64> = around.map(|i| f64::from(b.depth[i])).collect();
        let (low, high) = (depths.iter().copied().fold(f64::MAX, f64::min), depths.iter().copied().fold(0.0, f64::max));
        if high - low > 0.05 * high || point.z > high + 0.01 * high {
            continue; // an edge, or hidden behind something
        }
        compared += 1;
        nearer += usize::from(point.z < low - 0.01 * high);
        let at = row * width + column;
        colour_error += (0..3).map(|k| f64::from(a.pixels[3 * index + k].abs_diff(b.pixels[3 * at + k]))).sum::<f64>();
    }
    let mean_error = colour_error / (3 * compared.max(1)) as f64;
    assert!(nearer * 100 <= compared, "{nearer} of {compared} points float in front of what view {to} sees");
    assert!(mean_error < 25.0, "colours of the same points differ by {mean_error:.1} of 255 on average");
    compared
}

#[test]
fn depth_of_one_view_lands_on_the_surface_that_another_view_sees() {
    for (lens, _) in LensKind::ALL {
        let capture = terrain(&small(lens));
        let compared = assert_views_agree(&capture, 0, 1);
        assert!(compared > 500, "with {lens}, only {compared} pixels are seen by both views");
    }
}

#[test]
fn normals_have_unit_length_and_face_the_camera() {
    let capture = terrain(&small(LensKind::Pinhole));
    let view = capture.render_view(0);
    let frame = &capture.frames[0];
    let eye = frame.camera_from_world.inverse().translation.vector;
    let mut facing = 0;
    for (index, (normal, &z)) in view.normals.iter().zip(&view.depth).enumerate() {
        assert!(z > 0.0, "pixel {index} of an aerial picture shows nothing");
        let pixel = [(index % 96) as f64 + 0.5, (index / 96) as f64 + 0.5];
        let [u, v] = frame.camera.lens.unproject_clamped(pixel).map(|x| x * f64::from(z));
        let point = frame.camera_from_world.inverse() * Point3::new(u, v, f64::from(z));
        let normal = nalgebra::Vector3::from(*normal).map(f64::from);
        assert!((normal.norm() - 1.0).abs() < 1e-5, "the normal of pixel {index} has length {}", normal.norm());
        facing += usize::from(normal.dot(&(eye - point.coords)) > 0.0);
    }
    assert!(facing * 100 > 97 * view.depth.len(), "only {facing} normals face the camera");
}

#[test]
fn sparse_points_lie_on_the_surface_and_have_the_asked_number() {
    let capture = terrain(&small(LensKind::Fisheye));
    assert_eq!(capture.points.len(), 300);
    // Whether seen from above or from the side, a point must be as deep as some view says.
    let views: Vec<RenderedView> = (0..capture.frames.len()).map(|i| capture.render_view(i)).collect();
    let on_surface = |point: &Point| {
        capture.frames.iter().zip(&views).any(|(frame, view)| {
            let p = frame.camera_from_world * Point3::from(point.position);
            let [x, y] = frame.camera.lens.project::<f64>([p.x, p.y, p.z]).pixel;
            let inside = p.z > 0.0 && (0.0..96.0).contains(&x) && (0.0..64.0).contains(&y);
            inside && (f64::from(view.depth[y as usize * 96 + x as usize]) - p.z).abs() < 0.02 * p.z
        })
    };
    let count = capture.points.iter().filter(|p| on_surface(p)).count();
    assert!(count > 290, "only {count} of 300 points lie where a camera sees a surface");
}

#[test]
fn every_scene_fills_its_pictures_with_varied_colour() {
    for kind in SceneKind::ALL {
        let mesh = (kind == SceneKind::Object).then(|| Arc::new(tetrahedron()));
        let options = Options { views: Some(3), frames: 2, samples_per_pixel: 1, mesh, ..small(LensKind::Pinhole) };
        let capture = generate(kind, &options, &|_, _| {}).expect("valid options");
        assert_eq!(capture.frames.len(), if kind == SceneKind::Animated { 6 } else { 3 }, "{kind}");
        for index in 0..3 {
            let view = capture.render_view(index);
            let colours: BTreeSet<[u8; 3]> = view.pixels.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
            assert!(colours.len() > 500, "{kind} {index} has only {} colours", colours.len());
            if kind == SceneKind::Object {
                // It is photographed from below as well, where the studio is open.
                continue;
            }
            let seen = view.depth.iter().filter(|z| **z > 0.0).count();
            assert!(seen * 100 > 95 * view.depth.len(), "{kind} {index} shows a surface in only {seen} pixels");
        }
    }
}

fn tetrahedron() -> Mesh {
    let positions = vec![[1.0, 1.0, 1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, -1.0]];
    let triangles = vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]];
    Mesh { positions, triangles, ..Mesh::default() }
}

#[test]
fn an_object_stands_upright_is_as_large_as_stated_and_has_its_own_colours() {
    // Its corners in the file's coordinates, y up, and the colours that they have.
    let colours = vec![[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
    let mesh = Mesh { colours, ..tetrahedron() };
    let options = Options { mesh: Some(Arc::new(mesh.clone())), rgba: true, ..small(LensKind::Pinhole) };
    let capture = generate(SceneKind::Object, &options, &|_, _| {}).expect("valid options");
    let made = capture.surface(0);
    let scale = scenes::object::RADIUS / 3.0f32.sqrt();
    for (triangle, corners) in mesh.triangles.iter().zip(made.triangles.iter()) {
        for (corner, vertex) in triangle.iter().zip(corners) {
            let [x, y, z] = mesh.positions[*corner as usize].map(|x| x * scale);
            let [centre_x, centre_y, centre_z] = scenes::object::CENTRE;
            let wanted = [centre_x + x, centre_y - z, centre_z + y];
            let found = made.positions[*vertex as usize];
            assert!((0..3).all(|k| (found[k] - wanted[k]).abs() < 1e-5), "{found:?} is not {wanted:?}");
        }
    }
    let red = made.triangles[0][0] as usize;
    let [r, g, b] = made.colours[red];
    assert!(r > 40 && g < r / 4 && b < r / 4, "the red corner is {:?}", made.colours[red]);
    assert!(generate(SceneKind::Object, &Options::default(), &|_, _| {}).is_err(), "there is nothing to photograph");
}

#[test]
fn a_moving_scene_moves_and_keeps_its_vertices() {
    let options = Options { views: Some(2), frames: 3, rgba: true, ..small(LensKind::Pinhole) };
    let capture = generate(SceneKind::Animated, &options, &|_, _| {}).expect("valid options");
    let (first, last) = (capture.surface(0), capture.surface(2));
    assert_eq!(first.triangles, last.triangles);
    assert_ne!(first.positions, last.positions);
    let [early, late] = [0, 4].map(|i| capture.render_view(i));
    assert!(early != late, "camera 0 sees no motion");
    let transparent = early.pixels.chunks_exact(4).filter(|p| p[3] == 0).count();
    assert!(transparent > 100 && transparent < 96 * 60, "{transparent} transparent pixels around the objects");
    let described: Vec<_> = capture.frames.iter().map(|f| (f.rig_camera, f.split)).collect();
    assert_eq!(described[..2], [(Some(0), Some(Split::Test)), (Some(1), Some(Split::Train))]);
    assert_eq!(capture.frames[2].time, Some(1.0 / FRAME_RATE));
}

fn count_files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[test]
fn the_written_folder_is_complete_and_is_not_replaced_by_accident() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let out = parent.path().join("deep/capture");
    let options = small(LensKind::OpenCv);
    write(SceneKind::Terrain, &options, &out, false, &|_, _| {}).expect("writes");
    for folder in ["images", "depth", "normals"] {
        assert_eq!(count_files(&out.join(folder)), 6, "{folder}");
    }
    assert_eq!(count_files(&out), 7, "images, depth, normals, points.ply, mesh.ply, transforms.json, README.txt");
    assert_eq!(count_files(&parent.path().join("deep")), 1, "a temporary folder is left");

    let text = std::fs::read(out.join("transforms.json")).expect("transforms.json");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(json["camera_model"], "OPENCV");
    assert_eq!((&json["k1"], &json["p2"]), (&(-0.12).into(), &(-5e-4).into()));
    let capture = terrain(&options);
    let frame = &capture.frames[2];
    let entry = &json["frames"][2];
    assert_eq!(entry["file_path"], frame.image.as_str());
    let eye = frame.camera_from_world.inverse().translation.vector;
    for axis in 0..3 {
        assert_eq!(entry["transform_matrix"][axis][3].as_f64(), Some(eye[axis]), "the camera's position");
    }

    let depth = ::image::open(out.join(entry["depth_file_path"].as_str().expect("a path"))).expect("a depth PNG");
    let unit = json["depth_unit_scale_factor"].as_f64().expect("a unit");
    for (stored, exact) in depth.into_luma16().into_raw().iter().zip(&capture.render_view(2).depth) {
        let error = (f64::from(*stored) * unit - f64::from(*exact)).abs();
        assert!(error <= 0.51 * unit, "stored depth {stored} is {error} m off");
    }

    let refused = write(SceneKind::Terrain, &options, &out, false, &|_, _| {}).expect_err("it exists");
    assert!(refused.to_string().contains("--force"), "{refused}");
    write(SceneKind::Terrain, &Options { views: Some(2), ..options.clone() }, &out, true, &|_, _| {})
        .expect("replaces");
    assert_eq!(count_files(&out.join("images")), 2);
    std::fs::write(out.join("README.txt"), "my thesis").expect("writes");
    let refused = write(SceneKind::Terrain, &options, &out, true, &|_, _| {}).expect_err("not ours");
    assert!(refused.to_string().contains("not replaced"), "{refused}");
}

#[test]
fn options_out_of_range_are_refused_in_words() {
    let wrong = [
        (Options { width: 0, ..Options::default() }, "0x300"),
        (Options { views: Some(0), ..Options::default() }, "views"),
        (Options { extent: f64::NAN, ..Options::default() }, "extent"),
        (Options { samples_per_pixel: 0, ..Options::default() }, "samples"),
        (Options { point_noise: -1.0, ..Options::default() }, "point noise"),
    ];
    for (options, word) in wrong {
        let message = generate(SceneKind::Room, &options, &|_, _| {}).expect_err("out of range").to_string();
        assert!(message.contains(word), "{message}");
    }
    assert!("castle".parse::<SceneKind>().expect_err("unknown").contains("still-life"));
}

#[test]
fn aerial_pictures_grow_in_number_with_the_extent() {
    let count = |extent| cameras::stands(SceneKind::Terrain, &Options { extent, ..Options::default() }).len();
    assert!(count(600.0) > 3 * count(300.0), "{} for 600 m, {} for 300 m", count(600.0), count(300.0));
}
