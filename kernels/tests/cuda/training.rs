//! What training asks of a device: descent, splits, photos, the 3D filter.

use crate::scenes::{Scene, Upstream, fresh_rng};
use crate::{assert_close, stream};
use rand::RngExt;
use tessera_camera::{Camera, Pose};
use tessera_kernels::adam::packed::StoredMoments;
use tessera_kernels::adam::{self, AdamSettings, Moments};
use tessera_kernels::camera_projection::View;
use tessera_kernels::device::{Device, Stream};
use tessera_kernels::splat::RenderSettings;
use tessera_kernels::splat::cuda::{
    Descent, Halving, HostTensor, MaskMeaning, PhotoBytes, Photos, Precision, Rasterizer, Rates, RenderingGradient,
    Sampling, SplatGradients, Trained,
};

pub const RATES: Rates =
    Rates { means: 1e-3, log_scales: 5e-3, quats: 1e-3, opacity_logits: 0.05, sh0: 2.5e-3, sh_rest: 1e-4 };

pub fn trained(device: &Device, stream: &Stream, scene: &Scene, capacity: usize, precision: Precision) -> Trained {
    let mut out = Trained::new(device, stream, capacity, 3, precision).expect("memory");
    let tensors = [&scene.means, &scene.log_scales, &scene.quats, &scene.opacity_logits, &scene.sh0, &scene.sh_rest];
    let zeros = tensors.map(|t| StoredMoments::Full(Moments::zeros(t.len())));
    out.write(std::array::from_fn(|i| (tensors[i].as_slice(), &zeros[i]))).expect("a copy");
    out
}

pub fn view() -> View {
    View::new(&Camera::from_horizontal_fov(50, 37, 1.0), &Pose::identity())
}

pub fn a_descent_is_gradients_then_adam(device: &Device) {
    let (mut rng, stream, view) = (fresh_rng(), stream(device), view());
    // Blocks of 128 and of 256 splats that are not full.
    let scene = Scene::random(300, &mut rng);
    let upstream = Upstream::smooth(&view, &mut rng);
    let rgb = device.upload(&upstream.rgb, "a gradient").expect("memory");
    let settings = RenderSettings { active_sh_degree: 2, ..RenderSettings::default() };
    let gradient = RenderingGradient { rgb: &rgb, alpha: None, depth: None, score: Some(&rgb) };
    let mut splats = trained(device, &stream, &scene, 320, Precision::Full);
    let mut rasterizer = Rasterizer::new(device, &stream).expect("kernels");
    let mut pose = device.zeros::<f32>(6, "a pose").expect("memory");
    let mut params = [&scene.means, &scene.log_scales, &scene.quats, &scene.opacity_logits, &scene.sh0, &scene.sh_rest]
        .map(Clone::clone);
    let mut moments = params.each_ref().map(|p| Moments::zeros(p.len()));
    let mut scores = vec![0.0f32; 300];
    for step in 1..=2 {
        rasterizer.render(&splats.splats(), &view, &settings).expect("a picture");
        let mut out = SplatGradients::new(device).expect("memory");
        rasterizer.backward(&splats.splats(), &view, &settings, &gradient, &mut out).expect("gradients");
        let expected = out.read(300, 45, &stream).expect("gradients");
        let rates = [RATES.means, RATES.log_scales, RATES.quats, RATES.opacity_logits, RATES.sh0, RATES.sh_rest];
        let gradients = [
            &expected.means,
            &expected.log_scales,
            &expected.quats,
            &expected.opacity_logits,
            &expected.sh0,
            &expected.sh_rest,
        ];
        for i in 0..6 {
            let adam = AdamSettings::default();
            adam::step(&mut params[i], gradients[i], &mut moments[i], &adam, rates[i], step);
        }
        scores.iter_mut().zip(&expected.scores).for_each(|(sum, score)| *sum += score);

        rasterizer.render(&splats.splats(), &view, &settings).expect("a picture");
        let descent = Descent::new(&RATES, &AdamSettings::default(), 0, step);
        rasterizer.descend(&mut splats, &view, &settings, &gradient, &descent, Some(&mut pose)).expect("a step");
        // Sums are integers: the pose's gradient of both ways has the same bits.
        assert_eq!(pose.read(&stream).expect("a pose"), expected.pose);
        for ((actual, expected), rate) in splats.read().expect("tensors").iter().zip(&params).zip(rates) {
            // Adam's first steps divide gradients by themselves, so those that are all but zero may turn.
            let other = actual.values.iter().zip(expected).filter(|(a, b)| (*a - *b).abs() > 1e-3 * rate).count();
            assert!(other * 500 <= expected.len(), "{other} of {} values differ", expected.len());
        }
    }
    assert_close("scores", &splats.read_scores().expect("scores"), &scores, 1e-6);
}

