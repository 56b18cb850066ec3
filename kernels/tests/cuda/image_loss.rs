//! The image loss, its gradient and its maps.

use crate::scenes::fresh_rng;
use crate::{assert_close, stream};
use rand::RngExt;
use tessera_kernels::device::Device;
use tessera_kernels::image_loss::cuda::{self, Outputs, loss_values};
use tessera_kernels::image_loss::{ImageLoss, ImagePair, LossSettings, Padding};

pub fn losses_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let mut loss = cuda::ImageLoss::new(device).expect("kernels");
    // Smaller than a tile, smaller than the window, not square, more than one tile.
    let sizes = [(1, 1), (7, 30), (16, 16), (37, 21), (50, 65)];
    let settings = [(0.0, Padding::Same), (0.2, Padding::Same), (1.0, Padding::Same), (0.2, Padding::Valid)];
    for (i, (width, height)) in sizes.into_iter().enumerate() {
        for (j, (ssim_weight, padding)) in settings.into_iter().enumerate() {
            let pixels = width * height;
            let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(0.0..1.0)).collect() };
            let (image, target) = (draw(3 * pixels), draw(3 * pixels));
            let weight =
                ((i + j) % 2 == 1).then(|| draw(pixels).iter().map(|w| (w - 0.3).max(0.0)).collect::<Vec<_>>());
            let settings = LossSettings { ssim_weight, padding };
            let pair = ImagePair { image: &image, target: &target, weight: weight.as_deref(), width, height };
            let (mut gradient, mut errors) = (vec![0.0; 3 * pixels], vec![0.0; pixels]);
            let mut reference = ImageLoss::new();
            let expected = reference.loss_and_gradient(&pair, &settings, &mut gradient, Some(&mut errors));

            let upload = |values: &[f32]| device.upload(values, "a picture").expect("memory");
            let (image, target, weight) = (upload(&image), upload(&target), weight.as_deref().map(upload));
            let pair = cuda::ImagePair { image: &image, target: &target, weight: weight.as_ref(), width, height };
            let buffer = |len: usize| device.buffer::<f32>(len, "an output").expect("memory");
            let (mut v, mut e, mut values) = (buffer(3 * pixels), buffer(pixels), buffer(4));
            let outputs = Outputs { gradient: Some(&mut v), errors: Some(&mut e), map: None };
            loss.compare(&stream, &pair, &settings, outputs, values.at_mut(0)).expect("a comparison");
            let got = loss_values(&values.read(&stream).expect("values"), &settings);
            println!("{width}x{height}, {settings:?}: {got:?} against {expected:?}");
            let parts = |v: &tessera_kernels::image_loss::LossValues| [v.loss, v.l1, v.ssim.unwrap_or(1.0), v.mse];
            for (got, want) in parts(&got).into_iter().zip(parts(&expected)) {
                assert!((got - want).abs() < 2e-6, "{got} instead of {want}");
            }
            // Derivatives of S are quotients of differences of blurs: a few times 1e-6 of the largest.
            assert_close("gradient", &v.read(&stream).expect("a copy"), &gradient, 2e-5);
            assert_close("errors", &e.read(&stream).expect("a copy"), &errors, 2e-5);
        }
    }
}
