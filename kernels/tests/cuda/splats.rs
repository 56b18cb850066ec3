//! The rasteriser: pictures, gradients, odd cases.

use crate::assert_close;
use crate::scenes::{Scene, Upstream, cameras, fresh_rng};
use crate::splat_renderer::{OnDevice, SplatRenderer};
use tessera_camera::{Camera, Pose};
use tessera_kernels::camera_projection::View;
use tessera_kernels::device::Device;
use tessera_kernels::splat::{self, RenderSettings, Rendering, SplatGradients};

struct Case {
    view: View,
    settings: RenderSettings,
    filtered: bool,
    scene: Scene,
    upstream: Upstream,
    scores: Vec<f32>,
}

impl Case {
    /// Cases that go through the lenses, degrees, variants, and sizes that are no multiples of a tile.
    fn all() -> Vec<Self> {
        let mut rng = fresh_rng();
        let variants = [(false, false, 3), (true, true, 2), (true, false, 1), (false, true, 0)];
        let sizes = [(64, 48), (37, 61), (90, 33), (16, 16)];
        let mut cases = Vec::new();
        for (i, ((antialiased, filtered, degree), (width, height))) in variants.into_iter().zip(sizes).enumerate() {
            let camera = Camera { width, height, ..cameras()[i % 3] };
            let view = View::new(&camera, &Pose::translation(0.1, -0.05, 0.2));
            let settings = RenderSettings {
                active_sh_degree: degree,
                antialiased,
                background: [0.2, 0.5, 0.1],
                depth: true,
                median_depth: i % 2 == 0,
                ..RenderSettings::default()
            };
            let scene = Scene::random(if i == 0 { 700 } else { 60 }, &mut rng);
            let upstream = Upstream::smooth(&view, &mut rng);
            let scores = upstream.alpha.iter().map(|a| a.abs()).collect();
            cases.push(Self { view, settings, filtered, scene, upstream, scores });
        }
        cases
    }

    fn run(&self, renderer: &mut dyn SplatRenderer) -> (Rendering, SplatGradients, [f32; 3]) {
        let splats = self.scene.splats(self.filtered);
        let rendering = renderer.forward(&splats, &self.view, &self.settings);
        let gradient = splat::RenderingGradient { score: Some(&self.scores), ..self.upstream.gradient() };
        let gradients = renderer.backward(&splats, &self.view, &self.settings, &gradient);
        (rendering, gradients, renderer.background_gradient(&self.upstream.rgb))
    }
}

/// Fails unless all values but one in a thousand agree to within rounding: a pixel in which rounding moves one splat across
/// 1/255, or across the early stop, differs by that much.
pub fn assert_same_picture(name: &str, actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len(), "{name} has another size");
    let differing = actual.iter().zip(expected).filter(|(a, b)| (*a - *b).abs() > 3e-5 * b.abs().max(1.0)).count();
    let worst = actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 0.05, "{name} differs by up to {worst}");
    assert!(differing * 1000 <= actual.len(), "{differing} of {} values of {name} differ", actual.len());
}

pub fn pictures_are_those_of_the_cpu(device: &Device) {
    for case in Case::all() {
        let (expected, ..) = case.run(&mut splat::Rasterizer::new());
        let (actual, ..) = case.run(&mut OnDevice::new(device));
        assert_same_picture("rgb", &actual.rgb, &expected.rgb);
        assert_same_picture("transmittance", &actual.transmittance, &expected.transmittance);
        assert_same_picture("depth", &actual.depth, &expected.depth);
        assert_eq!(actual.median_depth.len(), expected.median_depth.len());
        let other =
            actual.median_depth.iter().zip(&expected.median_depth).filter(|(a, b)| (*a - *b).abs() > 1e-4).count();
        // Where transmittance is all but one half, rounding decides for the one splat or the next.
        assert!(other * 200 <= actual.median_depth.len(), "{other} median depths differ");
    }
}

