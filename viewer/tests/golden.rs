//! Pictures of a made scene against those under `tests/golden`, which were looked at when they were made.
//!
//! A picture passes when bytes differ by half of one on average, and no more than one pixel in two hundred differs by more
//! than eight: adapters round half-precision sums, exponentials and the edges of triangles in their own ways, which
//! moves single bytes everywhere and single pixels along edges. What is drawn wrongly, at the wrong place, in the
//! wrong order or not at all changes whole areas by far more.
//!
//! `TESSERA_UPDATE_GOLDEN=1` writes the pictures anew. Look at them before they are committed.

use std::f32::consts::TAU;
use std::path::{Path, PathBuf};
use tessera_datasets::camera::Camera;
use tessera_datasets::image::{Image8, decode, save_png};
use tessera_datasets::scene::SplatCloud;
use tessera_viewer::camera::looking_at;
use tessera_viewer::renderer::{CropBox, Gpu, MeshData, MeshPart, Page, Renderer, Style, View};

const MEAN_LIMIT: f64 = 0.5;
const PIXEL_LIMIT: u8 = 8;
const PIXELS_LIMIT: f64 = 0.005;

/// A ring of flat, long splats of all colours, which change with the direction they are seen from, around a haze.
fn ring(antialiased: bool) -> SplatCloud {
    let (around, across) = (160, 24);
    let mut cloud = SplatCloud::with_capacity(around * across, 1);
    for i in 0..around {
        for j in 0..across {
            let (u, v) = (TAU * i as f32 / around as f32, TAU * j as f32 / across as f32);
            let out = 1.0 + 0.3 * v.cos();
            cloud.means.push([out * u.cos(), 0.3 * v.sin(), out * u.sin()]);
            cloud.log_scales.push([0.035f32.ln(), 0.02f32.ln(), if i % 4 == 0 { 0.002f32.ln() } else { 0.03f32.ln() }]);
            // A turn about y by the angle around the ring.
            cloud.quats.push([(0.5 * u).cos(), 0.0, -(0.5 * u).sin(), 0.0]);
            cloud.opacity_logits.push(if j % 5 == 0 { -1.5 } else { 3.0 });
            cloud.sh0.push([1.4 * u.cos(), 1.4 * v.sin(), 1.4 * (u + v).sin()]);
            cloud.sh_rest.extend([0.3, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.25]);
        }
    }
    cloud.antialiased = antialiased;
    cloud
}

fn view() -> View {
    let camera = Camera::from_horizontal_fov(240, 160, 0.9);
    View { camera, camera_from_world: looking_at([0.4, -1.4, -2.6], [0.0, 0.0, 0.0], [0.0, -1.0, 0.0]) }
}

/// A board through the hole of the ring, and a row of points.
fn surfaces() -> [MeshData; 2] {
    let board = MeshData {
        positions: vec![[-0.25, -0.9, 0.1], [0.25, -0.9, -0.1], [-0.25, 0.9, 0.1], [0.25, 0.9, -0.1]],
        colours: vec![[250, 240, 200], [200, 60, 40], [40, 90, 200], [60, 160, 80]],
        parts: vec![MeshPart { triangles: vec![[0, 1, 2], [2, 1, 3]], ..MeshPart::default() }],
        ..MeshData::default()
    };
    let points = MeshData {
        positions: (0..40).map(|i| [-1.6 + 0.08 * i as f32, -0.5, 0.0]).collect(),
        colours: (0..40).map(|i| [255, 6 * i, 255 - 6 * i]).collect(),
        ..MeshData::default()
    };
    [board, points]
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("png")
}

/// Draws a scene and holds it against its golden picture.
fn check(name: &str, cloud: &SplatCloud, meshes: &[MeshData], style: &Style) {
    let gpu = match Gpu::headless() {
        Ok(gpu) => gpu,
        Err(error) => return println!("skipped: {error}"),
    };
    let mut renderer = Renderer::new(&gpu);
    for page in Page::all_of_cloud(cloud) {
        renderer.add_page(&page.unwrap()).unwrap();
    }
    for mesh in meshes {
        renderer.add_mesh(mesh).unwrap();
    }
    let picture = renderer.picture(&view(), style).unwrap();
    let image = Image8 { width: picture.width, height: picture.height, channels: 3, data: picture.rgb };
    let path = golden(name);
    if std::env::var_os("TESSERA_UPDATE_GOLDEN").is_some() {
        return save_png(&path, &image).unwrap();
    }
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let expected = decode(&bytes, &path).unwrap();
    if let Err(difference) = compare(&image, &expected) {
        let found = std::env::temp_dir().join(format!("tessera-golden-{name}.png"));
        save_png(&found, &image).unwrap();
        panic!("{name}: {difference}; drawn with {}; the picture is in {}", gpu.name(), found.display());
    }
}

fn compare(found: &Image8, expected: &Image8) -> Result<(), String> {
    if (found.width, found.height) != (expected.width, expected.height) {
        return Err("the sizes differ".to_owned());
    }
    let differences: Vec<u8> = found.data.iter().zip(&expected.data).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = differences.iter().map(|&d| f64::from(d)).sum::<f64>() / differences.len() as f64;
    let far = differences.chunks_exact(3).filter(|pixel| pixel.iter().any(|&d| d > PIXEL_LIMIT)).count();
    let share = far as f64 / f64::from(found.width * found.height);
    if mean > MEAN_LIMIT || share > PIXELS_LIMIT {
        return Err(format!("bytes differ by {mean:.3} on average, and {:.2} % of pixels by much", 100.0 * share));
    }
    Ok(())
}

#[test]
fn splats() {
    check("splats", &ring(false), &[], &Style { background: [1.0; 3], ..Style::default() });
}

#[test]
fn antialiased_splats() {
    check("antialiased", &ring(true), &[], &Style::default());
}

#[test]
fn splats_among_a_mesh_and_points() {
    check("among_surfaces", &ring(false), &surfaces(), &Style { background: [0.1, 0.1, 0.15], ..Style::default() });
}

#[test]
fn a_cropped_scene() {
    let crop = CropBox::aligned([-2.0, -0.6, -2.0], [0.3, 0.1, 2.0]);
    check("cropped", &ring(false), &surfaces(), &Style { crop: Some(crop), ..Style::default() });
}

#[test]
fn depth() {
    check("depth", &ring(false), &[], &Style { depth: Some(5.0), ..Style::default() });
}

#[test]
fn the_comparison_notices_what_matters() {
    let image = |data: Vec<u8>| Image8 { width: 20, height: 20, channels: 3, data };
    let plain = image(vec![100; 1200]);
    assert!(compare(&plain, &plain).is_ok());
    let mut spot = vec![100; 1200];
    spot[..9].fill(140);
    assert!(compare(&image(spot), &plain).is_err(), "three wrong pixels of 400");
    assert!(compare(&image(vec![101; 1200]), &plain).is_err(), "everything a little brighter");
}
