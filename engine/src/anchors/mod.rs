//! Anchors with a shared decoder: blocks of a large scene that learn from each other.
//!
//! Points become anchors, each with a feature, which a small network decodes into Gaussians for every view
//! ([`tessera_kernels::anchor_decoder`]). The network is the same for all blocks; anchors belong to one block. Blocks take turns of a
//! few steps each, some of them at the same time, and the network has one optimiser that sees all of them, so it never drifts apart.
//!
//! Several processes share the blocks: each holds the anchors of its own, and all hold the same network, whose gradients they exchange
//! ([`crate::exchange`]). Rank 0 leads and is what the training loop sees; the others do what it says ([`AnchorTraining::follow`]).
//!
//! With [`Sharing::Momentum`] the network is held to a slow average of itself, which keeps a block from pulling it to where it suits
//! this block only, and the loss of blocks that are reconstructed worse counts more: Fan et al., "Momentum-GS: Momentum Gaussian
//! Self-Distillation for High-Quality Large Scene Reconstruction", 2025. Anchors are those of Lu et al., "Scaffold-GS", 2024.
//!
//! - [`config`]: all settings. `voxels`: the first anchors; `model`: anchors and their optimiser; `density`: growth and removal.
//!   `sky`: those that are far away.
//! - `decoder`: the network, its optimiser and its teacher. `step`: one training step; `sight`: which anchors it decodes.
//! - `deal`: which blocks take steps at the same time, and whose they are; `round`: what ranks tell each other about that; `crew`: what
//!   ranks do together beside steps.
//! - `device`: the same steps on a GPU. `gather`: gradients from GPU to GPU.
//! - `drawing`: what the rasteriser takes; `painter`: pictures; `bake`: splats for any program.

mod bake;
pub mod config;
mod crew;
mod deal;
mod decoder;
mod density;
mod device;
mod drawing;
mod gather;
mod model;
mod painter;
mod round;
mod sight;
mod sky;
mod step;
#[cfg(test)]
pub(crate) mod tests;
mod voxels;

pub use config::{AnchorsConfig, Exchange, Sharing, preset};
pub use crew::Ending;

use crate::blocks::weights::Quality;
use crate::blocks::{
    BorderReport, Gains, Joined, PLAN_FILE, Plan, TILES_FOLDER, Tint, apply, evaluate_borders, merge, tints,
    write_joined,
};
use crate::config::Config;
use crate::evaluate::{EvalOptions, EvalReport, evaluate_painter};
use crate::exchange::{Ranks, fingerprint};
use crate::frames::{FrameSet, Sampler};
use crate::render::{Painter, SplatPainter, to_image};
use crate::splats::NEAR;
use crate::splats::appearance::{Appearance, AppearanceModel};
use crate::target::with_masks;
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use crate::{Error, Result};
use crew::Order;
use deal::Deal;
use decoder::Student;
use density::Statistics;
use device::{DeviceAnchors, Size};
use gather::Gather;
use model::AnchorModel;
use painter::{AnchorPainter, Part};
use serde::{Deserialize, Serialize};
use sky::AnchorSky;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use step::Bench;
use tessera_datasets::capture::{Capture, Split};
use tessera_datasets::image::{Image8, ImageCache};
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::anchor_decoder::AnchorDecoder;
use tessera_kernels::device::Device;
use tessera_kernels::splat::RenderSettings;
use voxels::Voxels;

/// The splats of all blocks.
const SCENE_FILE: &str = "scene.ply";
/// What the names of a shared decoder's tensors begin with in a checkpoint.
const ONE_DECODER: &str = "decoder0001";
/// Bytes that a Gaussian takes while it is decoded, drawn and differentiated, about.
const GAUSSIAN_BYTES: usize = 700;

/// A block being trained.
#[derive(Debug)]
struct Block {
    /// Which one, in the plan.
    number: usize,
    model: AnchorModel,
    statistics: Statistics,
    frames: FrameSet,
    sampler: Sampler,
    /// Steps that it has taken.
    steps: u64,
    /// How well it shows its photos, over the last steps.
    quality: Option<Quality>,
    /// The colour transforms of its photos.
    appearance: Option<Appearance>,
}