pub fn gradients_are_those_of_the_cpu(device: &Device) {
    for case in Case::all() {
        let (_, expected, expected_background) = case.run(&mut splat::Rasterizer::new());
        let (_, actual, background) = case.run(&mut OnDevice::new(device));
        let pairs = [
            ("means", &actual.means, &expected.means),
            ("log_scales", &actual.log_scales, &expected.log_scales),
            ("quats", &actual.quats, &expected.quats),
            ("opacity_logits", &actual.opacity_logits, &expected.opacity_logits),
            ("sh0", &actual.sh0, &expected.sh0),
            ("sh_rest", &actual.sh_rest, &expected.sh_rest),
            ("scores", &actual.scores, &expected.scores),
            ("mean2d_norms", &actual.mean2d_norms, &expected.mean2d_norms),
        ];
        for (name, actual, expected) in pairs {
            // One pixel at the border of a splat that rounding moves across 1/255 is up to a hundredth of a small splat's sum.
            assert_close(name, actual, expected, 2e-3);
        }
        assert_close("pose", &actual.pose, &expected.pose, 2e-3);
        assert_close("background", &background, &expected_background, 1e-4);
    }
}

pub fn the_order_of_blocks_changes_no_bit(device: &Device) {
    let case = &Case::all()[0];
    let bits = || {
        let (rendering, gradients, background) = case.run(&mut OnDevice::new(device));
        let SplatGradients {
            means, log_scales, quats, opacity_logits, sh0, sh_rest, scores, mean2d_norms, pose, ..
        } = gradients;
        let all = [rendering.rgb, means, log_scales, quats, opacity_logits, sh0, sh_rest, scores, mean2d_norms];
        (all.concat().iter().map(|v| v.to_bits()).collect::<Vec<u32>>(), pose, background)
    };
    assert!(bits() == bits(), "the same input gave other bits when blocks ran in another order");
}

pub fn an_empty_scene_is_all_background(device: &Device) {
    let scene = Scene::random(0, &mut fresh_rng());
    let view = View::new(&Camera::from_horizontal_fov(33, 17, 1.0), &Pose::identity());
    let settings = RenderSettings { background: [0.25, 0.5, 0.75], ..Default::default() };
    let rendering = OnDevice::new(device).forward(&scene.splats(false), &view, &settings);
    assert!(rendering.transmittance.iter().all(|&t| t == 1.0));
    for (channel, plane) in rendering.rgb.chunks(33 * 17).enumerate() {
        assert!(plane.iter().all(|&v| v == settings.background[channel]));
    }
}

pub fn splats_behind_the_camera_are_not_drawn(device: &Device) {
    let mut scene = Scene::random(100, &mut fresh_rng());
    scene.means.iter_mut().skip(2).step_by(3).for_each(|z| *z = -*z);
    let view = View::new(&Camera::from_horizontal_fov(40, 30, 1.0), &Pose::identity());
    let mut renderer = OnDevice::new(device);
    let rendering = renderer.forward(&scene.splats(false), &view, &RenderSettings::default());
    let counts = renderer.rasterizer.counts().expect("counts");
    assert_eq!((counts.visible, counts.instances), (0, 0));
    assert!(rendering.transmittance.iter().all(|&t| t == 1.0));
}

pub fn broken_numbers_spoil_nothing(device: &Device) {
    let mut scene = Scene::random(64, &mut fresh_rng());
    for (i, poison) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 1e-40].into_iter().enumerate() {
        scene.means[3 * i] = poison;
        scene.log_scales[3 * (8 + i)] = poison;
        scene.quats[4 * (16 + i)] = poison;
        scene.opacity_logits[24 + i] = poison;
    }
    let view = View::new(&Camera::from_horizontal_fov(64, 48, 1.0), &Pose::identity());
    let rendering = OnDevice::new(device).forward(&scene.splats(false), &view, &RenderSettings::default());
    assert!(rendering.rgb.iter().all(|v| v.is_finite()), "a broken splat has spoilt the picture");
}

pub fn room_for_pairs_is_made_when_it_is_missing(device: &Device) {
    let mut scene = Scene::random(20, &mut fresh_rng());
    // Each covers the whole picture: 20 splats in 12 tiles need more than the two pairs for each that there are at first.
    scene.log_scales.fill(0.5);
    let view = View::new(&Camera::from_horizontal_fov(64, 48, 1.0), &Pose::identity());
    let settings = RenderSettings::default();
    let mut renderer = OnDevice::new(device);
    let rendering = renderer.forward(&scene.splats(false), &view, &settings);
    assert!(renderer.rasterizer.instance_capacity() > 40, "no room was made");
    let mut reference = splat::Rasterizer::new();
    let expected = reference.forward(&scene.splats(false), &view, &settings);
    assert_same_picture("rgb", &rendering.rgb, &expected.rgb);
}
