//! Colour transforms of photos on a device, that is on the emulator or on a GPU: what the CPU computes.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use tessera_engine::splats::appearance::{Appearance, AppearanceModel, Planes};
use tessera_kernels::colour_grid::cuda::Picture;
use tessera_kernels::device::Device;

const IMAGES: usize = 3;
/// Products of a colour that are added up, and those of a weight: each is rounded, on both sides.
const ROUNDINGS: f32 = 2.0 * (8.0 * 5.0 + 12.0);

fn assert_close(name: &str, actual: &[f32], expected: &[f32], allowed: f32) {
    assert_eq!(actual.len(), expected.len(), "{name} has another size");
    let off = |i: &usize| (actual[*i] - expected[*i]).abs();
    let worst = (0..actual.len()).max_by(|i, j| off(i).total_cmp(&off(j))).expect("some values");
    assert!(off(&worst) <= allowed, "{name}[{worst}] is {} instead of {}", actual[worst], expected[worst]);
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0f32, |most, v| most.max(v.abs()))
}

fn transforms_are_those_of_the_cpu(open: &dyn Fn() -> Device) {
    let device = &open();
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    let mut rng = Pcg64::seed_from_u64(seed);
    let stream = device.stream().expect("a stream");
    for model in [AppearanceModel::Exposure, AppearanceModel::BilateralGrid] {
        let mut on_host = Appearance::new(model, IMAGES).expect("a model");
        let mut grids = on_host.on_device(device, &stream).expect("memory");
        // Pictures of several sizes, fewer pixels than corners among them; some colours are outside of the range of luminance.
        for (round, (image, width, height)) in [(0, 37, 29), (2, 9, 5), (0, 37, 29)].into_iter().enumerate() {
            let mut draw = |low: f32, high: f32| -> Vec<f32> {
                (0..3 * width * height).map(|_| rng.random_range(low..high)).collect()
            };
            let (rgb, upstream) = (draw(-0.1, 1.15), draw(-1e-4, 1e-4));
            let planes = Planes { width, height, rgb: &rgb };
            let (mut expected, mut v_expected) = (Vec::new(), Vec::new());
            on_host.apply(image, planes, &mut expected);
            on_host.backward(image, planes, &upstream, &mut v_expected);

            let on_device = device.upload(&rgb, "a picture").expect("memory");
            let mut out = device.zeros(rgb.len(), "a picture").expect("memory");
            let mut v = device.upload(&upstream, "a gradient").expect("memory");
            let picture = Picture { rgb: &on_device, width, height };
            grids.apply(image, picture, &mut out).expect("a picture");
            // A colour is a sum of four products of about one, the transform of eight corners.
            let allowed = ROUNDINGS * f32::EPSILON * 4.0;
            assert_close("colours", &out.read(&stream).expect("a picture"), &expected, allowed);
            grids.backward(image, picture, &mut v).expect("a gradient");
            // The slope over luminance is seven times as steep as colours are large.
            let allowed = ROUNDINGS * f32::EPSILON * 16.0 * largest(&v_expected);
            assert_close("gradients of colours", &v.read(&stream).expect("a gradient"), &v_expected, allowed);

            let progress = 0.1 + 0.3 * round as f32;
            on_host.step(image, progress);
            grids.step(image, &on_host.step_on_device(progress)).expect("a step");
            assert_state(&grids.state().expect("a state"), &on_host.state());
            // The next round begins with the same numbers: small gradients may have turned a step of Adam.
            grids = on_host.on_device(device, &stream).expect("memory");
        }
    }
}

/// Values, both moments, steps, shared transform.
fn assert_state(actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len(), "the state has another size");
    let all = (expected.len() - IMAGES - 12) / 3;
    let part = |state: &[f32], i: usize| state[i * all..(i + 1) * all].to_vec();
    for (i, name) in [(1, "first moments"), (2, "second moments")] {
        let (a, b) = (part(actual, i), part(expected, i));
        // Sums over a thousand pixels at most, which the CPU rounds after each.
        assert_close(name, &a, &b, 1000.0 * f32::EPSILON * largest(&b));
    }
    // Where a gradient is all but zero its sign decides where Adam goes, and rounding decides that.
    let other = part(actual, 0).iter().zip(part(expected, 0)).filter(|(a, b)| (*a - b).abs() > 1e-5).count();
    assert!(other * 200 <= all, "{other} of {all} values differ");
    assert_eq!(actual[3 * all..3 * all + IMAGES], expected[3 * all..3 * all + IMAGES], "numbers of steps");
    assert_close("the shared transform", &actual[3 * all + IMAGES..], &expected[3 * all + IMAGES..], 1e-5);
}

fn a_gradient_that_is_no_number_is_left_out(open: &dyn Fn() -> Device) {
    let device = &open();
    let stream = device.stream().expect("a stream");
    for model in [AppearanceModel::Exposure, AppearanceModel::BilateralGrid] {
        let on_host = Appearance::new(model, IMAGES).expect("a model");
        let mut grids = on_host.on_device(device, &stream).expect("memory");
        for broken in [f32::NAN, f32::INFINITY] {
            let mut upstream = vec![1e-5; 3 * 64];
            upstream[70] = broken;
            let rgb = device.upload(&vec![0.5f32; 3 * 64], "a picture").expect("memory");
            let mut v = device.upload(&upstream, "a gradient").expect("memory");
            grids.backward(1, Picture { rgb: &rgb, width: 8, height: 8 }, &mut v).expect("a gradient");
            grids.step(1, &on_host.step_on_device(0.5)).expect("a step");
            assert!(grids.state().expect("a state") == on_host.state(), "{broken} has changed a transform");
        }
    }
}

tessera_emulator::on_devices! {
    device: transforms_are_those_of_the_cpu a_gradient_that_is_no_number_is_left_out
}
