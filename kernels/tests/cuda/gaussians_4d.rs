//! Gaussians in space and time: a moment's picture, its gradient, a step.

use crate::assert_close;
use crate::scenes::{Upstream, fresh_rng};
use crate::stream;
use rand::{RngExt, rngs::StdRng};
use std::ops::Range;
use tessera_camera::spacetime::left_of_rotation;
use tessera_camera::{Camera, Pose};
use tessera_kernels::adam::{AdamSettings, step_listed};
use tessera_kernels::camera_projection::View;
use tessera_kernels::device::{Buffer, Device, Stream};
use tessera_kernels::gaussian4d::cuda::{Descent4d, Trained4d};
use tessera_kernels::gaussian4d::{Gaussians4d, Gradients4d, Slice, slice, slice_backward};
use tessera_kernels::splat::{self, RenderSettings, SplatGradients, cuda};

const ADAM: AdamSettings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };
const SECONDS: f32 = 0.6;
const COLUMNS: [usize; 9] = [3, 1, 3, 1, 4, 4, 1, 3, 9];

/// Random Gaussians in front of a camera at the origin, at times between 0 and 1: a third of them static, some very short.
struct Moving {
    /// In the order of [`Descent4d::rates`], harmonics of degree 1.
    tensors: [Vec<f32>; 9],
    rows: Vec<Range<usize>>,
}

impl Moving {
    fn random(n: usize, rng: &mut StdRng) -> Self {
        let mut draw = |count: usize, low: f32, high: f32| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(low..high)).collect()
        };
        let mut means = draw(3 * n, -1.2, 1.2);
        let spacing = 2.0 / n.max(1) as f32;
        let depths = means.iter_mut().skip(2).step_by(3).enumerate();
        depths.for_each(|(i, z)| *z = 1.5 + spacing * (i as f32 + 0.3 * *z));
        let (times, mut log_time_scales) = (draw(n, 0.3, 0.9), draw(n, -3.0, 1.0));
        let (mut left, mut right) = (draw(4 * n, -1.0, 1.0), draw(4 * n, -1.0, 1.0));
        for i in (0..n).step_by(3) {
            log_time_scales[i] = 20.0;
            let rotation = std::array::from_fn(|k| left[4 * i + k]);
            left[4 * i..4 * i + 4].copy_from_slice(&left_of_rotation(rotation));
        }
        // Gradients grow as quaternions shrink: none shall drown the others.
        for quat in left.chunks_exact_mut(4).chain(right.chunks_exact_mut(4)) {
            let length = quat.iter().map(|q| q * q).sum::<f32>().sqrt().max(1e-6);
            quat.iter_mut().for_each(|q| *q *= 1.3 / length);
        }
        let mut sh_rest = draw(9 * n, -0.15, 0.15);
        sh_rest.chunks_exact_mut(9).step_by(4).for_each(|row| row.fill(0.0));
        let (log_scales, logits, sh0) = (draw(3 * n, -3.0, -1.2), draw(n, -1.0, 1.5), draw(3 * n, -1.0, 1.5));
        let tensors = [means, times, log_scales, log_time_scales, left, right, logits, sh0, sh_rest];
        // Not all rows, and in pieces.
        Self { tensors, rows: vec![n / 8..n / 3, n / 2..n / 2 + 1, n / 2 + 2..n] }
    }

    fn gaussians(&self) -> Gaussians4d<'_> {
        let [means, times, log_scales, log_time_scales, left_quats, right_quats, opacity_logits, ..] = &self.tensors;
        Gaussians4d { means, times, log_scales, log_time_scales, left_quats, right_quats, opacity_logits }
    }

    fn list(&self) -> Vec<u32> {
        self.rows.iter().flat_map(|rows| rows.start as u32..rows.end as u32).collect()
    }

    /// The rows of the list of one tensor.
    fn listed(&self, tensor: usize) -> Vec<f32> {
        let part = |rows: &Range<usize>| {
            self.tensors[tensor][COLUMNS[tensor] * rows.start..COLUMNS[tensor] * rows.end].to_vec()
        };
        self.rows.iter().flat_map(part).collect()
    }

    fn on_device(&self, device: &Device, stream: &Stream) -> Trained4d {
        let mut trained = Trained4d::new(device, stream, 1, ADAM).expect("kernels");
        let zeros = self.tensors.each_ref().map(|t| vec![0.0; t.len()]);
        let planes = std::array::from_fn(|k| [self.tensors[k].as_slice(), &zeros[k], &zeros[k]]);
        trained.write(planes, &vec![0; self.tensors[1].len()]).expect("a copy");
        trained
    }
}

