//! Fits on a device, that is on the emulator or on a GPU: the same fields as on the CPU, the same bits each time.

use std::sync::atomic::AtomicBool;
use tessera_datasets::scene::Mesh;
use tessera_emulator::{device_with_memory, fast_device};
use tessera_engine::rbf::encoding::EncoderKind;
use tessera_engine::rbf::field::{DecoderKind, Field};
use tessera_engine::rbf::image::{ImageConfig, Pixels, fit_tile};
use tessera_engine::rbf::shape::{ShapeConfig, Target};
use tessera_kernels::device::Device;

static GO_ON: AtomicBool = AtomicBool::new(false);
const STEPS: u64 = 20;
/// The same at all steps, so that bounds are easy to say.
const RATE: f64 = 0.01;

/// Two pyramids on each other.
fn octahedron() -> Target {
    let positions =
        (0..6).map(|i| std::array::from_fn(|a| if a == i / 2 { [-1.0, 1.0][i % 2] } else { 0.0 })).collect();
    let face = |i: u32| {
        let [x, y, z] = [i & 1, 2 + (i >> 1 & 1), 4 + (i >> 2)];
        // Mirrored an odd number of times, a face is turned around.
        if i.count_ones() % 2 == 1 { [x, y, z] } else { [x, z, y] }
    };
    Target::new(&Mesh { positions, triangles: (0..8).map(face).collect(), ..Mesh::default() }).expect("a good mesh")
}

fn shape_config(encoder: EncoderKind) -> ShapeConfig {
    ShapeConfig {
        steps: STEPS,
        batch: 600,
        pool: 2048,
        fresh: 16,
        encoder,
        levels: 4,
        most_entries: 512,
        base_resolution: 4,
        finest_resolution: 32,
        rate: RATE,
        decoder_rate: RATE,
        rate_decay: 1.0,
        ..ShapeConfig::default()
    }
}

fn image_config(kernel_share: f64) -> ImageConfig {
    ImageConfig {
        steps: STEPS,
        batch: 600,
        kernel_share,
        numbers_per_pixel: 2.0,
        rate: RATE,
        decoder_rate: RATE,
        rate_decay: 1.0,
        ..ImageConfig::default()
    }
}

/// A picture of soft waves.
fn waves(channels: usize) -> Pixels {
    let (width, height) = (40u32, 30u32);
    let value = |x: u32, y: u32, c: usize| 0.5 + 0.4 * ((x as f32 * 0.3 + c as f32).sin() * (y as f32 * 0.2).cos());
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let values = places.flat_map(|(x, y)| (0..channels).map(move |c| value(x, y, c))).collect();
    Pixels { width, height, channels, side: width, values }
}

/// All fits that are compared, with what they cost at the first step and in the mean of the last ones.
fn fits(device: Option<&Device>) -> Vec<(String, Field, [f64; 2])> {
    let mut out = Vec::new();
    for encoder in [EncoderKind::Factor, EncoderKind::Hash] {
        let mut costs = Vec::new();
        let mut told = |p: tessera_engine::rbf::shape::FitProgress| costs.push(p.loss);
        let shape = octahedron().fit_on(device, &shape_config(encoder), &GO_ON, &mut told).expect("a fit");
        out.push((format!("an octahedron, {encoder:?}"), shape.field, [costs[0], costs[costs.len() - 1]]));
    }
    for (channels, kernel_share) in [(1, 0.0), (3, 0.5)] {
        let mut costs = Vec::new();
        let (pixels, config) = (waves(channels), image_config(kernel_share));
        let field = fit_tile(device, &pixels, &config, &GO_ON, &mut |_, cost| costs.push(cost)).expect("a fit");
        assert_eq!(field.kernels.is_some(), kernel_share > 0.0, "kernels as wanted");
        out.push((format!("waves of {channels} channels"), field, [costs[0], costs[costs.len() - 1]]));
    }
    out
}

/// Everything that is learned.
fn numbers(field: &Field) -> Vec<f32> {
    let weights = field.kernels.iter().flat_map(|k| &k.parameters.weights);
    field.table.iter().chain(&field.parameters).chain(weights).copied().collect()
}

fn fields_are_those_of_the_cpu(open: &dyn Fn() -> Device) {
    let device = &open();
    for ((name, on_cpu, costs), (_, on_device, device_costs)) in fits(None).iter().zip(&fits(Some(device))) {
        let off: Vec<f64> =
            numbers(on_cpu).iter().zip(numbers(on_device)).map(|(a, b)| f64::from((a - b).abs())).collect();
        let most = off.iter().fold(0.0f64, |m, x| m.max(*x));
        // A step of Adam moves a number by at most 2.4 times the rate: (1 - β1) / √((1 - β2) (1 - β1² / β2)), by Cauchy and Schwarz.
        let bound = 2.0 * 2.4 * RATE * STEPS as f64;
        assert!(most <= bound, "{name}: a number is {most} off");
        // Gradients differ by a few times 1e-7 of their parts, which turns only numbers whose own gradient is as small.
        let turned = off.iter().filter(|x| **x > 1e-3 * RATE * STEPS as f64).count();
        println!("{name}: {turned} of {} numbers turned, {most} off at most, {costs:?} {device_costs:?}", off.len());
        assert!(turned * 1000 < off.len(), "{name}: {turned} of {} numbers turned", off.len());
        let first = (costs[0] - device_costs[0]).abs() / costs[0];
        assert!(first < 1e-5, "{name}: the first step costs {} instead of {}", device_costs[0], costs[0]);
        // The host is a few steps ahead at most, so the costs of the first 16 steps are known at the end.
        let known = device_costs[1].is_finite() && device_costs[1] != device_costs[0];
        assert!(known, "{name}: later steps are not heard of: {device_costs:?}");
    }
}

fn the_same_bits_come_out_each_time(open: &dyn Fn() -> Device) {
    // Another emulator runs blocks in another order.
    let bits = || fits(Some(&open())).iter().map(|f| numbers(&f.1)).collect::<Vec<_>>().concat();
    let (first, second) = (bits(), bits());
    assert!(first.iter().zip(&second).all(|(a, b)| a.to_bits() == b.to_bits()), "another order, other bits");
}

tessera_emulator::on_devices! {
    fast_device: fields_are_those_of_the_cpu the_same_bits_come_out_each_time
}

#[test]
fn what_a_device_cannot_do_is_said_before_the_fit() {
    let fit = |device: &Device, config: &ShapeConfig| {
        let fitted = octahedron().fit_on(Some(device), config, &GO_ON, &mut |_| {});
        fitted.map(|_| ()).expect_err("must be refused").to_string()
    };
    let factor = shape_config(EncoderKind::Factor);
    let large = ShapeConfig { most_entries: 32_768, levels: 10, ..factor.clone() };
    let message = fit(&device_with_memory(2 << 20), &large);
    assert!(message.contains("2.0 MiB free") && message.contains("--device cpu"), "{message}");
    let message = fit(&fast_device(), &ShapeConfig { decoder: DecoderKind::Network, ..factor });
    assert!(message.contains("on the CPU only") && message.contains("decoder=rbf"), "{message}");
}
