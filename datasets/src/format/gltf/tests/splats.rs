//! Splats through glTF.

use super::{beside, file, glb, taken_apart};
use crate::camera::Similarity;
use crate::format::stream::{SplatHeader, collect};
use crate::format::{Existing, WriteOptions, create_splats, open_splats, read_splats, write_splats};
use crate::scene::{SplatCloud, Y0};
use base64::Engine;
use nalgebra::{Translation3, UnitQuaternion, Vector3};
use proptest::prelude::*;
use serde_json::{Value, json};

fn similarity() -> impl Strategy<Value = Similarity> {
    let parts = (prop::array::uniform3(-1e7..1e7), prop::array::uniform3(-3.0..3.0), 0.01..100.0);
    parts.prop_map(|(t, [roll, pitch, yaw], scale)| {
        let turn = UnitQuaternion::from_euler_angles(roll, pitch, yaw);
        Similarity::from_parts(Translation3::from(Vector3::from(t)), turn, scale)
    })
}

fn splats(most: usize) -> impl Strategy<Value = SplatCloud> {
    let geometry = (prop::array::uniform3(-1e4f32..1e4), prop::array::uniform3(-30f32..10.0));
    let quat = prop::array::uniform4(-2f32..2.0).prop_filter("a direction", |q| q.iter().any(|v| v.abs() > 0.1));
    let colours = (prop::array::uniform3(-4f32..4.0), prop::collection::vec(-4f32..4.0, 45));
    let splat = (geometry, quat, -30f32..15.0, colours);
    let about = (0..=3u8, any::<bool>(), prop::option::of(similarity()));
    (about, prop::collection::vec(splat, 1..most)).prop_map(|((degree, antialiased, placed), splats)| {
        let mut cloud = SplatCloud::with_capacity(splats.len(), degree);
        cloud.antialiased = antialiased;
        cloud.scene_from_world = placed.unwrap_or_else(Similarity::identity);
        for ((mean, scales), quat, opacity, (sh0, rest)) in splats {
            cloud.means.push(mean);
            cloud.log_scales.push(scales);
            cloud.quats.push(quat);
            cloud.opacity_logits.push(opacity);
            cloud.sh0.push(sh0);
            cloud.sh_rest.extend(&rest[..3 * SplatCloud::rest_coefficients(degree)]);
        }
        cloud
    })
}

/// Splats with a different number in every place.
pub(super) fn cloud(n: usize, sh_degree: u8) -> SplatCloud {
    let mut next = 0.0;
    let mut number = || {
        next += 0.25;
        next
    };
    let mut cloud = SplatCloud::with_capacity(n, sh_degree);
    for i in 0..n {
        cloud.means.push([number(), number(), number()]);
        cloud.log_scales.push([-0.5, 0.01 * (i % 100) as f32, 0.5]);
        cloud.quats.push([0.5, 0.5, -0.5, 0.5]);
        cloud.opacity_logits.push(0.1 * (i % 90) as f32 - 4.0);
        cloud.sh0.push([number(), number(), number()]);
        cloud.sh_rest.extend((0..3 * SplatCloud::rest_coefficients(sh_degree)).map(|_| number()));
    }
    cloud
}

pub(super) fn bytes_of(cloud: &SplatCloud) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("a.glb");
    write_splats(&path, cloud, false).expect("write");
    std::fs::read(path).expect("read")
}

pub(super) fn read_bytes(bytes: &[u8]) -> crate::Result<SplatCloud> {
    let (_folder, path) = file("a.glb", bytes);
    read_splats(path)
}

