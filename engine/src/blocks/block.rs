//! One block in training: a method, seen by the loop as a run of its own that keeps only what lies in the block's cell.

use super::cells::Cell;
use super::ground::Ground;
use super::sky::Sky;
use crate::Result;
use crate::evaluate::EvalReport;
use crate::frames::FrameSet;
use crate::splats::SplatTraining;
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tessera_datasets::capture::Capture;
use tessera_datasets::format::write_splats;
use tessera_datasets::image::{Image8, ImageCache};
use tessera_datasets::scene::SplatCloud;

/// The splats of a block, and of the scene.
pub const SCENE_FILE: &str = "scene.ply";
/// Training photos by which blocks are compared.
const COMPARED_PHOTOS: usize = 12;
/// They are looked at once each.
const CACHE_BYTES: usize = 32 << 20;

/// What a block can train: whatever becomes splats in the end.
pub trait BlockMethod: Method {
    /// The splats as they were at the last [`Method::settle`], in the capture's world.
    fn splats(&self) -> SplatCloud;

    /// What the learned transform of each photo that it is trained on multiplies a colour by; none if none are learned.
    fn photo_gains(&self, colour: [f32; 3]) -> Vec<[f64; 3]>;

    /// Compares the scene with photos.
    ///
    /// # Errors
    /// When a photo cannot be read.
    fn compare(&mut self, frames: &FrameSet, split: &str) -> Result<EvalReport>;
}

impl BlockMethod for SplatTraining {
    fn splats(&self) -> SplatCloud {
        self.cloud().into_world()
    }

    fn photo_gains(&self, colour: [f32; 3]) -> Vec<[f64; 3]> {
        self.photo_gains(colour)
    }

    fn compare(&mut self, frames: &FrameSet, split: &str) -> Result<EvalReport> {
        self.evaluate_on(frames, split)
    }
}

/// How far a block is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// To where blocks are compared, by some of the photos that it is trained on.
    Comparison(u64),
    /// To its end.
    End,
}

/// A block being trained.
pub(super) struct BlockTraining<'a> {
    pub inner: &'a mut dyn BlockMethod,
    pub goal: Goal,
    /// Its number in the plan.
    pub number: usize,
    pub ground: &'a Ground,
    pub cell: &'a Cell,
    /// What lies in no cell.
    pub sky: Option<&'a Sky>,
    /// The photos by which it is compared with others.
    pub sample: FrameSet,
}

/// An even choice of the photos that a block is trained on.
pub(super) fn compared_photos(part: &Capture, resolution: u32) -> FrameSet {
    let (train, _) = part.split_indices(None);
    let count = train.len().min(COMPARED_PHOTOS);
    let chosen: Vec<usize> = (0..count).map(|k| train[k * train.len() / count]).collect();
    let cache = ImageCache::new(part.files.clone(), CACHE_BYTES, (resolution > 0).then_some(resolution));
    FrameSet::new(part, &chosen, &Arc::new(cache), 1)
}

impl Method for BlockTraining<'_> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn total_steps(&self) -> u64 {
        match self.goal {
            Goal::Comparison(steps) => steps,
            Goal::End => self.inner.total_steps(),
        }
    }

    fn memory_plan(&self) -> MemoryPlan {
        self.inner.memory_plan()
    }

    fn step(&mut self, step: u64) -> Result<StepReport> {
        self.inner.step(step)
    }

    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        match self.goal {
            Goal::Comparison(_) => self.inner.compare(&self.sample, "training").map(Some),
            Goal::End => self.inner.evaluate(),
        }
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        self.inner.preview()
    }

    fn settle(&mut self) -> Result<()> {
        self.inner.settle()
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        self.inner.save(checkpoint)
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        self.inner.load(checkpoint)
    }

    /// Of a complete block, the splats in its cell and in its part of the sky.
    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        if self.goal != Goal::End {
            return Ok(Vec::new());
        }
        let mut cloud = self.inner.splats();
        let (ground, cell, sky, number) = (self.ground, self.cell, self.sky, self.number);
        cloud.retain(|cloud, i| {
            let world = cloud.means[i].map(f64::from);
            match sky.and_then(|sky| sky.owner(world)) {
                Some(owner) => owner == number,
                None => cell.contains(ground.place(world).0),
            }
        });
        let path = folder.join(SCENE_FILE);
        write_splats(&path, &cloud, true)?;
        Ok(vec![path])
    }

    fn config_toml(&self) -> String {
        self.inner.config_toml()
    }

    fn take_warnings(&mut self) -> Vec<String> {
        self.inner.take_warnings()
    }
}
