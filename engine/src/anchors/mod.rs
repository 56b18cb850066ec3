//! Anchors with a shared decoder: blocks of a large scene that learn from each other.
//!
//! Points become anchors, each with a feature, which a small network decodes into Gaussians for every view
//! ([`tessera_kernels::anchor_decoder`]). The network is the same for all blocks; anchors belong to one block. Blocks take turns of a
//! few steps each in one process, and the network has one optimiser that sees all of them, so it never drifts apart.
//!
//! With [`Sharing::Momentum`] the network is held to a slow average of itself, which keeps a block from pulling it to where it suits
//! this block only, and the loss of blocks that are reconstructed worse counts more: Fan et al., "Momentum-GS: Momentum Gaussian
//! Self-Distillation for High-Quality Large Scene Reconstruction", 2025. Anchors are those of Lu et al., "Scaffold-GS", 2024.
//!
//! - [`config`]: all settings. `voxels`: the first anchors; `model`: anchors and their optimiser; `density`: growth and removal.
//! - `decoder`: the network, its optimiser and its teacher. `step`: one training step; `sight`: which anchors it decodes.
//! - `drawing`: what the rasteriser takes; `painter`: pictures; `bake`: splats for any program.

mod bake;
pub mod config;
mod decoder;
mod density;
mod drawing;
mod model;
mod painter;
mod sight;
mod step;
#[cfg(test)]
mod tests;
mod voxels;

pub use config::{AnchorsConfig, Sharing, preset};

use crate::blocks::weights::Quality;
use crate::blocks::{BorderReport, PLAN_FILE, Plan, TILES_FOLDER, evaluate_borders, write_joined};
use crate::config::Config;
use crate::evaluate::{EvalOptions, EvalReport, evaluate_painter};
use crate::frames::{FrameSet, Sampler, SamplerState};
use crate::render::{Painter, SplatPainter, to_image};
use crate::splats::NEAR;
use crate::target::with_masks;
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use crate::{Error, Result};
use decoder::Student;
use density::Statistics;
use model::AnchorModel;
use painter::{AnchorPainter, Part};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use step::Bench;
use tessera_datasets::capture::{Capture, Split};
use tessera_datasets::image::{Image8, ImageCache};
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::anchor_decoder::AnchorDecoder;
use tessera_kernels::splat::RenderSettings;
use voxels::Voxels;

/// The splats of all blocks.
const SCENE_FILE: &str = "scene.ply";
/// Bytes that a Gaussian takes while it is decoded, drawn and differentiated, about.
const GAUSSIAN_BYTES: usize = 700;

/// A block being trained.
#[derive(Debug)]
struct Block {
    model: AnchorModel,
    statistics: Statistics,
    frames: FrameSet,
    sampler: Sampler,
    /// Steps that it has taken.
    steps: u64,
    /// How well it shows its photos, over the last steps.
    quality: Option<Quality>,
}

/// Anchors being trained on a capture.
#[derive(Debug)]
pub struct AnchorTraining {
    config: AnchorsConfig,
    capture: Capture,
    plan: Plan,
    held_out: FrameSet,
    blocks: Vec<Block>,
    /// One, or one for each block.
    students: Vec<Student>,
    /// Side of the smallest voxels, in scene units.
    cell: f32,
    bench: Bench,
    /// Steps done of all blocks.
    done: u64,
    /// The finished scene, a cloud for each block.
    baked: Vec<SplatCloud>,
    facts: Vec<(&'static str, String)>,
}

impl AnchorTraining {
    /// Divides the capture and places the first anchors.
    ///
    /// # Errors
    /// When a setting is impossible, or the capture cannot be divided or has no photos to train on.
    pub fn new(capture: &Capture, config: &AnchorsConfig) -> Result<Self> {
        config.check()?;
        let capture = with_masks(capture, config.masks).into_owned();
        let plan = Plan::divide(&capture, &config.division(), config.test_every)?;
        let max_side = (config.resolution > 0).then_some(config.resolution);
        let cache = Arc::new(ImageCache::new(capture.files.clone(), config.image_cache_mb << 20, max_side));
        let (_, test) = capture.split_indices((config.test_every > 0).then_some(config.test_every));
        let mut points = Vec::new();
        for block in 0..plan.blocks.len() {
            points.push(plan.part(&capture, block)?.points);
        }
        if let Some(number) = points.iter().position(Vec::is_empty) {
            let message = format!(
                "no sparse point is seen by two photos of block {}, so it has nothing to begin with; choose fewer with --blocks",
                number + 1
            );
            return Err(Error::setting(message));
        }
        let voxels = Voxels::of_blocks(&points, &capture.scene_from_world, config.voxel, config.max_anchors);
        let numbers: HashMap<&str, usize> =
            capture.frames.iter().enumerate().map(|(i, frame)| (frame.name.as_str(), i)).collect();
        let block = |(number, voxels): (usize, &Voxels)| {
            let photos = &plan.blocks[number].photos;
            let indices: Vec<usize> = photos.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect();
            let frames = FrameSet::new(&capture, &indices, &cache, 1);
            let model = AnchorModel::new(voxels, config.decoder());
            let mut statistics = Statistics::default();
            statistics.resize(model.len(), config.offsets);
            let sampler = Sampler::new(frames.len(), config.seed.wrapping_add(number as u64));
            Block { model, statistics, frames, sampler, steps: 0, quality: None }
        };
        let blocks: Vec<Block> = voxels.iter().enumerate().map(block).collect();
        let students = if config.sharing == Sharing::Independent { blocks.len() } else { 1 };
        Ok(Self {
            held_out: FrameSet::new(&capture, &test, &cache, 1),
            students: (0..students).map(|number| Student::new(config.decoder(), config.seed, number)).collect(),
            cell: voxels.first().map_or(1.0, |voxels| voxels.cell),
            bench: Bench::new(config),
            config: config.clone(),
            done: 0,
            baked: Vec::new(),
            facts: Vec::new(),
            blocks,
            plan,
            capture,
        })
    }