fn view() -> View {
    View::new(&Camera::from_horizontal_fov(61, 43, 1.0), &Pose::translation(0.1, -0.05, 0.2))
}

fn settings(antialiased: bool) -> RenderSettings {
    RenderSettings { active_sh_degree: 1, antialiased, background: [0.2, 0.5, 0.1], ..RenderSettings::default() }
}

fn descent() -> Descent4d {
    Descent4d {
        rates: [1e-3, 2e-3, 5e-3, 5e-3, 1e-3, 1e-3, 0.05, 2.5e-3, 1e-4],
        opacity_pull: 0.0,
        scale_pull: 0.0,
        only_given_harmonics: false,
        lowest_log_time_scale: f32::NEG_INFINITY,
    }
}

/// The gradient of a picture, also taken as its errors.
fn upstream(device: &Device, view: &View, rng: &mut StdRng) -> (Upstream, Buffer<f32>, Buffer<f32>) {
    let upstream = Upstream::smooth(view, rng);
    let scores: Vec<f32> = upstream.alpha.iter().map(|a| a.abs()).collect();
    let rgb = device.upload(&upstream.rgb, "a gradient").expect("memory");
    (upstream, rgb, device.upload(&scores, "errors").expect("memory"))
}

/// Fails unless gradients agree to within rounding but for some of those Gaussians with a pixel at their border that rounding moves
/// across 1/255: it is up to a hundredth of a small one's sum, and decides less than a few hundredths of its gradient.
fn assert_same_gradients(name: &str, actual: &[f32], expected: &[f32]) {
    assert_close(name, actual, expected, 5e-2);
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let other = actual.iter().zip(expected).filter(|(a, b)| (*a - *b).abs() > 2e-3 * largest).count();
    assert!(other * 20 <= expected.len(), "{other} of {} values of {name} differ", expected.len());
}

pub fn moments_are_drawn_as_on_the_cpu(device: &Device) {
    let (mut rng, stream, view) = (fresh_rng(), stream(device), view());
    for antialiased in [false, true] {
        let moving = Moving::random(300, &mut rng);
        let (sh0, sh_rest) = (moving.listed(7), moving.listed(8));
        let mut seen = Slice::default();
        slice(&moving.gaussians(), &moving.list(), SECONDS, &mut seen);
        let mut reference = splat::Rasterizer::new();
        let expected = reference.forward(&seen.ellipsoids(&sh0, &sh_rest, 1), &view, &settings(antialiased));

        let mut trained = moving.on_device(device, &stream);
        trained.slice(&moving.rows, SECONDS).expect("a slice");
        let count = moving.list().len();
        let ellipsoids = trained.ellipsoids();
        let read =
            |buffer: &Buffer<f32>, columns: usize| buffer.read_part(0, columns * count, &stream).expect("a slice");
        // Exponentials and roots of both are good to a few roundings, of terms up to ten times as large as their sum.
        assert_close("means", &read(ellipsoids.means, 3), &seen.means, 1e-5);
        assert_close("covariances", &read(ellipsoids.covariances, 6), &seen.covariances, 1e-5);
        assert_close("opacities", &read(ellipsoids.opacities, 1), &seen.opacities, 1e-5);
        assert_eq!((read(ellipsoids.sh0, 3), read(ellipsoids.sh_rest, 9)), (sh0, sh_rest));
        let mut rasterizer = cuda::Rasterizer::new(device, &stream).expect("kernels");
        let drawn = rasterizer.render(&ellipsoids, &view, &settings(antialiased)).expect("a picture");
        let drawn = drawn.read(&stream).expect("a picture");
        crate::splats::assert_same_picture("rgb", &drawn.rgb, &expected.rgb);
        crate::splats::assert_same_picture("transmittance", &drawn.transmittance, &expected.transmittance);
    }
}