/// Asserts that nothing has changed but what opacities and scales lose as plain numbers, and the lengths of quaternions.
fn assert_same(read: &SplatCloud, written: &SplatCloud) {
    assert_eq!(read.len(), written.len());
    assert_eq!(read.means, written.means, "positions");
    assert_eq!(read.sh0, written.sh0, "colours");
    assert_eq!(read.sh_rest, written.sh_rest, "spherical harmonics");
    for (a, b) in read.log_scales.iter().flatten().zip(written.log_scales.iter().flatten()) {
        // The scale is off by 1.5 units of its last place (2^-24 each) after exp and rounding, which the logarithm
        // turns into as much; it is itself rounded to within a unit in the last place of at most 30.
        assert!((a - b).abs() <= 1.5 * 1.2e-7 + 2e-6, "log scale {a} against {b}");
    }
    for (a, b) in read.opacity_logits.iter().zip(&written.opacity_logits) {
        // d logit = d opacity / (opacity (1 - opacity)), with an error of up to 3 roundings of the opacity.
        let opacity = 1.0 / (1.0 + (-f64::from(*b)).exp());
        let error = 3.0 * 2f64.powi(-24) / (1.0 - opacity) + 4e-6;
        assert!(f64::from((a - b).abs()) <= error, "logit {a} against {b}, more than {error}");
    }
    for (a, b) in read.quats.iter().zip(&written.quats) {
        let length = b.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        for (a, b) in a.iter().zip(b) {
            assert!((f64::from(*a) - f64::from(*b) / length).abs() < 1e-6, "{a} against {b} / {length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn what_is_written_is_read_back(cloud in splats(40)) {
        let read = read_bytes(&bytes_of(&cloud)).expect("read");
        prop_assert_eq!(read.antialiased, cloud.antialiased);
        prop_assert_eq!(read.scene_from_world, cloud.scene_from_world);
        assert_same(&read, &cloud);
        let again = read_bytes(&bytes_of(&read)).expect("read again");
        prop_assert_eq!(again.quats, read.quats, "unit quaternions stay as they are");
    }

    #[test]
    fn a_document_with_its_data_beside_it_holds_the_same(cloud in splats(40), announced in 0..80u64) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a scene.gltf");
        let header = SplatHeader { count: announced, ..SplatHeader::of(&cloud) };
        let mut sink = create_splats(&path, &header, &WriteOptions::default(), Existing::Keep).expect("create");
        sink.put(&cloud).expect("put");
        sink.finish().expect("finish");
        prop_assert_eq!(read_splats(&path).expect("read"), read_bytes(&bytes_of(&cloud)).expect("GLB"));
        let (_, binary) = taken_apart(&bytes_of(&cloud));
        prop_assert_eq!(std::fs::read(folder.path().join("a scene.bin")).expect("data"), binary);
        prop_assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 2);
    }

    #[test]
    fn any_number_of_splats_may_come_whatever_was_announced(
        pieces in prop::collection::vec(1..60usize, 1..6), announced in prop::sample::select(vec![0, 1, 90, 4000, u64::MAX]),
    ) {
        let cloud = cloud(pieces.iter().sum(), 1);
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.glb");
        let header = SplatHeader { count: announced, ..SplatHeader::of(&cloud) };
        let mut sink = create_splats(&path, &header, &WriteOptions::default(), Existing::Keep).expect("create");
        let mut start = 0;
        for n in pieces {
            let mut piece = header.empty_cloud(n);
            piece.append_range(&cloud, start..start + n);
            sink.put(&piece).expect("put");
            start += n;
        }
        sink.finish().expect("finish");
        prop_assert_eq!(std::fs::read(&path).expect("read"), bytes_of(&cloud), "the same file as if the count was known");
    }
}

#[test]
fn a_scene_of_many_chunks_is_read_back() {
    let cloud = cloud(150_000, 0);
    assert_same(&read_bytes(&bytes_of(&cloud)).expect("read"), &cloud);
}