    /// How the capture is divided.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The decoder of a block.
    fn student(&self, block: usize) -> &Student {
        &self.students[block.min(self.students.len() - 1)]
    }

    /// Of each block the anchors in its cell.
    fn parts(&self) -> Vec<Part<'_>> {
        (0..self.blocks.len()).map(|number| self.part(number)).collect()
    }

    fn part(&self, number: usize) -> Part<'_> {
        let world_from_scene = self.capture.scene_from_world.inverse();
        let (model, cell) = (&self.blocks[number].model, &self.plan.blocks[number].cell);
        let is_inside = |anchor: &u32| {
            let world = world_from_scene * nalgebra::Point3::from(model.position(*anchor as usize).map(f64::from));
            cell.contains(self.plan.ground.place(world.coords.into()).0)
        };
        let inside = (0..model.len() as u32).filter(is_inside).collect();
        Part { model, parameters: &self.student(number).parameters, inside }
    }

    /// What draws all blocks as they are.
    fn painter(&self) -> AnchorPainter<'_> {
        let settings = render_settings(self.config.background);
        AnchorPainter::new(self.parts(), self.config.decoder(), self.capture.scene_from_world, settings)
    }

    /// The splats that come nearest to what each block's decoder makes.
    fn bake(&self) -> Vec<SplatCloud> {
        let bake = |(part, block): (Part<'_>, &Block)| {
            let (decoder, scene_from_world) = (self.config.decoder(), self.capture.scene_from_world);
            bake::bake(&part, decoder, block.frames.views(), self.config.sh_degree, scene_from_world)
        };
        self.parts().into_iter().zip(&self.blocks).map(bake).collect()
    }

    fn borders(&self, painter: &mut dyn Painter) -> Result<Option<BorderReport>> {
        let Self { config, plan, capture, .. } = self;
        if plan.blocks.len() == 1 {
            return Ok(None);
        }
        let options = EvalOptions {
            split: Split::Test,
            test_every: (config.test_every > 0).then_some(config.test_every),
            max_side: (config.resolution > 0).then_some(config.resolution),
            background: config.background,
        };
        evaluate_borders(painter, plan, capture, &options, &mut |_, _| {})
    }

    /// Measures the splats that were written, and the borders of both.
    fn measure_finished(&self) -> Result<Vec<(&'static str, String)>> {
        let mut facts = Vec::new();
        let decoded = self.borders(&mut self.painter())?;
        facts.extend(decoded.map(|borders| ("borders", text_of(&borders))));
        let mut all = SplatCloud::with_capacity(0, self.config.sh_degree);
        self.baked.iter().for_each(|cloud| all.append(cloud));
        let background = self.config.background;
        let mut painter = SplatPainter::of(all, &self.capture.scene_from_world, background);
        let report = evaluate_painter(&self.held_out, "test", background, &mut painter, &mut |_, _| {})?;
        facts.push(("as splats", format!("PSNR {:.2} dB, SSIM {:.4}", report.psnr, report.ssim)));
        let written = self.borders(&mut painter)?;
        facts.extend(written.map(|borders| ("their borders", text_of(&borders))));
        Ok(facts)
    }
}

