//! Splat rendering and its gradient against golden vectors: AVX2, portable lanes, the CUDA kernels on the emulator.

mod common;
#[path = "common/splat_renderer.rs"]
mod splat_renderer;

use common::{Case, for_each_case};
use splat_renderer::{OnDevice, SplatRenderer};
use tessera_camera::{Camera, Distortion, Lens, Pose};
use tessera_kernels::camera_projection::{Gaussian, View, project};
use tessera_kernels::simd::{Backend, select_backend};
use tessera_kernels::splat::spherical_harmonics::{Y0, basis};
use tessera_kernels::splat::{Rasterizer, RenderSettings, RenderingGradient, Splats};

const NEAR: f32 = 0.2;

fn planar(interleaved: &[f32]) -> Vec<f32> {
    (0..3).flat_map(|c| interleaved.iter().skip(c).step_by(3).copied()).collect()
}

fn interleaved(planar: &[f32]) -> Vec<f32> {
    let n = planar.len() / 3;
    (0..n).flat_map(|i| [planar[i], planar[n + i], planar[2 * n + i]]).collect()
}

fn view(case: &Case) -> View {
    let intrinsics = case.f32("intrinsics");
    let lens = Lens {
        focal: [f64::from(intrinsics[0]), f64::from(intrinsics[1])],
        centre: [f64::from(intrinsics[2]), f64::from(intrinsics[3])],
        distortion: Distortion::None,
    };
    let camera = Camera { width: case.size("width") as u32, height: case.size("height") as u32, lens };
    let w2c = case.f32("w2c");
    let mut view = View::new(&camera, &Pose::identity());
    view.rotation = std::array::from_fn(|i| std::array::from_fn(|j| w2c[4 * i + j]));
    view.translation = [w2c[3], w2c[7], w2c[11]];
    view
}

struct Inputs {
    means: Vec<f32>,
    log_scales: Vec<f32>,
    quats: Vec<f32>,
    opacity_logits: Vec<f32>,
    sh0: Vec<f32>,
    sh_rest: Vec<f32>,
}