/// What all ranks know of each block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Standing {
    quality: Option<Quality>,
    anchors: u64,
}

/// How many decoders there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decoders {
    /// One.
    One,
    /// One for each lane, which become one from time to time.
    Lanes,
    /// One for each block.
    Blocks,
}

/// Anchors being trained on a capture: all blocks, or those of one rank of several.
#[derive(Debug)]
pub struct AnchorTraining {
    config: AnchorsConfig,
    capture: Capture,
    plan: Plan,
    deal: Deal,
    held_out: FrameSet,
    /// Where the sky is, if it has anchors of its own.
    sky: Option<AnchorSky>,
    /// Those of this rank.
    blocks: Vec<Block>,
    /// What is known of all blocks.
    all: Vec<Standing>,
    decoders: Decoders,
    /// One, or one for each lane or block of this rank.
    students: Vec<Student>,
    /// Those of this rank.
    lanes: Range<usize>,
    ranks: RefCell<Ranks>,
    /// Where sums go from GPU to GPU. Before all else of the device, whose memory it keeps busy until it ends.
    gather: Option<Gather>,
    /// The way that gradients take between ranks, and why; nothing of one rank.
    way: String,
    /// The run folder, where ranks keep their blocks when there are several.
    run: PathBuf,
    /// Side of the smallest voxels, in scene units.
    cell: f32,
    bench: Bench,
    /// Where anchors are trained, if not on the CPU; they are there since the first step.
    device: Option<Device>,
    machine: Option<DeviceAnchors>,
    /// Rounds done.
    done: u64,
    /// Rounds done when ranks last kept their blocks.
    kept: Option<u64>,
    /// Whether the user has asked this rank to stop, and whether all will.
    is_asked_to_stop: bool,
    stops: bool,
    /// What the colours of each block of the plan are multiplied by, so that all are equally bright.
    tints: Vec<Tint>,
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
        Self::among(capture, config, Ranks::alone(), Path::new(""))
    }

    /// As [`AnchorTraining::new`], as one of several ranks that share the blocks and the run folder `run`. All do it at the same time.
    ///
    /// # Errors
    /// As there, or when ranks have different plans or settings, or are more than blocks take steps at the same time.
    pub fn among(capture: &Capture, config: &AnchorsConfig, mut ranks: Ranks, run: &Path) -> Result<Self> {
        match Self::prepare(capture, config, &mut ranks) {
            Ok(training) => Ok(Self { ranks: RefCell::new(ranks), run: run.to_owned(), ..training }),
            Err(error) => {
                ranks.give_up(&error.to_string());
                Err(error)
            }
        }
    }

    fn prepare(capture: &Capture, config: &AnchorsConfig, ranks: &mut Ranks) -> Result<Self> {
        config.check()?;
        let (rank, size) = (ranks.rank(), ranks.size());
        let mut config = config.clone();
        if config.together == 0 {
            config.together = size;
        }
        let capture = with_masks(capture, config.masks).into_owned();
        let plan = Plan::divide(&capture, &config.division(), config.test_every)?;
        let as_text = serde_json::to_string(&plan).unwrap_or_default();
        let settings = fingerprint(config.to_toml().as_bytes());
        ranks.agree(&[("settings", settings), ("a plan", fingerprint(as_text.as_bytes()))])?;
        let voxels = first_voxels(&capture, &plan, &config)?;
        let work: Vec<usize> = voxels.iter().map(|voxels| voxels.places.len()).collect();
        let deal = Deal::new(&work, config.together, config.steps, config.visit);
        if let Err(error) = deal.check(size) {
            // All find it out, and rank 0 says it.
            return Err(if ranks.leads() { error } else { ranks.listen().err().unwrap_or(error) });
        }
        let lanes: Vec<usize> = (0..deal.lanes()).filter(|lane| deal.rank(*lane, size) == rank).collect();
        let lanes = lanes[0]..lanes[0] + lanes.len();
        let decoders = match config.sharing {
            Sharing::Independent => Decoders::Blocks,
            _ if config.sync_every > 1 && deal.lanes() > 1 => Decoders::Lanes,
            _ => Decoders::One,
        };
        let own = deal.blocks_of(rank, size);
        let numbers = match decoders {
            Decoders::One => vec![0],
            // They begin as one.
            Decoders::Lanes => vec![0; lanes.len()],
            Decoders::Blocks => own.clone(),
        };
        let (mut blocks, held_out) = with_photos(&capture, &plan, &config, &voxels, &own, ranks.leads());
        let sky = config.sky.then(|| AnchorSky::of(&capture, &plan));
        if let Some(sky) = &sky {
            let add = |block: &mut Block| sky.add_to(block, &config, &capture.scene_from_world);
            blocks.iter_mut().try_for_each(add)?;
        }
        Ok(Self {
            students: numbers.into_iter().map(|number| Student::new(config.decoder(), config.seed, number)).collect(),
            all: work.iter().map(|&anchors| Standing { quality: None, anchors: anchors as u64 }).collect(),
            cell: voxels.first().map_or(1.0, |voxels| voxels.cell),
            bench: Bench::new(&config),
            device: None,
            machine: None,
            ranks: RefCell::new(Ranks::alone()),
            gather: None,
            way: String::new(),
            run: PathBuf::new(),
            done: 0,
            kept: None,
            is_asked_to_stop: false,
            stops: false,
            tints: vec![[1.0; 3]; plan.blocks.len()],
            baked: Vec::new(),
            facts: Vec::new(),
            held_out,
            sky,
            decoders,
            config,
            blocks,
            lanes,
            deal,
            plan,
            capture,
        })
    }

    /// What the device needs before a step.
    fn ready_device(&mut self) -> Result<()> {
        if let (Some(device), None) = (&self.device, &self.machine) {
            self.machine = Some(DeviceAnchors::new(device, &self.blocks, &self.config)?);
        }
        Ok(())
    }

    /// Brings the anchors of this rank up to date, which a device may have trained.
    fn bring_home(&mut self) -> Result<()> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        self.blocks.iter_mut().enumerate().try_for_each(|(index, block)| machine.bring_home(index, block))
    }

    /// How the capture is divided.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where a block of the plan is among those of this rank, if it is one of them.
    fn own(&self, number: usize) -> Option<usize> {
        self.blocks.iter().position(|block| block.number == number)
    }

    /// Which decoder is that of a block of this rank.
    fn student_of(&self, index: usize) -> usize {
        match self.decoders {
            Decoders::One => 0,
            Decoders::Lanes => self.deal.lane(self.blocks[index].number) - self.lanes.start,
            Decoders::Blocks => index,
        }
    }

    /// Of each block of this rank the anchors in its cell, and in its part of the sky.
    fn parts(&self) -> Vec<Part<'_>> {
        (0..self.blocks.len()).map(|index| self.part(index)).collect()
    }

    fn part(&self, index: usize) -> Part<'_> {
        let world_from_scene = self.capture.scene_from_world.inverse();
        let Block { model, number, .. } = &self.blocks[index];
        let cell = &self.plan.blocks[*number].cell;
        let is_inside = |anchor: &u32| {
            let world = world_from_scene * nalgebra::Point3::from(model.position(*anchor as usize).map(f64::from));
            match self.sky.as_ref().and_then(|sky| sky.owner(world.coords.into())) {
                Some(owner) => owner == *number,
                None => cell.contains(self.plan.ground.place(world.coords.into()).0),
            }
        };
        let inside = (0..model.len() as u32).filter(is_inside).collect();
        Part { number: *number, model, parameters: &self.students[self.student_of(index)].parameters, inside }
    }

    /// What draws all blocks as they are.
    fn painter(&self) -> AnchorPainter<'_> {
        let settings = render_settings(self.config.background);
        let (decoder, scene_from_world) = (self.config.decoder(), self.capture.scene_from_world);
        AnchorPainter::new(self.parts(), &self.tints, &self.ranks, decoder, scene_from_world, settings)
    }

    /// Makes all blocks equally bright, as photos that belong to several of them say.
    fn find_tints(&mut self) -> Result<()> {
        if self.config.appearance != AppearanceModel::None {
            let gains = self.gains_of_all()?;
            let blocks = self.plan.blocks.iter().zip(&gains);
            let of_blocks: Vec<_> = blocks.map(|(block, gains)| Gains { photos: &block.photos, gains }).collect();
            self.tints = tints(&of_blocks);
        }
        Ok(())
    }

    /// The splats that come nearest to what the decoder makes of each block of this rank.
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
        let mut painter = self.painter();
        let decoded = self.borders(&mut painter)?;
        painter.finish()?;
        facts.extend(decoded.map(|borders| ("borders", text_of(&borders))));
        let Some(all) = self.written()? else { return Ok(facts) };
        let background = self.config.background;
        let mut painter = SplatPainter::of(all, &self.capture.scene_from_world, background);
        let report = evaluate_painter(&self.held_out, "test", background, &mut painter, &mut |_, _| {})?;
        facts.push(("as splats", format!("PSNR {:.2} dB, SSIM {:.4}", report.psnr, report.ssim)));
        let written = self.borders(&mut painter)?;
        facts.extend(written.map(|borders| ("their borders", text_of(&borders))));
        Ok(facts)
    }
}

