//! What kernels build on: 16-bit floats and matrix products, on the emulator, and on a GPU where there is one.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tessera_kernels::device::{Device, Launch, SELF_TEST};

fn fresh_rng() -> StdRng {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

/// The value of 16 bits with so many of exponent and mantissa; infinite or NaN if the exponent is all ones.
fn value_of(bits: u16, exponent_bits: u32, mantissa_bits: u32) -> f64 {
    let exponent = i32::from(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    let mantissa = f64::from(bits & ((1 << mantissa_bits) - 1)) / f64::from(1u32 << mantissa_bits);
    let bias = (1 << (exponent_bits - 1)) - 1;
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(1 - bias),
        e if e == (1 << exponent_bits) - 1 && mantissa == 0.0 => f64::INFINITY,
        e if e == (1 << exponent_bits) - 1 => f64::NAN,
        e => (1.0 + mantissa) * 2f64.powi(e - bias),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// The nearest of all finite values and what follows them, ties to even: by search, for positive numbers.
fn nearest(value: f64, exponent_bits: u32, mantissa_bits: u32) -> u16 {
    let infinite = ((1u16 << exponent_bits) - 1) << mantissa_bits;
    let next =
        (0..infinite).collect::<Vec<_>>().partition_point(|&b| value_of(b, exponent_bits, mantissa_bits) <= value);
    let below = next.saturating_sub(1) as u16;
    // As if the exponents went on: where rounding reaches it, the result is infinite.
    let step = |bits: u16| value_of(bits, exponent_bits, mantissa_bits);
    let above = if below + 1 == infinite { 2.0 * step(below) - step(below - 1) } else { step(below + 1) };
    let (down, up) = (value - step(below), above - value);
    if down < up || (down == up && below.is_multiple_of(2)) { below } else { below + 1 }
}

fn sixteen_bit_floats_round_to_nearest_even(device: &Device) {
    let mut rng = fresh_rng();
    let mut values = vec![0.0, 1.0, 65504.0, 65519.9, 65520.0, 1e30, 5.96e-8, 2.98e-8, 2.99e-8, 6.1e-5, 3.3e38];
    values.extend((0..300).map(|_| rng.random_range(0.5f32..2.0) * 10f32.powi(rng.random_range(-9..6))));
    values.extend((0..100).map(|_| value_of(rng.random_range(0..0x7c00), 5, 10) as f32));
    let stream = device.stream().expect("a stream");
    let count = 2 * values.len();
    let signed: Vec<f32> = values.iter().flat_map(|&value| [value, -value]).chain([f32::NAN, f32::INFINITY]).collect();
    let input = device.upload(&signed, "values").expect("memory");
    let mut bits = device.buffer::<u16>(2 * signed.len(), "bits").expect("memory");
    let mut floats = device.buffer::<f32>(2 * signed.len(), "floats").expect("memory");
    let kernel = device.kernel(&SELF_TEST, "round_to_halves").expect("the kernel");
    let arguments = (&input, &mut bits, &mut floats, signed.len() as u32);
    kernel.launch(&stream, Launch::linear(signed.len(), 64), arguments).expect("a launch");
    let (bits, floats) = (bits.read(&stream).expect("bits"), floats.read(&stream).expect("floats"));
    for (i, value) in signed[..count].iter().enumerate() {
        for (kind, (exponent, mantissa)) in [(5, 10), (8, 7)].into_iter().enumerate() {
            let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
            let expected = sign | nearest(f64::from(value.abs()), exponent, mantissa);
            let got = bits[2 * i + kind];
            assert_eq!(got, expected, "{value} to {exponent} bits of exponent: {got:#06x}, not {expected:#06x}");
            assert_eq!(f64::from(floats[2 * i + kind]), value_of(got, exponent, mantissa), "bits {got:#06x}");
        }
    }
    assert!(floats[2 * count].is_nan() && floats[2 * count + 1].is_nan());
    assert!(floats[2 * count + 2] == f32::INFINITY && floats[2 * count + 3] == f32::INFINITY);
}

fn a_warp_multiplies_matrices(device: &Device) {
    let mut rng = fresh_rng();
    // Multiples of 1/8 below 4: products and sums are exact in any order.
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-32..32) as f32 / 8.0).collect() };
    let (a, b, c) = (draw(16 * 16), draw(16 * 8), draw(16 * 8));
    let expected: Vec<f32> =
        (0..16 * 8).map(|i| c[i] + (0..16).map(|k| a[i / 8 * 16 + k] * b[8 * k + i % 8]).sum::<f32>()).collect();
    let stream = device.stream().expect("a stream");
    let [a, b, c] = [&a, &b, &c].map(|matrix| device.upload(matrix, "a matrix").expect("memory"));
    let mut d = device.buffer::<f32>(2 * 16 * 8, "the products").expect("memory");
    let kernel = device.kernel(&SELF_TEST, "multiply_matrices").expect("the kernel");
    kernel.launch(&stream, Launch::blocks(1, 32), (&a, &b, &c, &mut d)).expect("a launch");
    for (product, kind) in d.read(&stream).expect("the products").chunks(16 * 8).zip(["f16", "bf16"]) {
        assert_eq!(product, expected, "by {kind}");
    }
}

mod emulator {
    #[test]
    fn sixteen_bit_floats_round_to_nearest_even() {
        super::sixteen_bit_floats_round_to_nearest_even(&tessera_emulator::device());
    }

    #[test]
    fn a_warp_multiplies_matrices() {
        super::a_warp_multiplies_matrices(&tessera_emulator::device());
    }
}

mod gpu {
    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn sixteen_bit_floats_round_to_nearest_even() {
        super::sixteen_bit_floats_round_to_nearest_even(&tessera_emulator::gpu());
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn a_warp_multiplies_matrices() {
        super::a_warp_multiplies_matrices(&tessera_emulator::gpu());
    }
}
