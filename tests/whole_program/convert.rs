//! `tessera convert` from files to files: edits, cleaning, verification, meshes, and refusals.

use crate::{tessera, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;
use tessera_datasets::format::stream::collect;
use tessera_datasets::format::{read_splats, write_splats};
use tessera_datasets::scene::SplatCloud;
use tessera_datasets::synthetic::{Options, SceneKind, splats};
use tessera_tests::{files_below, shared_data, shared_small_capture};

/// Splats on the surfaces of the still life.
const SPLATS: usize = 4000;
/// Floaters above them.
const FLOATERS: usize = 12;

/// A made scene with floaters in the air, written once for all tests.
fn scene() -> &'static Path {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut source =
            splats(SceneKind::StillLife, &Options::default(), SPLATS as u64, 1, &|_, _| {}).expect("splats");
        let mut cloud = collect(&mut source).expect("nothing can fail");
        for i in 0..FLOATERS {
            let first = cloud.clone();
            cloud.append_range(&first, i..i + 1);
            cloud.means[SPLATS + i] = [-1.1 + 0.2 * i as f32, -4.0, 0.05 * i as f32]; // y is down
            cloud.log_scales[SPLATS + i] = [-5.0; 3];
        }
        write_splats(folder.path().join("scene.ply"), &cloud, false).expect("written");
        folder
    });
    static PATH: LazyLock<PathBuf> = LazyLock::new(|| FOLDER.path().join("scene.ply"));
    &PATH
}

fn folder() -> (TempDir, impl Fn(&str) -> PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_owned();
    (folder, move |name: &str| root.join(name))
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {pointer} in {report}"))
}

#[test]
fn edits_are_made_in_their_order_and_accounted_for() {
    let (_folder, file) = folder();
    let out = file("out.ply");
    let edits = ["--crop=-1.5,-inf,-9,1.5,inf,9", "--min-opacity", "0.8", "--sh-degree", "0", "--max-splats", "500"];
    let moves = ["--rotate=0,90,0", "--scale", "2", "--translate=1,0,-3", "--morton", "--json", "--quiet"];
    let mut arguments = vec!["convert", text(scene()), text(&out)];
    arguments.extend(edits.iter().chain(&moves));
    let report = tessera().run(&arguments).json();
    assert_eq!((report["splats"].as_u64(), report["format"].as_str()), (Some(500), Some("PLY")), "{report}");
    let gone = number(&report, "/report/outside") + number(&report, "/report/too_faint");
    assert!(gone > 0.0 && number(&report, "/report/merged_from") == number(&report, "/report/read") - gone, "{report}");
    let cloud = read_splats(&out).expect("a scene");
    assert_eq!((cloud.len(), cloud.sh_degree), (500, 0));
    // Turned by 90° about y, what was x from -1.5 to 1.5 is z, then twice as large and moved by -3. Merged splats lie between
    // what they are made of.
    assert!(cloud.means.iter().all(|m| (-6.001..=0.001).contains(&m[2])), "not where they should be");
    let info = tessera().run(&["info", text(&out), "--json"]).json();
    assert_eq!((info["splats"].as_u64(), info["format"].as_str()), (Some(500), Some("PLY")), "{info}");
}

#[test]
fn floaters_are_proposed_first_and_dropped_when_asked() {
    let (root, file) = folder();
    let floaters = file("floaters.ply");
    let look = ["convert", text(scene()), "--drop-floaters", "--dry-run", "--floaters-to", text(&floaters)];
    let said = tessera().run(&look).success().to_owned();
    assert!(
        said.contains(&format!("{FLOATERS} floaters removed of 4,012")) && said.contains("nothing was written"),
        "{said}"
    );
    assert_eq!(files_below(root.path()), [Path::new("floaters.ply")]);
    let found = read_splats(&floaters).expect("floaters");
    assert!(found.len() == FLOATERS && found.means.iter().all(|m| m[1] == -4.0), "{:?}", found.means);

    let out = file("clean.ply");
    let report = tessera().run(&["convert", text(scene()), text(&out), "--drop-floaters=0.6", "--json"]).json();
    assert_eq!(number(&report, "/report/floaters/floaters"), FLOATERS as f64, "{report}");
    let cleaned = read_splats(&out).expect("a scene");
    assert_eq!(cleaned.means[..], read_splats(scene()).expect("a scene").means[..SPLATS]);
}

