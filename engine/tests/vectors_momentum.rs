//! Weights of blocks by how well they are reconstructed, against golden vectors. The decoder and its teacher are the kernels'.

#[path = "../../kernels/tests/common/mod.rs"]
mod common;

use common::for_each_case_named;
use tessera_engine::blocks::weights::{Quality, weights};

#[test]
fn weights_of_blocks_agree() {
    for_each_case_named(
        "momentum",
        "engine",
        |name| name == "blocks",
        |case| {
            let qualities = |psnr: &str, ssim: &str| -> Vec<Quality> {
                let pairs = case.f32(psnr).into_iter().zip(case.f32(ssim));
                pairs.map(|(psnr, ssim)| Quality { psnr: psnr.into(), ssim: ssim.into() }).collect()
            };
            let mut running = qualities("psnr_ema", "ssim_ema");
            for (mean, last) in running.iter_mut().zip(qualities("psnr_last", "ssim_last")) {
                mean.follow(last);
            }
            let psnr: Vec<f64> = running.iter().map(|quality| quality.psnr).collect();
            let ssim: Vec<f64> = running.iter().map(|quality| quality.ssim).collect();
            case.compare("psnr_ema_next", &psnr);
            case.compare("ssim_ema_next", &ssim);
            let found: Vec<f64> =
                case.f32("sigma").into_iter().flat_map(|sigma| weights(&running, sigma.into())).collect();
            case.compare("weight", &found);
        },
    );
}
