//! Decoded anchors: which are seen, the splats that they become, and gradients back to anchors and decoder.

use crate::rows::upload;
use crate::scenes::fresh_rng;
use crate::{assert_close, stream};
use rand::{Rng, RngExt};
use tessera_camera::{Camera, Distortion, Lens, Pose};
use tessera_kernels::anchor_decoder::cuda::{self, Pull, Sight};
use tessera_kernels::anchor_decoder::{
    AnchorDecoder, AnchorGradients, Anchors, Decoding, GaussianGradients, Gaussians, Gaze, HIDDEN, Head, Keep,
    consistency,
};
use tessera_kernels::camera_projection::View;
use tessera_kernels::device::{Buffer, Device};
use tessera_kernels::splat::cuda::SplatGradients;
use tessera_kernels::splat::spherical_harmonics::Y0;

/// More than a block of everything.
const ANCHORS: usize = 300;
/// Gradients are means over pixels.
const TINY: f32 = 1.0 / 1024.0;

fn random(rng: &mut impl Rng, len: usize, range: f32) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-range..range)).collect()
}

struct Scene {
    decoder: AnchorDecoder,
    positions: Vec<f32>,
    offsets: Vec<f32>,
    log_scaling: Vec<f32>,
    features: Vec<f32>,
    student: Vec<f32>,
    teacher: Vec<f32>,
    view: View,
}

impl Scene {
    fn random(rng: &mut impl Rng, decoder: AnchorDecoder) -> Self {
        let lens = Lens { focal: [40.0; 2], centre: [20.0; 2], distortion: Distortion::None };
        let away = nalgebra::Isometry3::translation(-0.3, 4.0, -0.5);
        let mut scene = Self {
            decoder,
            positions: random(rng, 3 * ANCHORS, 1.0),
            offsets: random(rng, 3 * ANCHORS * decoder.offsets, 0.2),
            log_scaling: random(rng, 6 * ANCHORS, 0.5).iter().map(|l| l - 2.5).collect(),
            features: Vec::new(),
            student: random(rng, decoder.parameters(), 0.5),
            teacher: random(rng, decoder.parameters(), 0.5),
            view: View::new(&Camera { width: 40, height: 40, lens }, &Pose::from(away)),
        };
        for anchor in 0..ANCHORS {
            // Which units are active must not hang on the last bit.
            let feature = loop {
                let feature = random(rng, decoder.features, 1.0);
                if scene.is_clear(anchor, &feature) {
                    break feature;
                }
            };
            scene.features.extend(feature);
        }
        scene
    }

    fn is_clear(&self, anchor: usize, feature: &[f32]) -> bool {
        let centre = self.view.position();
        let way: Vec<f32> = (0..3).map(|c| self.positions[3 * anchor + c] - centre[c]).collect();
        let length = way.iter().map(|w| w * w).sum::<f32>().sqrt();
        let input: Vec<f32> = feature.iter().copied().chain(way.iter().map(|w| w / length)).collect();
        Head::ALL.into_iter().all(|head| {
            let [w1, b1, ..] = self.decoder.tensors(head);
            let rows = self.student[w1].chunks_exact(input.len()).zip(&self.student[b1]);
            assert_eq!(rows.len(), HIDDEN);
            rows.map(|(row, bias)| row.iter().zip(&input).map(|(w, x)| w * x).sum::<f32>() + bias)
                .all(|unit| unit.abs() > 1e-5)
        })
    }

    fn anchors(&self) -> Anchors<'_> {
        let Self { positions, offsets, log_scaling, features, .. } = self;
        Anchors { positions, offsets, log_scaling, features }
    }

    /// Those whose Gaussians reach beyond `near`.
    fn seen(&self, near: f32) -> Vec<u32> {
        let k = self.decoder.offsets;
        let largest = |logs: &[f32]| logs.iter().copied().fold(f32::NEG_INFINITY, f32::max).exp();
        let is_seen = |anchor: &u32| {
            let a = *anchor as usize;
            let farthest = self.offsets[3 * k * a..][..3 * k].iter().fold(0.0f32, |most, o| most.max(o.abs()));
            let logs = &self.log_scaling[6 * a..][..6];
            let reach = farthest * largest(&logs[..3]) + 3.0 * largest(&logs[3..]);
            self.positions[3 * a + 2] + self.view.translation[2] + reach > near
        };
        (0..ANCHORS as u32).filter(is_seen).collect()
    }
}

/// Everything on a device.
struct There {
    positions: Buffer<f32>,
    offsets: Buffer<f32>,
    log_scaling: Buffer<f32>,
    features: Buffer<f32>,
}

