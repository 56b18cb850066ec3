//! Wavefront OBJ: triangle meshes as text, with materials in an MTL file and textures in picture files beside it.
//!
//! Of MTL, the diffuse colour (`Kd`, `d`) and its texture (`map_Kd`) are kept. Colours of vertices follow their positions,
//! as many programs write them. The comment `# tessera scene_from_world` says where the captured world is, with
//! translation (3), quaternion w x y z (4) and scale (1). In OBJ, texture coordinates begin at the lower left corner.

mod material;
mod read;
mod write;

pub(super) use material::texture_beside;
pub(super) use read::read;
pub(super) use write::{beside, write};

#[cfg(test)]
pub(super) use tests::full_mesh;

#[cfg(test)]
mod tests;

const SCENE_FROM_WORLD: &str = "tessera scene_from_world";
