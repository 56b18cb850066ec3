//! Adam steps over tensors that fit the cache and tensors that do not.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use tessera_kernels::adam::packed::{Code, Rounding, step_packed};
use tessera_kernels::adam::{AdamSettings, Moments, step, step_rows};

/// Read: parameter, gradient, both moments. Written: all but the gradient.
const BYTES_PER_ELEMENT: u64 = 28;

fn adam(c: &mut Criterion) {
    let settings = AdamSettings::default();
    let mut group = c.benchmark_group("adam");
    for len in [48_000, 4_800_000] {
        let gradient: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
        let factors = vec![0.5; len / 3];
        let (mut params, mut moments) = (vec![0.0; len], Moments::zeros(len));
        group.throughput(Throughput::Bytes(BYTES_PER_ELEMENT * len as u64));
        for threads in [1, rayon::current_num_threads()] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            group.bench_function(format!("{len} elements/{threads} threads"), |b| {
                pool.install(|| b.iter(|| step(&mut params, &gradient, &mut moments, &settings, 1e-3, 10)));
            });
            group.bench_function(format!("{len} elements in rows of 3/{threads} threads"), |b| {
                pool.install(|| {
                    b.iter(|| step_rows(&mut params, &gradient, &mut moments, &settings, 1e-3, 10, Some(&factors)));
                });
            });
        }
    }
    group.finish();
}

/// The same with moments in codes: 16 and 14 bytes an element.
fn packed<C: Code>(c: &mut Criterion) {
    let (settings, len) = (AdamSettings::default(), 4_800_000);
    let gradient: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
    let (mut params, mut codes) = (vec![0.0; len], vec![C::default(); len]);
    let mut group = c.benchmark_group("packed adam");
    for threads in [1, rayon::current_num_threads()] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        group.bench_function(format!("{len} elements, codes of {} bits/{threads} threads", 8 * size_of::<C>()), |b| {
            let rounding = Rounding::new(1, 10);
            pool.install(|| {
                b.iter(|| step_packed(&mut params, &gradient, &mut codes, &settings, (1e-3, 10), rounding))
            });
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
    targets = adam, packed::<u32>, packed::<u16>
}
criterion_main!(benches);
