//! Files that are damaged, or made to do damage.

use super::splats::{bytes_of, cloud, read_bytes};
use super::{file, glb, glb_of_text, taken_apart};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A good file after `spoil` changed its JSON.
fn spoilt(spoil: impl Fn(&mut Value)) -> Vec<u8> {
    let (mut json, binary) = taken_apart(&bytes_of(&cloud(100, 1)));
    spoil(&mut json);
    glb(&json, &binary)
}

fn with(pointer: &str, value: Value) -> Vec<u8> {
    spoilt(|json| *json.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value.clone())
}

fn added(pointer: &str, key: &str, value: Value) -> Vec<u8> {
    spoilt(|json| json.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}"))[key] = value.clone())
}

fn number_at(index: usize, number: f32) -> Vec<u8> {
    let (json, mut binary) = taken_apart(&bytes_of(&cloud(100, 1)));
    binary[4 * index..4 * index + 4].copy_from_slice(&number.to_le_bytes());
    glb(&json, &binary)
}

const SPLATS: &str = "/meshes/0/primitives/0/extensions/KHR_gaussian_splatting";

/// What is wrong with a file: the JSON of its structure.
fn damaged_structure() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("has a buffer view 2 that ends after its buffer", with("/bufferViews/2/byteLength", json!(u64::MAX))),
        ("has a buffer view 2 that ends after its buffer", with("/bufferViews/2/byteOffset", json!(u64::MAX))),
        ("announces 1000000000000 rows", with("/accessors/2/count", json!(1_000_000_000_000u64))),
        ("announces 18446744073709551615 rows", with("/accessors/2/count", json!(u64::MAX))),
        ("has an accessor without rows", with("/accessors/0/count", json!(0))),
        ("announces 100 rows, more", added("/accessors/3", "byteOffset", json!(4))),
        ("attributes differ in number", with("/accessors/2/count", json!(99))),
        ("which is announced with 100000", with("/buffers/0/byteLength", json!(100_000))),
        ("stores POSITION sparsely", added("/accessors/0", "sparse", json!({"count": 1}))),
        ("has a VEC2 where a VEC3", with("/accessors/0/type", json!("VEC2"))),
        ("numbers of an unknown type, 5130", with("/accessors/0/componentType", json!(5130))),
        ("has rows of 12 bytes every 4", added("/bufferViews/0", "byteStride", json!(4))),
        ("has rows of 12 bytes every 10000", added("/bufferViews/0", "byteStride", json!(10_000))),
        ("no buffer view 77", with("/accessors/0/bufferView", json!(77))),
        ("accessor without data", with("/accessors/0/bufferView", Value::Null)),
        ("has no buffer 3", with("/bufferViews/0/buffer", json!(3))),
        ("refers to data that it does not have", with("/meshes/0/primitives/0/attributes/POSITION", json!(1000))),
        ("has no mesh 5", with("/nodes/0/mesh", json!(5))),
        ("has no node 9", with("/scenes/0/nodes", json!([9]))),
        ("node 0 that is in several places", with("/nodes/0", json!({"mesh": 0, "children": [0]}))),
        ("shows a scene that it does not have", with("/scene", json!(3))),
        ("places node 1 by numbers that are too large", {
            let parent = json!({"scale": [1e200, 1e200, 1e200], "children": [1]});
            with("/nodes", json!([parent, {"mesh": 0, "translation": [1e200, 0, 0]}]))
        }),
        ("splats, more than it has bytes", {
            let nodes: Vec<Value> = (0..200).map(|_| json!({"mesh": 0})).collect();
            spoilt(|json| {
                json["scenes"][0]["nodes"] = json!((0..200).collect::<Vec<u32>>());
                json["nodes"] = json!(nodes);
            })
        }),
    ]
}

/// What is wrong with a file: the splats in it.
fn damaged_splats() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "without the attribute KHR_gaussian_splatting:SCALE",
            spoilt(|json| {
                let attributes = json["meshes"][0]["primitives"][0]["attributes"].as_object_mut().expect("attributes");
                attributes.remove("KHR_gaussian_splatting:SCALE");
            }),
        ),
        (
            "without the attribute KHR_gaussian_splatting:SH_DEGREE_1_COEF_2",
            spoilt(|json| {
                let attributes = json["meshes"][0]["primitives"][0]["attributes"].as_object_mut().expect("attributes");
                attributes.remove("KHR_gaussian_splatting:SH_DEGREE_1_COEF_2");
            }),
        ),
        ("without Gaussian splats", with("/meshes/0/primitives/0/extensions", json!({}))),
        ("colour space 'lin_rec709_display'", added(SPLATS, "colorSpace", json!("lin_rec709_display"))),
        ("kernel 'cube'", added(SPLATS, "kernel", json!("cube"))),
        (
            "extension 'KHR_gaussian_splatting_compression_spz_2'",
            added(SPLATS, "extensions", json!({"KHR_gaussian_splatting_compression_spz_2": {"bufferView": 0}})),
        ),
        (
            "compressed with the glTF extension 'EXT_meshopt_compression'",
            added("/bufferViews/0", "extensions", json!({"EXT_meshopt_compression": {}})),
        ),
        (
            "requires the glTF extension 'KHR_draco_mesh_compression'",
            added("", "extensionsRequired", json!(["KHR_draco_mesh_compression"])),
        ),
        ("splats that are not points", with("/meshes/0/primitives/0/mode", json!(4))),
        (
            "stretches or mirrors its splats by the node 'bent'",
            with("/nodes/0", json!({"mesh": 0, "name": "bent", "scale": [1, 2, 1]})),
        ),
        ("stretches or mirrors", with("/nodes/0", json!({"mesh": 0, "scale": [1, 1, -1]}))),
        ("stretches or mirrors", with("/nodes/0", json!({"mesh": 0, "scale": [0, 0, 0]}))),
        ("stretches or mirrors", with("/nodes/0", json!({"mesh": 0, "matrix": vec![1.0; 16]}))),
        ("too large", with("/nodes/0", json!({"mesh": 0, "translation": [1e300, 0, 0]}))),
        ("damaged extras", added("/nodes/0", "extras", json!({"tessera": {"antialiased": 7}}))),
        (
            "not a placement",
            added(
                "/nodes/0",
                "extras",
                json!({"tessera": {"scene_from_world":
            {"translation": [0, 0, 0], "rotation": [0, 0, 0, 0], "scale": 1}}}),
            ),
        ),
        ("position that is not finite at splat 41", number_at(3 * 41, f32::NAN)),
        ("rotation that is not finite at splat 2", number_at(400 + 4 * 2, f32::INFINITY)),
        ("scale that is negative or not finite at splat 0", number_at(800, -1e-3)),
        ("opacity that is not between 0 and 1 at splat 99", number_at(800 + 300 + 99, 1.01)),
        ("coefficient that is not finite at splat 7", number_at(1200 + 300 + 3 * 7, f32::NAN)),
    ]
}

