//! Meshes and point clouds, taken apart by the page's script.

use super::WebViewer;
use crate::renderer::{MeshData, MeshPart, SurfaceId, TextureData};
use crate::streamed::Surroundings;
use wasm_bindgen::prelude::*;

/// A mesh on the graphics device.
pub(super) struct Shown {
    id: SurfaceId,
    /// What is counted: triangles or points.
    pub kind: &'static str,
    /// How many.
    pub count: usize,
}

/// A mesh that is put together from the arrays of a GLB file.
#[wasm_bindgen]
#[derive(Default)]
pub struct MeshBuilder {
    pub(super) mesh: MeshData,
}

#[wasm_bindgen]
impl MeshBuilder {
    /// Nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes vertices: `positions` and `normals` `[N, 3]`, `colours` `[N, 4]` in linear light and 16 bits, `uvs` `[N, 2]`; all but
    /// positions may be empty.
    ///
    /// # Errors
    /// When there are more or fewer of something than vertices.
    pub fn set_vertices(
        &mut self,
        positions: &[f32],
        normals: &[f32],
        colours: &[u16],
        uvs: &[f32],
    ) -> Result<(), JsError> {
        let n = positions.len() / 3;
        let fits = |length: usize, width: usize| length == 0 || length == width * n;
        if !(fits(positions.len(), 3) && fits(normals.len(), 3) && fits(colours.len(), 4) && fits(uvs.len(), 2)) {
            return Err(JsError::new("it has more or fewer attributes than vertices"));
        }
        self.mesh.positions = positions.as_chunks().0.to_vec();
        self.mesh.normals = normals.as_chunks().0.to_vec();
        self.mesh.uvs = uvs.as_chunks().0.to_vec();
        self.mesh.colours = colours.as_chunks().0.iter().map(|&[r, g, b, _]| [r, g, b].map(encoded)).collect();
        Ok(())
    }

    /// Adds triangles, three indices each, of one material, whose colour is red, green, blue and opacity in linear light.
    pub fn add_part(&mut self, indices: &[u32], colour: &[f32]) {
        let colour = colour.try_into().ok();
        self.mesh.parts.push(MeshPart { triangles: indices.as_chunks().0.to_vec(), colour, texture: None });
    }

    /// Gives the triangles that were added last a picture, `[height, width, 4]`.
    pub fn set_texture(&mut self, width: u32, height: u32, rgba: Vec<u8>) {
        if let Some(part) = self.mesh.parts.last_mut() {
            part.texture = Some(TextureData { size: [width, height], rgba });
        }
    }
}

#[wasm_bindgen]
impl WebViewer {
    /// Shows a mesh, or a point cloud when it has no triangles, in place of the one before.
    ///
    /// # Errors
    /// When it contradicts itself, or is too large for the device.
    pub fn set_mesh(&mut self, builder: MeshBuilder) -> Result<(), JsError> {
        let mesh = builder.mesh;
        let id = self.renderer.add_mesh(&mesh)?;
        let triangles = mesh.parts.iter().map(|part| part.triangles.len()).sum();
        let (kind, count) = if triangles > 0 { ("triangles", triangles) } else { ("points", mesh.positions.len()) };
        if let Some(old) = self.mesh.replace(Shown { id, kind, count }) {
            self.renderer.remove_mesh(old.id);
        }
        if let Some(surroundings) = Surroundings::of_surfaces(&mesh.positions) {
            // Meshes have y upwards by custom.
            self.find_home(surroundings, Some([0.0, 1.0, 0.0]), None);
        }
        Ok(())
    }
}

/// A colour in linear light and 16 bits, as sRGB in 8 bits.
fn encoded(linear: u16) -> u8 {
    let linear = f32::from(linear) / 65_535.0;
    let encoded = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
    (255.0 * encoded).round() as u8
}