pub fn gradients_of_moments_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream, view) = (fresh_rng(), stream(device), view());
    for antialiased in [false, true] {
        let moving = Moving::random(60, &mut rng);
        let (upstream, rgb, scores) = upstream(device, &view, &mut rng);
        let settings = &settings(antialiased);
        let (sh0, sh_rest) = (moving.listed(7), moving.listed(8));
        let mut seen = Slice::default();
        slice(&moving.gaussians(), &moving.list(), SECONDS, &mut seen);
        let ellipsoids = seen.ellipsoids(&sh0, &sh_rest, 1);
        let (mut reference, mut colour) = (splat::Rasterizer::new(), SplatGradients::default());
        reference.forward(&ellipsoids, &view, settings);
        let errors: Vec<f32> = upstream.alpha.iter().map(|a| a.abs()).collect();
        let gradient = splat::RenderingGradient { rgb: &upstream.rgb, alpha: None, depth: None, score: Some(&errors) };
        reference.backward(&ellipsoids, &view, settings, &gradient, &mut colour);
        let mut geometry = Gradients4d::default();
        slice_backward(&moving.gaussians(), &moving.list(), SECONDS, &(&colour).into(), &mut geometry);

        let mut trained = moving.on_device(device, &stream);
        let mut rasterizer = cuda::Rasterizer::new(device, &stream).expect("kernels");
        trained.slice(&moving.rows, SECONDS).expect("a slice");
        rasterizer.render(&trained.ellipsoids(), &view, settings).expect("a picture");
        let gradient = cuda::RenderingGradient { rgb: &rgb, alpha: None, depth: None, score: Some(&scores) };
        trained.descend(&mut rasterizer, &view, settings, &gradient, &descent()).expect("a step");
        let actual = trained.read_gradients().expect("gradients");
        let expected = [
            ("means", &geometry.means),
            ("times", &geometry.times),
            ("log_scales", &geometry.log_scales),
            ("log_time_scales", &geometry.log_time_scales),
            ("left_quats", &geometry.left_quats),
            ("right_quats", &geometry.right_quats),
            ("opacity_logits", &geometry.opacity_logits),
            ("sh0", &colour.sh0),
            ("sh_rest", &colour.sh_rest),
        ];
        for (actual, (name, expected)) in actual.iter().zip(expected) {
            assert_same_gradients(name, actual, expected);
        }
        let mut by_row = vec![0.0; 60];
        moving.list().iter().zip(&colour.scores).for_each(|(&row, score)| by_row[row as usize] += score);
        assert_same_gradients("scores", &trained.read_scores().expect("scores"), &by_row);
    }
}

