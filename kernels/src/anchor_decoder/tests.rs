use super::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Random anchors around the origin, and a decoder.
struct Scene {
    decoder: AnchorDecoder,
    positions: Vec<f32>,
    offsets: Vec<f32>,
    log_scaling: Vec<f32>,
    features: Vec<f32>,
    parameters: Vec<f32>,
    chosen: Vec<u32>,
}

const CENTRE: [f32; 3] = [0.3, -4.0, 0.5];

impl Scene {
    fn random(rng: &mut Pcg64, decoder: AnchorDecoder, anchors: usize) -> Self {
        let mut random = |len: usize, size: f32| (0..len).map(|_| rng.random_range(-size..size)).collect::<Vec<f32>>();
        let mut scene = Self {
            decoder,
            positions: random(3 * anchors, 1.0),
            offsets: random(3 * anchors * decoder.offsets, 1.0),
            log_scaling: random(6 * anchors, 0.5),
            features: random(anchors * decoder.features, 1.0),
            parameters: random(decoder.parameters(), 0.5),
            chosen: Vec::new(),
        };
        scene.chosen = (0..anchors as u32).rev().filter(|a| a % 5 != 3).collect();
        scene
    }

    fn anchors(&self) -> Anchors<'_> {
        let Self { positions, offsets, log_scaling, features, .. } = self;
        Anchors { positions, offsets, log_scaling, features }
    }

    fn tensor(&mut self, number: usize) -> &mut Vec<f32> {
        match number {
            0 => &mut self.positions,
            1 => &mut self.offsets,
            2 => &mut self.log_scaling,
            3 => &mut self.features,
            _ => &mut self.parameters,
        }
    }

    /// Gradients of the size of [`Scene::tensor`]: zero for anchors that were not decoded.
    fn dense(&self, found: &AnchorGradients) -> [Vec<f32>; 5] {
        let spread = |rows: &[f32], len: usize| {
            let columns = rows.len() / self.chosen.len();
            let mut dense = vec![0.0; len];
            for (row, &anchor) in rows.chunks(columns).zip(&self.chosen) {
                dense[columns * anchor as usize..][..columns].copy_from_slice(row);
            }
            dense
        };
        [
            spread(&found.positions, self.positions.len()),
            spread(&found.offsets, self.offsets.len()),
            spread(&found.log_scaling, self.log_scaling.len()),
            spread(&found.features, self.features.len()),
            found.decoder.clone(),
        ]
    }

    fn decode(&self, keep: Keep<'_>) -> Decoding {
        let mut decoding = Decoding::new(self.decoder);
        decoding.forward(&self.parameters, &self.anchors(), &self.chosen, Gaze::From(CENTRE), keep);
        decoding
    }

    /// `Σ <v, output>`, with the same Gaussians kept.
    fn loss(&self, kept: &[u32], v: &GaussianGradients) -> f64 {
        let decoding = self.decode(Keep::Slots(kept));
        let made = decoding.gaussians();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot(&made.opacities, &v.opacities)
            + dot(&made.means, &v.means)
            + dot(&made.scales, &v.scales)
            + dot(&made.quats, &v.quats)
            + dot(&made.colours, &v.colours)
    }
}

fn upstream(rng: &mut Pcg64, made: &Gaussians) -> GaussianGradients {
    let mut v = GaussianGradients::default();
    v.clear(made);
    for field in [&mut v.opacities, &mut v.means, &mut v.scales, &mut v.quats, &mut v.colours] {
        field.iter_mut().for_each(|v| *v = rng.random_range(-1.0..1.0));
    }
    v
}

fn seeded() -> Pcg64 {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    Pcg64::seed_from_u64(seed)
}

/// Differences in random directions. Some cross the bend of a relu, so the median of several is compared.
#[test]
fn gradients_are_those_of_differences() {
    const STEP: f32 = 3e-4;
    let mut rng = seeded();
    let shape = AnchorDecoder { features: 13, offsets: 3 };
    let mut scene = Scene::random(&mut rng, shape, 37);
    let mut decoding = scene.decode(Keep::Opaque);
    let kept = decoding.gaussians().kept.clone();
    let v = upstream(&mut rng, decoding.gaussians());
    let mut found = AnchorGradients::default();
    decoding.backward(&scene.anchors(), &scene.chosen, Gaze::From(CENTRE), &v, &mut found);
    for (tensor, gradient) in scene.dense(&found).into_iter().enumerate() {
        let size = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let mut error = || {
            let direction: Vec<f32> = gradient.iter().map(|_| rng.random_range(-1.0f32..1.0)).collect();
            let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            let mut loss_at = |step: f32| {
                let saved = scene.tensor(tensor).clone();
                scene.tensor(tensor).iter_mut().zip(&direction).for_each(|(value, d)| *value += step * d);
                let loss = scene.loss(&kept, &v);
                *scene.tensor(tensor) = saved;
                loss
            };
            let difference = (loss_at(STEP) - loss_at(-STEP)) / f64::from(2.0 * STEP);
            (difference - expected).abs() / size.max(1e-3)
        };
        let mut errors: Vec<f64> = (0..9).map(|_| error()).collect();
        errors.sort_by(f64::total_cmp);
        assert!(errors[4] < 0.02, "tensor {tensor}: differences are off by {errors:?}");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut rng = seeded();
    let scene = Scene::random(&mut rng, AnchorDecoder { features: 8, offsets: 4 }, 9_000);
    let v = upstream(&mut rng, scene.decode(Keep::Opaque).gaussians());
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut decoding = scene.decode(Keep::Opaque);
            let mut found = AnchorGradients::default();
            decoding.backward(&scene.anchors(), &scene.chosen, Gaze::From(CENTRE), &v, &mut found);
            (decoding.gaussians().clone(), found.decoder, found.features)
        })
    };
    assert!(run(1) == run(4), "four threads change the result");
}

#[test]
fn looking_along_a_vector_is_looking_from_a_place() {
    let mut rng = seeded();
    let scene = Scene::random(&mut rng, AnchorDecoder { features: 4, offsets: 2 }, 20);
    let from = scene.decode(Keep::Opaque);
    let direction = |&anchor: &u32| -> [f32; 3] {
        let way: [f32; 3] = std::array::from_fn(|c| scene.positions[3 * anchor as usize + c] - CENTRE[c]);
        let length = way.iter().map(|w| w * w).sum::<f32>().sqrt();
        way.map(|w| w / length)
    };
    let directions: Vec<f32> = scene.chosen.iter().flat_map(direction).collect();
    let mut along = Decoding::new(scene.decoder);
    along.forward(&scene.parameters, &scene.anchors(), &scene.chosen, Gaze::Along(&directions), Keep::Opaque);
    for (a, b) in from.gaussians().opacities.iter().zip(&along.gaussians().opacities) {
        assert!((a - b).abs() < 1e-4, "{a} against {b}");
    }
}

#[test]
fn nothing_to_decode_is_no_gaussians_and_no_gradient() {
    let mut rng = seeded();
    let mut scene = Scene::random(&mut rng, AnchorDecoder { features: 4, offsets: 2 }, 5);
    scene.chosen.clear();
    let mut decoding = scene.decode(Keep::Opaque);
    assert_eq!(*decoding.gaussians(), Gaussians::default());
    let mut found = AnchorGradients::default();
    decoding.backward(&scene.anchors(), &[], Gaze::From(CENTRE), &GaussianGradients::default(), &mut found);
    assert!(found.decoder.iter().all(|v| *v == 0.0) && found.decoder.len() == scene.decoder.parameters());
}
