//! One round of training: each block whose turn it is decodes what a photo's view sees, draws it and compares. Its anchors go down the
//! gradient; the decoder that all share goes down the mean of the gradients of all of them.
//!
//! With [`AnchorsConfig::sync_every`] above 1, each lane has a decoder of its own with its own moments, which goes down the gradients of
//! this lane alone. At the end of so many rounds all become their mean, weighted by the steps that each has taken since the last time:
//! parameters, teachers, and both moments of Adam. This is local SGD (Stich, "Local SGD Converges Fast and Communicates Little", 2019)
//! with averaged moments, as Yu et al. use it for momentum SGD, 2019, and Adam.

use super::config::{AnchorsConfig, Sharing};
use super::deal::Turn;
use super::density::Statistics;
use super::drawing::{DrawnSplats, add_volumes, gradient_of_gaussians};
use super::round::{Note, Round, Verdict};
use super::sight::seen;
use super::{AnchorTraining, Block, Decoders, render_settings};
use crate::Result;
use crate::blocks::weights::{Quality, weights};
use crate::exchange::TreeSum;
use crate::frames::{FrameTarget, TrainingFrame};
use crate::splats::appearance::{Appearance, Planes};
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
    /// The picture as the photo would have taken it, and the gradient of the picture before that.
    taken: Vec<f32>,
    v_drawn: Vec<f32>,
    /// The anchors that were decoded.
    chosen: Vec<u32>,
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
            taken: Vec::new(),
            v_drawn: Vec::new(),
            chosen: Vec::new(),
        }
    }

    /// Draws what has been decoded and compares it with the photo. The gradient is that of `weight` times the loss.
    fn compare(
        &mut self,
        frame: &TrainingFrame,
        mut appearance: Option<&mut Appearance>,
        config: &AnchorsConfig,
        weight: f32,
    ) -> LossValues {
        let (view, settings) = (&frame.view, render_settings(config.background));
        self.splats.clear();
        self.splats.extend(self.student.gaussians());
        let rendering = self.rasterizer.forward(&self.splats.splats(), view, &settings);
        self.target.fill(frame, config.background);
        let planes = Planes { width: view.width, height: view.height, rgb: &rendering.rgb };
        if let Some(appearance) = &mut appearance {
            appearance.apply(frame.index, planes, &mut self.taken);
        }
        let pair = ImagePair {
            image: if appearance.is_some() { &self.taken } else { &rendering.rgb },
            target: &self.target.picture.rgb,
            weight: self.target.picture.weight.as_deref(),
            width: view.width,
            height: view.height,
        };
        self.v_rgb.resize(rendering.rgb.len(), 0.0);
        let loss = LossSettings { ssim_weight: config.ssim_weight, padding: Padding::Same };
        let values = self.loss.loss_and_gradient(&pair, &loss, &mut self.v_rgb, None);
        self.v_rgb.iter_mut().for_each(|v| *v *= weight);
        if let Some(appearance) = &mut appearance {
            appearance.backward(frame.index, planes, &self.v_rgb, &mut self.v_drawn);
            std::mem::swap(&mut self.v_rgb, &mut self.v_drawn);
        }
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
    /// Takes the round number `round`, counted from 0.
    pub(super) fn train_round(&mut self, round: u64) -> Result<StepReport> {
        let Turn { group, done } = self.deal.turn(round);
        let lanes = self.deal.group(group).to_vec();
        let own: Vec<(usize, usize)> =
            lanes.iter().enumerate().filter_map(|(lane, number)| Some((lane, self.own(*number)?))).collect();
        let weights = self.weights();
        let is_settled = self.is_settled(round);
        let summands = if self.decoders == Decoders::Lanes { self.deal.lanes() } else { lanes.len() };
        let mut report =
            Round { is_asked_to_stop: self.is_asked_to_stop, notes: Vec::new(), sum: TreeSum::new(summands) };
        if own.is_empty() && is_settled {
            self.close(round, &mut report)?;
        }
        for (at, &(lane, index)) in own.iter().enumerate() {
            let weight = weights.as_ref().map_or(1.0, |weights| weights[lanes[lane]] as f32);
            let frame = self.next_frame(index, done)?;
            // Once inside the thread pool, the step's many parallel loops begin without waking anybody.
            let values = rayon::scope(|_| self.differentiate(&frame, index, weight))?;
            report.notes.push(self.note(lane, index, values));
            if self.decoders == Decoders::One {
                report.sum.add(lane, self.bench.of_anchors.decoder.clone());
            } else {
                let student = self.student_of(index);
                self.students[student].descend(&self.bench.of_anchors.decoder, &self.config.rates(done));
            }
            // What others need is on its way while anchors take their step.
            if at + 1 == own.len() && is_settled {
                self.close(round, &mut report)?;
            }
            rayon::scope(|_| self.descend(index))?;
        }
        let verdict = if is_settled {
            self.settle_round(report)?
        } else {
            Verdict { is_asked_to_stop: false, notes: report.notes, sum: None }
        };
        if is_settled {
            self.take(&verdict, round)?;
        }
        self.done = round + 1;
        Ok(self.report(&verdict.notes))
    }

    /// Whether ranks wait for each other at the end of a round.
    fn is_settled(&self, round: u64) -> bool {
        self.decoders == Decoders::One
            || (round + 1).is_multiple_of(self.config.sync_every)
            || round + 1 == self.deal.rounds()
    }

    /// Adds this rank's decoders where they are to be averaged, and sends all that it has to say.
    fn close(&mut self, round: u64, report: &mut Round) -> Result<()> {
        if self.decoders == Decoders::Lanes {
            let taken = self.steps_since_settled(round);
            let all: u64 = taken.iter().sum();
            for (student, lane) in self.students.iter_mut().zip(self.lanes.clone()) {
                report.sum.add(lane, student.weighted(taken[lane] as f32 / all as f32));
            }
        }
        if let Some(gather) = &mut self.gather {
            gather.begin(round, report.sum.take())?;
        }
        report.send(self.ranks.get_mut())
    }

    /// How many steps each lane has taken, this round's included, since ranks last waited for each other.
    fn steps_since_settled(&self, round: u64) -> Vec<u64> {
        let begin = round / self.config.sync_every * self.config.sync_every;
        let mut taken = vec![0; self.deal.lanes()];
        for round in begin..=round {
            let lanes = self.deal.group(self.deal.turn(round).group).len();
            taken[..lanes].iter_mut().for_each(|steps| *steps += 1);
        }
        taken
    }

    /// Does what a round comes to: the same on all ranks.
    fn take(&mut self, verdict: &Verdict, round: u64) -> Result<()> {
        let Turn { group, done } = self.deal.turn(round);
        self.stops |= verdict.is_asked_to_stop;
        for note in &verdict.notes {
            let standing = &mut self.all[self.deal.group(group)[note.lane]];
            (standing.quality, standing.anchors) = (note.quality, note.anchors);
        }
        let Some(sum) = &verdict.sum else { return Ok(()) };
        if self.decoders == Decoders::Lanes {
            self.students.iter_mut().for_each(|student| student.adopt(sum, round + 1));
            return Ok(());
        }
        let share = 1.0 / self.deal.group(group).len() as f32;
        let mean: Vec<f32> = sum.iter().map(|v| v * share).collect();
        self.students[0].descend(&mean, &self.config.rates(done));
        Ok(())
    }

    fn report(&self, notes: &[Note]) -> StepReport {
        let mean = |of: fn(&Note) -> f64| notes.iter().map(of).sum::<f64>() / notes.len().max(1) as f64;
        let count = self.all.iter().map(|standing| standing.anchors).sum();
        StepReport { loss: mean(|note| note.loss), psnr: mean(|note| note.psnr), count, count_name: "anchors" }
    }

    fn next_frame(&mut self, index: usize, done: u64) -> Result<TrainingFrame> {
        let block = &mut self.blocks[index];
        let camera = block.frames.camera(block.sampler.peek(0));
        let side = camera.width.min(camera.height);
        let share = done as f64 / self.config.steps as f64;
        let downscale = if self.config.resolution_schedule { downscale_at(share, side) } else { 1 };
        Ok(block.frames.next(&mut block.sampler, downscale)?)
    }

    /// How much the loss of each block counts, once all have been seen.
    fn weights(&self) -> Option<Vec<f64>> {
        if self.config.sharing != Sharing::Momentum {
            return None;
        }
        let qualities: Option<Vec<Quality>> = self.all.iter().map(|standing| standing.quality).collect();
        qualities.map(|qualities| weights(&qualities, self.config.weight_scale))
    }

    /// Leaves the gradients of a block's step at the bench, and returns its loss with all that belongs to it.
    fn differentiate(&mut self, frame: &TrainingFrame, index: usize, weight: f32) -> Result<(f64, LossValues)> {
        self.ready_device()?;
        let student = self.student_of(index);
        let pull = weight * self.config.consistency_over(self.deal.rounds());
        let Self { config, bench, blocks, students, machine, .. } = self;
        let (block, student) = (&mut blocks[index], &students[student]);
        if let Some(machine) = machine {
            let decoder = &mut bench.of_anchors.decoder;
            return machine.differentiate(frame, (index, block), student, (config, weight, pull), decoder);
        }
        let chosen = seen(&frame.view, &block.model, None);
        let gaze = Gaze::From(frame.view.position());
        bench.student.forward(&student.parameters, &block.model.anchors(), &chosen, gaze, Keep::Opaque);
        let values = bench.compare(frame, block.appearance.as_mut(), config, weight);
        if let Some(appearance) = &mut block.appearance {
            appearance.step(frame.index, block.steps as f32 / config.steps as f32);
        }
        let made = bench.student.gaussians();
        let mut loss = f64::from(weight * values.loss);
        loss += add_volumes(made, weight * config.volume_weight, &mut bench.of_gaussians);
        if pull > 0.0 {
            let keep = Keep::Slots(&made.kept);
            let wanted = bench.teacher.forward(&student.teacher, &block.model.anchors(), &chosen, gaze, keep);
            loss += f64::from(pull) * consistency(made, wanted, pull, &mut bench.of_gaussians);
        }
        let half = 0.5 * frame.view.width.max(frame.view.height) as f32;
        block.statistics.observe(&chosen, made, &bench.of_splats.mean2d_norms, bench.drawn(), half);
        bench.student.backward(&block.model.anchors(), &chosen, gaze, &bench.of_gaussians, &mut bench.of_anchors);
        bench.chosen = chosen;
        Ok((loss, values))
    }

    fn note(&mut self, lane: usize, index: usize, (loss, values): (f64, LossValues)) -> Note {
        let block = &mut self.blocks[index];
        block.learn_quality(&values);
        let (quality, anchors) = (block.quality, block.model.len() as u64);
        Note { lane, loss, psnr: f64::from(psnr(values.mse)), quality, anchors }
    }

    /// One step of a block's anchors down the gradients at the bench; then some grow and some are removed, if it is time to.
    fn descend(&mut self, index: usize) -> Result<()> {
        let Self { config, bench, blocks, machine, sky, .. } = self;
        let block = &mut blocks[index];
        let rates = config.rates(block.steps);
        block.steps += 1;
        match machine {
            Some(machine) => {
                machine.descend(index, &rates, block.steps)?;
                if !Statistics::is_due(config, block.steps) {
                    return Ok(());
                }
                machine.bring_home(index, block)?;
                machine.changed(index);
            }
            None => block.model.descend(&bench.chosen, &bench.of_anchors, &rates, block.steps),
        }
        let far = sky.as_ref().map(|sky| &sky.far);
        block.statistics.refine(&mut block.model, config, (self.cell, far), block.number, block.steps);
        Ok(())
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
