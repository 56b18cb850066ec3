//! Training with moments in codes and harmonics in words: what the CPU does with the same codes.

use crate::scenes::{Scene, Upstream, fresh_rng};
use crate::stream;
use crate::training::{RATES, trained, view};
use tessera_kernels::adam::AdamSettings;
use tessera_kernels::adam::packed::{Code, Rounding, StoredMoments, nearest_half, step_packed};
use tessera_kernels::device::{Buffer, Device};
use tessera_kernels::splat::RenderSettings;
use tessera_kernels::splat::cuda::{
    Descent, Halving, HostTensor, Precision, Rasterizer, RenderingGradient, SplatGradients, Trained,
};

const SEED: u64 = 77;

/// A scene whose harmonics are those of 16-bit floats.
fn scene(n: usize) -> Scene {
    let mut scene = Scene::random(n, &mut fresh_rng());
    scene.sh_rest.iter_mut().for_each(|value| *value = nearest_half(*value));
    scene
}

/// One step on the CPU, of the tensor that has this number.
fn step_on_host(tensor: &mut HostTensor, gradient: &[f32], rate: f32, number: u32, step: u64) {
    let rounding = Rounding::new(SEED, step).of_tensor(number);
    let (settings, values) = (AdamSettings::default(), &mut tensor.values);
    match &mut tensor.moments {
        StoredMoments::Wide(codes) => step_packed(values, gradient, codes, &settings, (rate, step), rounding),
        StoredMoments::Narrow(codes) => step_packed(values, gradient, codes, &settings, (rate, step), rounding),
        StoredMoments::Full(_) => panic!("moments are not packed"),
    }
}

/// How many of `len` codes may be neighbours of what the CPU has. Roundings of the moments before are off by a few times 2^-24;
/// where a random number falls between the two, codes are neighbours. Wide codes are the closer ones, a relative 2^-9 of second
/// moments, so this befalls some 2^-13 of them, each on its own: a Poisson count, which exceeds this limit in less than one of
/// 10^9 tensors, long or short.
fn neighbours_allowed(len: usize) -> usize {
    8 + 4 * len / (1 << 13)
}

/// Codes of both sides: at most as far apart as neighbours are, and hardly ever.
fn assert_neighbours<C: Code>(name: &str, actual: &[C], expected: &[C]) {
    let other = actual.iter().zip(expected).filter(|(a, b)| a != b);
    for (a, b) in other.clone() {
        let roots = [a, b].map(|code| code.unpack()[1].sqrt());
        let gap = 2f32.powi(1 - C::MANTISSA as i32) * roots[0].max(roots[1]);
        assert!((roots[0] - roots[1]).abs() <= gap, "{name}: roots of second moments {roots:?}");
    }
    let other = other.count();
    assert!(other <= neighbours_allowed(expected.len()), "{name}: {other} of {} codes differ", expected.len());
}

pub fn a_packed_descent_is_gradients_then_packed_adam(device: &Device) {
    let (mut rng, stream, view) = (fresh_rng(), stream(device), view());
    let scene = scene(300);
    let upstream = Upstream::smooth(&view, &mut rng);
    let rgb = device.upload(&upstream.rgb, "a gradient").expect("memory");
    let settings = RenderSettings { active_sh_degree: 2, ..RenderSettings::default() };
    let gradient = RenderingGradient { rgb: &rgb, alpha: None, depth: None, score: None };
    let mut splats = trained(device, &stream, &scene, 320, Precision::Compact);
    let mut rasterizer = Rasterizer::new(device, &stream).expect("kernels");
    let mut expected = splats.read().expect("tensors");
    assert_eq!(expected[5].values, scene.sh_rest, "halves come back as they were");
    let rates = [RATES.means, RATES.log_scales, RATES.quats, RATES.opacity_logits, RATES.sh0, RATES.sh_rest];
    for step in 1..=3 {
        rasterizer.render(&splats.splats(), &view, &settings).expect("a picture");
        let mut out = SplatGradients::new(device).expect("memory");
        rasterizer.backward(&splats.splats(), &view, &settings, &gradient, &mut out).expect("gradients");
        let found = out.read(300, 45, &stream).expect("gradients");
        let gradients =
            [&found.means, &found.log_scales, &found.quats, &found.opacity_logits, &found.sh0, &found.sh_rest];
        for (i, tensor) in expected.iter_mut().enumerate() {
            step_on_host(tensor, gradients[i], rates[i], i as u32, step);
        }
        rasterizer.render(&splats.splats(), &view, &settings).expect("a picture");
        let descent = Descent::new(&RATES, &AdamSettings::default(), SEED, step);
        rasterizer.descend(&mut splats, &view, &settings, &gradient, &descent, None).expect("a step");
        for (i, (actual, expected)) in splats.read().expect("tensors").iter().zip(&expected).enumerate() {
            let name = ["means", "log_scales", "quats", "opacity_logits", "sh0", "sh_rest"][i];
            match (&actual.moments, &expected.moments) {
                (StoredMoments::Wide(a), StoredMoments::Wide(b)) => assert_neighbours(name, a, b),
                (StoredMoments::Narrow(a), StoredMoments::Narrow(b)) => assert_neighbours(name, a, b),
                _ => panic!("{name} is kept in another way than on the host"),
            }
            let off = |(a, b): &(&f32, &f32)| (*a - *b).abs() > 1e-3 * rates[i];
            let other = actual.values.iter().zip(&expected.values).filter(off).count();
            assert!(other <= neighbours_allowed(expected.values.len()), "{name}: {other} values differ");
        }
        // The next step begins from the same state, so that differences do not add up.
        expected = splats.read().expect("tensors");
    }
    let StoredMoments::Narrow(codes) = &expected[5].moments else { panic!("harmonics are not packed") };
    assert!(codes.iter().filter(|&&code| code != 0).count() > 1000, "hardly any harmonics have moments");
    // Harmonics of degree 3 are not used yet.
    assert!(codes.chunks(45).all(|row| row[24..].iter().all(|&code| code == 0)), "unused harmonics have moments");
}

