//! Random scenes, the cameras that see them, and gradients of their pictures.
#![allow(dead_code, reason = "each test program uses a part")]

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tessera_camera::{Camera, Distortion, Lens};
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::{Rasterizer, RenderSettings, RenderingGradient, Splats};

/// Random numbers from a new seed, which is printed.
pub fn fresh_rng() -> StdRng {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

/// One camera for each family of lenses.
pub fn cameras() -> [Camera; 3] {
    [
        Distortion::None,
        Distortion::Polynomial { k: [0.06, -0.08, 0.01, 0.02, 0.0, 0.003], p: [1e-3, -2e-3] },
        Distortion::Fisheye { k: [0.03, -0.01, 0.002, -0.0005] },
    ]
    .map(|distortion| {
        let lens = Lens { focal: [60.0, 64.0], centre: [33.0, 23.0], distortion };
        Camera { width: 64, height: 48, lens }
    })
}

/// Random splats in front of a camera at the origin.
pub struct Scene {
    pub means: Vec<f32>,
    pub log_scales: Vec<f32>,
    pub quats: Vec<f32>,
    pub opacity_logits: Vec<f32>,
    pub sh0: Vec<f32>,
    pub sh_rest: Vec<f32>,
    pub filter_3d: Vec<f32>,
}

impl Scene {
    pub fn random(n: usize, rng: &mut StdRng) -> Self {
        let mut draw = |count: usize, low: f32, high: f32| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(low..high)).collect()
        };
        let mut means = draw(3 * n, -1.2, 1.2);
        // Each in a layer of its own: no small step changes the order, at which the picture jumps.
        let spacing = 2.0 / n.max(1) as f32;
        let depths = means.iter_mut().skip(2).step_by(3).enumerate();
        depths.for_each(|(i, z)| *z = 1.5 + spacing * (i as f32 + 0.3 * *z));
        Self {
            means,
            log_scales: draw(3 * n, -3.0, -1.2),
            quats: draw(4 * n, -1.0, 1.0),
            opacity_logits: draw(n, -1.0, 1.5),
            sh0: draw(3 * n, -1.0, 1.5),
            sh_rest: draw(45 * n, -0.15, 0.15),
            filter_3d: draw(n, 0.005, 0.02),
        }
    }

    pub fn splats(&self, filtered: bool) -> Splats<'_> {
        Splats {
            means: &self.means,
            log_scales: &self.log_scales,
            quats: &self.quats,
            opacity_logits: &self.opacity_logits,
            sh0: &self.sh0,
            sh_rest: &self.sh_rest,
            sh_degree: 3,
            filter_3d: filtered.then_some(&self.filter_3d),
        }
    }

    pub fn tensors_mut(&mut self) -> [&mut Vec<f32>; 6] {
        [
            &mut self.means,
            &mut self.log_scales,
            &mut self.quats,
            &mut self.opacity_logits,
            &mut self.sh0,
            &mut self.sh_rest,
        ]
    }
}

/// Upstream gradients that vary smoothly over the picture.
pub struct Upstream {
    pub rgb: Vec<f32>,
    pub alpha: Vec<f32>,
    pub depth: Vec<f32>,
}

impl Upstream {
    pub fn smooth(view: &View, rng: &mut StdRng) -> Self {
        let mut plane = || -> Vec<f32> {
            let [a, b, c]: [f32; 3] = std::array::from_fn(|_| rng.random_range(-0.2..0.2));
            let wave = |i: usize| ((i % view.width) as f32 * a + (i / view.width) as f32 * b + 10.0 * c).sin();
            (0..view.width * view.height).map(|i| wave(i) + c).collect()
        };
        Self { rgb: [plane(), plane(), plane()].concat(), alpha: plane(), depth: plane() }
    }

    pub fn gradient(&self) -> RenderingGradient<'_> {
        RenderingGradient { rgb: &self.rgb, alpha: Some(&self.alpha), depth: Some(&self.depth), score: None }
    }

    pub fn loss(
        &self,
        rasterizer: &mut Rasterizer,
        splats: &Splats<'_>,
        view: &View,
        settings: &RenderSettings,
    ) -> f64 {
        let r = rasterizer.forward(splats, view, settings);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let alpha: Vec<f32> = r.transmittance.iter().map(|t| 1.0 - t).collect();
        dot(&self.rgb, &r.rgb) + dot(&self.alpha, &alpha) + dot(&self.depth, &r.depth)
    }
}
