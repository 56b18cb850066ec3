use super::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

const MODELS: [AppearanceModel; 2] = [AppearanceModel::Exposure, AppearanceModel::BilateralGrid];
// Not a multiple of the lanes, and fewer rows between grid rows than there are bands at the second size.
const SIZES: [(usize, usize); 2] = [(37, 29), (11, 7)];

fn rng() -> StdRng {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

fn random(rng: &mut StdRng, count: usize, range: std::ops::Range<f32>) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(range.clone())).collect()
}

fn new(model: AppearanceModel, images: usize) -> Appearance {
    Appearance::new(model, images).expect("a model that learns something")
}

fn block_mut(appearance: &mut Appearance, image: usize) -> &mut [f32] {
    match appearance {
        Appearance::Exposure(e) => e.parameters_mut().block_mut(image),
        Appearance::BilateralGrid(g) => g.parameters_mut().block_mut(image),
    }
}

fn gradient(appearance: &Appearance) -> &[f32] {
    match appearance {
        Appearance::Exposure(e) => e.gradient(),
        Appearance::BilateralGrid(g) => g.gradient(),
    }
}

/// Σ d_out · out, whose gradient is what `backward` computes.
fn loss(appearance: &mut Appearance, rendering: Planes<'_>, d_out: &[f32]) -> f64 {
    let mut out = Vec::new();
    appearance.apply(1, rendering, &mut out);
    out.iter().zip(d_out).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn a_fresh_transform_changes_nothing() {
    let mut rng = rng();
    for model in MODELS {
        for (width, height) in SIZES {
            let rgb = random(&mut rng, 3 * width * height, -0.2..1.3);
            let mut out = Vec::new();
            new(model, 2).apply(1, Planes { width, height, rgb: &rgb }, &mut out);
            let worst = rgb.iter().zip(&out).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-6, "{model:?} changes a pixel by {worst}");
        }
    }
}

#[test]
fn gradients_match_central_differences() {
    let mut rng = rng();
    const H: f32 = 1e-2;
    for model in MODELS {
        for (width, height) in SIZES {
            let mut appearance = new(model, 3);
            for value in block_mut(&mut appearance, 1) {
                *value += rng.random_range(-0.3..0.3);
            }
            let pixels = width * height;
            let mut rgb = random(&mut rng, 3 * pixels, 0.05..0.95);
            let d_out = random(&mut rng, 3 * pixels, -1.0..1.0);
            let mut d_in = Vec::new();
            appearance.backward(1, Planes { width, height, rgb: &rgb }, &d_out, &mut d_in);
            let d_parameters = gradient(&appearance).to_vec();

            for _ in 0..200 {
                let k = rng.random_range(0..d_parameters.len());
                let value = block_mut(&mut appearance, 1)[k];
                let mut at = |v: f32| {
                    block_mut(&mut appearance, 1)[k] = v;
                    loss(&mut appearance, Planes { width, height, rgb: &rgb }, &d_out)
                };
                let slope = (at(value + H) - at(value - H)) / f64::from(2.0 * H);
                at(value);
                let error = (slope - f64::from(d_parameters[k])).abs();
                assert!(error < 2e-3 * (1.0 + slope.abs()), "{model:?} parameter {k}: {} not {slope}", d_parameters[k]);
            }
            for _ in 0..200 {
                let k = rng.random_range(0..rgb.len());
                // Across a corner of the grid the function has a kink; stay inside one interval of luminance.
                let luminance =
                    |rgb: &[f32]| (0..3).map(|c| [0.299, 0.587, 0.114][c] * rgb[c * pixels + k % pixels]).sum::<f32>();
                let value = rgb[k];
                let small = 1e-3;
                rgb[k] = value - small;
                let below = (7.0 * luminance(&rgb)) as i32;
                let low = loss(&mut appearance, Planes { width, height, rgb: &rgb }, &d_out);
                rgb[k] = value + small;
                let above = (7.0 * luminance(&rgb)) as i32;
                let high = loss(&mut appearance, Planes { width, height, rgb: &rgb }, &d_out);
                rgb[k] = value;
                if below != above {
                    continue;
                }
                let slope = (high - low) / f64::from(2.0 * small);
                let error = (slope - f64::from(d_in[k])).abs();
                assert!(error < 5e-3 * (1.0 + slope.abs()), "{model:?} pixel {k}: {} not {slope}", d_in[k]);
            }
        }
    }
}

