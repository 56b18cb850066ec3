//! Gradients of projection and rendering against central differences on random scenes, for every lens; and renderings
//! that do not depend on threads or instruction set.

#[path = "common/scenes.rs"]
mod scenes;

use rand::RngExt;
use scenes::{Scene, Upstream, cameras, fresh_rng};
use tessera_camera::{Camera, Pose};
use tessera_kernels::camera_projection::{Footprint, FootprintGradient, Gaussian, View, project, project_backward};
use tessera_kernels::simd::{Backend, best_backend, select_backend};
use tessera_kernels::splat::{Rasterizer, RenderSettings, SplatGradients};

/// A Gaussian as 12 numbers, and the pose's six.
type Parameters = [f64; 18];

fn gaussian(p: &Parameters, filter_variance: f64) -> Gaussian<f64> {
    Gaussian {
        mean: [p[0], p[1], p[2]],
        log_scale: [p[3], p[4], p[5]],
        quat: [p[6], p[7], p[8], p[9]],
        opacity_logit: p[10],
        filter_variance,
    }
}

/// Moves the mean and turns the axes as the left perturbation of the pose would, for a camera at the identity: in
/// double precision, which [`View`] is not.
fn perturbed(p: &Parameters) -> Parameters {
    let twist: [f64; 6] = std::array::from_fn(|i| p[12 + i]);
    let turn = nalgebra::UnitQuaternion::from_scaled_axis(nalgebra::Vector3::new(twist[3], twist[4], twist[5]));
    let mean = turn * nalgebra::Vector3::new(p[0], p[1], p[2]) + nalgebra::Vector3::new(twist[0], twist[1], twist[2]);
    let quat = turn.quaternion() * nalgebra::Quaternion::new(p[6], p[7], p[8], p[9]);
    let mut out = *p;
    out[..3].copy_from_slice(mean.as_slice());
    out[6..10].copy_from_slice(&[quat.w, quat.i, quat.j, quat.k]);
    out
}

#[test]
fn projection_gradients_match_central_differences_for_every_lens() {
    let mut rng = fresh_rng();
    const H: f64 = 1e-6;
    for camera in cameras() {
        let view = View::new(&camera, &Pose::identity());
        for trial in 0..60 {
            let (antialiased, filtered) = (trial % 2 == 1, trial % 3 == 1);
            let filter_variance = if filtered { 0.002 } else { 0.0 };
            let mut p: Parameters = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
            // Some of the means lie outside the rectangle in which the Jacobian is evaluated.
            p[2] = rng.random_range(1.0..3.0);
            (3..6).for_each(|i| p[i] = rng.random_range(-3.5..-1.0));
            p[12..].fill(0.0);
            let weights: [f64; 7] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
            // Conics are around 0.1, positions around 30.
            let scale = [0.1, 0.1, 10.0, 10.0, 10.0, 1.0, 3.0];
            let loss = |p: &Parameters| {
                let f: Footprint<f64> =
                    project(&view, &gaussian(&perturbed(p), filter_variance), 0.1, antialiased, filtered);
                let [a, b] = f.mean2d;
                let [c, d, e] = f.conic;
                [a, b, c, d, e, f.z, f.opacity].iter().zip(scale).zip(weights).map(|((v, s), w)| v * s * w).sum::<f64>()
            };
            let v: [f64; 7] = std::array::from_fn(|i| scale[i] * weights[i]);
            let upstream =
                FootprintGradient { mean2d: [v[0], v[1]], conic: [v[2], v[3], v[4]], z: v[5], opacity: v[6] };
            let g = project_backward(&view, &gaussian(&p, filter_variance), antialiased, filtered, &upstream);
            let mut analytic = [0.0; 18];
            analytic[..3].copy_from_slice(&g.mean);
            analytic[3..6].copy_from_slice(&g.log_scale);
            analytic[6..10].copy_from_slice(&g.quat);
            analytic[10] = g.opacity_logit;
            analytic[12..].copy_from_slice(&g.pose);
            for i in (0..11).chain(12..18) {
                let mut ends = [p, p];
                ends[0][i] += H;
                ends[1][i] -= H;
                let numeric = (loss(&ends[0]) - loss(&ends[1])) / (2.0 * H);
                // Differences of f64 values of size 100 over 2e-6 are good to 1e-8 absolute, plus H² curvature.
                let tolerance = 1e-5 * (1.0 + analytic[i].abs().max(numeric.abs()));
                assert!(
                    (numeric - analytic[i]).abs() < tolerance,
                    "parameter {i} of trial {trial}, {:?}: {} against {numeric}",
                    camera.lens.distortion,
                    analytic[i]
                );
            }
        }
    }
}

