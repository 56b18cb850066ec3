//! What reading and writing streamed SOG promises.

use super::meta::{LodMeta, Run};
use crate::format::stream::{SplatHeader, collect};
use crate::format::{Existing, WriteOptions, create_splats, read_splats, write_splats};
use crate::scene::SplatCloud;
use crate::synthetic::{Options, SceneKind, splats};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;

/// A tree of two leaves over two levels, as splat-transform writes it.
fn description() -> Value {
    let bound = json!({"min": [0, 0, 0], "max": [1, 1, 1]});
    let leaf = |file: u64, offset: u64, count: u64| {
        json!({"bound": bound, "lods": {
            "0": {"file": file, "offset": offset, "count": count},
            "1": {"file": 1, "offset": offset / 4, "count": count / 4},
        }})
    };
    json!({
        "version": 1, "count": 25_000, "counts": [20_000, 5_000], "lodLevels": 2,
        "filenames": ["0_0/meta.json", "1_0/meta.json"],
        "tree": {"bound": bound, "children": [leaf(0, 12_000, 8_000), leaf(0, 0, 12_000)]},
    })
}

fn parse(json: &Value) -> Result<LodMeta, String> {
    LodMeta::parse(json.to_string().as_bytes())
}

#[test]
fn the_finest_level_of_every_leaf_is_read_in_the_order_of_its_file() {
    let meta = parse(&description()).expect("a description");
    let run = |splats| Run { file: 0, splats };
    assert_eq!(meta.runs, [run(0..12_000), run(12_000..20_000)]);
    // A leaf that has only a coarse level is taken in that.
    let mut json = description();
    json["tree"]["children"][1]["lods"] = json!({"1": {"file": 1, "offset": 7, "count": 3}});
    let meta = parse(&json).expect("a description");
    assert_eq!(meta.runs, [run(12_000..20_000), Run { file: 1, splats: 7..10 }]);
}

#[test]
fn descriptions_that_lie_are_refused_in_words() {
    let refused = |part: &str, change: &dyn Fn(&mut Value)| {
        let mut json = description();
        change(&mut json);
        let error = parse(&json).expect_err(part);
        assert!(error.contains(part), "{error}");
    };
    let lod = |json: &mut Value, key: &str, value: Value| json["tree"]["children"][0]["lods"]["0"][key] = value;
    refused("version 2", &|m| m["version"] = json!(2));
    refused("refers to file 2, and names 2", &|m| lod(m, "file", json!(2)));
    refused("beyond all splats", &|m| lod(m, "count", json!(u64::MAX)));
    refused("beyond all splats", &|m| lod(m, "offset", json!(1u64 << 40)));
    refused("in two places", &|m| lod(m, "offset", json!(11_999)));
    refused("does not describe", &|m| m["tree"] = json!(null));
    refused("does not describe", &|m| lod(m, "count", json!(-1)));
    // Nested deeper than any scene.
    let deep = format!("{}{}", "{\"children\":[".repeat(100_000), "]}".repeat(100_000));
    let text = format!("{{\"filenames\":[],\"tree\":{deep}}}");
    assert!(LodMeta::parse(text.as_bytes()).expect_err("too deep").contains("does not describe"));
}

#[test]
fn files_outside_of_the_folder_and_missing_ones_are_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let read = |json: &Value| {
        std::fs::write(folder.path().join(super::LOD_META), json.to_string()).expect("write");
        read_splats(folder.path()).expect_err("refused").to_string()
    };
    let mut json = description();
    assert!(read(&json).contains("does not exist"), "{}", read(&json));
    json["filenames"][1] = json!("../../secret/meta.json");
    assert!(read(&json).contains("lies outside of its folder"), "{}", read(&json));
    json["filenames"] = json!([]);
    json["tree"] = json!({});
    assert!(read(&json).contains("shows no splats"), "{}", read(&json));
}

#[test]
fn a_streamed_scene_over_a_scene_of_another_program_is_read_in_full() {
    let data = std::env::var_os("TESSERA_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), std::path::PathBuf::from);
    let sog = data.join("splats/playbot_lod3_sog");
    if !sog.exists() {
        return println!("skipped: no development data");
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let copy = folder.path().join("0_0");
    std::fs::create_dir(&copy).expect("folder");
    for entry in std::fs::read_dir(&sog).expect("folder") {
        let entry = entry.expect("entry");
        std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("copy");
    }
    let run = |offset: u64, count: u64| json!({"lods": {"0": {"file": 0, "offset": offset, "count": count}}});
    let mut json = json!({
        "version": 1, "filenames": ["0_0/meta.json"],
        "tree": {"children": [run(20_000, 11_000), run(0, 20_000)]},
    });
    let path = folder.path().join(super::LOD_META);
    std::fs::write(&path, json.to_string()).expect("write");
    let whole = read_splats(&sog).expect("the scene");
    assert!(read_splats(&path).expect("streamed") == whole && read_splats(folder.path()).expect("streamed") == whole);
    // The environment is added.
    json["environment"] = json!("0_0/meta.json");
    std::fs::write(&path, json.to_string()).expect("write");
    assert_eq!(read_splats(&path).expect("streamed").len(), 2 * whole.len());
    json["tree"]["children"][0] = run(20_000, 11_001);
    std::fs::write(&path, json.to_string()).expect("write");
    let error = read_splats(&path).expect_err("too many").to_string();
    assert!(error.contains("refers to splat 31001 of"), "{error}");
}

proptest! {
    #[test]
    fn mutated_descriptions_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"0123456789.,-[]{}\"ea".to_vec())), 1..8),
    ) {
        let mut bytes = description().to_string().into_bytes();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(meta) = LodMeta::parse(&bytes) {
            prop_assert!(meta.runs.iter().all(|run| run.file < meta.files.len()));
        }
    }
}

