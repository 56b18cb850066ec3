use super::*;
use crate::simd::Portable;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Sizes around the window, the block and the lane count.
const SIZES: [(usize, usize); 9] =
    [(1, 1), (3, 5), (8, 8), (11, 11), (13, 10), (16, 33), (37, 24), (64, 19), (41, 130)];

struct Pictures {
    image: Vec<f32>,
    target: Vec<f32>,
    weight: Vec<f32>,
    width: usize,
    height: usize,
}

impl Pictures {
    /// A smooth picture, a noisy copy that differs from it everywhere by at least 0.01, and a mask with holes.
    fn random(rng: &mut Pcg64, width: usize, height: usize) -> Self {
        let target: Vec<f32> = (0..3 * width * height)
            .map(|i| {
                let (x, y) = ((i % width) as f32, (i / width) as f32);
                0.5 + 0.2 * (0.3 * x).sin() + 0.2 * (0.17 * y).cos() + rng.random_range(-0.05..0.05)
            })
            .collect();
        let mut noise = || rng.random_range(0.01f32..0.3) * if rng.random() { 1.0 } else { -1.0 };
        let image = target.iter().map(|t| t + noise()).collect();
        let weight = (0..width * height).map(|_| rng.random_range(-0.5f32..1.0).max(0.0)).collect();
        Self { image, target, weight, width, height }
    }

    fn pair(&self, masked: bool) -> ImagePair<'_> {
        ImagePair {
            image: &self.image,
            target: &self.target,
            weight: masked.then_some(&self.weight[..]),
            width: self.width,
            height: self.height,
        }
    }
}

fn seeded() -> Pcg64 {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    Pcg64::seed_from_u64(seed)
}

fn variants() -> impl Iterator<Item = (bool, LossSettings)> {
    [false, true].into_iter().flat_map(|masked| {
        [Padding::Same, Padding::Valid].into_iter().flat_map(move |padding| {
            [0.0, 0.2, 1.0].into_iter().map(move |ssim_weight| (masked, LossSettings { ssim_weight, padding }))
        })
    })
}

/// SSIM map of one channel in double precision, straight from the definition.
fn reference_map(x: &[f32], y: &[f32], width: usize, height: usize) -> Vec<f64> {
    let gauss: Vec<f64> = (-5..=5).map(|d| (-f64::from(d * d) / 4.5).exp()).collect();
    let norm: f64 = gauss.iter().sum();
    let moment = |cx: usize, cy: usize, f: &dyn Fn(usize) -> f64| {
        let mut sum = 0.0;
        for dy in 0..11 {
            for dx in 0..11 {
                let (px, py) = ((cx + dx).wrapping_sub(5), (cy + dy).wrapping_sub(5));
                if px < width && py < height {
                    sum += gauss[dx] * gauss[dy] / (norm * norm) * f(py * width + px);
                }
            }
        }
        sum
    };
    let (a, b) = (|i: usize| f64::from(x[i]), |i: usize| f64::from(y[i]));
    let mut map = Vec::new();
    for cy in 0..height {
        for cx in 0..width {
            let (mx, my) = (moment(cx, cy, &a), moment(cx, cy, &b));
            let vx = moment(cx, cy, &|i| a(i) * a(i)) - mx * mx;
            let vy = moment(cx, cy, &|i| b(i) * b(i)) - my * my;
            let cov = moment(cx, cy, &|i| a(i) * b(i)) - mx * my;
            let (c1, c2) = (1e-4, 9e-4);
            map.push((2.0 * mx * my + c1) * (2.0 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2)));
        }
    }
    map
}

/// L1, SSIM and MSE in double precision.
fn reference_values(p: &Pictures, masked: bool, padding: Padding) -> [f64; 3] {
    let (w, h) = (p.width, p.height);
    let border = if padding == Padding::Valid && w.min(h) >= 11 { 5 } else { 0 };
    let mut sums = [0.0; 3];
    let (mut total, mut map_total) = (0.0, 0.0);
    for plane in 0..3 {
        let (x, y) = (&p.image[plane * w * h..][..w * h], &p.target[plane * w * h..][..w * h]);
        let map = reference_map(x, y, w, h);
        for i in 0..w * h {
            let weight = if masked { f64::from(p.weight[i]) } else { 1.0 };
            let inside = (border..w - border).contains(&(i % w)) && (border..h - border).contains(&(i / w));
            let d = f64::from(x[i]) - f64::from(y[i]);
            sums[0] += weight * d.abs();
            sums[2] += weight * d * d;
            total += weight;
            if inside {
                sums[1] += weight * map[i];
                map_total += weight;
            }
        }
    }
    let mean = |sum: f64, total: f64, otherwise: f64| if total > 0.0 { sum / total } else { otherwise };
    [mean(sums[0], total, 0.0), mean(sums[1], map_total, 1.0), mean(sums[2], total, 0.0)]
}