#[test]
fn rendering_gradients_match_directional_differences_for_every_lens() {
    let mut rng = fresh_rng();
    for (camera, antialiased) in cameras().into_iter().zip([false, true, true]) {
        let view = View::new(&camera, &Pose::identity());
        let mut scene = Scene::random(40, &mut rng);
        let upstream = Upstream::smooth(&view, &mut rng);
        let settings = RenderSettings { antialiased, depth: true, background: [0.2, 0.5, 0.1], ..Default::default() };
        let mut rasterizer = Rasterizer::new();
        let mut out = SplatGradients::default();
        rasterizer.forward(&scene.splats(true), &view, &settings);
        rasterizer.backward(&scene.splats(true), &view, &settings, &upstream.gradient(), &mut out);
        let gradients = [out.means, out.log_scales, out.quats, out.opacity_logits, out.sh0, out.sh_rest];
        for (index, gradient) in gradients.iter().enumerate() {
            // Along the gradient itself the derivative is the largest, its squared length over the step.
            let length = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            const STEP: f64 = 2e-3;
            let mut shifted = |sign: f64| {
                let before = scene.tensors_mut()[index].clone();
                for (value, g) in scene.tensors_mut()[index].iter_mut().zip(gradient) {
                    *value += (sign * STEP * f64::from(*g) / length) as f32;
                }
                let loss = upstream.loss(&mut rasterizer, &scene.splats(true), &view, &settings);
                *scene.tensors_mut()[index] = before;
                loss
            };
            let numeric = (shifted(1.0) - shifted(-1.0)) / (2.0 * STEP);
            // Where a splat grows, turns, moves or becomes more opaque, pixels at its border come to count with alpha = 1/255
            // at once. That flux is no part of the derivative. For opacity o the border lies at r² = 2 ln(255 o), about 10
            // squared standard deviations, so growth gains r²/255 = 0.04 beside the derivative's o, which is 0.27 to 0.82
            // here: up to a tenth. Colours have no such border, but for their clamp at zero.
            let tolerance = if index < 4 { 0.12 } else { 0.02 };
            assert!(
                (numeric - length).abs() < tolerance * length,
                "tensor {index}, {:?}: {length} against {numeric}",
                camera.lens.distortion
            );
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut rng = fresh_rng();
    let camera = Camera::from_horizontal_fov(200, 150, 1.0);
    let view = View::new(&camera, &Pose::identity());
    let scene = Scene::random(5000, &mut rng);
    let upstream = Upstream::smooth(&view, &mut rng);
    let settings = RenderSettings { depth: true, ..Default::default() };
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        pool.install(|| {
            let mut rasterizer = Rasterizer::new();
            let mut out = SplatGradients::default();
            let rgb = rasterizer.forward(&scene.splats(false), &view, &settings).rgb.clone();
            rasterizer.backward(&scene.splats(false), &view, &settings, &upstream.gradient(), &mut out);
            (rgb, out.means, out.sh_rest, out.pose)
        })
    };
    let one = run(1);
    for threads in [2, 3, 7] {
        assert!(run(threads) == one, "{threads} threads gave other bits than one");
    }
}

#[test]
fn portable_lanes_render_the_same_picture() {
    if best_backend() == Backend::Portable {
        println!("skipped: this processor has no other instances");
        return;
    }
    let mut rng = fresh_rng();
    let camera = Camera::from_horizontal_fov(120, 90, 1.0);
    let view = View::new(&camera, &Pose::identity());
    let scene = Scene::random(300, &mut rng);
    let render = |backend| {
        select_backend(backend);
        Rasterizer::new().forward(&scene.splats(false), &view, &RenderSettings::default()).rgb.clone()
    };
    let (portable, avx2) = (render(Backend::Portable), render(Backend::Avx2));
    // A pixel in which rounding moves one splat across 1/255, or across the early stop, differs by that much.
    let differing = portable.iter().zip(&avx2).filter(|(a, b)| (*a - *b).abs() > 2e-5).count();
    let worst = portable.iter().zip(&avx2).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 0.02, "the pictures differ by up to {worst}");
    assert!(differing * 1000 < portable.len(), "{differing} of {} values differ", portable.len());
}

#[test]
fn an_empty_scene_is_all_background() {
    let scene = Scene::random(0, &mut fresh_rng());
    let view = View::new(&Camera::from_horizontal_fov(33, 17, 1.0), &Pose::identity());
    let settings = RenderSettings { background: [0.25, 0.5, 0.75], ..Default::default() };
    let mut rasterizer = Rasterizer::new();
    let rendering = rasterizer.forward(&scene.splats(false), &view, &settings);
    assert!(rendering.transmittance.iter().all(|&t| t == 1.0));
    for (channel, plane) in rendering.rgb.chunks(33 * 17).enumerate() {
        assert!(plane.iter().all(|&v| v == settings.background[channel]));
    }
}

#[test]
fn numbers_that_are_none_are_left_out_of_the_picture() {
    let mut scene = Scene::random(64, &mut fresh_rng());
    for (i, poison) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 1e-40].into_iter().enumerate() {
        scene.means[3 * i] = poison;
        scene.log_scales[3 * (8 + i)] = poison;
        scene.quats[4 * (16 + i)] = poison;
        scene.opacity_logits[24 + i] = poison;
    }
    let view = View::new(&Camera::from_horizontal_fov(64, 48, 1.0), &Pose::identity());
    let mut rasterizer = Rasterizer::new();
    let rendering = rasterizer.forward(&scene.splats(false), &view, &RenderSettings::default());
    assert!(rendering.rgb.iter().all(|v| v.is_finite()), "a broken splat has spoilt the picture");
}
