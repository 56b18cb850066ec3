//! Image losses against golden vectors: SIMD lanes, the CUDA kernels on the emulator.

mod common;

use common::{Case, for_each_case};
use tessera_kernels::device::{Buffer, Device, Stream};
use tessera_kernels::image_loss::{ImageLoss, ImagePair, LossSettings, LossValues, Padding, cuda, psnr};
use tessera_kernels::simd::{Backend, best_backend, select_backend};

/// `[H, W, 3]` to `[3, H, W]`.
fn planar(interleaved: &[f32]) -> Vec<f32> {
    (0..3).flat_map(|c| interleaved.iter().skip(c).step_by(3).copied()).collect()
}

/// `[3, H, W]` to `[H, W, 3]`, every value times `scale`.
fn interleaved(planar: &[f32], scale: f32) -> Vec<f32> {
    let pixels = planar.len() / 3;
    (0..planar.len()).map(|i| scale * planar[i % 3 * pixels + i / 3]).collect()
}

/// The inside of a planar map, interleaved.
fn valid_part(map: &[f32], width: usize, height: usize) -> Vec<f32> {
    let mut inside = Vec::new();
    for y in 5..height - 5 {
        for x in 5..width - 5 {
            inside.extend((0..3).map(|c| map[(c * height + y) * width + x]));
        }
    }
    inside
}

/// Compares images, with everything on the host.
trait Comparer {
    /// Values, and the gradient into the last argument.
    fn loss(&mut self, images: &ImagePair, settings: &LossSettings, gradient: &mut [f32]) -> LossValues;
    fn ssim_map(&mut self, images: &ImagePair, map: &mut [f32]);
    fn mse(&mut self, images: &ImagePair, gradient: &mut [f32]) -> f32;
}

impl Comparer for ImageLoss {
    fn loss(&mut self, images: &ImagePair, settings: &LossSettings, gradient: &mut [f32]) -> LossValues {
        let values = self.loss_and_gradient(images, settings, gradient, None);
        assert_eq!(values, self.evaluate(images, settings), "the loss changes when its gradient is computed");
        values
    }

    fn ssim_map(&mut self, images: &ImagePair, map: &mut [f32]) {
        Self::ssim_map(self, images, map);
    }

    fn mse(&mut self, images: &ImagePair, gradient: &mut [f32]) -> f32 {
        self.mse_and_gradient(images, gradient)
    }
}

/// The loss of a device.
struct OnDevice {
    device: Device,
    loss: cuda::ImageLoss,
}

impl OnDevice {
    /// Runs `compare` with the images on the device and a buffer for an output like the image; returns the values.
    fn run(
        &mut self,
        images: &ImagePair,
        out: &mut [f32],
        compare: impl FnOnce(&mut cuda::ImageLoss, &Stream, &cuda::ImagePair, &mut Buffer<f32>, &mut Buffer<f32>),
    ) -> Vec<f32> {
        let stream = self.device.stream().expect("a stream");
        let upload = |values: &[f32]| self.device.upload(values, "a picture").expect("memory");
        let (image, target) = (upload(images.image), upload(images.target));
        let ImagePair { width, height, .. } = *images;
        let pair = cuda::ImagePair { image: &image, target: &target, weight: None, width, height };
        let mut buffer = self.device.buffer(out.len(), "an output").expect("memory");
        let mut values = self.device.buffer(4, "values").expect("memory");
        compare(&mut self.loss, &stream, &pair, &mut buffer, &mut values);
        out.copy_from_slice(&buffer.read(&stream).expect("an output"));
        values.read(&stream).expect("values")
    }
}

impl Comparer for OnDevice {
    fn loss(&mut self, images: &ImagePair, settings: &LossSettings, gradient: &mut [f32]) -> LossValues {
        let values = self.run(images, gradient, |loss, stream, pair, out, values| {
            let outputs = cuda::Outputs { gradient: Some(out), ..cuda::Outputs::default() };
            loss.compare(stream, pair, settings, outputs, values.at_mut(0)).expect("a loss");
        });
        cuda::loss_values(&values, settings)
    }

