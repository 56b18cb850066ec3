//! Streamed scenes: building a tree, and encoding and decoding its pages, in processor time of one thread.

mod processor_time;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use processor_time::{ProcessorTime, one_thread};
use tessera_datasets::format::stream::collect;
use tessera_datasets::format::{tiles::page, write_splats};
use tessera_datasets::scene::SplatCloud;
use tessera_datasets::synthetic::{self, Options, SceneKind};

fn made(count: u64, sh_degree: u8) -> SplatCloud {
    let mut source =
        synthetic::splats(SceneKind::StillLife, &Options::default(), count, sh_degree, &|_, _| {}).expect("splats");
    collect(&mut source).expect("made splats")
}

fn pages(c: &mut Criterion<ProcessorTime>) {
    let mut group = c.benchmark_group("tiles page");
    let pool = one_thread();
    for degree in [0, 3] {
        // As dense as a page of a scene of a million.
        let cloud = made(65_536, degree);
        let encoded = page::encode(&cloud);
        let harmonics = (degree > 0).then_some(encoded.harmonics.as_slice());
        group.throughput(Throughput::Elements(cloud.len() as u64));
        group.bench_function(format!("decode degree {degree}"), |b| {
            b.iter(|| page::decode(cloud.len(), degree, &encoded.core, harmonics).expect("a page"));
        });
        group.bench_function(format!("encode degree {degree}"), |b| {
            b.iter(|| pool.install(|| page::encode(&cloud)));
        });
    }
    group.finish();
}

fn building(c: &mut Criterion<ProcessorTime>) {
    let mut group = c.benchmark_group("tiles build");
    let cloud = made(300_000, 3);
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene.tiles");
    let pool = one_thread();
    group.throughput(Throughput::Elements(cloud.len() as u64));
    group.bench_function("300000 splats of degree 3", |b| {
        b.iter(|| pool.install(|| write_splats(&path, &cloud, true).expect("writing")));
    });
    group.finish();
}

criterion_group! { name = benches; config = processor_time::criterion(); targets = pages, building }
criterion_main!(benches);