#[test]
fn each_image_learns_its_own_colours() {
    let mut rng = rng();
    let (width, height) = SIZES[0];
    let rgb = random(&mut rng, 3 * width * height, 0.1..0.9);
    // Two photos of the same, one darker and one brighter than the mean.
    let photo =
        |image: usize| -> Vec<f32> { rgb.iter().map(|v| v * [0.9, 1.1][image] + [0.02, -0.02][image]).collect() };
    for model in MODELS {
        let mut appearance = new(model, 2);
        let (mut out, mut d_in) = (Vec::new(), Vec::new());
        let mut error = [0.0_f32; 2];
        const STEPS: usize = 1000;
        for step in 0..STEPS {
            let image = step % 2;
            let rendering = Planes { width, height, rgb: &rgb };
            appearance.apply(image, rendering, &mut out);
            let scale = 2.0 / out.len() as f32;
            let d_out: Vec<f32> = out.iter().zip(photo(image)).map(|(a, b)| scale * (a - b)).collect();
            error[image] = out.iter().zip(photo(image)).map(|(a, b)| (a - b).abs()).sum::<f32>() / out.len() as f32;
            appearance.backward(image, rendering, &d_out, &mut d_in);
            appearance.step(image, step as f32 / STEPS as f32);
        }
        assert!(error.iter().all(|e| *e < 0.01), "{model:?} still differs by {error:?}");
    }
}

#[test]
fn what_all_images_share_returns_to_the_identity() {
    for model in MODELS {
        let mut appearance = new(model, 2);
        for image in 0..2 {
            block_mut(&mut appearance, image).iter_mut().step_by(12).for_each(|v| *v = 1.2);
        }
        // No data: the gradient is zero.
        (0..200).for_each(|step| appearance.step(step % 2, 0.04));
        let gain = |image: usize| {
            let mut out = Vec::new();
            appearance.clone().apply(image, Planes { width: 1, height: 1, rgb: &[0.5, 0.0, 0.0] }, &mut out);
            2.0 * out[0]
        };
        let after = 0.5 * (gain(0) + gain(1));
        assert!((after - 1.0).abs() < 0.01, "{model:?}: the mean gain stayed at {after}");
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let mut rng = rng();
    let (width, height) = (301, 211); // several chunks
    let rgb = random(&mut rng, 3 * width * height, 0.0..1.0);
    let d_out = random(&mut rng, 3 * width * height, -1.0..1.0);
    for model in MODELS {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                let mut appearance = new(model, 1);
                let mut d_in = Vec::new();
                for _ in 0..3 {
                    appearance.backward(0, Planes { width, height, rgb: &rgb }, &d_out, &mut d_in);
                    appearance.step(0, 0.5);
                }
                (appearance.state(), d_in)
            })
        };
        assert!(run(1) == run(3), "{model:?} gives another result with three threads");
    }
}

#[test]
fn a_restored_state_goes_on_bit_for_bit() {
    let mut rng = rng();
    let (width, height) = SIZES[1];
    let rgb = random(&mut rng, 3 * width * height, 0.0..1.0);
    for model in MODELS {
        let mut first = new(model, 2);
        let train = |a: &mut Appearance, d_out: &[f32], image: usize| {
            a.backward(image, Planes { width, height, rgb: &rgb }, d_out, &mut Vec::new());
            a.step(image, 0.5);
        };
        for k in 0..5 {
            train(&mut first, &random(&mut rng, rgb.len(), -1.0..1.0), k % 2);
        }
        let mut second = new(model, 2);
        assert!(second.restore(&first.state()));
        let d_out = random(&mut rng, rgb.len(), -1.0..1.0);
        train(&mut first, &d_out, 1);
        train(&mut second, &d_out, 1);
        assert!(first.state() == second.state(), "{model:?} went on differently");
        assert!(!second.restore(&first.state()[1..]), "a state of another size was taken");
    }
}
