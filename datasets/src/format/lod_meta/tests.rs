//! What reading streamed SOG promises.

use super::meta::{LodMeta, Run};
use crate::format::read_splats;
use proptest::prelude::*;
use serde_json::{Value, json};
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
