//! What a step of surface training is made of, one thread: samples in a shell around a sphere, one chunk of 256 after the other as along rays, through a
//! grid of 14 levels with tables of 2^18 entries, and networks of 64 units. Throughput is in samples a second.
//!
//! Operations are counted as multiplications and additions of the formulas: for the grid 8 corners x 2 features x 2 for each level, four times that with the
//! Jacobian; for a network twice its weights in each pass.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::time::Duration;
use tessera_kernels::adam::{AdamSettings, SparseMoments, step_pairs};
use tessera_kernels::hash_grid::{FEATURES, GridSpec, HashGrid, Interpolation, LevelScale, SampleGradients};
use tessera_kernels::mlp::{Activations, BLOCK, Mlp, Rows, to_blocks};

/// Samples of a step, and those that are computed together.
const SAMPLES: usize = 65_536;
const CHUNK: usize = 256;

fn grid() -> HashGrid {
    HashGrid::new(&GridSpec {
        levels: 14,
        log2_table: 18,
        base: 16,
        growth: 64.0f64.powf(1.0 / 13.0),
        level_scale: LevelScale::Integer,
        interpolation: Interpolation::Linear,
    })
}

/// `[chunks][blocks, 3, 16]`: eight samples along a line through the surface of a sphere, then those of another line.
fn positions(rng: &mut Pcg64) -> Vec<Vec<f32>> {
    let line = |rng: &mut Pcg64| -> Vec<f32> {
        let d: [f32; 3] = std::array::from_fn(|_| rng.random_range(-1.0..1.0f32));
        let length = d.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-3);
        let at = |i: usize| d.map(|x| 0.5 + x / length * (0.3 + i as f32 / 800.0));
        (0..8).flat_map(at).collect()
    };
    let chunk = |rng: &mut Pcg64| (0..CHUNK / 8).flat_map(|_| line(rng)).collect::<Vec<f32>>();
    (0..SAMPLES / CHUNK).map(|_| to_blocks(&chunk(rng), 3)).collect()
}

fn hash_grid(c: &mut Criterion) {
    let (grid, mut rng) = (grid(), Pcg64::seed_from_u64(1));
    let (width, rows) = (grid.width(), Rows::all(grid.width()));
    let table: Vec<f32> = (0..FEATURES * grid.entries()).map(|_| rng.random_range(-1.0..1.0)).collect();
    let chunks = positions(&mut rng);
    let (mut encoding, mut jacobian) = (vec![0.0; CHUNK * width], vec![0.0; 3 * CHUNK * width]);
    let mut group = c.benchmark_group("hash grid");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let levels = grid.levels().len();
    group.bench_function("encoding", |b| {
        b.iter(|| chunks.iter().for_each(|x| grid.encode(&table, x, levels, (&mut encoding, rows), None)));
    });
    group.bench_function("encoding and Jacobian", |b| {
        b.iter(|| {
            chunks.iter().for_each(|x| grid.encode(&table, x, levels, (&mut encoding, rows), Some(&mut jacobian)));
        });
    });
    let (d, v) = (vec![1.0; CHUNK * width], vec![0.1; 3 * CHUNK]);
    let batch = |x| SampleGradients { positions: x, encoding: (&d, rows), through_jacobian: Some((&d, rows, &v)) };
    let batches: Vec<SampleGradients<'_>> = chunks.iter().map(|x| batch(x.as_slice())).collect();
    let mut gradient = vec![0.0; table.len()];
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    group.bench_function("gradient of the table, both orders", |b| {
        one.install(|| b.iter(|| grid.accumulate(&batches, levels, &mut gradient)));
    });
    let (mut params, mut moments, settings) =
        (table.clone(), SparseMoments::zeros(grid.entries(), FEATURES), AdamSettings::default());
    let touched: Vec<f32> = gradient.iter().map(|g| g.signum() * f32::from(*g != 0.0)).collect();
    group.bench_function("Adam over the table, its gradient copied", |b| {
        one.install(|| {
            b.iter(|| {
                gradient.copy_from_slice(&touched);
                step_pairs(&mut params, &mut gradient, &mut moments, &settings, 1e-4);
            });
        });
    });
    group.finish();
}

fn networks(c: &mut Criterion) {
    let mut group = c.benchmark_group("networks");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    for (name, widths) in [("distance", &[32, 64, 4][..]), ("colour", &[52, 64, 64, 4][..])] {
        let (mlp, mut rng) = (Mlp::new(widths), Pcg64::seed_from_u64(2));
        let mut random = |len: usize| -> Vec<f32> { (0..len).map(|_| rng.random_range(-0.2..0.2)).collect() };
        let weights = random(mlp.weights());
        let [mut h, mut d] = [(); 2].map(|()| {
            let mut activations = Activations::default();
            mlp.make_room(CHUNK / BLOCK, &mut activations);
            activations
        });
        h.layers[0] = random(CHUNK * widths[0]);
        d.layers[widths.len() - 1] = random(CHUNK * 4);
        let mut gradient = vec![0.0; weights.len()];
        let each = |mut pass: Box<dyn FnMut() + '_>| (0..SAMPLES / CHUNK).for_each(|_| pass());
        group.bench_function(format!("{name}, forward"), |b| {
            b.iter(|| each(Box::new(|| mlp.forward(&weights, &mut h))));
        });
        group.bench_function(format!("{name}, back"), |b| {
            b.iter(|| each(Box::new(|| mlp.back(&weights, &h, &mut d, true))));
        });
        group.bench_function(format!("{name}, gradient of the weights"), |b| {
            b.iter(|| each(Box::new(|| mlp.weight_gradient(&h, &d, &mut gradient))));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = hash_grid, networks
}
criterion_main!(benches);
