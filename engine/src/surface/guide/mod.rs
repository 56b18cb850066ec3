//! What splats know of a surface: about where it is, and what is behind it.
//!
//! A step of a neural surface looks at a few thousand pixels; in the same time splats are compared with a whole photo. So splats come
//! first, for a minute. Their depths, fused, are the distances that the surface begins with: close to the truth but rough, which is what learning from
//! rays mends, and with a known place of the surface it needs few samples a ray. What splats show outside the box is the backdrop of photos that
//! have no masks.
//!
//! - [`fusion`]: from depths to distances; [`sweeping`]: to those far from the surface.
//! - [`backdrop`]: what is behind the box.

pub mod backdrop;
pub mod fusion;
pub mod sweeping;

use super::config::SurfaceConfig;
use crate::frames::FrameSet;
use crate::rays::SceneBox;
use crate::render::SplatPainter;
use crate::splats::SplatsConfig;
use fusion::{DepthMap, DistanceGrid};
use tessera_datasets::scene::SplatCloud;

/// Longest side of the photos that splats learn from: depths need no more.
const RESOLUTION: u32 = 800;
/// Degree of the splats' harmonics.
pub const SH_DEGREE: u8 = 1;

/// How the splats are trained that guide a surface with these settings.
pub fn splats_config(config: &SurfaceConfig) -> SplatsConfig {
    SplatsConfig {
        steps: config.guide_steps,
        max_splats: config.guide_splats,
        resolution: if config.resolution == 0 { RESOLUTION } else { config.resolution.min(RESOLUTION) },
        test_every: config.test_every,
        seed: config.seed,
        sh_degree: SH_DEGREE,
        background: config.background,
        masks: config.masks,
        depth_weight: 0.0,
        refine_poses: config.refine_poses,
        image_cache_mb: config.image_cache_mb,
        ..SplatsConfig::default()
    }
}

/// The distances, in sides of the cube, of the surface that `cloud`, in scene coordinates, shows to the cameras of `frames`; `None` when it
/// shows none.
pub fn distances(cloud: &SplatCloud, frames: &FrameSet, scene_box: &SceneBox) -> Option<DistanceGrid> {
    let mut painter = SplatPainter::new(cloud, &cloud.scene_from_world, [0.0; 3]);
    painter.settings.median_depth = true;
    let of_frame = |i: usize| {
        let (width, height) = frames.size(i, 1);
        let view = frames.view(i, width.max(height).div_ceil(RESOLUTION));
        let depth = painter.paint(&view).median_depth.clone();
        DepthMap { view, depth }
    };
    let maps: Vec<DepthMap> = (0..frames.len()).map(of_frame).collect();
    DistanceGrid::fused(&maps, scene_box)
}