/// The first voxels of all blocks.
fn first_voxels(capture: &Capture, plan: &Plan, config: &AnchorsConfig) -> Result<Vec<Voxels>> {
    let mut points = Vec::new();
    for block in 0..plan.blocks.len() {
        points.push(plan.part(capture, block)?.points);
    }
    if let Some(number) = points.iter().position(Vec::is_empty) {
        let message = format!(
            "no sparse point is seen by two photos of block {}, so it has nothing to begin with; choose fewer with --blocks",
            number + 1
        );
        return Err(Error::setting(message));
    }
    Ok(Voxels::of_blocks(&points, &capture.scene_from_world, config.voxel, config.max_anchors))
}

/// The blocks with these numbers and their photos, and those held out if they will be looked at.
fn with_photos(
    capture: &Capture,
    plan: &Plan,
    config: &AnchorsConfig,
    voxels: &[Voxels],
    own: &[usize],
    leads: bool,
) -> (Vec<Block>, FrameSet) {
    let max_side = (config.resolution > 0).then_some(config.resolution);
    let cache = Arc::new(ImageCache::new(capture.files.clone(), config.image_cache_mb << 20, max_side));
    let numbers: HashMap<&str, usize> =
        capture.frames.iter().enumerate().map(|(i, frame)| (frame.name.as_str(), i)).collect();
    let block = |&number: &usize| {
        let photos = &plan.blocks[number].photos;
        let indices: Vec<usize> = photos.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect();
        let frames = FrameSet::new(capture, &indices, &cache, 1);
        let model = AnchorModel::new(&voxels[number], config.decoder());
        let mut statistics = Statistics::default();
        statistics.resize(model.len(), config.offsets);
        let sampler = Sampler::new(frames.len(), config.seed.wrapping_add(number as u64));
        let appearance = Appearance::new(config.appearance, frames.len());
        Block { number, model, statistics, frames, sampler, steps: 0, quality: None, appearance }
    };
    let (_, test) = capture.split_indices((config.test_every > 0).then_some(config.test_every));
    let test = if leads { test } else { Vec::new() };
    (own.iter().map(block).collect(), FrameSet::new(capture, &test, &cache, 1))
}

