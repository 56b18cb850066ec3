//! Rendering and differentiating a made scene at 640x480: 26,000 and 100,000 splats on a wavy surface, about as large
//! and as deep as those of a trained scene.

use criterion::{Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::hint::black_box;
use tessera_camera::{Camera, Pose};
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::{Rasterizer, RenderSettings, RenderingGradient, SplatGradients, Splats};

struct Scene {
    means: Vec<f32>,
    log_scales: Vec<f32>,
    quats: Vec<f32>,
    opacity_logits: Vec<f32>,
    sh0: Vec<f32>,
    sh_rest: Vec<f32>,
}

impl Scene {
    /// Five layers of overlapping discs, each splat as wide as three times the distance to its neighbours.
    fn new(n: usize) -> Self {
        let mut rng = Pcg64::seed_from_u64(1);
        let spacing = (16.0 / n as f32).sqrt();
        let mut scene = Self {
            means: vec![],
            log_scales: vec![],
            quats: vec![],
            opacity_logits: vec![],
            sh0: vec![],
            sh_rest: vec![],
        };
        for i in 0..n {
            let (x, y): (f32, f32) = (rng.random_range(-2.0..2.0), rng.random_range(-2.0..2.0));
            let layer = (i % 5) as f32 * 0.05;
            scene.means.extend([x, y, 3.0 + layer + 0.3 * (2.0 * x).sin()]);
            for axis in 0..3 {
                let size = spacing * rng.random_range(0.3..1.5) * if axis == 2 { 0.2 } else { 1.0 };
                scene.log_scales.push(size.ln());
            }
            scene.quats.extend((0..4).map(|k| rng.random_range(-0.3..0.3) + if k == 0 { 1.0 } else { 0.0 }));
            scene.opacity_logits.push(rng.random_range(-3.0..3.0));
            scene.sh0.extend((0..3).map(|_| rng.random_range(-1.0..1.0f32)));
            scene.sh_rest.extend((0..45).map(|_| rng.random_range(-0.1..0.1f32)));
        }
        scene
    }

    fn splats(&self) -> Splats<'_> {
        Splats {
            means: &self.means,
            log_scales: &self.log_scales,
            quats: &self.quats,
            opacity_logits: &self.opacity_logits,
            sh0: &self.sh0,
            sh_rest: &self.sh_rest,
            sh_degree: 3,
            filter_3d: None,
        }
    }
}

fn splat(c: &mut Criterion) {
    let view = View::new(&Camera::from_horizontal_fov(640, 480, 1.0), &Pose::identity());
    let settings = RenderSettings::default();
    let v_rgb: Vec<f32> = (0..3 * view.width * view.height).map(|i| (i as f32 * 0.01).sin() * 1e-6).collect();
    let gradient = RenderingGradient { rgb: &v_rgb, alpha: None, depth: None, score: Some(&v_rgb[..640 * 480]) };
    for n in [26_000, 100_000] {
        let scene = Scene::new(n);
        let mut rasterizer = Rasterizer::new();
        let mut out = SplatGradients::default();
        rasterizer.forward(&scene.splats(), &view, &settings);
        println!("{n} splats: {:?}", rasterizer.counts());
        c.bench_function(&format!("forward {n}"), |b| {
            b.iter(|| {
                black_box(rasterizer.forward(&scene.splats(), &view, &settings));
            });
        });
        c.bench_function(&format!("backward {n}"), |b| {
            b.iter(|| rasterizer.backward(&scene.splats(), &view, &settings, &gradient, black_box(&mut out)));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(3));
    targets = splat
}
criterion_main!(benches);
