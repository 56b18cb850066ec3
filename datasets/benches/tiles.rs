//! Streamed scenes: building a tree, and encoding and decoding its pages, on one thread and on all.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use tessera_datasets::format::stream::collect;
use tessera_datasets::format::{tiles::page, write_splats};
use tessera_datasets::scene::SplatCloud;
use tessera_datasets::synthetic::{self, Options, SceneKind};

fn made(count: u64, sh_degree: u8) -> SplatCloud {
    let mut source =
        synthetic::splats(SceneKind::StillLife, &Options::default(), count, sh_degree, &|_, _| {}).expect("splats");
    collect(&mut source).expect("made splats")
}

fn pages(c: &mut Criterion) {
    let mut group = c.benchmark_group("tiles page");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("threads");
    for degree in [0, 3] {
        // As dense as a page of a scene of a million.
        let cloud = made(65_536, degree);
        let encoded = page::encode(&cloud);
        let harmonics = (degree > 0).then_some(encoded.harmonics.as_slice());
        group.throughput(Throughput::Elements(cloud.len() as u64));
        group.bench_function(format!("decode degree {degree}/1 thread"), |b| {
            b.iter(|| page::decode(cloud.len(), degree, &encoded.core, harmonics).expect("a page"));
        });
        group.bench_function(format!("encode degree {degree}/1 thread"), |b| {
            pool.install(|| b.iter(|| page::encode(&cloud)));
        });
    }
    group.finish();
}

fn building(c: &mut Criterion) {
    let mut group = c.benchmark_group("tiles build");
    let cloud = made(300_000, 3);
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene.tiles");
    group.throughput(Throughput::Elements(cloud.len() as u64));
    for threads in [1, rayon::current_num_threads()] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        group.bench_function(format!("300000 splats of degree 3/{threads} threads"), |b| {
            pool.install(|| b.iter(|| write_splats(&path, &cloud, true).expect("writing")));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = pages, building
}
criterion_main!(benches);