/// More than two regions, with harmonics and a place in the captured world.
fn made() -> SplatCloud {
    let mut source = splats(SceneKind::Terrain, &Options::default(), 150_000, 1, &|_, _| {}).expect("made");
    let mut cloud = collect(&mut source).expect("nothing can fail");
    cloud.antialiased = true;
    cloud
}

fn sorted(means: &[[f32; 3]]) -> Vec<[f32; 3]> {
    let mut means = means.to_vec();
    means.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    means
}

#[test]
fn what_is_written_has_all_splats_at_the_finest_level_and_a_quarter_at_the_next() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("new/lod-meta.json");
    let cloud = made();
    write_splats(&path, &cloud, false).expect("written");
    let back = read_splats(&path).expect("read");
    assert_eq!((back.len(), back.sh_degree, back.antialiased), (cloud.len(), 1, true));
    assert_eq!(back.scene_from_world, cloud.scene_from_world);
    for (a, b) in sorted(&back.means).iter().zip(sorted(&cloud.means)) {
        // 16 bits over the logarithm of an extent of 200: 11 / 65,535 of (1 + |x|).
        assert!((a[0] - b[0]).abs() < 2e-4 * (1.0 + b[0].abs()), "{a:?} is not {b:?}");
    }
    let json: Value = serde_json::from_slice(&std::fs::read(&path).expect("description")).expect("JSON");
    let counts: Vec<u64> = json["counts"].as_array().expect("counts").iter().filter_map(Value::as_u64).collect();
    assert!(counts[0] == 150_000 && counts[1].abs_diff(37_500) < 3 && counts.len() == 2, "{counts:?}");
    assert_eq!((json["lodLevels"].as_u64(), json["count"].as_u64()), (Some(2), Some(counts.iter().sum())));
    // Two children everywhere, and within the bounds of a node those of the nodes below.
    let (mut leaves, mut pending) = (0, vec![&json["tree"]]);
    while let Some(node) = pending.pop() {
        let Some(children) = node["children"].as_array() else {
            leaves += 1;
            assert_eq!(node["lods"].as_object().expect("levels").len(), 2);
            continue;
        };
        assert_eq!(children.len(), 2);
        for child in children {
            let corner = |node: &Value, name: &str, k: usize| node["bound"][name][k].as_f64().expect("a number");
            assert!((0..3).all(|k| corner(node, "min", k) <= corner(child, "min", k)), "{node}");
            assert!((0..3).all(|k| corner(node, "max", k) >= corner(child, "max", k)), "{node}");
        }
        pending.extend(children);
    }
    assert_eq!(leaves, 3);
    // Level 1 alone is a scene as well, around the same middle.
    let coarse = read_splats(path.with_file_name("1_0")).expect("the coarse level");
    let middle = |cloud: &SplatCloud| cloud.means.iter().map(|m| f64::from(m[0])).sum::<f64>() / cloud.len() as f64;
    assert!((middle(&coarse) - middle(&cloud)).abs() < 2.0, "{} and {}", middle(&coarse), middle(&cloud));
}

#[test]
fn a_replaced_scene_takes_its_files_along_and_a_broken_off_one_leaves_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("lod-meta.json");
    let cloud = made();
    write_splats(&path, &cloud, false).expect("written");
    std::fs::write(folder.path().join("mine"), "kept").expect("write");
    let names = || {
        let entries = std::fs::read_dir(folder.path()).expect("folder").map(|e| e.expect("entry").file_name());
        let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["0_0", "1_0", super::LOD_META, "mine"]);
    let error = write_splats(&path, &cloud, false).expect_err("in the way").to_string();
    assert!(error.contains("exists already") && error.contains("--force"), "{error}");
    let header = SplatHeader::of(&cloud);
    let create = || create_splats(&path, &header, &WriteOptions::default(), Existing::Replace).expect("created");
    let mut sink = create();
    sink.put(&cloud).expect("put");
    assert!(!sink.finish_watched(&mut |_, _| ControlFlow::Break(())).expect("no failure"));
    assert_eq!(names().len(), 4);
    let mut told = Vec::new();
    let mut sink = create();
    sink.put(&cloud).expect("put");
    let mut watch = |done, total| {
        told.push((done, total));
        ControlFlow::Continue(())
    };
    assert!(sink.finish_watched(&mut watch).expect("written"));
    assert_eq!((told.len(), told.last()), (2, Some(&(150_000, 150_000))));
    // A small scene has one level: what belonged to the larger one is gone.
    write_splats(&path, &cloud.select(&[1, 5, 7]), true).expect("replaced");
    assert_eq!(names(), ["0_0", super::LOD_META, "mine"]);
    let empty = write_splats(&path, &cloud.select(&[]), true).expect_err("empty").to_string();
    assert!(empty.contains("no splats"), "{empty}");
    assert_eq!(read_splats(&path).expect("read").len(), 3);
}
