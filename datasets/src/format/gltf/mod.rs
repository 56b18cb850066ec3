//! glTF 2.0, in one file (`.glb`) or as JSON (`.gltf`) with its data beside it; data inside of the JSON is read.
//!
//! Splats are stored by the Khronos extension `KHR_gaussian_splatting`: one primitive of points whose attributes are
//! named after the extension, with opacities and scales as such (not as logit and logarithm) and quaternions (x, y, z, w).
//!
//! **Coordinates.** glTF has y up; splat files have y down by tradition. Splats are turned by half a turn about z on
//! their way in and out, as the PlayCanvas programs do, so that they stand upright and in the same place there as a
//! PLY file does. Half a turn changes nothing but signs, so that nothing is lost.
//!
//! **Meshes** keep their coordinates as they are: other mesh formats say no more than glTF does where things came from, and
//! programs copy them as well.
//!
//! **Meshes of several moments** are one mesh and one node each, of which an animation shows one after the other: it scales all others
//! to nothing, in steps. Programs that play glTF files play that. What a moment needs lies together in the file.
//!
//! In the extras of the node, the key `tessera` keeps what glTF has no place for: `antialiased`, and `scene_from_world`
//! into the coordinates of the node.

mod accessor;
mod container;
mod document;
mod half_turn;
mod json;
mod mesh_reader;
mod mesh_writer;
mod placement;
mod sequence_reader;
mod sequence_writer;
mod splat_reader;
mod splat_writer;
mod uri;

pub(super) use container::data_file;
pub(super) use mesh_reader::{contents, read_mesh};
pub(super) use mesh_writer::write_mesh;
pub(super) use sequence_reader::Animated;
pub use sequence_reader::SequencePlaces;
pub use sequence_writer::SequenceWriter;
pub(super) use splat_reader::open_splats;
pub(super) use splat_writer::create_splats;

#[cfg(test)]
mod tests;

use crate::camera::Similarity;
use serde::{Deserialize, Serialize};

/// The name of the extension, and the beginning of the names of its attributes.
const EXTENSION: &str = "KHR_gaussian_splatting";
/// Colours as splat files have them: sRGB-encoded, as a screen shows them.
const DISPLAY_COLOURS: &str = "srgb_rec709_display";

/// `extras` of a node.
#[derive(Default, Deserialize, Serialize)]
struct Extras {
    tessera: Option<SplatExtras>,
}

/// What glTF has no place for.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
struct SplatExtras {
    antialiased: bool,
    /// Into the coordinates of the node, which are glTF's.
    scene_from_world: Option<Placement>,
}

/// A similarity as glTF writes transformations.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Placement {
    translation: [f64; 3],
    /// (x, y, z, w).
    rotation: [f64; 4],
    scale: f64,
}

impl Placement {
    fn of(similarity: &Similarity) -> Self {
        let rotation = similarity.isometry.rotation;
        Self {
            translation: similarity.isometry.translation.vector.into(),
            rotation: [rotation.i, rotation.j, rotation.k, rotation.w],
            scale: similarity.scaling(),
        }
    }

    /// `None` when the numbers are none of a similarity.
    fn similarity(&self) -> Option<Similarity> {
        let ([tx, ty, tz], [x, y, z, w]) = (self.translation, self.rotation);
        crate::format::placement::from_numbers([tx, ty, tz, w, x, y, z, self.scale])
    }
}

/// The parts of attribute names after the extension's, one per coefficient of the degrees from 0 to `sh_degree`.
fn harmonics_attributes(sh_degree: u8) -> impl Iterator<Item = String> {
    (0..=sh_degree).flat_map(|degree| (0..=2 * degree).map(move |i| format!("SH_DEGREE_{degree}_COEF_{i}")))
}
