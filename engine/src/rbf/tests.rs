use super::encoding::{EncoderKind, Encoding};
use super::field::{DecoderKind, Field, Tile};
use super::file::RbfFile;
use super::image::{Crop, ImageConfig, Pixels, fit_tile, write_picture};
use super::shape::{Shape, ShapeConfig, Target};
use crate::mesh_distance::MeshDistance;
use crate::meshing::Distances;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tessera_datasets::format::Existing;
use tessera_datasets::image::{Image8, save_png};
use tessera_datasets::scene::Mesh;

static GO_ON: AtomicBool = AtomicBool::new(false);

/// A sphere of radius 2 around (1, 2, 3).
fn ball() -> Mesh {
    let n = 24u32;
    let place = |i: u32, j: u32| {
        let (theta, phi) = (std::f32::consts::PI * i as f32 / n as f32, std::f32::consts::TAU * j as f32 / n as f32);
        [1.0 + 2.0 * theta.sin() * phi.cos(), 2.0 + 2.0 * theta.sin() * phi.sin(), 3.0 + 2.0 * theta.cos()]
    };
    let positions = (0..=n).flat_map(|i| (0..n).map(move |j| place(i, j))).collect();
    let v = |i: u32, j: u32| i * n + j % n;
    let quads = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let triangles =
        quads.flat_map(|(i, j)| [[v(i, j), v(i + 1, j), v(i + 1, j + 1)], [v(i, j), v(i + 1, j + 1), v(i, j + 1)]]);
    Mesh { positions, triangles: triangles.collect(), ..Mesh::default() }
}

fn small_shape() -> ShapeConfig {
    ShapeConfig {
        steps: 600,
        rate: 2e-2,
        batch: 4096,
        levels: 4,
        most_entries: 32_768,
        finest_resolution: 32,
        pool: 32_768,
        fresh: 512,
        ..ShapeConfig::default()
    }
}

#[test]
fn a_ball_is_fitted_written_read_and_meshed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ball.rbf");
    let target = Target::new(&ball()).expect("a good mesh");
    let fitted = target.fit(&small_shape(), &GO_ON, &mut |_| {}).expect("good settings");
    let written = fitted.write(&path, Existing::Keep).expect("a folder that takes files");
    let read = Shape::read(&mut RbfFile::open(&path).expect("a good file")).expect("a shape");
    assert_eq!(read.field.table, written.field.table, "what is written is what is read");
    let report = target.measure(&read).expect("a surface");
    // The ball has a radius of 14 cells: a surface that is half a cell off all over has an IoU of 0.9.
    assert!(report.iou > 0.97 && report.normal_error_deg < 10.0, "{report:?}");
    let mesh = read.mesh(&crate::meshing::MeshOptions { resolution: 64, ..Default::default() }, &mut |_, _| {});
    let mesh = mesh.expect("a surface");
    let distance = MeshDistance::new(&mesh).expect("triangles");
    assert!(distance.is_inside([1.0, 2.0, 3.0]) && !distance.is_inside([1.0, 2.0, 5.2]), "in the mesh's own world");
}

#[test]
fn fits_do_not_depend_on_the_number_of_threads() {
    let fit = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let target = Target::new(&ball()).expect("a good mesh");
            let config = ShapeConfig { steps: 6, ..small_shape() };
            let shape = target.fit(&config, &GO_ON, &mut |_| {}).expect("good settings");
            let image = fit_tile(
                None,
                &checks(40, 3),
                &ImageConfig {
                    steps: 6,
                    batch: 512,
                    kernel_share: 0.5,
                    numbers_per_pixel: 2.0,
                    ..ImageConfig::default()
                },
                &GO_ON,
                &mut |_, _| {},
            );
            let image = image.expect("good settings");
            (shape.field.table, shape.field.parameters, image.table, image.kernels.expect("kernels").parameters)
        })
    };
    assert_eq!(fit(1), fit(3));
}

/// A picture of soft waves.
fn checks(side: u32, channels: usize) -> Pixels {
    let value = |x: u32, y: u32, c: usize| 0.5 + 0.4 * ((x as f32 * 0.3 + c as f32).sin() * (y as f32 * 0.2).cos());
    let values =
        (0..side).flat_map(|y| (0..side).flat_map(move |x| (0..channels).map(move |c| value(x, y, c)))).collect();
    Pixels { width: side, height: side, channels, side, values }
}