#[test]
fn scenes_are_joined_where_they_were_captured() {
    let (_folder, file) = folder();
    let [moved, joined] = ["moved.ply", "joined.ply"].map(&file);
    tessera().run(&["convert", text(scene()), text(&moved), "--rotate=10,20,30", "--quiet"]).success();
    tessera().run(&["convert", text(scene()), text(&joined), "--merge", text(&moved), "--quiet"]).success();
    let (one, both) = (read_splats(scene()).expect("one"), read_splats(&joined).expect("both"));
    assert_eq!(both.len(), 2 * one.len());
    let apart = |a: &[f32; 3], b: &[f32; 3]| (0..3).map(|k| (a[k] - b[k]).abs()).fold(0.0, f32::max);
    let farthest = one.means.iter().zip(&both.means[one.len()..]).map(|(a, b)| apart(a, b)).fold(0.0, f32::max);
    // Places are up to 8; turning there and back rounds a few times.
    assert!(farthest < 8.0 * 8.0 * f32::EPSILON, "{farthest}");
}

#[test]
fn what_cameras_saw_is_kept() {
    let (_folder, file) = folder();
    let out = file("seen.ply");
    let capture = text(shared_small_capture());
    let seen = |at_least: &str| {
        let arguments = ["--seen-by", capture, "--seen-at-least", at_least, "--force", "--json", "--quiet"];
        let report = tessera().run(&[&["convert", text(scene()), text(&out)][..], &arguments[..]].concat()).json();
        (number(&report, "/splats"), number(&report, "/report/unseen"))
    };
    let ((one, unseen), (many, _)) = (seen("1"), seen("10"));
    assert!(one > many && many > 0.0 && one + unseen == (SPLATS + FLOATERS) as f64, "{one} and {many}");
    let too_many = ["convert", text(scene()), text(&out), "--seen-by", capture, "--seen-at-least", "99", "--force"];
    tessera().run(&too_many).wrong_usage(&["--seen-at-least 99", "12 photos"]);
}

#[test]
fn verification_measures_and_refuses() {
    let (root, file) = folder();
    let out = file("out.glb");
    let report = tessera().run(&["convert", text(scene()), text(&out), "--rotate=0,0,90", "--verify", "--json"]).json();
    assert!(number(&report, "/verified/psnr") > 50.0 && number(&report, "/verified/views") == 6.0, "{report}");
    assert!(report["losses"].as_array().is_some_and(|losses| losses.len() == 1), "{report}");
    let before = std::fs::read(&out).expect("a file");
    let coarse =
        ["convert", text(scene()), text(&out), "--max-splats", "60", "--force", "--verify", "--min-psnr", "45"];
    tessera().run(&coarse).failure(&["out.glb", "is not written", "dB", "--min-psnr"]);
    assert!(std::fs::read(&out).expect("a file") == before, "a refused scene replaced the good one");
    let simple =
        ["convert", text(scene()), text(&out), "--max-splats", "2000", "--force", "--verify", "--min-psnr", "10"];
    let said = tessera().run(&simple);
    said.success();
    assert!(said.stderr.contains("verified: PSNR") && said.stderr.contains("merged into 2,000"), "{said:?}");
    assert_eq!(files_below(root.path()), [Path::new("out.glb")], "something is left");
}

