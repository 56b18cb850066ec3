//! Sorting depth keys of splats.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use tessera_kernels::sort::{RadixSort, float_key};

fn sort(c: &mut Criterion) {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
    let mut group = c.benchmark_group("radix_sort");
    for count in [10_000u32, 100_000, 1_000_000] {
        let keys: Vec<u32> = (0..count).map(|_| float_key(rng.random_range(0.2f32..50.0))).collect();
        let values: Vec<u32> = (0..count).collect();
        for threads in [1, rayon::current_num_threads()] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let mut sorter = RadixSort::new();
            group.bench_function(format!("{count} depths/{threads} threads"), |b| {
                pool.install(|| {
                    b.iter_batched_ref(
                        || (keys.clone(), values.clone()),
                        |(keys, values)| sorter.sort_pairs(keys, values, 32),
                        BatchSize::LargeInput,
                    );
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = sort
}
criterion_main!(benches);
