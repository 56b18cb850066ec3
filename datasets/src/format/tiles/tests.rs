//! What streamed scenes in folders promise.

use super::page::tests::made;
use super::*;
use crate::format::{WriteOptions, read_splats, write_splats};
use crate::scene::{Bulk, SplatCloud};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

struct Written {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn written(cloud: &SplatCloud) -> Written {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene.tiles");
    write_splats(&path, cloud, false).expect("writing");
    Written { _folder: folder, path }
}

fn manifest_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path.join(MANIFEST)).expect("manifest")).expect("JSON")
}

/// Replaces the manifest by what `change` makes of it, and says why it is refused.
fn refused(path: &Path, change: impl FnOnce(&mut Value)) -> String {
    let original = fs::read(path.join(MANIFEST)).expect("manifest");
    let mut json = manifest_json(path);
    change(&mut json);
    fs::write(path.join(MANIFEST), json.to_string()).expect("write");
    let error = read_splats(path).expect_err("refused").to_string();
    fs::write(path.join(MANIFEST), original).expect("write");
    error
}

#[test]
fn a_scene_comes_back_whole_with_what_is_said_about_it() {
    let mut cloud = made(60_000, 1, 1);
    cloud.antialiased = true;
    cloud.scene_from_world = crate::camera::Similarity::from_scaling(0.5);
    let written = written(&cloud);
    let back = read_splats(&written.path).expect("reading");
    assert_eq!((back.len(), back.sh_degree, back.antialiased), (60_000, 1, true));
    assert_eq!(back.scene_from_world, cloud.scene_from_world);
    let centre = |cloud: &SplatCloud| -> [f64; 3] {
        std::array::from_fn(|k| cloud.means.iter().map(|m| f64::from(m[k])).sum::<f64>() / cloud.len() as f64)
    };
    let [before, after] = [&cloud, &back].map(centre);
    assert!((0..3).all(|k| (before[k] - after[k]).abs() < 1e-5), "{before:?} became {after:?}");
    // The manifest's own path does as well.
    assert_eq!(read_splats(written.path.join(MANIFEST)).expect("reading"), back);
}

#[test]
fn pages_lie_coarse_to_fine_without_gaps() {
    let written = written(&made(40_000, 0, 1));
    let manifest = open_manifest(&written.path).expect("manifest");
    assert_eq!((manifest.header.count, manifest.tree.len()), (40_000, 4), "three leaves and a root");
    let mut end = 0;
    for page in &manifest.pages {
        assert_eq!(page.offset, end);
        end += page.length();
    }
    assert_eq!(fs::metadata(written.path.join(PAGES)).expect("pages").len(), end);
    let mut files = PageFiles::beside(&written.path);
    for node in 0..4 {
        let bytes = files.read(&manifest, node).expect("page");
        let splats = manifest.decode_page(node, &bytes).expect("page");
        assert_eq!(splats.len(), manifest.tree.node(node).splats as usize);
    }
}

#[test]
fn the_first_look_is_at_the_middle_from_above() {
    let mut means: Vec<[f32; 3]> = (-50..=50).map(|i| [3.0, 2.0, 5.0 + i as f32 / 25.0]).collect();
    means.push([1e6; 3]);
    for up in [[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]] {
        let camera = StartCamera::before(&means, Some(up));
        assert_eq!(camera.target, [3.0, 2.0, 5.0], "the far splat moves nothing");
        let ahead: [f32; 3] = std::array::from_fn(|k| camera.target[k] - camera.position[k]);
        let down: f32 = (0..3).map(|k| -up[k] * ahead[k]).sum();
        let away = ahead.iter().map(|v| v * v).sum::<f32>().sqrt();
        assert!((0.2..0.6).contains(&(down / away)) && (4.0..8.0).contains(&away), "{camera:?}");
    }
}

