//! The viewer draws what the CPU rasteriser draws, on whatever adapter is present; `.ci/run` installs a software one.
//!
//! What differs by design: the viewer adds colours up in half precision (a rounding of 1/4096 for each splat over a
//! pixel), stores rotations in 45 bits, scales in 16 bits each and harmonics in half precision, and rounds to bytes. The
//! thresholds below are in steps of 1/255.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tessera_engine::datasets::camera::{Camera, Similarity};
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::render::{Painter, SplatPainter};
use tessera_viewer::ViewerError;
use tessera_viewer::camera::looking_at;
use tessera_viewer::renderer::{Gpu, Page, Renderer, Style, View};

/// A quarter of a step is what rounding to bytes costs on average, and as much again what half-precision sums may.
const MEAN_STEPS: f64 = 0.6;
/// All but one channel value in a thousand agree within these steps.
const MOST_STEPS: f64 = 3.0;
const FEW: f64 = 1e-3;

/// Splats of all shapes around the origin, with harmonics of the degree.
fn cloud(rng: &mut StdRng, n: usize, sh_degree: u8) -> SplatCloud {
    let mut cloud = SplatCloud::with_capacity(n, sh_degree);
    for _ in 0..n {
        cloud.means.push(std::array::from_fn(|_| rng.random_range(-1.0..1.0)));
        cloud.log_scales.push(std::array::from_fn(|_| rng.random_range(-6.0..-1.5)));
        cloud.quats.push(std::array::from_fn(|_| rng.random_range(-1.0..1.0)));
        cloud.opacity_logits.push(rng.random_range(-3.0..4.0));
        cloud.sh0.push(std::array::from_fn(|_| rng.random_range(-1.5..1.5)));
        let rest = 3 * SplatCloud::rest_coefficients(sh_degree);
        cloud.sh_rest.extend((0..rest).map(|_| rng.random_range(-0.2..0.2)));
    }
    cloud
}

/// Absolute differences of all channel values, in steps of 1/255.
fn differences(gpu: &Gpu, cloud: &SplatCloud, view: &View) -> Vec<f64> {
    const BACKGROUND: [f32; 3] = [0.1, 0.5, 0.9];
    let mut painter = SplatPainter::new(cloud, &Similarity::identity(), BACKGROUND);
    let near = painter.settings.near;
    let placed = painter.view(&view.camera, &view.camera_from_world).unwrap();
    let planes = painter.paint(&placed).rgb.clone();
    let mut renderer = Renderer::new(gpu);
    for page in Page::all_of_cloud(cloud) {
        renderer.add_page(&page.unwrap()).unwrap();
    }
    let style = Style { background: BACKGROUND, near, ..Style::default() };
    let picture = renderer.picture(view, &style).unwrap();
    let pixels = planes.len() / 3;
    let expected = |i: usize| f64::from(planes[i % 3 * pixels + i / 3].clamp(0.0, 1.0)) * 255.0;
    picture.rgb.iter().enumerate().map(|(i, &byte)| (f64::from(byte) - expected(i)).abs()).collect()
}

#[test]
fn pictures_agree_with_the_cpu_rasteriser() {
    let gpu = match Gpu::headless() {
        Ok(gpu) => gpu,
        Err(error @ ViewerError::NoAdapter) => return println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}, {}", gpu.name());
    let mut rng = StdRng::seed_from_u64(seed);
    for (sh_degree, antialiased) in [(0, false), (1, true), (2, false), (3, true), (3, false)] {
        let mut cloud = cloud(&mut rng, 3000, sh_degree);
        cloud.antialiased = antialiased;
        let eye = [rng.random_range(-2.0..2.0), rng.random_range(-2.0..2.0), -2.5];
        let camera = Camera::from_horizontal_fov(250, 190, 1.0);
        let view = View { camera, camera_from_world: looking_at(eye, [0.0; 3], [0.0, -1.0, 0.0]) };
        let differences = differences(&gpu, &cloud, &view);
        let mean = differences.iter().sum::<f64>() / differences.len() as f64;
        let beyond = differences.iter().filter(|&&d| d > MOST_STEPS).count() as f64 / differences.len() as f64;
        let largest = differences.iter().copied().fold(0.0, f64::max);
        println!(
            "degree {sh_degree}, antialiased {antialiased}: mean {mean:.3}, largest {largest:.1}, {beyond:.5} beyond"
        );
        assert!(mean < MEAN_STEPS && beyond < FEW, "mean {mean}, {beyond} beyond {MOST_STEPS}");
    }
}
