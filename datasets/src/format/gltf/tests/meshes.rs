//! Meshes in glTF files.

use super::{file, glb, taken_apart};
use crate::format::obj::full_mesh;
use crate::format::{Existing, read_mesh, write_mesh};
use crate::scene::{Material, Mesh};
use proptest::prelude::*;
use serde_json::{Value, json};

fn bytes_of(mesh: &Mesh) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.glb");
    write_mesh(&path, mesh, Existing::Keep).expect("written");
    std::fs::read(path).expect("bytes")
}

fn read_bytes(bytes: &[u8]) -> crate::Result<Mesh> {
    let (_folder, path) = file("a.glb", bytes);
    read_mesh(path).map(|read| read.mesh)
}

/// Coordinates of [`full_mesh`] reach 10⁶; here they are small enough for transformations to be compared.
fn small_mesh() -> Mesh {
    let mut mesh = full_mesh();
    mesh.positions[2] = [0.0, 0.5, 2.0];
    mesh
}

#[test]
fn what_is_written_is_read_back_bit_for_bit() {
    let full = full_mesh();
    let plain = Mesh { materials: Vec::new(), triangle_materials: Vec::new(), uvs: Vec::new(), ..full.clone() };
    let points = Mesh { triangles: Vec::new(), normals: Vec::new(), ..plain.clone() };
    let one = Mesh { triangle_materials: Vec::new(), materials: vec![Material::named("stone")], ..full.clone() };
    for mesh in [full, plain, points, one] {
        assert_eq!(read_bytes(&bytes_of(&mesh)).expect("read"), mesh);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.gltf");
        write_mesh(&path, &mesh, Existing::Keep).expect("written");
        assert!(folder.path().join("a.bin").exists());
        assert_eq!(read_mesh(&path).expect("read").mesh, mesh);
    }
    let empty = write_mesh("nowhere.glb", &Mesh::default(), Existing::Keep).expect_err("no vertices").to_string();
    assert!(empty.contains("no vertices"), "{empty}");
}

#[test]
fn every_colour_survives_linear_light() {
    let colours: Vec<[u8; 3]> = (0..=255).map(|c| [c, 255 - c, c / 2]).collect();
    let mesh = Mesh { positions: vec![[0.0; 3]; 256], colours, ..Mesh::default() };
    assert_eq!(read_bytes(&bytes_of(&mesh)).expect("read").colours, mesh.colours);
}

#[test]
fn nodes_place_meshes_and_mirrored_ones_face_outwards() {
    let mesh = Mesh { scene_from_world: crate::camera::Similarity::identity(), ..small_mesh() };
    let (mut json, binary) = taken_apart(&bytes_of(&mesh));
    json["nodes"] = json!([{"scale": [-2, 1, 1], "children": [1]}, {"mesh": 0, "translation": [1, 0, 0]}]);
    let placed = read_bytes(&glb(&json, &binary)).expect("read");
    let p = mesh.positions[1];
    assert_eq!(placed.positions[1], [-2.0 * (p[0] + 1.0), p[1], p[2]]);
    assert_eq!(placed.triangles[0], [0, 2, 1]);
    assert!(placed.normals[1] == [-1.0, 0.0, 0.0] && (placed.normals[0][1] - 0.6).abs() < 1e-6);
}

#[test]
fn strips_and_fans_become_triangles() {
    let mesh = Mesh {
        positions: (0..5).map(|i| [i as f32, 0.0, 0.0]).collect(),
        triangles: vec![[0, 1, 2]],
        ..Mesh::default()
    };
    let (json, binary) = taken_apart(&bytes_of(&mesh));
    let read = |mode: u32| {
        let mut json = json.clone();
        let primitive = json.pointer_mut("/meshes/0/primitives/0").expect("there");
        primitive["mode"] = json!(mode);
        primitive.as_object_mut().expect("an object").remove("indices");
        read_bytes(&glb(&json, &binary)).expect("read").triangles
    };
    assert_eq!(read(5), [[0, 1, 2], [1, 3, 2], [2, 3, 4]]);
    assert_eq!(read(6), [[1, 2, 0], [2, 3, 0], [3, 4, 0]]);
    assert_eq!(read(4), [[0, 1, 2]]);
}

#[test]
fn damaged_meshes_are_refused_in_one_sentence() {
    let spoilt = |spoil: &dyn Fn(&mut Value)| {
        let (mut json, binary) = taken_apart(&bytes_of(&small_mesh()));
        spoil(&mut json);
        read_bytes(&glb(&json, &binary)).expect_err("damaged").to_string()
    };
    let set = |pointer: &'static str, value: Value| {
        move |json: &mut Value| *json.pointer_mut(pointer).expect("there") = value.clone()
    };
    assert!(spoilt(&set("/meshes/0/primitives/0/material", json!(9))).contains("no material 9"));
    assert!(spoilt(&set("/meshes/0/primitives/0/indices", json!(0))).contains("VEC3 where a SCALAR"));
    assert!(
        spoilt(&|json| json["meshes"][0]["primitives"] = json!([{"attributes": {"POSITION": 0}, "mode": 1}]))
            .contains("neither triangles nor points")
    );
    for attribute in ["POSITION", "NORMAL"] {
        let fewer = spoilt(&|json| {
            let accessor = json["meshes"][0]["primitives"][0]["attributes"][attribute].as_u64().expect("an accessor");
            json["accessors"][accessor as usize]["count"] = json!(1);
        });
        assert!(fewer.contains("attributes differ in number"), "{attribute}: {fewer}");
    }
    let bare = json!([{"attributes": {"POSITION": 0}, "indices": 4}]);
    let dangling = spoilt(&|json| {
        json["meshes"][0]["primitives"] = bare.clone();
        json["accessors"][0]["count"] = json!(2);
    });
    assert!(dangling.contains("refers to vertex 2 of 2"), "{dangling}");
    let many: Vec<Value> = (0..500).map(|_| json!({"mesh": 0})).collect();
    let shown = spoilt(&|json| {
        json["nodes"] = json!(many);
        json["scenes"] = json!([{"nodes": (0..500).collect::<Vec<u32>>()}]);
    });
    assert!(shown.contains("more vertices than it has bytes"), "{shown}");
}

#[test]
fn a_texture_that_is_missing_is_a_warning() {
    let (mut json, binary) = taken_apart(&bytes_of(&small_mesh()));
    json["images"][0] = json!({"uri": "gone.png"});
    let (_folder, path) = file("a.glb", &glb(&json, &binary));
    let read = read_mesh(path).expect("a mesh");
    assert!(read.warnings.len() == 1 && read.warnings[0].contains("'bark'"), "{:?}", read.warnings);
    assert_eq!(read.mesh.materials[0].texture, None);
}

proptest! {
    #[test]
    fn mutated_meshes_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)) {
        let mut bytes = bytes_of(&small_mesh());
        edits.iter().for_each(|(at, value)| { let at = at.index(bytes.len()); bytes[at] = *value; });
        if let Ok(mesh) = read_bytes(&bytes) {
            prop_assert!(mesh.is_consistent());
        }
    }
}
