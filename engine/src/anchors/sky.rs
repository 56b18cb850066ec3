//! The sky of a scene in blocks of anchors: one shell for all of them, as for splats ([`crate::blocks::sky`]). Each block learns what its photos see of it, and
//! of each direction the block is kept that most photos show it to.

use super::Block;
use super::config::AnchorsConfig;
use crate::Result;
use crate::blocks::Plan;
use crate::blocks::sky::Sky;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_datasets::format::tiles::StartCamera;

/// One in so many anchors may be one of the sky at first.
const SHARE: usize = 10;

/// What is so far away that it is the sky, in scene coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) struct FarAway {
    centre: [f32; 3],
    distance: f32,
}

impl FarAway {
    /// Whether a place is part of the sky.
    pub fn has(&self, place: [f32; 3]) -> bool {
        let squared: f32 = place.iter().zip(self.centre).map(|(x, c)| (x - c).powi(2)).sum();
        squared > self.distance.powi(2)
    }
}

/// The shell, and whose each direction is.
#[derive(Clone, Debug)]
pub(super) struct AnchorSky {
    of_blocks: Sky,
    pub far: FarAway,
}

impl AnchorSky {
    pub fn of(capture: &Capture, plan: &Plan) -> Self {
        let of_blocks = Sky::of(capture, plan);
        let (centre, distance) = of_blocks.shell.near();
        let centre = capture.scene_from_world * nalgebra::Point3::from(centre);
        let distance = (distance * capture.scene_from_world.scaling()) as f32;
        Self { of_blocks, far: FarAway { centre: centre.coords.map(|x| x as f32).into(), distance } }
    }

    /// Where to begin looking from, and up there.
    pub fn start(&self) -> Option<(StartCamera, [f32; 3])> {
        self.of_blocks.start
    }

    /// The block that a place in the world belongs to if it is part of the sky.
    pub fn owner(&self, world: [f64; 3]) -> Option<usize> {
        self.of_blocks.owner(world)
    }

    /// Adds to a block what its photos see of the sky.
    ///
    /// # Errors
    /// When a photo cannot be read.
    pub fn add_to(&self, block: &mut Block, config: &AnchorsConfig, scene_from_world: &Similarity) -> Result<()> {
        let most = config.max_anchors / SHARE;
        let seen = self.of_blocks.shell.seen_by(&block.frames, scene_from_world, most)?;
        block.model.add(&seen.places, seen.spacing);
        block.statistics.resize(block.model.len(), config.offsets);
        Ok(())
    }
}
