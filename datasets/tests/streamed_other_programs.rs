//! Streamed scenes against `splat-transform` (PlayCanvas), an npm package in the folder that `TESSERA_NODE_MODULES` names.

use std::path::{Path, PathBuf};
use std::process::Command;
use tessera_datasets::format::read_splats;
use tessera_datasets::scene::SplatCloud;

fn converter() -> Option<PathBuf> {
    let modules = std::env::var_os("TESSERA_NODE_MODULES").map(PathBuf::from);
    if modules.is_none() {
        println!("skipped: TESSERA_NODE_MODULES does not name a folder with npm packages");
    }
    modules.map(|modules| modules.join(".bin/splat-transform"))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
}

/// Where splats are, in an order that does not depend on the file's.
fn places(cloud: &SplatCloud) -> Vec<[f32; 3]> {
    let mut places = cloud.means.clone();
    places.sort_by(|a, b| a[0].total_cmp(&b[0]));
    places
}

#[test]
fn its_streamed_scenes_are_read_as_their_finest_level() {
    let Some(converter) = converter() else { return };
    let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/scene_deg1_shuffled.ply");
    let folder = tempfile::tempdir().expect("temporary folder");
    let (out, one) = (folder.path().join("lod-meta.json"), folder.path().join("one.sog"));
    // Both levels are the same scene: only the first counts.
    let mut streamed = Command::new(&converter);
    run(streamed.args(["--quiet", "-w"]).arg(&scene).args(["-l", "0"]).arg(&scene).args(["-l", "1"]).arg(&out));
    run(Command::new(&converter).args(["--quiet", "-w"]).arg(&scene).arg(&one));
    let (read, expected) = (read_splats(&out).expect("streamed"), read_splats(&one).expect("SOG"));
    assert_eq!((read.len(), read.sh_degree), (expected.len(), expected.sh_degree));
    for (a, b) in places(&read).iter().zip(places(&expected)) {
        // 16 bits over the extent of either file.
        assert!((a[0] - b[0]).abs() < 2e-3 * (1.0 + b[0].abs()), "{a:?} is not {b:?}");
    }
}