pub fn a_listed_descent_is_gradients_then_adam(device: &Device) {
    let (mut rng, stream, view) = (fresh_rng(), stream(device), view());
    let moving = Moving::random(300, &mut rng);
    let (_, rgb, scores) = upstream(device, &view, &mut rng);
    let gradient = cuda::RenderingGradient { rgb: &rgb, alpha: None, depth: None, score: Some(&scores) };
    let mut trained = moving.on_device(device, &stream);
    let mut rasterizer = cuda::Rasterizer::new(device, &stream).expect("kernels");
    let descent =
        Descent4d { only_given_harmonics: true, lowest_log_time_scale: -2.0, opacity_pull: 1e-4, ..descent() };
    let rows = moving.list();
    for _ in 0..2 {
        let (before, mut ages) = trained.read().expect("tensors");
        trained.slice(&moving.rows, SECONDS).expect("a slice");
        rasterizer.render(&trained.ellipsoids(), &view, &settings(false)).expect("a picture");
        trained.descend(&mut rasterizer, &view, &settings(false), &gradient, &descent).expect("a step");
        let gradients = trained.read_gradients().expect("gradients");
        let (after, ages_after) = trained.read().expect("tensors");
        let touched: Vec<u32> = (0..rows.len() as u32)
            .filter(|&i| ages_after[rows[i as usize] as usize] > ages[rows[i as usize] as usize])
            .collect();
        assert!(touched.len() > 50 && touched.len() < rows.len(), "{} of {} are seen", touched.len(), rows.len());
        touched.iter().for_each(|&i| ages[rows[i as usize] as usize] += 1);
        assert_eq!(ages_after, ages, "each row counts its own steps");
        for (k, mut planes) in before.into_iter().enumerate() {
            let given = |&i: &u32| {
                let row = rows[i as usize] as usize;
                k != 8 || planes[0][9 * row..9 * row + 9].iter().any(|&c| c != 0.0)
            };
            let touched: Vec<u32> = touched.iter().copied().filter(given).collect();
            let [values, first, second] = planes.each_mut().map(Vec::as_mut_slice);
            let (list, columns) = ((rows.as_slice(), touched.as_slice()), COLUMNS[k]);
            step_listed([values, first, second], columns, list, &gradients[k], &ages, &ADAM, descent.rates[k]);
            if k == 3 {
                touched.iter().for_each(|&i| {
                    let value = &mut values[rows[i as usize] as usize];
                    *value = value.max(-2.0);
                });
            }
            let largest = |values: &[f32]| values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            for (plane, (actual, expected)) in after[k].iter().zip(&planes).enumerate() {
                // Both round their few operations in other orders; a value changes by no more than about its rate.
                let bound = 1e-5 * largest(expected).max(f32::MIN_POSITIVE) + 1e-5 * descent.rates[k];
                let worst = actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst <= bound, "plane {plane} of tensor {k} is off by {worst}, more than {bound}");
            }
        }
    }
}

pub fn a_moment_without_room_is_not_trained_on(device: &Device) {
    let (mut rng, stream, view) = (fresh_rng(), stream(device), view());
    let mut moving = Moving::random(10, &mut rng);
    moving.tensors[2].fill(0.5);
    moving.rows = vec![0..5, 5..10];
    let (_, rgb, scores) = upstream(device, &view, &mut rng);
    let gradient = cuda::RenderingGradient { rgb: &rgb, alpha: None, depth: None, score: Some(&scores) };
    let mut trained = moving.on_device(device, &stream);
    let before = trained.read().expect("tensors");
    let mut rasterizer = cuda::Rasterizer::new(device, &stream).expect("kernels");
    trained.slice(&moving.rows, SECONDS).expect("a slice");
    rasterizer.forward(&trained.ellipsoids(), &view, &settings(false)).expect("a picture");
    trained.descend(&mut rasterizer, &view, &settings(false), &gradient, &descent()).expect("a step");
    assert!(trained.read().expect("tensors") == before, "a picture that is not complete was trained on");
    assert!(trained.read_scores().expect("scores").iter().all(|&score| score == 0.0));
    rasterizer.render(&trained.ellipsoids(), &view, &settings(false)).expect("a picture");
    trained.descend(&mut rasterizer, &view, &settings(false), &gradient, &descent()).expect("a step");
    assert!(trained.read().expect("tensors") != before, "a complete picture was not trained on");
}

pub fn an_empty_moment_changes_nothing(device: &Device) {
    let (mut rng, stream, view) = (fresh_rng(), stream(device), view());
    let moving = Moving::random(20, &mut rng);
    let (_, rgb, scores) = upstream(device, &view, &mut rng);
    let gradient = cuda::RenderingGradient { rgb: &rgb, alpha: None, depth: None, score: Some(&scores) };
    let mut trained = moving.on_device(device, &stream);
    let before = trained.read().expect("tensors");
    let mut rasterizer = cuda::Rasterizer::new(device, &stream).expect("kernels");
    trained.slice(&[], SECONDS).expect("a slice");
    let drawn = rasterizer.render(&trained.ellipsoids(), &view, &settings(false)).expect("a picture");
    assert!(drawn.read(&stream).expect("a picture").transmittance.iter().all(|&t| t == 1.0));
    trained.descend(&mut rasterizer, &view, &settings(false), &gradient, &descent()).expect("a step");
    assert!(trained.read().expect("tensors") == before);
}
