//! The scenes: each file puts together one from geometry, materials and light.

mod animated;
pub(super) mod object;
mod room;
pub(super) mod still_life;
mod terrain;

use super::geometry::{Mesh, Place};
use super::light::Lighting;
use super::render::Scene;
use super::texture::Material;
use super::{FRAME_RATE, Options, SceneKind};

/// The scene at a time step.
pub(super) fn build(kind: SceneKind, options: &Options, time_step: u32) -> Scene {
    match kind {
        SceneKind::StillLife => still_life::build(options),
        SceneKind::Room => room::build(options),
        SceneKind::Terrain => terrain::build(options),
        SceneKind::Object => object::build(options),
        SceneKind::Animated => animated::build(options, (f64::from(time_step) / FRAME_RATE) as f32),
    }
}

/// Collects objects.
#[derive(Default)]
struct Builder {
    mesh: Mesh,
    materials: Vec<Material>,
}

impl Builder {
    /// Registers a material and returns its number.
    fn material(&mut self, material: Material) -> u32 {
        self.materials.push(material);
        self.materials.len() as u32 - 1
    }

    fn put(&mut self, mesh: &Mesh, place: Place) {
        self.mesh.add(mesh, &place);
    }

    fn finish(self, lighting: Lighting) -> Scene {
        Scene { mesh: self.mesh, materials: self.materials, lighting }
    }
}
