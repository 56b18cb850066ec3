//! Image losses against golden vectors.

mod common;

use common::{Case, for_each_case};
use tessera_kernels::image_loss::{ImageLoss, ImagePair, LossSettings, Padding, psnr};
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

fn check(case: &Case) {
    let (width, height) = (case.size("width"), case.size("height"));
    let (image, target) = (planar(&case.f32("l1/image")), planar(&case.f32("l1/target")));
    let images = ImagePair { image: &image, target: &target, weight: None, width, height };
    let mut loss = ImageLoss::new();
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
        let values = loss.loss_and_gradient(&images, &settings, &mut gradient, None);
        assert_eq!(values, loss.evaluate(&images, &settings), "the loss changes when its gradient is computed");
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

    let mse = loss.mse_and_gradient(&images, &mut gradient);
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
            pool.install(|| for_each_case("losses", &format!("{backend:?}, {threads} threads,"), check));
        }
    }
}
