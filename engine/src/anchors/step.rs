//! One training step: the block whose turn it is decodes what a photo's view sees, draws it, compares, and goes down the gradient
//! with the decoder that all share.

use super::config::{AnchorsConfig, Sharing};
use super::drawing::{DrawnSplats, add_volumes, gradient_of_gaussians};
use super::sight::seen;
use super::{AnchorTraining, Block, render_settings};
use crate::Result;
use crate::blocks::weights::{Quality, weights};
use crate::frames::{FrameTarget, TrainingFrame};
use crate::splats::schedule::downscale_at;
use crate::train::StepReport;
use tessera_kernels::anchor_decoder::{AnchorGradients, Decoding, GaussianGradients, Gaze, Keep, consistency};
use tessera_kernels::image_loss::{ImageLoss, ImagePair, LossSettings, LossValues, Padding, psnr};
use tessera_kernels::splat::{Rasterizer, RenderingGradient, SplatGradients};

/// What steps work with again and again, whosever turn it is.
#[derive(Debug)]
pub(super) struct Bench {
    student: Decoding,
    teacher: Decoding,
    splats: DrawnSplats,
    rasterizer: Rasterizer,
    of_splats: SplatGradients,
    of_gaussians: GaussianGradients,
    of_anchors: AnchorGradients,
    loss: ImageLoss,
    target: FrameTarget,
    v_rgb: Vec<f32>,
}

impl Bench {
    pub fn new(config: &AnchorsConfig) -> Self {
        Self {
            student: Decoding::new(config.decoder()),
            teacher: Decoding::new(config.decoder()),
            splats: DrawnSplats::default(),
            rasterizer: Rasterizer::new(),
            of_splats: SplatGradients::default(),
            of_gaussians: GaussianGradients::default(),
            of_anchors: AnchorGradients::default(),
            loss: ImageLoss::new(),
            target: FrameTarget::default(),
            v_rgb: Vec::new(),
        }
    }

    /// Draws what has been decoded and compares it with the photo. The gradient is that of `weight` times the loss.
    fn compare(&mut self, frame: &TrainingFrame, config: &AnchorsConfig, weight: f32) -> LossValues {
        let (view, settings) = (&frame.view, render_settings(config.background));
        self.splats.clear();
        self.splats.extend(self.student.gaussians());
        let rendering = self.rasterizer.forward(&self.splats.splats(), view, &settings);
        self.target.fill(frame, config.background);
        let pair = ImagePair {
            image: &rendering.rgb,
            target: &self.target.picture.rgb,
            weight: self.target.picture.weight.as_deref(),
            width: view.width,
            height: view.height,
        };
        self.v_rgb.resize(rendering.rgb.len(), 0.0);
        let loss = LossSettings { ssim_weight: config.ssim_weight, padding: Padding::Same };
        let values = self.loss.loss_and_gradient(&pair, &loss, &mut self.v_rgb, None);
        self.v_rgb.iter_mut().for_each(|v| *v *= weight);
        let gradient = RenderingGradient { rgb: &self.v_rgb, alpha: None, depth: None, score: None };
        self.rasterizer.backward(&self.splats.splats(), view, &settings, &gradient, &mut self.of_splats);
        gradient_of_gaussians(self.student.gaussians(), &self.of_splats, &mut self.of_gaussians);
        values
    }

    /// The numbers, ascending, of the Gaussians that were in the picture.
    fn drawn(&self) -> impl Iterator<Item = usize> + '_ {
        let chunks = self.student.gaussians().kept.len().div_ceil(Rasterizer::CHUNK);
        (0..chunks).flat_map(|chunk| self.rasterizer.visible_in_chunk(chunk))
    }
}

impl AnchorTraining {
    /// Takes the step number `step`, counted from 0 over all blocks.
    pub(super) fn train_step(&mut self, step: u64) -> Result<StepReport> {
        let number = turn(step, self.config.steps, self.config.visit, self.blocks.len() as u64);
        let weight = self.weight_of(number);
        let block = &mut self.blocks[number];
        let camera = block.frames.camera(block.sampler.peek(0));
        let side = camera.width.min(camera.height);
        let share = block.steps as f64 / self.config.steps as f64;
        let downscale = if self.config.resolution_schedule { downscale_at(share, side) } else { 1 };
        let frame = block.frames.next(&mut block.sampler, downscale)?;
        // Once inside the thread pool, the step's many parallel loops begin without waking anybody.
        let report = rayon::scope(|_| self.train_on(&frame, number, weight));
        self.done = step + 1;
        Ok(report)
    }