#[test]
fn window_is_a_gaussian_that_sums_to_one() {
    let gauss: Vec<f64> = (-5..=5).map(|d| (-f64::from(d * d) / 4.5).exp()).collect();
    let norm: f64 = gauss.iter().sum();
    for (tap, exact) in blur::TAPS.iter().zip(&gauss) {
        assert!((f64::from(*tap) - exact / norm).abs() < 1e-8, "{tap} instead of {}", exact / norm);
    }
}

#[test]
fn values_match_the_definition_at_every_size() {
    let mut rng = seeded();
    let mut loss = ImageLoss::new();
    for (width, height) in SIZES {
        let p = Pictures::random(&mut rng, width, height);
        for (masked, settings) in variants() {
            let got = loss.evaluate(&p.pair(masked), &settings);
            let [l1, ssim, mse] = reference_values(&p, masked, settings.padding);
            let lambda = f64::from(settings.ssim_weight);
            let mix = (1.0 - lambda) * l1 + lambda * (1.0 - ssim);
            let ssim = (lambda != 0.0).then_some(ssim);
            let close = |got: f32, want: f64| (f64::from(got) - want).abs() < 2e-5;
            let good = close(got.l1, l1) && close(got.mse, mse) && close(got.loss, mix);
            let good = good && got.ssim.is_some() == ssim.is_some();
            let good = good && got.ssim.zip(ssim).is_none_or(|(got, want)| close(got, want));
            let want = (mix, l1, ssim, mse);
            assert!(good, "{width}x{height}, masked {masked}, {settings:?}: {got:?} instead of {want:?}");
        }
    }
}

#[test]
fn gradient_matches_central_differences() {
    let mut rng = seeded();
    let mut loss = ImageLoss::new();
    for (width, height) in SIZES.into_iter().filter(|(w, h)| w * h < 1000) {
        let mut p = Pictures::random(&mut rng, width, height);
        for (masked, settings) in variants() {
            let mut gradient = vec![f32::NAN; p.image.len()];
            loss.loss_and_gradient(&p.pair(masked), &settings, &mut gradient, None);
            // Steps stay below the smallest difference, where |x - y| has its kink.
            const STEP: f32 = 2e-3;
            let direction: Vec<f32> = p.image.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
            let slope: f64 = direction.iter().zip(&gradient).map(|(d, g)| f64::from(*d) * f64::from(*g)).sum();
            let size: f64 = direction.iter().zip(&gradient).map(|(d, g)| f64::from((d * g).abs())).sum();
            let original = p.image.clone();
            let lambda = f64::from(settings.ssim_weight);
            let mut at = |step: f32| {
                p.image = original.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
                let [l1, ssim, _] = reference_values(&p, masked, settings.padding);
                (1.0 - lambda) * l1 + lambda * (1.0 - ssim)
            };
            let numeric = (8.0 * (at(STEP) - at(-STEP)) - (at(2.0 * STEP) - at(-2.0 * STEP))) / f64::from(12.0 * STEP);
            p.image = original;
            let error = (slope - numeric).abs();
            assert!(
                error <= 2e-3 * size + 1e-7,
                "{width}x{height}, masked {masked}, {settings:?}: slope {slope} but {numeric} by differences ({size})"
            );
        }
    }
}

#[test]
fn mse_gradient_is_twice_the_difference_over_the_count() {
    let mut rng = seeded();
    let p = Pictures::random(&mut rng, 19, 7);
    let mut gradient = vec![f32::NAN; p.image.len()];
    let mse = ImageLoss::new().mse_and_gradient(&p.pair(false), &mut gradient);
    assert!((f64::from(mse) - reference_values(&p, false, Padding::Same)[2]).abs() < 1e-6);
    for (i, g) in gradient.iter().enumerate() {
        let want = 2.0 * (p.image[i] - p.target[i]) / p.image.len() as f32;
        assert!((g - want).abs() < 1e-6 * want.abs(), "{g} instead of {want} at {i}");
    }
}