impl There {
    fn new(device: &Device, scene: &Scene) -> Self {
        let [positions, offsets, log_scaling, features] =
            [&scene.positions, &scene.offsets, &scene.log_scaling, &scene.features].map(|t| upload(device, t));
        Self { positions, offsets, log_scaling, features }
    }

    fn anchors(&self) -> cuda::Anchors<'_> {
        let Self { positions, offsets, log_scaling, features } = self;
        cuda::Anchors { len: ANCHORS, positions, offsets, log_scaling, features }
    }
}

/// The gradient by Gaussians of a gradient by splats, both of those that are kept.
fn of_gaussians(made: &Gaussians, v: &[Vec<f32>; 5], out: &mut GaussianGradients) {
    out.clear(made);
    let [means, log_scales, quats, logits, sh0] = v;
    out.means.copy_from_slice(means);
    out.quats.copy_from_slice(quats);
    out.scales.iter_mut().zip(log_scales.iter().zip(&made.scales)).for_each(|(out, (v, s))| *out = v / s);
    out.colours.iter_mut().zip(sh0).for_each(|(out, v)| *out = v / Y0 as f32);
    for (&slot, v) in made.kept.iter().zip(logits) {
        let o = made.opacities[slot as usize];
        out.opacities[slot as usize] = v / (o * (1.0 - o));
    }
}

pub fn decoded_anchors_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    // More than a block of anchors; fewer of the usual shape, which takes longer.
    let shape = |features, offsets| AnchorDecoder { features, offsets };
    for (decoder, near) in [(shape(13, 3), -0.4), (shape(32, 10), 0.5)] {
        let scene = Scene::random(&mut rng, decoder);
        let there = There::new(device, &scene);
        let mut decoding = cuda::Decoding::new(device, &stream, decoder, ANCHORS + 7).expect("kernels");
        let View { rotation, translation, .. } = scene.view;
        let sight = Sight { rotation, translation, edges: [[0.0; 3]; 4], near };
        decoding.send(&scene.student, Some(&scene.teacher)).expect("a copy");
        decoding.see(there.anchors(), sight).expect("a list");
        let chosen = scene.seen(near);
        assert_eq!(decoding.read_chosen().expect("a copy"), chosen);
        assert!(chosen.len() > 10 && chosen.len() < ANCHORS, "{} of {ANCHORS} are seen", chosen.len());

        let (v_count, k, gaze) = (chosen.len(), decoder.offsets, Gaze::From(scene.view.position()));
        let mut cpu = Decoding::new(decoder);
        let made = cpu.forward(&scene.student, &scene.anchors(), &chosen, gaze, Keep::Opaque).clone();
        decoding.decode(there.anchors(), &scene.view).expect("a pass");
        // Where the Gaussians that are kept lie on the device.
        let slot_of = |slot: u32| (slot as usize % k) * v_count + slot as usize / k;
        let gathered = |buffer: &Buffer<f32>, columns: usize| -> Vec<f32> {
            let all = buffer.read(&stream).expect("a copy");
            let row = |&slot: &u32| all[columns * slot_of(slot)..][..columns].to_vec();
            made.kept.iter().flat_map(row).collect()
        };
        let splats = decoding.splats();
        assert_close("means", &gathered(splats.means, 3), &made.means, 1e-6);
        let scales: Vec<f32> = gathered(splats.log_scales, 3).iter().map(|l| l.exp()).collect();
        assert_close("scales", &scales, &made.scales, 1e-5);
        assert_close("rotations", &gathered(splats.quats, 4), &made.quats, 1e-4);
        let colours: Vec<f32> = gathered(splats.sh0, 3).iter().map(|c| 0.5 + Y0 as f32 * c).collect();
        assert_close("colours", &colours, &made.colours, 1e-5);
        let opacities: Vec<f32> =
            gathered(splats.opacity_logits, 1).iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
        let kept: Vec<f32> = made.kept.iter().map(|&slot| made.opacities[slot as usize]).collect();
        assert_close("opacities", &opacities, &kept, 1e-5);
        let logits = splats.opacity_logits.read_part(0, v_count * k, &stream).expect("a copy");
        assert_eq!(logits.iter().filter(|logit| **logit > -80.0).count(), made.kept.len(), "Gaussians");

        // Back again, with both pulls. What is hardly there, no pixel sees.
        let mut v = [3, 3, 4, 1, 3].map(|columns| random(&mut rng, columns * made.kept.len(), TINY));
        v[3].iter_mut().zip(&kept).for_each(|(v, o)| *v = if *o < 0.01 { 0.0 } else { *v * o });
        let mut upstream = GaussianGradients::default();
        of_gaussians(&made, &v, &mut upstream);
        let pull = Pull { volume: 0.3, consistency: 1.0 };
        let mut teacher = Decoding::new(decoder);
        let wanted = teacher.forward(&scene.teacher, &scene.anchors(), &chosen, gaze, Keep::Slots(&made.kept)).clone();
        let expected_pull = consistency(&made, &wanted, pull.consistency, &mut upstream);
        let share = pull.volume / made.kept.len() as f32;
        let mut volumes = 0.0f64;
        for ([a, b, c], v) in made.scales.as_chunks::<3>().0.iter().zip(upstream.scales.as_chunks_mut::<3>().0) {
            [v[0], v[1], v[2]] = [v[0] + share * b * c, v[1] + share * a * c, v[2] + share * a * b];
            volumes += f64::from(a * b * c);
        }
        let mut expected = AnchorGradients::default();
        cpu.backward(&scene.anchors(), &chosen, gaze, &upstream, &mut expected);

        let mut by_splats = SplatGradients::new(device).expect("memory");
        let spread = |values: &[f32], columns: usize| {
            // What is not kept has no gradient, whatever stands there.
            let mut all = vec![7.0; columns * v_count * k];
            for (row, &slot) in values.chunks_exact(columns).zip(&made.kept) {
                all[columns * slot_of(slot)..][..columns].copy_from_slice(row);
            }
            upload(device, &all)
        };
        let [means, log_scales, quats, logits, sh0] = &v;
        (by_splats.means, by_splats.log_scales) = (spread(means, 3), spread(log_scales, 3));
        (by_splats.quats, by_splats.opacity_logits) = (spread(quats, 4), spread(logits, 1));
        by_splats.sh0 = spread(sh0, 3);
        let mut found = cuda::AnchorGradients::new(device, decoder, ANCHORS).expect("memory");
        decoding.differentiate(there.anchors(), &by_splats, pull, &mut found).expect("a pass");
        let mut decoder_gradient = Vec::new();
        let values = decoding.found(&mut decoder_gradient).expect("sums");
        let off = |a: f64, b: f64| (a - b).abs() / b;
        assert!(off(values.consistency, expected_pull) < 1e-4, "{} and {expected_pull}", values.consistency);
        let mean = volumes / made.kept.len() as f64;
        assert!(off(values.volume, mean) < 1e-4, "{} and {mean}", values.volume);
        let dense = |rows: &[f32], columns: usize| {
            let mut all = vec![0.0; columns * ANCHORS];
            for (row, &anchor) in rows.chunks_exact(columns).zip(&chosen) {
                all[columns * anchor as usize..][..columns].copy_from_slice(row);
            }
            all
        };
        let read = |buffer: &Buffer<f32>| buffer.read(&stream).expect("a copy");
        assert_close("gradient of offsets", &read(&found.offsets), &dense(&expected.offsets, 3 * k), 1e-5);
        assert_close("gradient of scales", &read(&found.log_scaling), &dense(&expected.log_scaling, 6), 1e-4);
        let features = dense(&expected.features, decoder.features);
        assert_close("gradient of features", &read(&found.features), &features, 2e-4);
        for head in Head::ALL {
            let range = decoder.head(head);
            let name = format!("gradient of {head:?}");
            assert_close(&name, &decoder_gradient[range.clone()], &expected.decoder[range], 2e-4);
        }
    }
}