#[test]
fn what_is_too_near_to_be_drawn_follows_from_all_splats() {
    // Four in five lie close together, and at coarser levels they are few.
    let mut cloud = made(60_000, 0, 1);
    for (i, mean) in cloud.means.iter_mut().enumerate().filter(|(i, _)| i % 5 != 0) {
        *mean = mean.map(|x| 0.01 * x);
        cloud.log_scales[i] = [-9.0; 3];
    }
    let written = written(&cloud);
    let manifest = open_manifest(&written.path).expect("manifest");
    let near = Bulk::of(&cloud.means).near();
    assert_eq!(manifest.near, Some(near));
    let bytes = PageFiles::beside(&written.path).read(&manifest, 0).expect("page");
    let coarse = Bulk::of(&manifest.decode_page(0, &bytes).expect("page").means).near();
    assert!(coarse > 2.0 * near, "the coarsest page alone would say {coarse} and not {near}");
    let said = |near: Value| {
        let mut json = manifest_json(&written.path);
        json["near"] = near;
        Manifest::parse(json.to_string().as_bytes()).expect("a manifest").near
    };
    assert_eq!((said(json!(0.5)), said(json!(-1)), said(Value::Null)), (Some(0.5), None, None));
}

#[test]
fn the_same_scene_becomes_the_same_bytes() {
    let cloud = made(60_000, 2, 1);
    let bytes = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let written = pool.install(|| written(&cloud));
        [MANIFEST, PAGES].map(|name| fs::read(written.path.join(name)).expect("written"))
    };
    assert!(bytes(1) == bytes(3));
}

#[test]
fn small_and_empty_scenes_are_one_page() {
    for n in [0, 1, 5] {
        let cloud = made(5, 3, 1).select(&(0..n).collect::<Vec<u32>>());
        let written = written(&cloud);
        let back = read_splats(&written.path).expect("reading");
        assert_eq!((back.len(), back.sh_degree), (n as usize, 3));
    }
}

#[test]
fn nothing_is_left_behind_when_writing_stops() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene.tiles");
    let cloud = made(10, 0, 1);
    let header = crate::format::stream::SplatHeader::of(&cloud);
    let mut sink =
        create_splats(&path, &header, &WriteOptions::default(), crate::format::Existing::Keep).expect("sink");
    sink.put(&cloud).expect("splats");
    drop(sink);
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 0);
    write_splats(&path, &cloud, false).expect("writing");
    let error = write_splats(&path, &cloud, false).expect_err("in the way").to_string();
    assert!(error.contains("exists already"), "{error}");
    write_splats(&path, &cloud, true).expect("replacing");
}

#[test]
fn a_damaged_page_is_noticed_and_the_others_are_read() {
    let written = written(&made(40_000, 1, 1));
    let manifest = open_manifest(&written.path).expect("manifest");
    let pages = written.path.join(PAGES);
    let mut bytes = fs::read(&pages).expect("pages");
    bytes[manifest.pages[2].offset as usize + 1000] ^= 4;
    fs::write(&pages, &bytes).expect("write");
    let mut files = PageFiles::beside(&written.path);
    for node in 0..4 {
        let page = files.read(&manifest, node).expect("bytes");
        assert_eq!(manifest.decode_page(node, &page).is_ok(), node != 2, "page {node}");
    }
    let error = read_splats(&written.path).expect_err("a damaged scene").to_string();
    assert!(error.contains("page 2 is damaged: its checksum differs"), "{error}");
    fs::write(&pages, &bytes[..bytes.len() / 2]).expect("write");
    let error = read_splats(&written.path).expect_err("a cut scene").to_string();
    assert!(error.contains("was cut off"), "{error}");
    fs::remove_file(&pages).expect("remove");
    let error = read_splats(&written.path).expect_err("no pages").to_string();
    assert!(error.contains("pages.bin: does not exist"), "{error}");
}