#[test]
fn refusals_name_the_remedy_and_leave_nothing() {
    let (root, file) = folder();
    let (out, scene) = (file("out.ply"), text(scene()));
    for (arguments, words) in [
        (vec!["out.xyz"], vec![".xyz", ".ply", ".glb"]),
        (vec!["out.ply", "--crop=50,50,50,51,51,51"], vec!["scene.ply", "no splats left", "larger box"]),
        (vec!["out.ply", "--seen-by", "no-such-capture"], vec!["no-such-capture"]),
        (vec!["out.ply", "--merge", "no-such-file.ply"], vec!["no-such-file.ply"]),
        (vec!["missing-folder/out.ply"], vec!["folder does not exist"]),
        (vec!["missing-folder/out.ply", "--verify"], vec!["out.ply"]),
    ] {
        let output = file(arguments[0]);
        let arguments = [&["convert", scene, text(&output)], &arguments[1..]].concat();
        tessera().run(&arguments).failure(&words);
    }
    for (option, words) in [
        (vec!["--crop=1,2,3"], vec!["six numbers"]),
        (vec!["--crop=1,1,1,0,0,0"], vec!["lowest"]),
        (vec!["--drop-floaters=2"], vec!["from 0 to 1"]),
        (vec!["--min-psnr", "20"], vec!["--verify"]),
        (vec!["--floaters-to", "x.ply"], vec!["--drop-floaters"]),
        (vec!["--sh-degree", "4"], vec!["--sh-degree"]),
        (vec!["--max-splats", "120%"], vec!["25%"]),
        (vec!["--crop-sphere=1,2,3"], vec!["radius"]),
        (vec!["--spz-version", "5"], vec!["1, 2, 3 and 4"]),
        (vec!["--sog-version", "1"], vec!["--sog-version 1", ".sog"]),
        (vec!["--spz-version", "4"], vec!["--spz-version 4", ".spz"]),
        (vec!["--morton", "--keep-order"], vec!["--keep-order"]),
        (vec!["--points", "--morton"], vec!["--morton", "point cloud"]),
        (vec!["--dry-run", "--verify"], vec!["--dry-run"]),
    ] {
        tessera().run(&[&["convert", scene, text(&out)], &option[..]].concat()).wrong_usage(&words);
    }
    tessera().run(&["convert", scene]).wrong_usage(&["OUTPUT"]);
    assert!(files_below(root.path()).is_empty(), "{:?}", files_below(root.path()));
}

#[test]
fn meshes_pass_through_all_formats() {
    let (_folder, file) = folder();
    let first = shared_small_capture().join("mesh.ply");
    let described = |path: &Path| {
        let info = tessera().run(&["info", text(path), "--json"]).json();
        (info["kind"].clone(), number(&info, "/vertices"), number(&info, "/triangles"), number(&info, "/area"))
    };
    let expected = described(&first);
    assert!(expected.0 == "mesh" && expected.2 > 100.0, "{expected:?}");
    let mut input = first.clone();
    for name in ["a.obj", "b.glb", "c.ply"] {
        let out = file(name);
        tessera().run(&["convert", text(&input), text(&out), "--quiet"]).success();
        assert_eq!(described(&out), expected, "{name}");
        tessera().run(&["info", text(&out)]).success();
        input = out;
    }
    let bytes = |path: &Path| std::fs::read(path).expect("a file");
    assert!(bytes(&input) == bytes(&first), "the mesh changed on its way");

    let large = file("large.glb");
    let report = tessera().run(&["convert", text(&first), text(&large), "--scale", "2", "--json"]).json();
    assert_eq!((number(&report, "/vertices"), number(&report, "/triangles")), (expected.1, expected.2), "{report}");
    assert!((described(&large).3 / expected.3 - 4.0).abs() < 1e-3);
    let points = file("points.glb");
    tessera().run(&["convert", text(&first), text(&points), "--points", "--quiet"]).success();
    assert_eq!(described(&points).0, "points");
    tessera().run(&["convert", text(&first), text(&large)]).failure(&["large.glb", "exists already", "--force"]);
    tessera().run(&["convert", text(&first), text(&file("a.off"))]).failure(&[".off", ".ply, .obj, .glb"]);
    tessera().run(&["convert", text(&first), text(&large), "--crop=0,0,0,1,1,1"]).wrong_usage(&["--crop", "mesh.ply"]);
}

