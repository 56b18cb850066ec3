//! Writing and reading splat files of every format, in processor time of one thread.

mod processor_time;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use processor_time::{ProcessorTime, one_thread};
use std::path::Path;
use tessera_datasets::format::stream::{SplatHeader, collect};
use tessera_datasets::format::{Existing, SpzVersion, WriteOptions, create_splats, open_splats};
use tessera_datasets::scene::{SplatCloud, morton_order};
use tessera_datasets::synthetic::{Options, SceneKind, splats};

/// Splats of degree 3: 62 MB as PLY, far more than caches hold.
const SPLATS: u64 = 250_000;

/// Its file is in memory already, as that of any file is that has just been copied.
fn write(cloud: &SplatCloud, path: &Path, options: &WriteOptions) {
    let mut sink = create_splats(path, &SplatHeader::of(cloud), options, Existing::Replace).expect("create");
    sink.put(cloud).expect("put");
    sink.finish().expect("finish");
}

fn read(path: &Path) {
    let mut source = open_splats(path).expect("open");
    let mut chunk = source.header().empty_cloud(0);
    while source.next_chunk(&mut chunk).expect("read") {}
}

fn formats(c: &mut Criterion<ProcessorTime>) {
    let mut source = splats(SceneKind::StillLife, &Options::default(), SPLATS, 3, &|_, _| {}).expect("a scene");
    let made = collect(&mut source).expect("a scene");
    // In the order that written files have, as most scenes that are read come from such files.
    let cloud = made.select(&morton_order(&made.means));
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut group = c.benchmark_group("formats");
    group.throughput(Throughput::Elements(SPLATS));
    let files = [
        ("scene.ply", SpzVersion::V3),
        ("scene.compressed.ply", SpzVersion::V3),
        ("scene.splat", SpzVersion::V3),
        ("v3.spz", SpzVersion::V3),
        ("v4.spz", SpzVersion::V4),
        ("scene.glb", SpzVersion::V3),
        ("scene.sog", SpzVersion::V3),
    ];
    let pool = one_thread();
    for (name, spz_version) in files {
        let path = folder.path().join(name);
        let options = WriteOptions { spz_version, ..WriteOptions::default() };
        write(&cloud, &path, &options);
        println!("{name}: {} bytes", std::fs::metadata(&path).expect("written").len());
        let mut write_once = || pool.install(|| write(&cloud, &path, &options));
        group.bench_function(format!("write {name}"), |b| b.iter(&mut write_once));
        group.bench_function(format!("read {name}"), |b| b.iter(|| pool.install(|| read(&path))));
    }
    group.finish();
}

criterion_group! { name = benches; config = processor_time::criterion(); targets = formats }
criterion_main!(benches);