#[test]
fn the_file_says_what_other_programs_expect() {
    let mut cloud = cloud(1, 1);
    cloud.means = vec![[1.0, 2.0, 3.0]];
    cloud.quats = vec![[2.0, 0.0, 0.0, 0.0]];
    cloud.log_scales = vec![[0.0, 2f32.ln(), -1.0]];
    cloud.opacity_logits = vec![0.0];
    cloud.sh0 = vec![[0.0, 10.0, -10.0]];
    cloud.sh_rest = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let (json, binary) = taken_apart(&bytes_of(&cloud));
    let primitive = &json["meshes"][0]["primitives"][0];
    let values = |name: &str| {
        let accessor = &json["accessors"][primitive["attributes"][name].as_u64().expect(name) as usize];
        let view = &json["bufferViews"][accessor["bufferView"].as_u64().expect("view") as usize];
        let [start, length] = ["byteOffset", "byteLength"].map(|key| view[key].as_u64().expect(key) as usize);
        let bytes = &binary[start..start + length];
        match accessor["componentType"].as_u64() {
            Some(5126) => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            _ => bytes.iter().map(|&b| f32::from(b)).collect::<Vec<f32>>(),
        }
    };
    let own = |name: &str| values(&format!("KHR_gaussian_splatting:{name}"));
    assert_eq!(values("POSITION"), [-1.0, -2.0, 3.0], "y is up");
    assert_eq!(json["accessors"][0]["min"], json!([-1.0, -2.0, 3.0]));
    assert_eq!(own("ROTATION"), [0.0, 0.0, 1.0, 0.0], "half a turn about z, as (x, y, z, w)");
    assert_eq!(own("SCALE"), [1.0, 2.0, (-1f32).exp()]);
    assert_eq!(own("OPACITY"), [0.5]);
    assert_eq!(own("SH_DEGREE_0_COEF_0"), [0.0, 10.0, -10.0]);
    assert_eq!(own("SH_DEGREE_1_COEF_0"), [-1.0, -2.0, -3.0], "y");
    assert_eq!(own("SH_DEGREE_1_COEF_1"), [4.0, 5.0, 6.0], "z");
    assert_eq!(own("SH_DEGREE_1_COEF_2"), [-7.0, -8.0, -9.0], "x");
    assert_eq!(values("COLOR_0"), [128.0, 255.0, 0.0, 128.0]);
    assert_eq!(primitive["extensions"]["KHR_gaussian_splatting"]["colorSpace"], "srgb_rec709_display");
    assert_eq!(json["extensionsUsed"], json!(["KHR_gaussian_splatting"]));
    assert_eq!(json["nodes"], json!([{"mesh": 0}]), "nothing is added to a scene that needs no more");
}

#[test]
fn a_document_and_its_data_are_kept_unless_forced_and_appear_together() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let [path, data] = ["a.gltf", "a.bin"].map(|name| folder.path().join(name));
    std::fs::write(&data, "of somebody else").expect("write");
    let error = write_splats(&path, &cloud(3, 0), false).expect_err("in the way").to_string();
    assert!(error.contains("a.bin: exists already, and a.gltf needs a file of that name"), "{error}");
    assert!(!path.exists() && std::fs::read(&data).expect("kept") == b"of somebody else");
    write_splats(&path, &cloud(3, 0), true).expect("forced");
    let error = write_splats(&path, &cloud(4, 0), false).expect_err("in the way").to_string();
    assert!(error.contains("a.gltf: exists already"), "{error}");
    write_splats(&path, &cloud(4, 0), true).expect("forced");
    assert_eq!(read_splats(&path).expect("replaced").len(), 4);
    assert!(write_splats(folder.path().join("b.gltf"), &SplatCloud::with_capacity(0, 0), false).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 2, "nothing else is left");
}

#[test]
fn an_empty_scene_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let error = write_splats(folder.path().join("a.glb"), &SplatCloud::with_capacity(0, 0), false);
    assert!(error.expect_err("empty").to_string().contains("hold no splats"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 0);
}

