//! What the readers and writers of meshes promise.

use super::mesh_reader::read;
use crate::format::obj::full_mesh;
use crate::format::{Existing, read_mesh, write_mesh};
use crate::scene::{Material, Mesh};
use proptest::prelude::*;

const SQUARE: &str = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n\
    property uchar red\nproperty uchar green\nproperty uchar blue\nelement face 2\n\
    property list uchar int vertex_indices\nproperty list uchar float texcoord\nend_header\n\
    0 0 0 1 2 3\n1 0 0 4 5 6\n1 1 0 7 8 9\n0 1 0 10 11 12\n3 0 1 2 6 0 0 1 0 1 1\n3 0 2 3 6 0.5 0 1 1 0 1\n";

fn parsed(bytes: &[u8]) -> crate::Result<Mesh> {
    read(bytes, bytes.len() as u64, "a.ply".as_ref()).map(|read| read.mesh)
}

#[test]
fn corners_with_texture_coordinates_of_their_own_become_vertices() {
    let mesh = parsed(SQUARE.as_bytes()).expect("a mesh");
    assert_eq!(mesh.triangles, [[0, 1, 2], [4, 2, 3]]);
    assert_eq!((mesh.uvs[0], mesh.uvs[4], mesh.uvs[2]), ([0.0, 1.0], [0.5, 1.0], [1.0, 0.0]));
    assert_eq!((mesh.colours[4], mesh.positions.len()), ([1, 2, 3], 5));
}

#[test]
fn what_is_written_is_read_back_with_textures() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.ply");
    let mut mesh = full_mesh();
    // PLY has neither.
    mesh.materials[1].colour = [1.0; 4];
    mesh.materials.iter_mut().enumerate().for_each(|(i, m)| m.name = format!("a_{i}"));
    write_mesh(&path, &mesh, Existing::Keep).expect("written");
    let read = read_mesh(&path).expect("read");
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    let mut back = read.mesh;
    for (uv, first) in back.uvs.iter_mut().zip(&mesh.uvs) {
        assert!((uv[1] - first[1]).abs() < 1e-7);
        *uv = *first;
    }
    assert_eq!(back, mesh);
    let plain = Mesh { materials: vec![Material::named("grey")], triangle_materials: Vec::new(), ..mesh };
    write_mesh(&path, &plain, Existing::Replace).expect("written");
    assert_eq!(read_mesh(&path).expect("read").mesh.materials, []);
}

#[test]
fn damaged_meshes_are_refused_in_one_sentence() {
    for (from, to, expected) in [
        ("3 0 1 2 6", "3 0 1 9 6", "refers to vertex 9"),
        ("3 0 1 2 6", "3 0 1 -1 6", "refers to vertex"),
        ("3 0 1 2 6", "300 0 1 2 6", "face row that is too short"),
        ("list uchar int vertex_indices", "list uchar int corners", "without the list 'vertex_indices'"),
        ("property float z", "property float w", "have no property 'z'"),
        ("1 1 0 7", "1 inf 0 7", "not finite at vertex 2"),
        ("element face 2", "element face 3", "ends in the middle of its face rows"),
    ] {
        let error = parsed(SQUARE.replace(from, to).as_bytes()).err();
        let error = error.unwrap_or_else(|| panic!("'{to}' was read")).to_string();
        assert!(error.contains(expected), "{error} instead of {expected}");
    }
}

proptest! {
    #[test]
    fn mutated_meshes_never_panic(
        binary in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut bytes = SQUARE.as_bytes().to_vec();
        if binary {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a.ply");
            write_mesh(&path, &full_mesh(), Existing::Keep).expect("written");
            bytes = std::fs::read(path).expect("bytes");
        }
        edits.iter().for_each(|(at, value)| { let at = at.index(bytes.len()); bytes[at] = *value; });
        if let Ok(mesh) = parsed(&bytes) {
            prop_assert!(mesh.is_consistent());
        }
    }
}