impl Inputs {
    fn new(case: &Case) -> Self {
        let sh = case.f32("sh");
        Self {
            means: case.f32("means"),
            log_scales: case.f32("log_scales"),
            quats: case.f32("quats"),
            opacity_logits: case.f32("opacity_logits"),
            sh0: sh.chunks(48).flat_map(|row| row[..3].to_vec()).collect(),
            sh_rest: sh.chunks(48).flat_map(|row| row[3..].to_vec()).collect(),
        }
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

fn check(case: &Case, renderer: &mut dyn SplatRenderer) {
    let view = view(case);
    let inputs = Inputs::new(case);
    let background = case.f32("background");
    let settings = RenderSettings {
        active_sh_degree: case.size("sh_degree") as u8,
        antialiased: case.flag("antialiased"),
        background: [background[0], background[1], background[2]],
        near: NEAR,
        depth: true,
        median_depth: false,
    };
    check_footprints(case, &view, &inputs, &settings);

    let rendering = renderer.forward(&inputs.splats(), &view, &settings);
    let alpha: Vec<f32> = rendering.transmittance.iter().map(|t| 1.0 - t).collect();
    let expected_depth: Vec<f32> = rendering.depth.iter().zip(&alpha).map(|(d, a)| d / a.max(1e-10)).collect();
    case.compare("rgb", &interleaved(&rendering.rgb));
    case.compare("alpha", &alpha);
    case.compare("depth_acc", &rendering.depth);
    case.compare("depth_expected", &expected_depth);

    let upstream = |name: &str| if case.has(name) { case.f32(name) } else { vec![0.0; alpha.len()] };
    let v_rgb = planar(&case.f32("v_rgb"));
    let mut v_alpha = upstream("v_alpha");
    let mut v_depth = upstream("v_depth_acc");
    if case.has("v_depth_expected") {
        // Expected depth is a quotient of two things that the rasteriser differentiates.
        for (i, v) in case.f32("v_depth_expected").iter().enumerate() {
            let a = alpha[i].max(1e-10);
            v_depth[i] += v / a;
            if alpha[i] > 1e-10 {
                v_alpha[i] -= v * rendering.depth[i] / (a * a);
            }
        }
    }
    let gradient = RenderingGradient { rgb: &v_rgb, alpha: Some(&v_alpha), depth: Some(&v_depth), score: None };
    let out = renderer.backward(&inputs.splats(), &view, &settings, &gradient);
    case.compare("d_means", &out.means);
    case.compare("d_log_scales", &out.log_scales);
    case.compare("d_quats", &out.quats);
    case.compare("d_opacity_logits", &out.opacity_logits);
    let sh: Vec<f32> = out.sh0.chunks(3).zip(out.sh_rest.chunks(45)).flat_map(|(a, b)| [a, b].concat()).collect();
    case.compare("d_sh", &sh);
    case.compare("d_background", &renderer.background_gradient(&v_rgb));
    case.compare("d_pose_xi", &out.pose);
}

/// What the picture is made of, including splats that lie outside it.
fn check_footprints(case: &Case, view: &View, inputs: &Inputs, settings: &RenderSettings) {
    let n = inputs.opacity_logits.len();
    let centre: [f32; 3] =
        std::array::from_fn(|i| -(0..3).map(|j| view.rotation[j][i] * view.translation[j]).sum::<f32>());
    let (mut means2d, mut conics, mut colours, mut cam_z) = (vec![], vec![], vec![], vec![]);
    for i in 0..n {
        let row = |tensor: &[f32], k: usize, width: usize| tensor[width * i + k];
        let gaussian = Gaussian {
            mean: std::array::from_fn(|k| row(&inputs.means, k, 3)),
            log_scale: std::array::from_fn(|k| row(&inputs.log_scales, k, 3)),
            quat: std::array::from_fn(|k| row(&inputs.quats, k, 4)),
            opacity_logit: inputs.opacity_logits[i],
            filter_variance: 0.0f32,
        };
        let footprint = project(view, &gaussian, settings.near, settings.antialiased, false);
        if !footprint.in_view {
            means2d.extend([0.0; 2]);
            conics.extend([0.0; 3]);
            colours.extend([0.0; 3]);
            cam_z.push(0.0);
            continue;
        }
        let offset: [f32; 3] = std::array::from_fn(|k| gaussian.mean[k] - centre[k]);
        let length = offset.iter().map(|o| o * o).sum::<f32>().sqrt();
        let values = basis(settings.active_sh_degree, offset.map(|o| o / length));
        for channel in 0..3 {
            let rest: f32 = (0..15).map(|k| values[k] * inputs.sh_rest[45 * i + 3 * k + channel]).sum();
            colours.push((0.5 + Y0 as f32 * inputs.sh0[3 * i + channel] + rest).max(0.0));
        }
        means2d.extend(footprint.mean2d);
        conics.extend(footprint.conic);
        cam_z.push(footprint.z);
    }
    let mut order: Vec<i32> = (0..n as i32).filter(|&i| cam_z[i as usize] > 0.0).collect();
    order.sort_by(|&a, &b| cam_z[a as usize].total_cmp(&cam_z[b as usize]));
    case.compare("means2d", &means2d);
    case.compare("conics", &conics);
    case.compare("colours", &colours);
    case.compare("cam_z", &cam_z);
    case.compare("order", &order);
}

#[test]
fn rendering_and_gradients_match_the_vectors() {
    for (backend, name) in [(Backend::Portable, "portable"), (Backend::Avx2, "avx2")] {
        select_backend(backend);
        for_each_case("splat_3d", name, |case| check(case, &mut Rasterizer::new()));
    }
}

mod emulator {
    #[test]
    fn rendering_and_gradients_match_the_vectors() {
        let device = tessera_emulator::device();
        super::for_each_case("splat_3d", "emulator", |case| super::check(case, &mut super::OnDevice::new(&device)));
    }
}

mod gpu {
    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn rendering_and_gradients_match_the_vectors() {
        let device = tessera_emulator::gpu();
        super::for_each_case("splat_3d", "GPU", |case| super::check(case, &mut super::OnDevice::new(&device)));
    }
}
