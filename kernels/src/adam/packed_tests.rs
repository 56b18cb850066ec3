use super::super::step;
use super::*;
use crate::simd::Portable;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn seeded() -> Pcg64 {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    Pcg64::seed_from_u64(seed)
}

/// Moments as they occur: of any size that codes reach, with ratios that Adam can have.
fn moments(rng: &mut Pcg64) -> [f32; 2] {
    let root = 2f32.powf(rng.random_range(-50.0..7.0));
    [rng.random_range(-7.27f32..7.27) * root, root * root]
}

/// The distance between the two ratios that codes have around `ratio`.
fn ratio_gap<C: Code>(ratio: f32) -> f32 {
    let most = largest_size::<C>() as f32;
    let size = (ratio.abs() / LARGEST_RATIO).sqrt() * most;
    LARGEST_RATIO * (2.0 * size.floor() + 1.0) / (most * most)
}

fn codes_are_as_near_as_they_promise<C: Code>() {
    let mut rng = seeded();
    let mantissa = 0.5f32.powi(C::MANTISSA as i32);
    for _ in 0..100_000 {
        let [m, v] = moments(&mut rng);
        let code = C::pack([m, v], [rng.random(), rng.random()]);
        let [m_kept, v_kept] = code.unpack();
        let (root, root_kept) = (v.sqrt(), v_kept.sqrt());
        // One of the neighbours: a mantissa's last place of what is below it, which is at most `root`.
        assert!((root_kept - root).abs() <= 1.000_001 * mantissa * root, "the root of {v} became {root_kept}");
        // The ratio is that to the root that was kept. Where the root was rounded down it can leave the range.
        let ratio = m / root_kept;
        let kept = (m_kept / root_kept).abs();
        if ratio.abs() < LARGEST_RATIO {
            let off = (kept - ratio.abs()).abs();
            // The float that counts sizes has 24 bits, and sizes of 15 bits are squared in it.
            assert!(off <= 1.001 * ratio_gap::<C>(ratio), "a ratio of {ratio} became {kept}");
        } else {
            assert!((kept - LARGEST_RATIO).abs() < 1e-4, "a ratio of {ratio} became {kept}");
        }
        assert!(m_kept == 0.0 || m_kept.signum() == m.signum(), "{m} became {m_kept}");
        assert_eq!(C::pack([m_kept, v_kept], [0.5; 2]), code, "what a code stands for has another code");
    }
}

#[test]
fn wide_codes_are_as_near_as_they_promise() {
    codes_are_as_near_as_they_promise::<u32>();
}

#[test]
fn narrow_codes_are_as_near_as_they_promise() {
    codes_are_as_near_as_they_promise::<u16>();
}

/// Packs with every one of `N` evenly spread random numbers: the mean is off by no more than a gap over N.
fn codes_are_right_in_the_mean<C: Code>() {
    const N: usize = 4096;
    let mut rng = seeded();
    for _ in 0..100 {
        let [m, v] = moments(&mut rng);
        let spread = |i: usize| (i as f32 + 0.5) / N as f32;
        let second = (0..N).map(|i| f64::from(C::pack([m, v], [spread(i), 0.0]).unpack()[1])).sum::<f64>() / N as f64;
        let gap = f64::from(v) * 2.3 * 0.5f64.powi(C::MANTISSA as i32);
        // A single-precision share of the gap is off by some 2^-20 of v where it is small beside v.
        let (off, allowed) = ((second - f64::from(v)).abs(), gap / N as f64 + f64::from(v) * 2f64.powi(-20));
        assert!(off <= allowed, "v = {v} is {second} in the mean");

        let [_, kept] = C::pack([m, v], [0.5; 2]).unpack();
        let m = m.clamp(-7.0 * kept.sqrt(), 7.0 * kept.sqrt());
        let first = (0..N).map(|i| f64::from(C::pack([m, kept], [0.0, spread(i)]).unpack()[0])).sum::<f64>() / N as f64;
        let root = f64::from(kept.sqrt());
        let gap = root * f64::from(ratio_gap::<C>(m / kept.sqrt()));
        let allowed = gap / N as f64 + f64::from(m.abs()) * 2f64.powi(-20);
        assert!((first - f64::from(m)).abs() <= allowed, "m = {m} is {first} in the mean");
    }
}

#[test]
fn wide_codes_are_right_in_the_mean() {
    codes_are_right_in_the_mean::<u32>();
}

#[test]
fn narrow_codes_are_right_in_the_mean() {
    codes_are_right_in_the_mean::<u16>();
}

#[test]
fn what_is_out_of_range_or_no_number_has_a_code_all_the_same() {
    for [m, v] in [[0.0, 0.0], [1e-30, 0.0], [0.0, 1e-38], [f32::NAN, f32::NAN], [1e30, f32::INFINITY], [-1.0, 1e-30]] {
        for uniform in [0.0, 0.999] {
            let kept = [u32::pack([m, v], [uniform; 2]).unpack(), u16::pack([m, v], [uniform; 2]).unpack()];
            assert!(kept.as_flattened().iter().all(|k| k.is_finite()), "[{m}, {v}] became {kept:?}");
        }
    }
    assert_eq!((u32::pack([0.0; 2], [0.0; 2]), u16::pack([0.0; 2], [0.0; 2])), (0, 0));
    assert_eq!((0u32.unpack(), 0u16.unpack()), ([0.0; 2], [0.0; 2]));
}

