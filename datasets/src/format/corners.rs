//! Vertices from corners: files give the corners of a face a position, a texture coordinate and a normal by three indices,
//! a [`Mesh`] has vertices that have all three.

use crate::scene::Mesh;
use std::collections::HashMap;

/// Indices of a corner's position, texture coordinate and normal; [`NONE`] for what it has not.
pub(super) type Corner = [u32; 3];

/// No texture coordinate, or no normal.
pub(super) const NONE: u32 = u32::MAX;

/// What corners point to, and the triangles between them.
#[derive(Default)]
pub(super) struct Corners {
    /// One entry per position.
    pub(super) positions: Vec<[f32; 3]>,
    /// One entry per position, or none at all.
    pub(super) colours: Vec<[u8; 3]>,
    pub(super) uvs: Vec<[f32; 2]>,
    pub(super) normals: Vec<[f32; 3]>,
    pub(super) triangles: Vec<[Corner; 3]>,
}

impl Corners {
    /// The first corner that points to nothing: which of its indices, and to what.
    pub(super) fn dangling(&self) -> Option<(&'static str, u32)> {
        let counts = [self.positions.len(), self.uvs.len(), self.normals.len()];
        let names = ["vertex", "texture coordinate", "normal"];
        self.triangles.iter().flatten().find_map(|corner| {
            let at = (0..3).find(|&k| corner[k] as usize >= counts[k] && (k == 0 || corner[k] != NONE))?;
            Some((names[at], corner[at]))
        })
    }

    /// A mesh whose first vertices are the positions in their order, followed by what some positions are once more with
    /// another texture coordinate or normal. Corners without a texture coordinate get (0, 0) when others have one; normals
    /// are dropped unless all corners have them. All corners must point to something ([`Self::dangling`]).
    pub(super) fn into_mesh(self) -> Mesh {
        let Self { positions, colours, uvs, normals, triangles } = self;
        let has_uvs = triangles.iter().flatten().any(|corner| corner[1] != NONE);
        let has_normals = !triangles.is_empty() && triangles.iter().flatten().all(|corner| corner[2] != NONE);
        let mut mesh = Mesh { positions, colours, ..Mesh::default() };
        let n = mesh.positions.len();
        let mut first: Vec<Option<[u32; 2]>> = vec![None; n];
        let mut others: HashMap<Corner, u32> = HashMap::new();
        let mut attributes: Vec<[u32; 2]> = vec![[NONE; 2]; n];
        let mut vertex = |corner: Corner| {
            let [position, uv, normal] = corner;
            let own = [uv, if has_normals { normal } else { NONE }];
            match first[position as usize] {
                None => {
                    first[position as usize] = Some(own);
                    attributes[position as usize] = own;
                    position
                }
                Some(taken) if taken == own => position,
                Some(_) => *others.entry([position, own[0], own[1]]).or_insert_with(|| {
                    mesh.positions.push(mesh.positions[position as usize]);
                    if !mesh.colours.is_empty() {
                        mesh.colours.push(mesh.colours[position as usize]);
                    }
                    attributes.push(own);
                    attributes.len() as u32 - 1
                }),
            }
        };
        let triangles = triangles.into_iter().map(|corners| corners.map(&mut vertex)).collect();
        // Of a vertex that no triangle has, files with one of each per vertex still say what it looks like.
        for (vertex, own) in attributes.iter_mut().enumerate().take(n).filter(|(_, own)| **own == [NONE; 2]) {
            *own = [uvs.len(), normals.len()].map(|count| if count == n { vertex as u32 } else { NONE });
        }
        let at = |values: &[[f32; 3]], index: u32| values.get(index as usize).copied().unwrap_or([0.0, 0.0, 1.0]);
        if has_uvs {
            mesh.uvs = attributes.iter().map(|[uv, _]| uvs.get(*uv as usize).copied().unwrap_or_default()).collect();
        }
        if has_normals {
            mesh.normals = attributes.iter().map(|[_, normal]| at(&normals, *normal)).collect();
        }
        mesh.triangles = triangles;
        mesh
    }
}

/// Cuts a polygon into triangles that share its first corner. Polygons should be convex.
pub(super) fn fan<T: Copy>(polygon: &[T]) -> impl Iterator<Item = [T; 3]> + '_ {
    (2..polygon.len()).map(|i| [polygon[0], polygon[i - 1], polygon[i]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_keep_their_order_and_seams_become_new_vertices() {
        let corners = Corners {
            positions: vec![[0.0; 3], [1.0; 3], [2.0; 3], [3.0; 3]],
            uvs: vec![[0.1; 2], [0.2; 2], [0.3; 2]],
            triangles: vec![[[1, 0, NONE], [2, 1, NONE], [3, 2, NONE]], [[1, 0, NONE], [3, 2, NONE], [2, 0, NONE]]],
            ..Corners::default()
        };
        assert_eq!(corners.dangling(), None);
        let mesh = corners.into_mesh();
        assert_eq!(mesh.triangles, [[1, 2, 3], [1, 3, 4]]);
        assert_eq!((mesh.positions[4], mesh.uvs[4], mesh.uvs[0]), ([2.0; 3], [0.1; 2], [0.0; 2]));
        assert!(mesh.is_consistent());
    }

    #[test]
    fn corners_that_point_nowhere_are_named() {
        let with = |corner: Corner| Corners {
            positions: vec![[0.0; 3]; 3],
            triangles: vec![[[0, NONE, NONE], [1, NONE, NONE], corner]],
            ..Corners::default()
        };
        assert_eq!(with([3, NONE, NONE]).dangling(), Some(("vertex", 3)));
        assert_eq!(with([NONE, NONE, NONE]).dangling(), Some(("vertex", NONE)));
        assert_eq!(with([2, 0, NONE]).dangling(), Some(("texture coordinate", 0)));
    }

    #[test]
    fn a_polygon_becomes_a_fan() {
        assert_eq!(fan(&[1, 2, 3, 4]).collect::<Vec<_>>(), [[1, 2, 3], [1, 3, 4]]);
        assert_eq!(fan(&[1, 2]).count(), 0);
    }
}
