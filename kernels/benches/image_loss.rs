//! Loss and gradient of a 640x480 picture.

use criterion::{Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use std::hint::black_box;
use std::time::Duration;
use tessera_kernels::image_loss::{ImageLoss, ImagePair, LossSettings, Padding};

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

fn image_loss(c: &mut Criterion) {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
    let mut random = |count: usize| (0..count).map(|_| rng.random::<f32>()).collect::<Vec<f32>>();
    let (image, target, weight) = (random(3 * WIDTH * HEIGHT), random(3 * WIDTH * HEIGHT), random(WIDTH * HEIGHT));
    let plain = ImagePair { image: &image, target: &target, weight: None, width: WIDTH, height: HEIGHT };
    let masked = ImagePair { weight: Some(&weight), ..plain };
    let mut gradient = vec![0.0; image.len()];
    let mut errors = vec![0.0; weight.len()];
    let mut loss = ImageLoss::new();
    let mixed = LossSettings::default();
    let l1 = LossSettings { ssim_weight: 0.0, padding: Padding::Same };

    let mut group = c.benchmark_group("image_loss_640x480");
    for threads in [1, rayon::current_num_threads()] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let mut run = |name: &str, pair: &ImagePair, settings: &LossSettings, with_map: bool| {
            group.bench_function(format!("{name}/{threads} threads"), |b| {
                pool.install(|| {
                    b.iter(|| {
                        let errors = with_map.then_some(&mut errors[..]);
                        black_box(loss.loss_and_gradient(pair, settings, &mut gradient, errors))
                    });
                });
            });
        };
        run("l1+ssim", &plain, &mixed, false);
        run("l1+ssim masked", &masked, &mixed, false);
        run("l1+ssim with error map", &plain, &mixed, true);
        run("l1", &plain, &l1, false);
        group.bench_function(format!("ssim alone/{threads} threads"), |b| {
            pool.install(|| b.iter(|| black_box(loss.ssim(&plain, Padding::Same))));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = image_loss
}
criterion_main!(benches);