pub fn packed_rows_move_with_their_codes(device: &Device) {
    let stream = stream(device);
    let scene = scene(9);
    let mut splats = trained(device, &stream, &scene, 12, Precision::Compact);
    let tensors = [&scene.means, &scene.log_scales, &scene.quats, &scene.opacity_logits, &scene.sh0, &scene.sh_rest];
    let wide = |columns: u32| StoredMoments::Wide((1..=9 * columns).collect());
    let narrow = StoredMoments::Narrow((1..=9 * 45).collect());
    let moments = [wide(3), wide(3), wide(4), wide(1), wide(3), narrow];
    splats.write(std::array::from_fn(|i| (tensors[i].as_slice(), &moments[i]))).expect("a copy");
    assert_eq!(splats.read().expect("tensors").map(|tensor| tensor.moments), moments, "codes do not come back");

    let halving = Halving { offset: 0.6, log_shrink: 0.8f32.ln(), transparency: 0.625 };
    splats.split(&[2, 7], &[9, 4], halving).expect("a split");
    let [means, .., sh_rest] = splats.read().expect("tensors");
    let (StoredMoments::Wide(mean_codes), StoredMoments::Narrow(codes)) = (&means.moments, &sh_rest.moments) else {
        panic!("a split changes how moments are kept")
    };
    for row in 0..10 {
        let from = [(9, 2), (4, 7)].into_iter().find(|(place, _)| *place == row).map_or(row, |(_, parent)| parent);
        assert_eq!(sh_rest.values[45 * row..][..45], scene.sh_rest[45 * from..][..45], "harmonics of row {row}");
        let forgotten = [2, 4, 7, 9].contains(&row);
        let kept = |codes: &[u32]| codes.iter().all(|&code| (code == 0) == forgotten);
        assert!(kept(&mean_codes[3 * row..][..3]), "codes of the mean of row {row}: {:?}", &mean_codes[3 * row..][..3]);
        let wide: Vec<u32> = codes[45 * row..][..45].iter().map(|&code| code.into()).collect();
        assert!(kept(&wide), "codes of the harmonics of row {row}");
    }

    let mut rasterizer = Rasterizer::new(device, &stream).expect("kernels");
    let order = [9u32, 0, 8, 1, 7, 2, 6, 3, 5, 4];
    splats.permute(&order, &mut rasterizer).expect("a permutation");
    let [moved_means, .., moved] = splats.read().expect("tensors");
    let StoredMoments::Narrow(moved_codes) = &moved.moments else { panic!("an order changes how moments are kept") };
    for (to, from) in order.into_iter().map(|o| o as usize).enumerate() {
        assert_eq!(moved_means.values[3 * to..][..3], means.values[3 * from..][..3]);
        assert_eq!(moved.values[45 * to..][..45], sh_rest.values[45 * from..][..45]);
        assert_eq!(moved_codes[45 * to..][..45], codes[45 * from..][..45]);
    }
}

pub fn words_are_drawn_as_the_floats_that_they_hold(device: &Device) {
    let (stream, view, settings) = (stream(device), view(), RenderSettings::default());
    let scene = scene(200);
    let picture = |precision: Precision| {
        let splats = trained(device, &stream, &scene, 200, precision);
        let mut rasterizer = Rasterizer::new(device, &stream).expect("kernels");
        rasterizer.render(&splats.splats(), &view, &settings).expect("a picture").read(&stream).expect("a picture").rgb
    };
    assert!(picture(Precision::Compact) == picture(Precision::Full), "words are drawn in another way");
}

pub fn packed_steps_have_the_same_bits_each_time(device: &Device) {
    let (mut rng, stream, view) = (fresh_rng(), stream(device), view());
    let scene = scene(300);
    let upstream = Upstream::smooth(&view, &mut rng);
    let rgb = device.upload(&upstream.rgb, "a gradient").expect("memory");
    let settings = RenderSettings::default();
    let run = |seed: u64| -> [HostTensor; 6] {
        let mut splats: Trained = trained(device, &stream, &scene, 300, Precision::Compact);
        let mut rasterizer = Rasterizer::new(device, &stream).expect("kernels");
        let gradient = RenderingGradient { rgb: &rgb, alpha: None, depth: None, score: None::<&Buffer<f32>> };
        for step in 1..=2 {
            rasterizer.render(&splats.splats(), &view, &settings).expect("a picture");
            let descent = Descent::new(&RATES, &AdamSettings::default(), seed, step);
            rasterizer.descend(&mut splats, &view, &settings, &gradient, &descent, None).expect("a step");
        }
        splats.read().expect("tensors")
    };
    let first = run(1);
    assert!(run(1) == first, "the order of blocks changes bits");
    assert!(run(2) != first, "the seed changes nothing");
}