#[test]
fn pictures_are_fitted_tile_by_tile_and_drawn_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [input, output, drawn] = ["in.png", "out.rbf", "drawn.png"].map(|name| folder.path().join(name));
    let pixels = checks(150, 3);
    let data = pixels.values.iter().map(|v| (255.0 * v).round() as u8).collect();
    save_png(&input, &Image8 { width: 150, height: 150, channels: 3, data }).expect("a picture");
    for kernel_share in [0.0, 0.5] {
        let config = ImageConfig {
            tile: 64,
            steps: 600,
            batch: 2048,
            kernel_share,
            numbers_per_pixel: 1.5,
            ..ImageConfig::default()
        };
        let crop = Some(Crop { x: 10, y: 20, width: 130, height: 100 });
        let out = (output.as_path(), Existing::Replace);
        let report = super::image::fit(&input, crop, &config, out, &GO_ON, &mut |_| {}).expect("a good picture");
        assert_eq!((report.tiles, report.width, report.height), (6, 130, 100));
        // The mean colour alone has 14 dB.
        assert!(report.psnr > 25.0, "{report:?}");
        let mut file = RbfFile::open(&output).expect("a good file");
        write_picture(&mut file, (&drawn, Existing::Replace), false, &mut |_, _| {}).expect("a picture");
        let bytes = std::fs::read(&drawn).expect("the picture");
        let image = tessera_datasets::image::decode(&bytes, &drawn).expect("a good picture");
        let error = (0..100u32).flat_map(|y| (0..130u32).map(move |x| (x, y))).map(|(x, y)| {
            let wanted = 255.0 * pixels.values[3 * ((y + 20) as usize * 150 + x as usize + 10)];
            (f64::from(image.pixel(x, y)[0]) - f64::from(wanted)).powi(2)
        });
        let psnr = -10.0 * (error.sum::<f64>() / 13_000.0 / 255.0f64.powi(2)).log10();
        // One channel of three, in steps of 1/255.
        assert!((psnr - report.psnr).abs() < 1.5, "the drawn picture has {psnr} dB, the report {}", report.psnr);
    }
}

#[test]
fn slopes_are_those_of_differences() {
    let mut rng = Pcg64::seed_from_u64(tessera_test_seed::test_seed());
    let encoding = Encoding {
        dimensions: 3,
        encoder: EncoderKind::Factor,
        levels: 4,
        most_entries: 512,
        base_resolution: 3,
        finest_resolution: 8,
        smooth: true,
        decoder: DecoderKind::Rbf,
        centres: 16,
    };
    let field = Field::new(&encoding, None, 1, &mut rng);
    let mut tile = Tile::default();
    let mut value = |place: [f32; 3]| {
        field.prepare(&mut tile);
        field.make_room(1, &mut tile);
        tile.place(0, place);
        field.slopes(&mut tile);
        (field.value(&tile, 0, 0), tile.slope(0))
    };
    for _ in 0..50 {
        let place: [f32; 3] = std::array::from_fn(|_| rng.random_range(0.1..0.9));
        let (_, slope) = value(place);
        for k in 0..3 {
            let mut moved = |by: f32| {
                let mut place = place;
                place[k] += by;
                value(place).0
            };
            // At borders of cells second derivatives jump by up to 12 · 8² · 0.2 for each feature, an eighth of which counts over the step.
            let want = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!((slope[k] - want).abs() < 0.05 * (1.0 + want.abs()), "{} instead of {want} at {place:?}", slope[k]);
        }
    }
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ball.rbf");
    let target = Target::new(&ball()).expect("a good mesh");
    let config = ShapeConfig { steps: 1, bits: 8, ..small_shape() };
    target.fit(&config, &GO_ON, &mut |_| {}).expect("good settings").write(&path, Existing::Keep).expect("a file");
    let good = std::fs::read(&path).expect("the file");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("writable");
        RbfFile::open(&path).and_then(|mut file| Shape::read(&mut file))
    };
    assert!(read(&good).is_ok());
    let mut rng = Pcg64::seed_from_u64(tessera_test_seed::test_seed());
    for round in 0..300 {
        let mut bytes = good.clone();
        match round % 3 {
            0 => bytes.truncate(rng.random_range(0..bytes.len())),
            1 => {
                let at = rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << rng.random_range(0..8u32);
            }
            // Among the index and what follows it.
            _ => {
                let at = bytes.len() - 1 - rng.random_range(0..300.min(bytes.len()));
                bytes[at] = rng.random();
            }
        }
        if bytes == good {
            continue;
        }
        let message = read(&bytes).expect_err("every byte is checked").to_string();
        assert!(message.contains("ball.rbf") && message.contains(';'), "no file or remedy in: {message}");
    }
}

#[test]
fn what_cannot_be_fitted_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [dot, out] = ["dot.png", "out.rbf"].map(|name| folder.path().join(name));
    save_png(&dot, &Image8::new(1, 1, 3)).expect("a picture");
    let fit = |input: &Path, crop| {
        let to = (out.as_path(), Existing::Keep);
        let message = super::image::fit(input, crop, &ImageConfig::default(), to, &GO_ON, &mut |_| {});
        assert!(!out.exists(), "nothing is left behind");
        message.expect_err("must be refused").to_string()
    };
    assert!(fit(&dot, None).contains("nothing to fit"));
    assert!(fit(&dot, Some(Crop { x: 0, y: 0, width: 9, height: 1 })).contains("no part"));
    assert!(fit(&folder.path().join("none.png"), None).contains("cannot be read"));
    let empty = Target::new(&Mesh::default()).err().expect("must be refused").to_string();
    assert!(empty.contains("no vertices"), "{empty}");
}

#[test]
fn distances_far_outside_the_cube_are_numbers() {
    let target = Target::new(&ball()).expect("a good mesh");
    let shape = target.fit(&ShapeConfig { steps: 2, ..small_shape() }, &GO_ON, &mut |_| {}).expect("good settings");
    let mut out = Vec::new();
    shape.append(&mut Tile::default(), &[[9.0, -3.0, 0.5], [0.5; 3]], &mut out);
    assert!(out.iter().all(|d| d.is_finite()));
}
