//! Streamed scenes against `splat-transform` (PlayCanvas), an npm package in the folder that `TESSERA_NODE_MODULES` names.

use std::path::{Path, PathBuf};
use std::process::Command;
use tessera_datasets::format::stream::collect;
use tessera_datasets::format::{read_splats, write_splats};
use tessera_datasets::scene::SplatCloud;
use tessera_datasets::synthetic::{Options, SceneKind, splats};

fn converter() -> Option<PathBuf> {
    let modules = std::env::var_os("TESSERA_NODE_MODULES").map(PathBuf::from);
    if modules.is_none() {
        println!("skipped: TESSERA_NODE_MODULES does not name a folder with npm packages");
    }
    modules.map(|modules| modules.join(".bin/splat-transform"))
}

/// Runs it without a GPU.
fn run(program: &Path, arguments: &[&Path], options: &[&str]) {
    let mut command = Command::new(program);
    command.args(["--quiet", "--overwrite", "--gpu", "cpu"]).args(arguments).args(options);
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
}

/// Splats in an order that does not depend on the file's.
fn in_order(cloud: &SplatCloud) -> SplatCloud {
    let mut order: Vec<u32> = (0..cloud.len() as u32).collect();
    let key = |i: u32| (cloud.means[i as usize], cloud.opacity_logits[i as usize]);
    let compare = |(a, x): ([f32; 3], f32), (b, y): ([f32; 3], f32)| {
        (0..3).fold(std::cmp::Ordering::Equal, |order, k| order.then(a[k].total_cmp(&b[k]))).then(x.total_cmp(&y))
    };
    order.sort_by(|&i, &j| compare(key(i), key(j)));
    cloud.select(&order)
}

#[test]
fn its_streamed_scenes_are_read_as_their_finest_level() {
    let Some(converter) = converter() else { return };
    let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/scene_deg1_shuffled.ply");
    let folder = tempfile::tempdir().expect("temporary folder");
    let (out, one) = (folder.path().join("lod-meta.json"), folder.path().join("one.sog"));
    // Both levels are the same scene: only the first counts.
    let [finest, coarser] = ["0", "1"].map(Path::new);
    let tag = Path::new("-l");
    run(&converter, &[&scene, tag, finest, &scene, tag, coarser, &out], &[]);
    run(&converter, &[&scene, &one], &[]);
    let (read, expected) = (read_splats(&out).expect("streamed"), read_splats(&one).expect("SOG"));
    assert_eq!((read.len(), read.sh_degree), (expected.len(), expected.sh_degree));
    for (a, b) in in_order(&read).means.iter().zip(in_order(&expected).means) {
        // 16 bits over the extent of either file.
        assert!((a[0] - b[0]).abs() < 2e-3 * (1.0 + b[0].abs()), "{a:?} is not {b:?}");
    }
}

#[test]
fn streamed_scenes_are_read_by_it_level_by_level() {
    let Some(converter) = converter() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut source = splats(SceneKind::Terrain, &Options::default(), 80_000, 2, &|_, _| {}).expect("made");
    let mut cloud = collect(&mut source).expect("nothing can fail");
    cloud.antialiased = true;
    let (ours, theirs) = (folder.path().join("ours/lod-meta.json"), folder.path().join("theirs.ply"));
    write_splats(&ours, &cloud, false).expect("written");
    run(&converter, &[&ours], &["--select-lod", "0", &theirs.to_string_lossy()]);
    let (read, expected) = (read_splats(&theirs).expect("theirs"), read_splats(&ours).expect("ours"));
    assert_eq!((read.len(), read.sh_degree, read.antialiased), (80_000, 2, true));
    let (read, expected) = (in_order(&read), in_order(&expected));
    let near = |name: &str, theirs: &[f32], ours: &[f32]| {
        for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
            assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{name} {i} is {a} here and {b} there");
        }
    };
    near("position", read.means.as_flattened(), expected.means.as_flattened());
    near("scale", read.log_scales.as_flattened(), expected.log_scales.as_flattened());
    near("colour", read.sh0.as_flattened(), expected.sh0.as_flattened());
    near("harmonics", &read.sh_rest, &expected.sh_rest);
    run(&converter, &[&ours], &["--select-lod", "1", &theirs.to_string_lossy()]);
    assert_eq!(read_splats(&theirs).expect("theirs").len(), 20_000);
}