#[test]
fn manifests_that_lie_are_refused_in_words() {
    let written = written(&made(40_000, 1, 1));
    let check = |part: &str, change: &dyn Fn(&mut Value)| {
        let error = refused(&written.path, change);
        assert!(error.contains(part) && error.contains("tiles.json"), "{error}");
    };
    check("is of the format", &|m| m["format"] = json!("other"));
    check("version 2", &|m| m["version"] = json!(2));
    check("degree 4", &|m| m["sh_degree"] = json!(4));
    check("announces 5 splats", &|m| m["splats"] = json!(5));
    check("do not fit the degree 0", &|m| m["sh_degree"] = json!(0));
    check("does not lie beside it", &|m| m["files"][0] = json!("../pages.bin"));
    check("does not lie beside it", &|m| m["files"][0] = json!("https://example.com/pages.bin"));
    check("into file 1", &|m| m["nodes"][1]["file"] = json!(1));
    check("overlap", &|m| m["nodes"][2]["offset"] = m["nodes"][1]["offset"].clone());
    check("beyond all files", &|m| m["nodes"][2]["offset"] = json!(u64::MAX));
    check("no tree", &|m| m["nodes"][0]["children"] = json!([0, 4]));
    check("no tree", &|m| m["nodes"][2]["children"] = json!([1, 1]));
    check("beyond all numbers", &|m| m["nodes"][0]["children"] = json!([u32::MAX, 4]));
    check("bounds at node 1", &|m| m["nodes"][1]["low"] = json!([1e9, 0, 0]));
    check("does not describe", &|m| m["nodes"][1]["low"] = json!([null, 0, 0]));
    check("error at node 0", &|m| m["nodes"][0]["error"] = json!(-1.0));
    check("65537 splats", &|m| m["nodes"][1]["splats"] = json!(65_537));
    check("damaged scene_from_world", &|m| m["scene_from_world"] = json!([0, 0, 0, 0, 0, 0, 0, 1]));
    // More splats than the page holds.
    let error = refused(&written.path, |m| {
        m["nodes"][1]["splats"] = json!(13_334);
        m["splats"] = json!(40_001);
    });
    assert!(error.contains("does not hold as many splats"), "{error}");
    // A page that is longer than the file.
    let error = refused(&written.path, |m| m["nodes"][3]["bytes"] = json!([4_000_000_000u32, 4]));
    assert!(error.contains("was cut off"), "{error}");
}

#[test]
fn cameras_and_up_that_mean_nothing_are_ignored() {
    let written = written(&made(10, 0, 1));
    let mut json = manifest_json(&written.path);
    json["up"] = json!([0.0, 0.0, 0.0]);
    json["camera"] = json!({"position": [0, 0, 0], "target": [0, 0, 1], "fov_y": 99});
    let manifest = Manifest::parse(json.to_string().as_bytes()).expect("manifest");
    assert_eq!((manifest.up, manifest.camera), (None, None));
    json["up"] = json!([0.0, -2.0, 0.0]);
    json["camera"]["fov_y"] = json!(0.8);
    let manifest = Manifest::parse(json.to_string().as_bytes()).expect("manifest");
    assert_eq!(manifest.up, Some([0.0, -1.0, 0.0]));
    assert_eq!(Manifest::parse(&manifest.to_json()), Ok(manifest));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn mutated_manifests_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"0123456789.,-[]{}\"eNa".to_vec())), 1..8),
    ) {
        let pages: Vec<PageLocation> = (0..3).map(|i| PageLocation { offset: 40 * i, bytes: [40, 0], ..PageLocation::default() }).collect();
        let bounds = crate::scene::tile_tree::Bounds { low: [-1.0; 3], high: [1.0; 3] };
        let node = |children: std::ops::Range<u32>, splats| crate::scene::tile_tree::TileNode { bounds, error: 0.0, children, splats };
        let tree = crate::scene::tile_tree::TileTree::new(vec![node(1..3, 4), node(0..0, 8), node(0..0, 8)]).expect("a tree");
        let header = crate::format::stream::SplatHeader { count: 16, ..crate::format::stream::SplatHeader::of(&SplatCloud::with_capacity(0, 0)) };
        let manifest = Manifest { header, up: None, camera: None, near: None, tree: std::sync::Arc::new(tree), files: vec![PAGES.to_owned()], pages };
        let mut bytes = manifest.to_json();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(manifest) = Manifest::parse(&bytes) {
            for node in 0..manifest.tree.len() as u32 {
                prop_assert!(manifest.decode_page(node, &[1; 40]).is_err());
            }
        }
    }
}