pub fn a_pass_without_room_is_not_trained_on(device: &Device) {
    let (mut rng, stream, view) = (fresh_rng(), stream(device), view());
    let mut scene = Scene::random(10, &mut rng);
    scene.log_scales.fill(0.5);
    let mut splats = trained(device, &stream, &scene, 10, Precision::Full);
    let before = splats.read().expect("tensors");
    let mut rasterizer = Rasterizer::new(device, &stream).expect("kernels");
    let settings = RenderSettings::default();
    let rgb = device.upload(&Upstream::smooth(&view, &mut rng).rgb, "a gradient").expect("memory");
    let gradient = RenderingGradient { rgb: &rgb, alpha: None, depth: None, score: None };
    let descent = Descent::new(&RATES, &AdamSettings::default(), 0, 1);
    rasterizer.forward(&splats.splats(), &view, &settings).expect("a picture");
    rasterizer.descend(&mut splats, &view, &settings, &gradient, &descent, None).expect("a step");
    assert!(splats.read().expect("tensors") == before, "a picture that is not complete was trained on");
    let mut wanted = device.zeros::<u32>(1, "a number").expect("memory");
    rasterizer.copy_wanted_instances(&mut wanted, 0).expect("a copy");
    let wanted = wanted.read(&stream).expect("a number")[0] as usize;
    assert!(wanted > rasterizer.instance_capacity());
    rasterizer.make_room(wanted).expect("memory");
    rasterizer.forward(&splats.splats(), &view, &settings).expect("a picture");
    rasterizer.descend(&mut splats, &view, &settings, &gradient, &descent, None).expect("a step");
    assert!(splats.read().expect("tensors") != before, "with room it is");
}

pub fn splits_and_orders_move_whole_rows(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let scene = Scene::random(9, &mut rng);
    let mut splats = trained(device, &stream, &scene, 12, Precision::Full);
    let counted = |len: usize| -> Vec<f32> { (0..len).map(|i| 1.0 + i as f32).collect() };
    let moments =
        [3, 3, 4, 1, 3, 45].map(|c| StoredMoments::Full(Moments { first: counted(9 * c), second: counted(9 * c) }));
    let tensors = [&scene.means, &scene.log_scales, &scene.quats, &scene.opacity_logits, &scene.sh0, &scene.sh_rest];
    splats.write(std::array::from_fn(|i| (tensors[i].as_slice(), &moments[i]))).expect("a copy");
    let halving = Halving { offset: 0.6, log_shrink: 0.8f32.ln(), transparency: 0.625 };
    splats.split(&[2, 7], &[9, 4], halving).expect("a split");
    assert_eq!(splats.len(), 10);
    let [means, log_scales, quats, opacities, _, sh_rest] = splats.read().expect("tensors");
    for (parent, place) in [(2, 9), (7, 4)] {
        let row = |t: &HostTensor, i: usize, c: usize| t.values[i * c..][..c].to_vec();
        for k in 0..3 {
            let middle = 0.5 * (row(&means, parent, 3)[k] + row(&means, place, 3)[k]);
            assert!((middle - scene.means[3 * parent + k]).abs() < 1e-6, "the halves' centre has moved");
        }
        assert_eq!(row(&quats, place, 4), scene.quats[4 * parent..][..4]);
        assert_eq!(row(&sh_rest, place, 45), scene.sh_rest[45 * parent..][..45]);
        assert_eq!(row(&log_scales, place, 3), row(&log_scales, parent, 3));
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let through = 1.0 - sigmoid(opacities.values[place]);
        let expected = (1.0 - sigmoid(scene.opacity_logits[parent])).powf(0.625);
        assert!((through - expected).abs() < 1e-5);
        let forgotten =
            [&sh_rest.moments.to_full().first[45 * parent..][..45], &means.moments.to_full().second[3 * place..][..3]];
        assert!(forgotten.concat().iter().all(|&m| m == 0.0));
    }
    assert_eq!(means.moments.to_full().first[..6], counted(6), "another splat's moments have changed");

    let mut rasterizer = Rasterizer::new(device, &stream).expect("kernels");
    let order = [9u32, 0, 8, 1, 7, 2, 6, 3, 5, 4];
    splats.permute(&order, &mut rasterizer).expect("a permutation");
    let [moved, .., moved_rest] = splats.read().expect("tensors");
    for (to, from) in order.into_iter().map(|o| o as usize).enumerate() {
        assert_eq!(moved.values[3 * to..][..3], means.values[3 * from..][..3]);
        let [moved, before] = [&moved_rest, &sh_rest].map(|tensor| tensor.moments.to_full().first);
        assert_eq!(moved[45 * to..][..45], before[45 * from..][..45]);
    }
}