fn text_of(borders: &BorderReport) -> String {
    format!("PSNR {:.2} dB near them, {:.2} dB elsewhere", borders.near_psnr, borders.elsewhere_psnr)
}

fn render_settings(background: [f32; 3]) -> RenderSettings {
    RenderSettings { active_sh_degree: 0, background, near: NEAR, ..RenderSettings::default() }
}

/// The name of a block in a checkpoint.
fn name_of(block: usize) -> String {
    format!("block{:04}", block + 1)
}

impl Method for AnchorTraining {
    fn name(&self) -> &'static str {
        "anchors"
    }

    fn total_steps(&self) -> u64 {
        self.config.steps * self.blocks.len() as u64
    }

    fn memory_plan(&self) -> MemoryPlan {
        let AnchorDecoder { offsets, .. } = self.config.decoder();
        let (blocks, most) = (self.blocks.len(), self.config.max_anchors);
        let anchors = blocks * most;
        let sets = self.blocks.iter().map(|block| &block.frames).chain([&self.held_out]);
        let pixels = sets.clone().flat_map(FrameSet::views).map(|v| v.width * v.height).max().unwrap_or(0);
        let photos: usize = sets.flat_map(FrameSet::views).map(|v| 3 * v.width * v.height).sum();
        MemoryPlan::default()
            .with(
                "anchors",
                (anchors * AnchorModel::bytes(self.config.decoder())) as u64,
                format!("{most} in each of {blocks} blocks"),
            )
            .with("Gaussians", (most * offsets * GAUSSIAN_BYTES) as u64, "of the block whose turn it is")
            .with("activations", (80 * pixels) as u64, format!("largest photo has {pixels} pixels"))
            .with("photos", photos.min(self.config.image_cache_mb << 20) as u64, "8 bits a channel")
    }

    fn memory_remedy(&self) -> &'static str {
        "lower --resolution or --set max_anchors"
    }

    fn step(&mut self, step: u64) -> Result<StepReport> {
        self.train_step(step)
    }

    /// Of what the decoder makes of each view.
    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let background = self.config.background;
        let report = evaluate_painter(&self.held_out, "test", background, &mut self.painter(), &mut |_, _| {})?;
        if self.done == self.total_steps() {
            self.facts = self.measure_finished()?;
        }
        Ok(Some(report))
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        let frames = if self.held_out.is_empty() { &self.blocks[0].frames } else { &self.held_out };
        Ok(Some(to_image(self.painter().draw(&frames.view(0, 1), false))))
    }

    fn settle(&mut self) -> Result<()> {
        if self.done == self.total_steps() && self.baked.is_empty() {
            self.baked = self.bake();
        }
        Ok(())
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        checkpoint.state("plan", &self.plan)?;
        checkpoint.state("cell", &self.cell)?;
        for (number, student) in self.students.iter().enumerate() {
            student.save(&format!("decoder{:04}", number + 1), checkpoint)?;
        }
        for (number, block) in self.blocks.iter().enumerate() {
            let name = name_of(number);
            block.model.save(&name, checkpoint);
            block.statistics.save(&name, checkpoint);
            checkpoint.state(&format!("{name}.sampler"), &block.sampler.state())?;
            checkpoint.state(&format!("{name}.progress"), &(block.steps, block.quality))?;
        }
        Ok(())
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        if checkpoint.state::<Plan>("plan")? != self.plan {
            let message = "the run to resume was divided in another way than the capture and the settings give now; use those that it \
                           began with, or start again with --force";
            return Err(Error::setting(message));
        }
        self.cell = checkpoint.state("cell")?;
        for (number, student) in self.students.iter_mut().enumerate() {
            student.load(&format!("decoder{:04}", number + 1), checkpoint)?;
        }
        for (number, block) in self.blocks.iter_mut().enumerate() {
            let name = name_of(number);
            block.model.load(&name, checkpoint)?;
            block.statistics.load(&name, block.model.len(), self.config.offsets, checkpoint)?;
            let sampler: SamplerState = checkpoint.state(&format!("{name}.sampler"))?;
            block.sampler = Sampler::restore(block.frames.len(), sampler);
            (block.steps, block.quality) = checkpoint.state(&format!("{name}.progress"))?;
        }
        self.done = checkpoint.step();
        Ok(())
    }

    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        self.plan.write(&folder.join(PLAN_FILE))?;
        let tiles = self.config.tiles.then(|| folder.join(TILES_FOLDER));
        write_joined(&self.baked, &self.plan, &folder.join(SCENE_FILE), tiles.as_deref())
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        self.facts.clone()
    }

    fn config_toml(&self) -> String {
        self.config.to_toml()
    }
}
