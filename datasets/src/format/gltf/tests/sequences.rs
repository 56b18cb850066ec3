//! Meshes of several moments in glTF files.

use super::{file, glb, taken_apart};
use crate::format::obj::full_mesh;
use crate::format::{Existing, MeshSequence, SequenceWriter, read_mesh};
use crate::scene::Mesh;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Meshes of which no two are alike, with materials, textures and colours.
fn meshes() -> Vec<Mesh> {
    let moved = |i: usize| {
        let mut mesh = full_mesh();
        mesh.positions.iter_mut().for_each(|position| position[0] += i as f32);
        mesh
    };
    let mut meshes: Vec<Mesh> = (0..4).map(moved).collect();
    meshes[2].triangles[0].rotate_left(1);
    meshes
}

fn written(folder: &Path, name: &str, meshes: &[Mesh]) -> PathBuf {
    let path = folder.join(name);
    let mut writer = SequenceWriter::create(&path, Existing::Keep).expect("a file");
    for (i, mesh) in meshes.iter().enumerate() {
        writer.put(0.125 * i as f64, mesh).expect("a mesh");
    }
    writer.finish(0.125 * meshes.len() as f64, 7.0).expect("written");
    path
}

#[test]
fn meshes_of_several_moments_are_read_back_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let meshes = meshes();
    for name in ["a.glb", "b.gltf"] {
        let path = written(folder.path(), name, &meshes);
        let sequence = MeshSequence::find(&path).expect("sound").expect("moments");
        assert_eq!((sequence.seconds(), sequence.end()), (&[0.0, 0.125, 0.25, 0.375][..], 0.5));
        let timeline = sequence.timeline();
        assert_eq!((timeline.frames, timeline.frame_rate, timeline.start), (4, 8.0, 7.0));
        for (i, mesh) in meshes.iter().enumerate() {
            assert_eq!(&sequence.read(i).expect("a mesh").mesh, mesh, "moment {i} of {name}");
        }
        assert_eq!(read_mesh(&path).expect("a mesh").mesh, meshes[0], "who knows no animations sees the first");
        assert_eq!([-1.0, 0.0, 0.124, 0.125, 0.3, 9.0].map(|t| sequence.at(t)), [0, 0, 0, 1, 2, 3]);
    }
    let one = written(folder.path(), "one.glb", &meshes[..1]);
    assert!(MeshSequence::find(&one).expect("sound").is_none(), "one mesh does not move");
}

#[test]
fn the_extras_say_where_the_bytes_of_a_moment_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), "a.glb", &meshes());
    let (json, binary) = taken_apart(&std::fs::read(path).expect("bytes"));
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    let places = json["animations"][0]["extras"]["tessera"]["places"].as_array().expect("places");
    assert_eq!(places.len(), 4);
    for (mesh, place) in json["meshes"].as_array().expect("meshes").iter().zip(places) {
        let range = number(&place[0])..number(&place[0]) + number(&place[1]);
        assert!(range.end <= binary.len() as u64);
        for primitive in mesh["primitives"].as_array().expect("primitives") {
            let attributes = primitive["attributes"].as_object().expect("attributes").values();
            for accessor in attributes.chain([&primitive["indices"]]) {
                let accessor = &json["accessors"][number(accessor) as usize];
                let view = &json["bufferViews"][number(&accessor["bufferView"]) as usize];
                let start = number(&view["byteOffset"]);
                assert!(range.contains(&start) && start + number(&view["byteLength"]) <= range.end);
            }
        }
    }
}

#[test]
fn what_contradicts_itself_is_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.glb");
    let begun = || SequenceWriter::create(&path, Existing::Keep).expect("a file");
    let mesh = full_mesh();
    let refused = |result: crate::Result<()>, words: &str| {
        let said = result.expect_err("refused").to_string();
        assert!(said.contains(words), "{said}");
    };
    let mut writer = begun();
    refused(writer.put(0.0, &Mesh::default()), "mesh 0 is empty");
    refused(writer.put(f64::NAN, &mesh), "the time of mesh 0");
    writer.put(1.0, &mesh).expect("a mesh");
    refused(writer.put(1.0, &mesh), "the time of mesh 1");
    refused(writer.put(1.0 + 1e-12, &mesh), "the time of mesh 1");
    refused(writer.finish(1.0, 0.0), "end before its last moment");
    refused(begun().finish(1.0, 0.0), "no mesh");
    refused(SequenceWriter::create(&folder.path().join("a.obj"), Existing::Keep).map(drop), "several moments");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "something is left");
}

#[test]
fn damaged_animations_are_sentences_and_other_animations_stand_still() {
    let folder = tempfile::tempdir().expect("a folder");
    let (json, binary) = taken_apart(&std::fs::read(written(folder.path(), "a.glb", &meshes())).expect("bytes"));
    let found = |pointer: &str, value: serde_json::Value| {
        let mut json = json.clone();
        *json.pointer_mut(pointer).unwrap_or_else(|| panic!("there is no {pointer}")) = value;
        let (_folder, path) = file("a.glb", &glb(&json, &binary));
        MeshSequence::find(&path).map(|sequence| sequence.map(|sequence| sequence.len()))
    };
    assert_eq!(found("/animations/0/samplers/1/interpolation", json!("LINEAR")).expect("sound"), None);
    assert_eq!(found("/animations/0/channels/1/target/path", json!("rotation")).expect("sound"), None);
    assert_eq!(found("/animations/0/channels", json!([])).expect("sound"), None);
    assert_eq!(found("/animations/0/extras", json!("of others")).expect("sound"), Some(4));
    let inputs = json["animations"][0]["samplers"].as_array().expect("samplers");
    for (pointer, value, words) in [
        ("/animations/0/samplers/1/input", json!(999), "data that it does not have"),
        ("/animations/0/samplers/1/input", inputs[0]["input"].clone(), "more or fewer times"),
        ("/animations/0/samplers/1/input", json!(0), "VEC3"),
    ] {
        let said = found(pointer, value).expect_err("damaged").to_string();
        assert!(said.contains(words) && said.contains("a.glb"), "{said}");
    }
    assert_eq!(found("/animations/0/channels/1/target/node", json!(77)).expect("nothing shows it"), Some(4));
}