pub fn a_view_that_sees_no_anchor_has_no_splats_and_no_gradient(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let decoder = AnchorDecoder { features: 4, offsets: 2 };
    let scene = Scene::random(&mut rng, decoder);
    let there = There::new(device, &scene);
    let mut decoding = cuda::Decoding::new(device, &stream, decoder, ANCHORS).expect("kernels");
    let View { rotation, translation, .. } = scene.view;
    let sight = Sight { rotation, translation, edges: [[0.0; 3]; 4], near: 1e6 };
    decoding.send(&scene.student, None).expect("a copy");
    assert_eq!(decoding.see(there.anchors(), sight).expect("a list"), 0);
    decoding.decode(there.anchors(), &scene.view).expect("a pass");
    assert_eq!(decoding.splats().len, 0);
    let by_splats = SplatGradients::new(device).expect("memory");
    let mut found = cuda::AnchorGradients::new(device, decoder, ANCHORS).expect("memory");
    decoding.differentiate(there.anchors(), &by_splats, Pull::default(), &mut found).expect("a pass");
    let mut gradient = vec![1.0; 3];
    let values = decoding.found(&mut gradient).expect("sums");
    assert_eq!((values.consistency, values.volume), (0.0, 0.0));
    assert!(gradient.len() == decoder.parameters() && gradient.iter().all(|v| *v == 0.0));
    assert!(found.features.read(&stream).expect("a copy").iter().all(|v| *v == 0.0));
}