fn text_of(borders: &BorderReport) -> String {
    format!("PSNR {:.2} dB near them, {:.2} dB elsewhere", borders.near_psnr, borders.elsewhere_psnr)
}

fn render_settings(background: [f32; 3]) -> RenderSettings {
    RenderSettings { active_sh_degree: 0, background, near: NEAR, ..RenderSettings::default() }
}

impl Method for AnchorTraining {
    fn name(&self) -> &'static str {
        "anchors"
    }

    fn total_steps(&self) -> u64 {
        self.deal.rounds()
    }

    fn memory_plan(&self) -> MemoryPlan {
        let AnchorDecoder { offsets, .. } = self.config.decoder();
        let (blocks, most) = (self.blocks.len(), self.config.max_anchors);
        let anchors = blocks * most;
        let sets = self.blocks.iter().map(|block| &block.frames).chain([&self.held_out]);
        let pixels = sets.clone().flat_map(FrameSet::views).map(|v| v.width * v.height).max().unwrap_or(0);
        let photos: usize = sets.flat_map(FrameSet::views).map(|v| 3 * v.width * v.height).sum();
        let photos_of_blocks = self.blocks.iter().map(|block| block.frames.len()).sum();
        let appearance = Appearance::bytes(self.config.appearance, photos_of_blocks);
        let mut plan = MemoryPlan::default();
        if appearance > 0 {
            plan = plan.with("appearance", appearance as u64, "a colour transform for each photo of each block");
        }
        if self.device.is_some() {
            let gathered = self.gather.as_ref().map_or(0, Gather::bytes);
            plan = Size::new(&self.blocks, &self.config).with_gathered(gathered).add_to(plan, &self.config);
        }
        plan.with(
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
        self.order(&Order::Round(step))?;
        self.train_round(step)
    }

    fn agrees_to_stop(&mut self, asked: bool) -> bool {
        asked || self.stops
    }

    /// Of what the decoder makes of each view.
    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        self.bring_home()?;
        self.find_tints()?;
        let background = self.config.background;
        let mut painter = self.painter();
        let report = evaluate_painter(&self.held_out, "test", background, &mut painter, &mut |_, _| {})?;
        painter.finish()?;
        if self.done == self.total_steps() {
            self.facts = self.measure_finished()?;
            self.facts.extend(self.about_ranks()?);
        }
        Ok(Some(report))
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        self.bring_home()?;
        let frames = if self.held_out.is_empty() { &self.blocks[0].frames } else { &self.held_out };
        let mut painter = self.painter();
        let image = to_image(painter.draw(&frames.view(0, 1), false));
        painter.finish()?;
        Ok(Some(image))
    }

    fn settle(&mut self) -> Result<()> {
        self.bring_home()?;
        let is_complete = self.done == self.total_steps();
        if is_complete {
            self.find_tints()?;
        }
        if self.is_shared() {
            return self.keep_all();
        }
        if is_complete && self.baked.is_empty() {
            self.baked = self.bake();
            self.baked.iter_mut().zip(&self.blocks).for_each(|(cloud, block)| apply(&self.tints[block.number], cloud));
        }
        Ok(())
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        checkpoint.state("plan", &self.plan)?;
        checkpoint.state("together", &self.config.together)?;
        checkpoint.state("sync_every", &self.config.sync_every)?;
        checkpoint.state("cell", &self.cell)?;
        checkpoint.state("blocks", &self.all)?;
        if self.decoders == Decoders::One {
            self.students[0].save(ONE_DECODER, checkpoint)?;
        }
        if self.is_shared() {
            return Ok(());
        }
        (0..self.blocks.len()).try_for_each(|index| self.save_block(index, checkpoint))
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        if checkpoint.state::<Plan>("plan")? != self.plan {
            let message = "the run to resume was divided in another way than the capture and the settings give now; use those that it \
                           began with, or start again with --force";
            return Err(Error::setting(message));
        }
        for (name, now) in [("together", self.config.together as u64), ("sync_every", self.config.sync_every)] {
            let before: u64 = checkpoint.state(name)?;
            if before != now {
                let message =
                    format!("the run began with --set {name}={before}, which cannot be changed to {now}; leave it out");
                return Err(Error::setting(message));
            }
        }
        self.order(&Order::Load(checkpoint.step()))?;
        let loaded = self.load_own(checkpoint);
        self.hear_of_all(loaded)
    }

    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        self.plan.write(&folder.join(PLAN_FILE))?;
        let tiles = self.config.tiles.then(|| folder.join(TILES_FOLDER));
        let scene = folder.join(SCENE_FILE);
        let start = self.sky.as_ref().and_then(AnchorSky::start);
        let to = Joined { plan: &self.plan, start, scene: &scene, tiles: tiles.as_deref() };
        if !self.is_shared() {
            return write_joined(&self.baked, to);
        }
        merge(&self.bake_all()?, &self.tints, to)
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        self.facts.clone()
    }

    fn config_toml(&self) -> String {
        self.config.to_toml()
    }

    fn take_warnings(&mut self) -> Vec<String> {
        self.straggler().into_iter().collect()
    }
}
