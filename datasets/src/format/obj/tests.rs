//! What the OBJ reader and writer promise.

use super::read::parse;
use crate::camera::Similarity;
use crate::format::{Existing, read_mesh, write_mesh};
use crate::image::Image8;
use crate::scene::{Material, Mesh, Texture};
use nalgebra::{Translation3, UnitQuaternion};
use proptest::prelude::*;
use std::path::Path;

const CUBE_CORNER: &str = "# comment\nmtllib none.mtl\nv 0 0 0\nv 1 0 0 # x\nv 0 1 0\nv 0 0 1\nvt 0.25 0.75\nvt 1 1 0\nvt 0 0\n\
    vn 0 0 1\ng side\nusemtl red paint\ns off\nf 1/1/1 2/2/1 3/3/1\nusemtl blue\nf -4/-3/-1 -2/-1/-1 \\\n-1/-2/-1\n";

fn parsed(text: &str) -> crate::Result<Mesh> {
    parse(text.as_bytes(), "a.obj".as_ref()).map(|read| read.mesh)
}

/// Two triangles of two materials, with everything that a mesh can have.
pub(in crate::format) fn full_mesh() -> Mesh {
    let picture = Image8 { data: (0..48).collect(), ..Image8::new(4, 4, 3) };
    let texture = Texture::new(&picture, Path::new("made")).expect("a picture");
    let turn = UnitQuaternion::from_euler_angles(0.1, 0.2, 0.3);
    Mesh {
        positions: vec![[0.1, 0.2, 0.3], [1.5, 0.0, -1.0], [0.0, 1e-7, 1e6], [3.0, 3.0, 3.0]],
        normals: vec![[0.0, 0.6, 0.8], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]],
        colours: vec![[0, 127, 255], [1, 2, 3], [254, 253, 13], [99, 100, 101]],
        uvs: vec![[0.25, 0.5], [1.0, 0.0], [0.0, 1.0], [0.75, 0.125]],
        triangles: vec![[0, 1, 2], [1, 3, 2]],
        materials: vec![
            Material { texture: Some(texture.clone()), ..Material::named("bark") },
            Material { colour: [0.25, 0.5, 0.125, 0.75], texture: Some(texture), ..Material::named("leaf") },
        ],
        triangle_materials: vec![0, 1],
        scene_from_world: Similarity::from_parts(Translation3::new(1.0, 2.0, 3.0), turn, 2.5),
    }
}

#[test]
fn polygons_negative_indices_and_continued_lines_are_read() {
    let mesh = parsed(CUBE_CORNER).expect("a mesh");
    assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
    assert_eq!((mesh.uvs[0], mesh.uvs[1], mesh.normals[3]), ([0.25, 0.25], [1.0, 0.0], [0.0, 0.0, 1.0]));
    assert_eq!(mesh.materials.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["red paint", "blue"]);
    assert_eq!(mesh.triangle_materials, [0, 1]);
    let read = parse(CUBE_CORNER.as_bytes(), "a.obj".as_ref()).expect("a mesh");
    assert!(read.warnings.len() == 1 && read.warnings[0].contains("none.mtl"), "{:?}", read.warnings);
}

#[test]
fn vertices_with_colours_and_no_faces_are_a_point_cloud() {
    let mesh = parsed("v 1 2 3 1 0.5 0\nv 4 5 6 0 0 0.2\n").expect("points");
    assert_eq!((&mesh.colours[..], mesh.triangles.len()), (&[[255, 128, 0], [0, 0, 51]][..], 0));
    assert_eq!(parsed("v 1 2 3 255 128 0\n").expect("points").colours, [[255, 128, 0]]);
}

#[test]
fn damaged_files_are_refused_with_their_line() {
    for (text, expected) in [
        ("", "has no vertices"),
        ("v 1 2\n", "a vertex of 2 numbers in line 1"),
        ("v 1 2 three\n", "'three' where a number belongs in line 1"),
        ("v 1 2 NaN\n", "'NaN' where a number"),
        ("v 1 2 3\nf 1 2 3\n", "refers to vertex 2"),
        ("v 1 2 3\nf 1 1 0\n", "corner '0' in line 2"),
        ("v 1 2 3\nf 1/4 1/4 1/4\n", "refers to texture coordinate 4"),
        ("v 1 2 3\nf -2 1 1\n", "corner '-2'"),
        ("v 1 2 3\n# tessera scene_from_world 1 2\n", "a damaged placement in line 2"),
    ] {
        let error = parsed(text).err().unwrap_or_else(|| panic!("'{text}' was read")).to_string();
        assert!(error.contains(expected), "{error} instead of {expected}");
    }
}

#[test]
fn what_is_written_is_read_back_with_materials_and_textures() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a tree.obj");
    let mesh = full_mesh();
    write_mesh(&path, &mesh, Existing::Keep).expect("written");
    let read = read_mesh(&path).expect("read");
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    let mut back = read.mesh;
    assert_eq!(back.materials[1].name, "leaf_1");
    back.materials.iter_mut().zip(&mesh.materials).for_each(|(back, first)| back.name.clone_from(&first.name));
    // Turned upside down twice: 1 - (1 - v) may round.
    for (uv, first) in back.uvs.iter_mut().zip(&mesh.uvs) {
        assert!((uv[1] - first[1]).abs() < 1e-7);
        *uv = *first;
    }
    assert_eq!(back, mesh);

    let error = write_mesh(&path, &mesh, Existing::Keep).expect_err("in the way").to_string();
    assert!(error.contains("exists already"), "{error}");
    std::fs::remove_file(&path).expect("removed");
    let error = write_mesh(&path, &mesh, Existing::Keep).expect_err("its textures are in the way").to_string();
    assert!(error.contains("a_tree_0.png") && error.contains("a tree.obj needs"), "{error}");
    assert!(!path.exists());
}

#[test]
fn textures_outside_of_the_folder_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder");
    std::fs::write(folder.path().join("secret.png"), b"not yours").expect("written");
    std::fs::write(inner.join("a.mtl"), "newmtl m\nmap_Kd ../secret.png\nnewmtl n\nmap_Kd /etc/passwd\n")
        .expect("written");
    std::fs::write(inner.join("a.obj"), "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n")
        .expect("written");
    let read = read_mesh(inner.join("a.obj")).expect("a mesh");
    assert_eq!(read.mesh.materials[0].texture, None);
    assert!(
        read.warnings.len() == 2 && read.warnings.iter().all(|w| w.contains("not in the folder")),
        "{:?}",
        read.warnings
    );
}

proptest! {
    #[test]
    fn mutated_files_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)) {
        let mut bytes = CUBE_CORNER.as_bytes().to_vec();
        edits.iter().for_each(|(at, value)| { let at = at.index(bytes.len()); bytes[at] = *value; });
        if let Ok(read) = parse(&bytes, "a.obj".as_ref()) {
            prop_assert!(read.mesh.is_consistent());
        }
    }
}