pub fn photos_arrive_as_the_host_unpacks_them(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let mut photos = Photos::new(device).expect("a kernel");
    let background = [0.25, 0.5, 1.0];
    // More photos than the ring has places, of changing sizes.
    for i in 0..9usize {
        let (pixels, channels) = (40 + 13 * (i % 4), if i % 2 == 0 { 3 } else { 4 });
        let mut bytes = |n: usize| -> Vec<u8> { (0..n).map(|_| rng.random()).collect() };
        let (image, mask) = (bytes(pixels * channels), bytes(pixels));
        let meaning = [None, Some(MaskMeaning::Ignore), Some(MaskMeaning::Foreground)][i % 3];
        let photo =
            PhotoBytes { pixels: &image, channels: channels as u8, mask: meaning.map(|m| (&mask[..], m)), background };
        photos.put(&stream, &photo).expect("a photo");
        let share = |v: u8| f32::from(v) / 255.0;
        let expected: Vec<f32> = (0..3)
            .flat_map(|c| (0..pixels).map(move |p| (c, p)))
            .map(|(c, p)| {
                let value = share(image[p * channels + c]);
                let alpha = if channels == 4 { share(image[p * 4 + 3]) } else { 1.0 };
                let alpha = if meaning == Some(MaskMeaning::Foreground) { alpha * share(mask[p]) } else { alpha };
                alpha * value + (1.0 - alpha) * background[c]
            })
            .collect();
        assert_close("rgb", &photos.rgb.read_part(0, 3 * pixels, &stream).expect("a copy"), &expected, 1e-6);
        let weight = photos.weight().map(|w| w.read_part(0, pixels, &stream).expect("a copy"));
        let expected =
            (meaning == Some(MaskMeaning::Ignore)).then(|| mask.iter().map(|&m| share(m)).collect::<Vec<_>>());
        assert_eq!(weight, expected);
    }
}

pub fn the_filter_is_that_of_the_nearest_camera(device: &Device) {
    let stream = stream(device);
    let scene = {
        let mut scene = Scene::random(4, &mut fresh_rng());
        // In front of both, behind the near one, out of sight to the side, at another depth.
        scene.means = vec![0.0, 0.0, 5.0, 0.0, 0.0, 1.0, 90.0, 0.0, 1.0, 0.0, 0.0, 3.0];
        scene
    };
    let mut splats = trained(device, &stream, &scene, 6, Precision::Full);
    let camera = Camera::from_horizontal_fov(200, 100, 1.2);
    let (far, near) = (View::new(&camera, &Pose::identity()), View::new(&camera, &Pose::translation(0.0, 0.0, -2.0)));
    let cameras = [Sampling::from(&far), Sampling::from(&near)];
    splats.update_filter(&cameras, 0.02, 0.5).expect("a filter");
    let focal = camera.lens.focal[0] as f32;
    // Seen are intervals of 3, 1 and 1 pixels' depths: the median is 1.
    let expected = [3.0, 1.0, 1.0, 1.0].map(|z| 0.5 * z / focal);
    assert_close("filter", &splats.read_filter().expect("a filter"), &expected, 1e-6);
}