#[test]
fn scenes_and_meshes_of_other_programs_are_converted() {
    let Some(data) = shared_data("splats") else { return };
    let (_folder, file) = folder();
    let data_file = |name: &str| data.join(name);
    let reference = read_splats(data_file("guitar_12k.ply")).expect("a scene");
    for name in ["guitar_12k.ply", "playbot_lod3_sog"] {
        let (input, out) = (data_file(name), file("out.glb"));
        let arguments = ["convert", text(&input), text(&out), "--force", "--verify", "--min-psnr", "50", "--json"];
        let report = tessera().run(&arguments).json();
        assert!(number(&report, "/splats") > 0.0, "{name}: {report}");
    }
    let out = file("guitar.ply");
    tessera().run(&["convert", text(&data_file("guitar_12k.ply")), text(&out), "--quiet"]).success();
    let same = |a: &SplatCloud, b: &SplatCloud| a.means == b.means && a.quats == b.quats && a.sh0 == b.sh0;
    assert!(same(&read_splats(&out).expect("a scene"), &reference));
    for (name, triangles) in [("armadillo.obj", 99_976.0), ("bunny.off", 6966.0), ("fandisk.obj", 12_946.0)] {
        let (input, out) = (data.join("../meshes").join(name), file("mesh.glb"));
        let report = tessera().run(&["convert", text(&input), text(&out), "--force", "--json"]).json();
        assert_eq!(number(&report, "/triangles"), triangles, "{name}: {report}");
    }
}

#[test]
fn streamed_scenes_are_written_with_their_levels_and_verified() {
    let (root, file) = folder();
    let out = file("web/lod-meta.json");
    let arguments = ["convert", text(scene()), text(&out), "--verify", "--min-psnr", "30", "--json", "--quiet"];
    let report = tessera().run(&arguments).json();
    assert_eq!((report["format"].as_str(), number(&report, "/splats")), (Some("streamed SOG"), 4012.0), "{report}");
    assert!(number(&report, "/bytes") > 10_000.0, "{report}");
    let info = tessera().run(&["info", text(&out), "--json"]).json();
    assert_eq!(info["splats"].as_u64(), Some(4012), "{info}");
    let before = files_below(root.path());
    assert!(before.contains(&Path::new("web/0_0/meta.json").to_owned()), "{before:?}");
    tessera().run(&["convert", text(scene()), text(&out)]).failure(&["lod-meta.json", "exists already", "--force"]);
    let refused = ["convert", text(scene()), text(&out), "--force", "--verify", "--min-psnr", "100"];
    tessera().run(&refused).failure(&["lod-meta.json", "is not written", "dB"]);
    assert_eq!(files_below(root.path()), before);
    let tiles = file("scene.tiles");
    tessera().run(&["convert", text(&out), text(&tiles), "--verify", "--quiet"]).success();
    tessera().run(&["convert", text(scene()), text(&file("x/tiles.json"))]).failure(&["tiles.json", "name the folder"]);
}

#[test]
fn what_a_format_cuts_off_is_counted() {
    let (_folder, file) = folder();
    let mut bright = read_splats(scene()).expect("a scene");
    bright.sh0[5][1] = 7.0;
    bright.sh_rest[30] = -1.5;
    let (input, out) = (file("bright.ply"), file("out.spz"));
    write_splats(&input, &bright, false).expect("written");
    let report =
        tessera().run(&["convert", text(&input), text(&out), "--spz-version", "2", "--json", "--quiet"]).json();
    let found = ["colours", "scales", "harmonics"].map(|what| number(&report, &format!("/report/cut_off/{what}")));
    assert_eq!(found, [1.0, 0.0, 1.0], "{report}");
    let said = tessera().run(&["convert", text(&input), text(&out), "--force"]);
    said.success();
    assert!(said.stderr.contains("1 splat had colours beyond what SPZ holds"), "{said:?}");
}