/// What is wrong with a file: its container.
fn damaged_containers() -> Vec<(&'static str, Vec<u8>)> {
    let good = bytes_of(&cloud(100, 1));
    let edited = |at: usize, bytes: &[u8]| [&good[..at], bytes, &good[at + bytes.len()..]].concat();
    let deep = format!("{{\"asset\": {{\"version\": \"2.0\"}}, \"scenes\": {}", "[".repeat(100_000));
    let deep_extras =
        format!("{{\"asset\": {{\"version\": \"2.0\"}}, \"nodes\": [{{\"extras\": {}", "[".repeat(100_000));
    let many = format!("{{\"asset\": {{\"version\": \"2.0\"}}, \"nodes\": [{}{{}}]}}", "{},".repeat(1 << 18));
    vec![
        ("is not a glTF file", Vec::new()),
        ("is not a glTF file", b"ply\nformat".to_vec()),
        ("ends too early", b"glTF\x02\0".to_vec()),
        ("bytes long and ends after", good[..good.len() - 1].to_vec()),
        ("bytes long and ends after", good[..1000].to_vec()),
        ("of version 1", edited(4, &[1])),
        ("is a GLB file without JSON", edited(16, b"BIN\0")),
        ("has a chunk of 4294967295 bytes at byte 12", edited(12, &[255; 4])),
        (
            "has no binary part",
            edited(20 + 4 + u32::from_le_bytes([good[12], good[13], good[14], good[15]]) as usize, b"JUNK"),
        ),
        ("has glTF JSON that cannot be read", glb_of_text(b"{\"asset\": 3}", &[])),
        ("has glTF JSON that cannot be read", glb_of_text(deep.as_bytes(), &[])),
        ("has glTF JSON that cannot be read", glb_of_text(deep_extras.as_bytes(), &[])),
        ("at most 262144 entries", glb_of_text(many.as_bytes(), &[])),
        ("is a glTF file of version 1.0", glb_of_text(b"{\"asset\": {\"version\": \"1.0\"}}", &[])),
        ("without Gaussian splats", glb_of_text(b"{\"asset\": {\"version\": \"2.0\"}}", &[])),
    ]
}

#[test]
fn unusable_files_are_refused_in_one_sentence() {
    let cases = [damaged_structure(), damaged_splats(), damaged_containers()].concat();
    let said = |bytes: &[u8]| read_bytes(bytes).err().map_or("nothing".to_owned(), |error| error.to_string());
    let wrong = cases.into_iter().map(|(expected, bytes)| (expected, said(&bytes)));
    let wrong: Vec<_> = wrong.filter(|(expected, said)| !said.contains(expected) || said.contains('\n')).collect();
    assert!(wrong.is_empty(), "expected and said: {wrong:#?}");
}

#[test]
fn folders_and_missing_files_are_named() {
    let (folder, path) = file("a.glb", b"");
    let error = crate::format::read_splats(path.with_file_name("b.glb")).expect_err("missing").to_string();
    assert!(error.contains("b.glb: does not exist"), "{error}");
    std::fs::create_dir(folder.path().join("c.glb")).expect("folder");
    let error = crate::format::read_splats(folder.path().join("c.glb")).expect_err("folder").to_string();
    assert!(error.contains("is not a regular file"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn mutated_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        digits in "[0-9]{0,20}",
        number in any::<prop::sample::Index>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (json, binary) = taken_apart(&bytes_of(&cloud(5, 1)));
        let mut text = json.to_string().into_bytes();
        // One number of the JSON becomes another.
        let starts: Vec<usize> = (1..text.len()).filter(|&i| text[i].is_ascii_digit() && !text[i - 1].is_ascii_digit()).collect();
        let start = starts[number.index(starts.len())];
        let end = start + text[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        text.splice(start..end, digits.bytes());
        let mut bytes = glb_of_text(&text, &binary);
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(read) = read_bytes(&bytes) {
            prop_assert!(read.is_consistent());
            prop_assert!(read.means.iter().flatten().chain(&read.sh_rest).all(|v| v.is_finite()));
        }
    }
}