#[test]
fn error_map_is_the_weighted_mean_error_of_the_channels() {
    let mut rng = seeded();
    let (width, height) = (37, 24);
    let p = Pictures::random(&mut rng, width, height);
    let pixels = width * height;
    for (masked, settings) in variants() {
        let (mut gradient, mut errors) = (vec![0.0; 3 * pixels], vec![f32::NAN; pixels]);
        ImageLoss::new().loss_and_gradient(&p.pair(masked), &settings, &mut gradient, Some(&mut errors));
        let mut want = vec![0.0; pixels];
        for plane in 0..3 {
            let (x, y) = (&p.image[plane * pixels..][..pixels], &p.target[plane * pixels..][..pixels]);
            for (i, s) in reference_map(x, y, width, height).into_iter().enumerate() {
                let w = if masked { f64::from(p.weight[i]) } else { 1.0 };
                let lambda = f64::from(settings.ssim_weight);
                want[i] += w * ((1.0 - lambda) * f64::from((x[i] - y[i]).abs()) + lambda * (1.0 - s)) / 3.0;
            }
        }
        for (i, (got, want)) in errors.iter().zip(&want).enumerate() {
            assert!((f64::from(*got) - want).abs() < 1e-4, "{got} instead of {want} at {i}, {settings:?}");
        }
    }
}

#[test]
fn equal_images_are_perfect() {
    let mut rng = seeded();
    let p = Pictures::random(&mut rng, 40, 30);
    let same = ImagePair { image: &p.target, ..p.pair(false) };
    let values = ImageLoss::new().evaluate(&same, &LossSettings::default());
    assert_eq!((values.l1, values.mse), (0.0, 0.0));
    assert!((values.ssim.expect("it has a weight") - 1.0).abs() < 1e-5, "{values:?}");
    assert_eq!(psnr(values.mse), f32::INFINITY);
}

#[test]
fn a_mask_without_pixels_gives_no_loss_and_no_gradient() {
    let mut rng = seeded();
    let mut p = Pictures::random(&mut rng, 20, 20);
    p.weight.fill(0.0);
    let mut gradient = vec![f32::NAN; p.image.len()];
    let values = ImageLoss::new().loss_and_gradient(&p.pair(true), &LossSettings::default(), &mut gradient, None);
    assert_eq!(values, LossValues { loss: 0.0, l1: 0.0, ssim: Some(1.0), mse: 0.0 });
    assert!(gradient.iter().all(|g| *g == 0.0));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut rng = seeded();
    let p = Pictures::random(&mut rng, 75, 333);
    for (masked, settings) in variants() {
        let mut expected: Option<(LossValues, Vec<f32>, Vec<f32>)> = None;
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let (mut gradient, mut errors) = (vec![0.0; p.image.len()], vec![0.0; p.weight.len()]);
            let values = pool.install(|| {
                ImageLoss::new().loss_and_gradient(&p.pair(masked), &settings, &mut gradient, Some(&mut errors))
            });
            let got = (values, gradient, errors);
            let expected = expected.get_or_insert_with(|| got.clone());
            assert!(*expected == got, "{threads} threads change the result, masked {masked}, {settings:?}");
        }
    }
}

#[test]
fn portable_lanes_agree() {
    let mut rng = seeded();
    let (width, height) = (43, 61);
    let p = Pictures::random(&mut rng, width, height);
    for ssim_scale in [None, Some(-1e-3)] {
        let pass = Pass {
            images: p.pair(true),
            pixel_loss: PixelLoss::Absolute,
            pixel_scale: 1e-3,
            ssim_scale,
            map_border: 5,
            band_height: height,
        };
        let run = |portable: bool| {
            let mut gradient = vec![0.0; width * height];
            let mut sums = vec![RowSums::default(); height];
            let outputs = Outputs { gradient: Some(&mut gradient), map: None, sums: &mut sums };
            let mut scratch = Scratch::default();
            scratch.fit(width);
            match (ssim_scale, portable) {
                (None, true) => rows::pixel_rows_kernel::<Portable>(&pass, 1, 0, outputs),
                (None, false) => rows::pixel_rows(&pass, 1, 0, outputs),
                (Some(_), true) => band::ssim_rows_kernel::<Portable>(&pass, 1, 0, outputs, &mut scratch),
                (Some(_), false) => band::ssim_rows(&pass, 1, 0, outputs, &mut scratch),
            }
            (gradient, sums)
        };
        let ((portable, portable_sums), (widest, widest_sums)) = (run(true), run(false));
        for (i, (a, b)) in portable.iter().zip(&widest).enumerate() {
            assert!((a - b).abs() < 2e-6, "gradient {a} against {b} at {i}");
        }
        for (a, b) in portable_sums.iter().zip(&widest_sums) {
            let error = (a.absolute - b.absolute).abs() + (a.squared - b.squared).abs() + (a.ssim - b.ssim).abs();
            assert!(error < 1e-3, "{a:?} against {b:?}");
        }
    }
}