/// Two splats in the integers that the extension allows, interleaved in rows of 32 bytes: position as 3 x i16
/// (normalised), opacity u8, scale 3 x u16, rotation 4 x i8; then colours.
fn interleaved() -> (Value, Vec<u8>) {
    let mut rows = Vec::new();
    for (position, opacity, scale, rotation) in [
        ([32767i16, -32768, 0], 51u8, [1u16, 2, 3], [0i8, 0, 0, 127]),
        ([16384, 1, 2], 255, [0, 65535, 7], [-128, 0, 127, 0]),
    ] {
        rows.extend(position.map(i16::to_le_bytes).as_flattened());
        rows.extend([opacity, 0]);
        rows.extend(scale.map(u16::to_le_bytes).as_flattened());
        rows.extend([0, 0]);
        rows.extend(rotation.map(i8::to_le_bytes).as_flattened());
        rows.extend([0f32, 1.0, 2.0].map(f32::to_le_bytes).as_flattened());
    }
    let accessor = |offset: u32, component: u32, shape: &str, normalized: bool| {
        json!({"bufferView": 0, "byteOffset": offset, "componentType": component, "count": 2, "type": shape,
            "normalized": normalized})
    };
    let json = json!({
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_gaussian_splatting", "KHR_mesh_quantization"],
        "extensionsRequired": ["KHR_mesh_quantization"],
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"mode": 0, "attributes": {
            "POSITION": 0, "KHR_gaussian_splatting:OPACITY": 1, "KHR_gaussian_splatting:SCALE": 2,
            "KHR_gaussian_splatting:ROTATION": 3, "KHR_gaussian_splatting:SH_DEGREE_0_COEF_0": 4},
            "extensions": {"KHR_gaussian_splatting": {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}}}]}],
        "accessors": [accessor(0, 5122, "VEC3", true), accessor(6, 5121, "SCALAR", true),
            accessor(8, 5123, "VEC3", false), accessor(16, 5120, "VEC4", true), accessor(20, 5126, "VEC3", false)],
        "bufferViews": [{"buffer": 0, "byteLength": 64, "byteStride": 32}],
        "buffers": [{"byteLength": 64}],
    });
    (json, rows)
}

fn check_interleaved(read: &SplatCloud) {
    assert_eq!(read.means, [[-1.0, 1.0, 0.0], [-16384.0 / 32767.0, -1.0 / 32767.0, 2.0 / 32767.0]]);
    assert!((read.opacity_logits[0] - (0.2f32 / 0.8).ln()).abs() < 1e-6, "51 / 255 = 0.2");
    assert_eq!(read.opacity_logits[1], 40.0, "as opaque as can be");
    assert_eq!(read.log_scales, [[1f32, 2.0, 3.0].map(f32::ln), [-40.0, 65535f32.ln(), 7f32.ln()]]);
    assert_eq!(read.quats, [[0.0, 0.0, 0.0, -1.0], [1.0, 0.0, 1.0, 0.0]]);
    assert_eq!(read.sh0, [[0.0, 1.0, 2.0]; 2]);
}

#[test]
fn integers_and_interleaved_attributes_are_understood() {
    let (json, binary) = interleaved();
    check_interleaved(&read_bytes(&glb(&json, &binary)).expect("read"));
}

#[test]
fn data_may_lie_in_a_file_beside_or_in_the_text() {
    let (mut json, binary) = interleaved();
    json["buffers"][0]["uri"] = json!("the%20data.bin");
    let (_folder, path) = file("a.gltf", json.to_string().as_bytes());
    let error = read_splats(&path).expect_err("missing").to_string();
    assert!(error.contains("the data.bin: does not exist, and a.gltf needs it"), "{error}");
    std::fs::write(beside(&path, "the data.bin"), &binary).expect("write");
    check_interleaved(&read_splats(&path).expect("beside"));

    let text = base64::engine::general_purpose::STANDARD.encode(&binary);
    json["buffers"][0]["uri"] = json!(format!("data:application/octet-stream;base64,{text}"));
    let (_folder, path) = file("a.gltf", format!("\u{feff}{json}").as_bytes());
    check_interleaved(&read_splats(&path).expect("embedded"));
}

