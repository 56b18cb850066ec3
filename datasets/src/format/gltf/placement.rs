//! Which meshes a glTF file shows, and where: its tree of nodes (glTF 2.0, section 3.5).

use super::document::{Document, at};
use super::json::Node;
use crate::Result;
use nalgebra::{Matrix4, Quaternion, Scale3, Translation3, UnitQuaternion, Vector3};
use std::collections::BTreeMap;

/// A mesh at a place.
pub(super) struct Placed<'a> {
    /// Index of the mesh.
    pub mesh: u32,
    /// What places it; `None` in a file without nodes.
    pub node: Option<&'a Node>,
    /// From the coordinates of the mesh to those of the scene: affine, finite.
    pub scene_from_mesh: Matrix4<f64>,
}

/// Scales of nodes by their index, in place of those that the file gives them.
pub(super) type Scales = BTreeMap<u32, [f64; 3]>;

/// All meshes of the scene that the file shows first. A file without scenes shows all its nodes, and one without nodes
/// all its meshes.
///
/// # Errors
/// When nodes refer to nodes that are missing, have several parents, or are their own ancestors, or a transformation
/// is not finite.
pub(super) fn placed(document: &Document) -> Result<Vec<Placed<'_>>> {
    found(document, None)
}

/// As [`placed`], with other scales, and without what is scaled to nothing, as glTF allows: so animations hide meshes.
///
/// # Errors
/// As [`placed`].
pub(super) fn shown<'a>(document: &'a Document, scales: &Scales) -> Result<Vec<Placed<'a>>> {
    found(document, Some(scales))
}

fn found<'a>(document: &'a Document, scales: Option<&Scales>) -> Result<Vec<Placed<'a>>> {
    let root = &document.root;
    if root.nodes.is_empty() {
        let meshes = 0..u32::try_from(root.meshes.len()).unwrap_or(u32::MAX);
        return Ok(meshes.map(|mesh| Placed { mesh, node: None, scene_from_mesh: Matrix4::identity() }).collect());
    }
    let scene = at(&root.scenes, root.scene.unwrap_or(0));
    let first = match scene {
        Some(scene) => scene.nodes.to_vec(),
        None if root.scenes.is_empty() => roots(&root.nodes),
        None => return Err(document.bad("shows a scene that it does not have")),
    };
    let mut found = Vec::new();
    let mut seen = vec![false; root.nodes.len()];
    let mut waiting: Vec<(u32, Matrix4<f64>)> =
        first.into_iter().rev().map(|node| (node, Matrix4::identity())).collect();
    while let Some((index, scene_from_parent)) = waiting.pop() {
        let node = at(&root.nodes, index)
            .ok_or_else(|| document.bad(format!("has no node {index}, though it refers to it")))?;
        if std::mem::replace(&mut seen[index as usize], true) {
            return Err(document.bad(format!("has a node {index} that is in several places of its tree")));
        }
        let scale = scales.and_then(|scales| scales.get(&index).copied()).or(node.scale).unwrap_or([1.0; 3]);
        if scales.is_some() && node.matrix.is_none() && scale == [0.0; 3] {
            continue;
        }
        let scene_from_mesh = scene_from_parent * local(node, scale);
        if !scene_from_mesh.iter().all(|v| v.is_finite()) {
            return Err(document.bad(format!("places node {index} by numbers that are too large")));
        }
        if let Some(mesh) = node.mesh {
            found.push(Placed { mesh, node: Some(node), scene_from_mesh });
        }
        waiting.extend(node.children.iter().rev().map(|&child| (child, scene_from_mesh)));
    }
    Ok(found)
}

fn roots(nodes: &[Node]) -> Vec<u32> {
    let mut has_parent = vec![false; nodes.len()];
    for &child in nodes.iter().flat_map(|node| node.children.iter()) {
        if let Some(entry) = has_parent.get_mut(child as usize) {
            *entry = true;
        }
    }
    (0..).zip(has_parent).filter(|(_, has_parent)| !has_parent).map(|(index, _)| index).collect()
}

/// From a node's own coordinates to those of its parent.
fn local(node: &Node, scale: [f64; 3]) -> Matrix4<f64> {
    if let Some(columns) = &node.matrix {
        return Matrix4::from_column_slice(columns);
    }
    let [x, y, z, w] = node.rotation.unwrap_or([0.0, 0.0, 0.0, 1.0]);
    let rotation = UnitQuaternion::try_new(Quaternion::new(w, x, y, z), 1e-9).unwrap_or_default();
    let translation = Translation3::from(Vector3::from(node.translation.unwrap_or_default()));
    let scale = Scale3::from(Vector3::from(scale));
    translation.to_homogeneous() * rotation.to_homogeneous() * scale.to_homogeneous()
}