    /// How much the loss of a block counts.
    fn weight_of(&self, block: usize) -> f32 {
        if self.config.sharing != Sharing::Momentum {
            return 1.0;
        }
        let qualities: Option<Vec<Quality>> = self.blocks.iter().map(|block| block.quality).collect();
        // At the beginning not all have been seen.
        qualities.map_or(1.0, |qualities| weights(&qualities, self.config.weight_scale)[block] as f32)
    }

    fn train_on(&mut self, frame: &TrainingFrame, number: usize, weight: f32) -> StepReport {
        let Self { config, bench, blocks, students, .. } = self;
        let block = &mut blocks[number];
        let last = students.len() - 1;
        let student = &mut students[number.min(last)];
        let chosen = seen(&frame.view, &block.model, None);
        let gaze = Gaze::From(frame.view.position());
        bench.student.forward(&student.parameters, &block.model.anchors(), &chosen, gaze, Keep::Opaque);
        let values = bench.compare(frame, config, weight);
        let made = bench.student.gaussians();
        let mut loss = f64::from(weight * values.loss);
        loss += add_volumes(made, weight * config.volume_weight, &mut bench.of_gaussians);
        if config.sharing == Sharing::Momentum && config.consistency > 0.0 {
            let keep = Keep::Slots(&made.kept);
            let wanted = bench.teacher.forward(&student.teacher, &block.model.anchors(), &chosen, gaze, keep);
            let pull = weight * config.consistency;
            loss += f64::from(pull) * consistency(made, wanted, pull, &mut bench.of_gaussians);
        }
        let half = 0.5 * frame.view.width.max(frame.view.height) as f32;
        block.statistics.observe(&chosen, made, &bench.of_splats.mean2d_norms, bench.drawn(), half);
        bench.student.backward(&block.model.anchors(), &chosen, gaze, &bench.of_gaussians, &mut bench.of_anchors);
        let rates = config.rates(block.steps);
        block.steps += 1;
        block.model.descend(&chosen, &bench.of_anchors, &rates, block.steps);
        student.descend(&bench.of_anchors.decoder, &rates);
        block.learn_quality(&values);
        block.statistics.refine(&mut block.model, config, self.cell, number, block.steps);
        let count = self.blocks.iter().map(|block| block.model.len() as u64).sum();
        StepReport { loss, psnr: f64::from(psnr(values.mse)), count, count_name: "anchors" }
    }
}

impl Block {
    /// Takes note of how well the last photo was shown.
    fn learn_quality(&mut self, values: &LossValues) {
        let ssim = f64::from(values.ssim.unwrap_or(1.0));
        let measured = Quality { psnr: f64::from(psnr(values.mse)), ssim };
        if !measured.psnr.is_finite() {
            return;
        }
        match &mut self.quality {
            Some(quality) => quality.follow(measured),
            none => *none = Some(measured),
        }
    }
}

/// Whose turn a step is, of `blocks` that each take `steps` steps, `visit` at a time; what is left of the steps at the end makes a
/// shorter visit.
fn turn(step: u64, steps: u64, visit: u64, blocks: u64) -> usize {
    let rounds = steps / visit;
    let whole = rounds * visit * blocks;
    let block = if step < whole { step / visit % blocks } else { (step - whole) / (steps - rounds * visit) };
    block as usize
}

#[cfg(test)]
mod tests {
    use super::turn;

    #[test]
    fn every_block_takes_its_steps_in_turn() {
        for (steps, visit, blocks) in [(25, 10, 3), (30, 10, 4), (3, 10, 2), (7, 1, 1)] {
            let turns: Vec<usize> = (0..steps * blocks).map(|step| turn(step, steps, visit, blocks)).collect();
            for block in 0..blocks {
                let taken = turns.iter().filter(|&&turn| turn == block as usize).count() as u64;
                assert_eq!(taken, steps, "block {block} of {blocks} with {steps} steps, {visit} at a time");
            }
            assert!(
                turns
                    .chunk_by(|a, b| a == b)
                    .all(|visits| visits.len() as u64 <= visit.max(steps % visit) || blocks == 1)
            );
        }
    }
}