    fn ssim_map(&mut self, images: &ImagePair, map: &mut [f32]) {
        let settings = LossSettings { ssim_weight: 1.0, padding: Padding::Same };
        self.run(images, map, |loss, stream, pair, out, values| {
            let outputs = cuda::Outputs { map: Some(out), ..cuda::Outputs::default() };
            loss.compare(stream, pair, &settings, outputs, values.at_mut(0)).expect("a map");
        });
    }

    fn mse(&mut self, images: &ImagePair, gradient: &mut [f32]) -> f32 {
        let values = self.run(images, gradient, |loss, stream, pair, out, values| {
            loss.mse_and_gradient(stream, pair, out, values.at_mut(0)).expect("a difference");
        });
        values[3]
    }
}

fn check(case: &Case, loss: &mut dyn Comparer) {
    let (width, height) = (case.size("width"), case.size("height"));
    let (image, target) = (planar(&case.f32("l1/image")), planar(&case.f32("l1/target")));
    let images = ImagePair { image: &image, target: &target, weight: None, width, height };
    let mut gradient = vec![f32::NAN; image.len()];
    let upstream = |name: &str| case.f32(name)[0];

    for (name, ssim_weight, padding) in [
        ("l1", 0.0, Padding::Same),
        ("ssim_same", 1.0, Padding::Same),
        ("ssim_valid", 1.0, Padding::Valid),
        ("loss", 0.2, Padding::Same),
        ("loss_valid", 0.2, Padding::Valid),
    ] {
        let settings = LossSettings { ssim_weight, padding };
        let values = loss.loss(&images, &settings, &mut gradient);
        // With a weight of one the loss is 1 - SSIM.
        let (value, sign) = match values.ssim {
            Some(ssim) if ssim_weight == 1.0 => (ssim, -1.0),
            _ => (values.loss, 1.0),
        };
        case.compare(&format!("{name}/{name}"), &[value]);
        let scale = sign * upstream(&format!("{name}/v_{name}"));
        case.compare(&format!("{name}/d_image"), &interleaved(&gradient, scale));
    }

    let mut map = vec![f32::NAN; image.len()];
    loss.ssim_map(&images, &mut map);
    case.compare("l1/ssim_map_same", &interleaved(&map, 1.0));
    case.compare("l1/ssim_map_valid", &valid_part(&map, width, height));

    let mse = loss.mse(&images, &mut gradient);
    case.compare("psnr/psnr", &[psnr(mse)]);
    let by_mse = -10.0 / (std::f32::consts::LN_10 * mse);
    case.compare("psnr/d_image", &interleaved(&gradient, upstream("psnr/v_psnr") * by_mse));
}

/// One test, because the choice of a backend holds for the whole process.
#[test]
fn losses_and_gradients_match_on_every_backend_and_thread_count() {
    for backend in [Backend::Portable, best_backend()] {
        select_backend(backend);
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                for_each_case("losses", &format!("{backend:?}, {threads} threads,"), |case| {
                    check(case, &mut ImageLoss::new())
                })
            });
        }
    }
}

mod emulator {
    use super::{OnDevice, check, cuda, for_each_case};

    #[test]
    fn losses_and_gradients_match_the_vectors() {
        let device = tessera_emulator::device();
        let mut loss = OnDevice { loss: cuda::ImageLoss::new(&device).expect("kernels"), device };
        for_each_case("losses", "emulator", |case| check(case, &mut loss));
    }
}

mod gpu {
    use super::{OnDevice, check, cuda, for_each_case};

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn losses_and_gradients_match_the_vectors() {
        let device = tessera_emulator::gpu();
        let mut loss = OnDevice { loss: cuda::ImageLoss::new(&device).expect("kernels"), device };
        for_each_case("losses", "GPU", |case| check(case, &mut loss));
    }
}