#[test]
fn nodes_move_turn_and_scale_their_splats() {
    let cloud = cloud(5, 3);
    let (mut json, binary) = taken_apart(&bytes_of(&cloud));
    let node = Similarity::from_parts(
        Translation3::new(1.0, -2.0, 3.0),
        UnitQuaternion::from_euler_angles(0.3, -0.4, 0.5),
        2.0,
    );
    let [x, y, z, w] = node.isometry.rotation.coords.into();
    json["nodes"] = json!([
        {"children": [1], "translation": [1.0, -2.0, 3.0], "rotation": [x, y, z, w]},
        {"mesh": 0, "scale": [2.0, 2.0, 2.0]},
    ]);
    let read = read_bytes(&glb(&json, &binary)).expect("read");
    json["nodes"] = json!([{"mesh": 0, "matrix": node.to_homogeneous().as_slice()}]);
    let by_matrix = read_bytes(&glb(&json, &binary)).expect("read");
    // In the coordinates of the file: half a turn about z before and after.
    let half_turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), std::f64::consts::PI);
    let half_turn = Similarity::from_parts(Translation3::identity(), half_turn, 1.0);
    let moved = cloud.transformed(&(half_turn.inverse() * node * half_turn));
    for read in [read, by_matrix] {
        let pairs = [
            (read.means.as_flattened(), moved.means.as_flattened()),
            (read.sh_rest.as_slice(), moved.sh_rest.as_slice()),
            (read.log_scales.as_flattened(), moved.log_scales.as_flattened()),
        ];
        for (index, (read, moved)) in pairs.into_iter().enumerate() {
            for (a, b) in read.iter().zip(moved) {
                // Sums of at most 7 products, of numbers up to 70, in single precision.
                assert!((a - b).abs() < 70.0 * 7.0 * 1.2e-7, "array {index}: {a} against {b}");
            }
        }
        for (a, b) in read.quats.iter().zip(&moved.quats) {
            let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            assert!((cosine.abs() - 1.0).abs() < 1e-6, "{a:?} against {b:?}");
        }
        let error = (read.scene_from_world.to_homogeneous() - moved.scene_from_world.to_homogeneous()).amax();
        assert!(error < 1e-9, "the world is off by {error}");
    }
}

#[test]
fn primitives_and_nodes_are_joined_to_one_scene() {
    let (mut json, binary) = taken_apart(&bytes_of(&cloud(3, 1)));
    let first = json["meshes"][0]["primitives"][0].clone();
    let mut plain = first.clone();
    let attributes = plain["attributes"].as_object_mut().expect("attributes");
    attributes.retain(|name, _| !name.contains("DEGREE_1"));
    json["meshes"][0]["primitives"] = json!([plain, {"attributes": {"POSITION": 0}, "mode": 0}, first]);
    json["nodes"] = json!([{"mesh": 0}, {"mesh": 0, "translation": [10.0, 20.0, 30.0]}, {"mesh": 0}]);
    json["scenes"] = json!([{"nodes": [0, 1]}]);
    let (_folder, path) = file("a.glb", &glb(&json, &binary));
    let mut source = open_splats(&path).expect("open");
    assert_eq!((source.header().count, source.header().sh_degree), (12, 1));
    let read = collect(source.as_mut()).expect("read");
    assert_eq!(read.len(), 12);
    let one = cloud(3, 1);
    assert_eq!(read.means[3..6], one.means, "the second primitive");
    assert_eq!(read.sh_rest[..27], [0.0; 27], "a primitive of degree 0 has no coefficients of degree 1");
    assert_eq!(read.sh_rest[27..54], one.sh_rest);
    assert_eq!(read.means[6], [one.means[0][0] - 10.0, one.means[0][1] - 20.0, one.means[0][2] + 30.0]);
}

#[test]
fn extras_of_other_programs_are_left_alone() {
    let (mut json, binary) = taken_apart(&bytes_of(&cloud(1, 0)));
    for extras in
        [json!("a note"), json!([1, 2]), json!({"tessera_like": {"antialiased": 3}}), json!({"tessera": null})]
    {
        json["nodes"][0]["extras"] = extras;
        assert!(!read_bytes(&glb(&json, &binary)).expect("read").antialiased);
    }
    json["nodes"][0]["extras"] = json!({"note": 1, "tessera": {"antialiased": true}});
    assert!(read_bytes(&glb(&json, &binary)).expect("read").antialiased);
}

#[test]
fn the_most_extreme_splats_survive() {
    let mut cloud = cloud(2, 0);
    cloud.opacity_logits = vec![200.0, -200.0];
    cloud.log_scales[0] = [200.0, -200.0, -80.0];
    cloud.quats[0] = [0.0; 4];
    let read = read_bytes(&bytes_of(&cloud)).expect("read");
    assert_eq!(read.opacity_logits, [40.0, -40.0]);
    assert_eq!(read.log_scales[0][..2], [f32::MAX.ln(), -40.0]);
    assert!((read.log_scales[0][2] + 80.0).abs() < 1e-5);
    assert_eq!(read.quats[0], [1.0, 0.0, 0.0, 0.0]);
    assert!((Y0 - 0.282_094_79).abs() < 1e-8);
}
