//! Plain data types that the readers, the methods and the viewer share, and what is done to them.

pub mod box_tree;
mod bulk;
#[cfg(feature = "files")]
mod floaters;
#[cfg(feature = "files")] // its textures are encoded images
mod mesh;
mod morton;
mod nearest;
mod select;
mod simplify;
mod spherical_harmonics;
mod splat_cloud;
pub mod tile_tree;
mod time_hierarchy;
mod transform;
mod views;
mod volumetric_video;

pub use bulk::{Bulk, NEAR, Subject};
#[cfg(feature = "files")]
pub use floaters::{FloaterReason, FloaterReport, Floaters, find_floaters};
#[cfg(feature = "files")]
pub use mesh::{Material, Mesh, Texture, TextureKind};
pub use morton::morton_order;
pub use nearest::{NOBODY, NearestPoints, Neighbour};
pub(crate) use simplify::total_mass;
pub use simplify::{Simplified, simplify_and_measure, simplify_to};
pub use spherical_harmonics::{HarmonicsRotation, Y0, basis};
pub use splat_cloud::SplatCloud;
pub use time_hierarchy::{Place, TimeHierarchy};
pub use transform::SplatTransform;
pub use views::{Frusta, camera_from_scene};
pub use volumetric_video::{MovingSplats, Timeline, VolumetricVideo};
