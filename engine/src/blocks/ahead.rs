//! What the next block needs first, brought while the one before takes its last steps: the photos that it looks at first are decoded,
//! and its checkpoint is read once, so that the system has it at hand.
//!
//! All blocks of a process look at photos through one cache, so one that both of two blocks look at stays decoded.

use super::plan::Plan;
use crate::frames::{FrameSet, LOOKAHEAD, Sampler, SamplerState, Split};
use crate::splats::{SplatsConfig, schedule};
use crate::target::with_masks;
use crate::train::{Event, Outcome, RunFolder};
use crate::{Error, Result};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::capture::Capture;
use tessera_datasets::image::ImageCache;

/// The share of a block's steps after which it is time for the next one.
const DUE: f64 = 0.9;

/// A cache for the photos of all blocks, which keeps no more than those of the block that has the most.
pub(super) fn shared_photos(capture: &Capture, plan: &Plan, config: &SplatsConfig) -> Arc<ImageCache> {
    let limit = if config.resolution > 0 { f64::from(config.resolution) } else { f64::INFINITY };
    let bytes_of = |width: u32, height: u32| {
        let scale = (limit / f64::from(width.max(height))).min(1.0);
        3.0 * (f64::from(width) * scale).ceil() * (f64::from(height) * scale).ceil()
    };
    let largest = capture.frames.iter().map(|frame| bytes_of(frame.camera.width, frame.camera.height));
    let photos = plan.blocks.iter().map(|block| block.photos.len()).max().unwrap_or(0);
    let most = largest.fold(0.0, f64::max) * photos as f64 / f64::from(1 << 20);
    let split = config.split();
    Split { image_cache_mb: split.image_cache_mb.min(most.ceil() as usize), ..split }.cache(capture)
}

/// Trains a block by `train`, which sends its events to what it gets; what `next` names is brought beside its last steps.
pub(super) fn train_before<'n>(
    next: impl FnOnce() -> Option<Next<'n>>,
    events: &mut dyn FnMut(Event),
    stop: &AtomicBool,
    train: impl FnOnce(&mut dyn FnMut(Event)) -> Result<Outcome>,
) -> Result<Outcome> {
    let mut next = Some(next);
    std::thread::scope(|scope| {
        train(&mut |event| {
            if let Event::Step { step, total, .. } = event
                && step as f64 >= DUE * total as f64
                && let Some(next) = next.take().and_then(|next| next())
            {
                scope.spawn(move || next.bring(stop));
            }
            events(event);
        })
    })
}

/// The block that is next.
pub(super) struct Next<'a> {
    pub capture: &'a Capture,
    pub plan: &'a Plan,
    /// Its number in the plan.
    pub block: usize,
    pub config: SplatsConfig,
    /// Its run folder.
    pub folder: PathBuf,
    pub photos: &'a Arc<ImageCache>,
}

impl Next<'_> {
    /// Brings what it needs, or a part of it when `stop` becomes true. What fails is said when it is the block's turn.
    pub fn bring(&self, stop: &AtomicBool) {
        // Nobody is waiting for this.
        drop(self.read_checkpoint().and_then(|steps| self.decode_photos(steps, stop)));
    }

    /// How many steps its checkpoint has.
    fn read_checkpoint(&self) -> Result<u64> {
        let Some(step) = RunFolder::newest_step(&self.folder) else { return Ok(0) };
        let path = RunFolder::checkpoints_at(&self.folder).path_of(step);
        let copied = File::open(&path).and_then(|mut file| std::io::copy(&mut file, &mut std::io::sink()));
        copied.map(|_| step).map_err(|e| Error::read(&path, &e))
    }

    /// The photos that it looks at after so many steps, of which each takes one.
    fn decode_photos(&self, steps: u64, stop: &AtomicBool) -> Result<()> {
        let part = self.plan.part(self.capture, self.block)?;
        let part = with_masks(&part, self.config.masks);
        let (frames, _) = FrameSet::split_behind(self.photos, &part, self.config.test_every)?;
        let count = frames.len() as u64;
        let state = SamplerState { seed: self.config.seed, epoch: steps / count, position: (steps % count) as usize };
        let sampler = Sampler::restore(frames.len(), state);
        let first = frames.camera(sampler.peek(0));
        let downscale = schedule::downscale(&self.config, steps, first.width.min(first.height));
        for ahead in 0..=LOOKAHEAD {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            frames.load(sampler.peek(ahead), downscale)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, terrain};
    use super::*;

    #[test]
    fn the_next_block_finds_its_first_photos_decoded() {
        let capture = terrain();
        let config = config(3);
        let plan = Plan::of(&capture, &config).expect("a plan");
        let config = config.splats;
        let photos = shared_photos(&capture, &plan, &config);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let part = plan.part(&capture, 1).expect("a part");
        let (frames, _) = FrameSet::split_behind(&photos, &part, 0).expect("photos");
        let seed = config.seed;
        // Within the first pass over its photos, and within the third.
        for steps in [0, 2 * frames.len() as u64 + 3] {
            let run = folder.path().join(steps.to_string());
            let checkpoints = run.join("checkpoint");
            std::fs::create_dir_all(&checkpoints).expect("a folder");
            if steps > 0 {
                std::fs::write(checkpoints.join(format!("step-{steps:06}.safetensors")), b"any").expect("written");
            }
            let (config, photos) = (config.clone(), &photos);
            let next = Next { capture: &capture, plan: &plan, block: 1, config, folder: run, photos };
            next.bring(&AtomicBool::new(false));
            let (brought, mut sampler) = (photos.bytes(), Sampler::new(frames.len(), seed));
            for _ in 0..steps {
                sampler.advance();
            }
            for ahead in 0..=LOOKAHEAD {
                frames.load(sampler.peek(ahead), 1).expect("a photo");
            }
            assert_eq!(photos.bytes(), brought, "after {steps} steps it looks at photos that were not brought");
            assert!(brought > 0, "nothing was brought");
        }
    }
}