#[test]
fn values_are_those_of_halves_and_right_in_the_mean() {
    let mut rng = seeded();
    for _ in 0..200 {
        let value = rng.random_range(-1.0f32..1.0) * 2f32.powi(rng.random_range(-26..3));
        let step = |i: u32| i << 16;
        let mean = (0..1 << 16).map(|i| f64::from(round_to_half(value, step(i)))).sum::<f64>() / f64::from(1 << 16);
        let ulp = 2f64.powi((value.abs().log2().floor() as i32).max(-14) - 10);
        // 65,536 evenly spread numbers, of which 13 bits decide; a half of a number is cut off of each.
        assert!((mean - f64::from(value)).abs() <= ulp / 4096.0, "{value} is {mean} in the mean");
        for bits in [0, 0x8000_0000, u32::MAX] {
            let rounded = round_to_half(value, bits);
            assert_eq!(nearest_half(rounded), rounded, "{value} became no half");
        }
    }
    assert_eq!([round_to_half(1e9, 7), round_to_half(-1e9, 7)], [LARGEST_HALF, -LARGEST_HALF]);
    assert!(round_to_half(f32::NAN, 7).is_nan());
}

/// Steps with packed moments beside exact ones, with gradients that differ in size and are often zero, as those of splats are. Elements
/// travel some 0.1. Wide codes are a thousandth apart, so a step of 0.001 is off by that share, in either direction; narrow ones are
/// an eighth apart, and halves around 0.5 a half or whole of 2^-11, so that 400 roundings wander by up to 0.005.
fn packed_steps_go_where_full_ones_go<C: Code>(allowed: f64) {
    let (len, steps, rate) = (5000, 400, 1e-3);
    let mut rng = seeded();
    let settings = AdamSettings::default();
    let start = vec![0.5f32; len];
    let sizes: Vec<f32> = (0..len).map(|_| 10f32.powf(rng.random_range(-9.0..-2.0))).collect();
    let (mut packed, mut full) = (start.clone(), start.clone());
    let (mut codes, mut exact) = (vec![C::default(); len], Moments::zeros(len));
    for t in 1..=steps {
        let mut draw = |size: f32| if rng.random_bool(0.3) { size * rng.random_range(-0.6f32..1.0) } else { 0.0 };
        let gradient: Vec<f32> = sizes.iter().map(|&size| draw(size)).collect();
        step_packed(&mut packed, &gradient, &mut codes, &settings, (rate, t), Rounding::new(7, t));
        step(&mut full, &gradient, &mut exact, &settings, rate, t);
    }
    let travelled = full.iter().zip(&start).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let apart = full.iter().zip(&packed).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    println!("apart by {:.4} of the way", apart / travelled);
    assert!(apart <= allowed * travelled, "apart by {:.4} of the way", apart / travelled);
}

#[test]
fn wide_steps_go_where_full_ones_go() {
    packed_steps_go_where_full_ones_go::<u32>(0.01);
}

#[test]
fn narrow_steps_go_where_full_ones_go() {
    packed_steps_go_where_full_ones_go::<u16>(0.15);
}

#[test]
fn packed_results_do_not_depend_on_the_number_of_threads_but_on_the_seed() {
    let mut rng = seeded();
    let gradient: Vec<f32> = (0..100_001).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    let run = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let (mut params, mut codes) = (vec![0.25; gradient.len()], vec![0u16; gradient.len()]);
        let (settings, rounding) = (AdamSettings::default(), Rounding::new(seed, 3));
        pool.install(|| step_packed(&mut params, &gradient, &mut codes, &settings, (0.01, 3), rounding));
        (params, codes)
    };
    assert!(run(1, 5) == run(4, 5), "four threads change the result");
    assert!(run(1, 5) != run(1, 6), "the seed changes nothing");
}

#[test]
fn portable_lanes_take_the_same_steps() {
    let mut rng = seeded();
    let gradient: Vec<f32> = (0..1000).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    let update = Update::new(&AdamSettings::default(), 0.01, 2);
    let draws = Draws { rounding: Rounding::new(1, 2), first: 0 };
    let run = |portable: bool| {
        let (mut params, mut codes) = (vec![0.25; 1000], vec![0u32; 1000]);
        let step = if portable { step_wide_kernel::<Portable> } else { step_wide };
        step(&mut params, &gradient, &mut codes, &update, draws);
        (params, codes)
    };
    assert!(run(true) == run(false), "the instances differ");
}

#[test]
fn moments_change_the_way_they_are_kept() {
    let mut rng = seeded();
    let (first, second) = (0..100).map(|_| moments(&mut rng).into()).unzip();
    let full = StoredMoments::Full(Moments { first, second });
    let (wide, narrow) = (StoredMoments::Wide(Vec::new()), StoredMoments::Narrow(Vec::new()));
    for like in [&wide, &narrow] {
        let packed = full.clone().converted(like);
        assert_eq!((packed.len(), packed.clone().converted(like)), (100, packed.clone()));
        let there_and_back = packed.clone().converted(&full).converted(like);
        assert_eq!(there_and_back, packed, "unpacking and packing loses something");
    }
}
