//! Learning: the autoencoders first, then both transformers.
//!
//! What a step sees follows from the seed, the stage and the step's number alone, so a training that was stopped continues with the same bits.

use super::config::GenerateConfig;
use super::data::{PIECES, SURROUNDINGS, Sample, VOXELS, from_pieces, pieces, surroundings, to_pieces};
use super::model::{Autoencoder, AutoencoderShape, DetailModel, Grid, StructureModel, divergence};
use super::tape::{Parameters, Place, Tape};
use crate::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_kernels::adam::Moments;

/// Steps in which rates rise to what they are.
const WARM_UP: f64 = 100.0;
/// Rates fall to this share.
const LAST_RATE: f64 = 0.02;
/// Gradients are shortened to this length.
const LONGEST: f32 = 1.0;
/// Weight of distances that are as long as distances get, beside those that are not.
const FAR: f32 = 0.1;

/// What is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Distances near the surface as tokens.
    Autoencoder,
    /// Coarse distances as tokens.
    StructureAutoencoder,
    /// Where the surface is.
    Structure,
    /// What it looks like there.
    Details,
}

/// How far training has come.
#[derive(Clone, Copy, Debug)]
pub struct TrainProgress {
    /// What is learned.
    pub stage: Stage,
    /// Steps of this stage that are done.
    pub step: u64,
    /// Of so many.
    pub steps: u64,
    /// The mean loss of recent steps.
    pub loss: f64,
}

/// One model while it is learned.
#[derive(Clone, Debug)]
pub(super) struct Learned {
    pub parameters: Parameters,
    /// Averaged over steps: what is used afterwards.
    pub average: Parameters,
    pub moments: Vec<Moments>,
    pub step: u64,
}

/// A generator while it is trained.
#[derive(Clone, Debug)]
pub struct Trainer {
    pub(super) config: GenerateConfig,
    pub(super) classes: Vec<String>,
    pub(super) autoencoder: Autoencoder,
    pub(super) structure_autoencoder: Autoencoder,
    pub(super) structure: StructureModel,
    pub(super) detail: DetailModel,
    pub(super) learned: [Learned; Stage::COUNT],
    /// How tokens are seen by the transformer of structure, once it is known.
    pub(super) structure_scale: Option<Scale>,
    /// How tokens are seen by that of details, once it is known.
    pub(super) scale: Option<Scale>,
}

/// What transformers learn from, of each shape.
#[derive(Debug, Default)]
struct Known {
    /// Tokens with mean 0 and variance 1.
    latents: Vec<Vec<f32>>,
    /// Coarse distances, where details are made for them.
    coarse: Vec<Vec<f32>>,
}

/// How numbers get mean 0 and variance 1, each column of its own: beside noise of variance 1 smaller ones would hardly be seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    pub mean: Vec<f32>,
    pub deviation: Vec<f32>,
}

impl Stage {
    /// All in their order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Autoencoder, Self::StructureAutoencoder, Self::Structure, Self::Details];
    /// How many there are.
    pub const COUNT: usize = 4;

    /// Its name.
    pub fn name(self) -> &'static str {
        ["autoencoder", "structure_autoencoder", "structure", "details"][self as usize]
    }
}

impl Learned {
    fn new(parameters: Parameters) -> Self {
        Self { moments: parameters.moments(), average: parameters.clone(), parameters, step: 0 }
    }

    /// One step against gradients.
    fn take(&mut self, gradients: &[Option<Vec<f32>>], rate: f64, averaging: f32) {
        self.step += 1;
        self.parameters.step(gradients, &mut self.moments, rate as f32, self.step, LONGEST);
        let keep = averaging.min((1.0 + self.step as f32) / (10.0 + self.step as f32));
        self.average.approach(&self.parameters, 1.0 - keep);
    }
}

impl Trainer {
    /// A generator of these classes that knows nothing yet.
    ///
    /// # Errors
    /// When settings are wrong.
    pub fn new(config: &GenerateConfig, classes: &[String]) -> Result<Self> {
        config.check()?;
        let rng = &mut Pcg64::seed_from_u64(config.seed);
        let (autoencoder, first) = Autoencoder::new(config.autoencoder(), rng);
        let (structure_autoencoder, second) = Autoencoder::new(config.structure_autoencoder(), rng);
        let (structure, third) = StructureModel::new(config.structure(classes.len()), config.structure_latent, rng);
        let (shape, sparse) = config.detail(classes.len());
        let (detail, fourth) = DetailModel::new(shape, sparse, [config.latent, SURROUNDINGS], rng);
        let learned = [first, second, third, fourth].map(Learned::new);
        Ok(Self {
            config: config.clone(),
            classes: classes.to_vec(),
            autoencoder,
            structure_autoencoder,
            structure,
            detail,
            learned,
            structure_scale: None,
            scale: None,
        })
    }

    /// The same training for other classes, before it has begun.
    ///
    /// # Errors
    /// When it has learned something of its own classes.
    pub fn of_classes(&self, classes: &[String]) -> Result<Self> {
        if Stage::ALL.iter().any(|stage| self.done(*stage) > 0) {
            return Err(Error::setting(format!(
                "the training knows the classes {} and not {}; name with --data what it began with",
                self.classes.join(", "),
                classes.join(", ")
            )));
        }
        Self::new(&self.config, classes)
    }

    /// Says where layers are computed; on the host, if nobody says. Steps are those of the host either way.
    pub fn place_on(&mut self, place: &Arc<dyn Place>) {
        for learned in &mut self.learned {
            learned.parameters.place_on(place);
            learned.average.place_on(place);
        }
    }

    /// How it is trained.
    pub fn config(&self) -> &GenerateConfig {
        &self.config
    }

    /// Names of what it learns to make.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Whether all steps are done.
    pub fn is_complete(&self) -> bool {
        Stage::ALL.iter().all(|stage| self.done(*stage) >= self.steps(*stage))
    }

    /// Whether another one has the same weights and moments.
    #[cfg(test)]
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let same = |a: &Learned, b: &Learned| {
            a.parameters.same_as(&b.parameters) && a.average.same_as(&b.average) && a.moments == b.moments
        };
        self.learned.iter().zip(&other.learned).all(|(a, b)| same(a, b))
    }

    /// The largest difference of gradients of first steps, relative to the largest gradient of each model.
    #[cfg(test)]
    pub(super) fn largest_difference_of_moments(&self, other: &Self) -> f32 {
        let of = |own: &Learned, other: &Learned| {
            let pairs = || own.moments.iter().zip(&other.moments).flat_map(|(a, b)| a.first.iter().zip(&b.first));
            let largest = pairs().fold(0.0f32, |m, (a, _)| m.max(a.abs()));
            pairs().fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / largest
        };
        self.learned.iter().zip(&other.learned).map(|(a, b)| of(a, b)).fold(0.0, f32::max)
    }

    /// Numbers that each of the models has.
    pub fn parameters(&self) -> [usize; Stage::COUNT] {
        Stage::ALL.map(|stage| self.learned[stage as usize].parameters.count())
    }

    /// How many steps a stage has.
    pub fn steps(&self, stage: Stage) -> u64 {
        let config = &self.config;
        match stage {
            Stage::Autoencoder => config.autoencoder_steps,
            Stage::StructureAutoencoder => config.structure_autoencoder_steps,
            Stage::Structure => config.structure_steps,
            Stage::Details => config.detail_steps,
        }
    }

    /// The steps of a stage that are done.
    pub fn done(&self, stage: Stage) -> u64 {
        self.learned[stage as usize].step
    }

    /// All steps that are left, or those until `stop` is true. After each `progress` is told, and after some `checkpoint` is called.
    ///
    /// # Errors
    /// When there is nothing to learn from, training diverges, or a checkpoint cannot be written.
    pub fn train(
        &mut self,
        data: &[Sample],
        stop: &AtomicBool,
        progress: &mut dyn FnMut(TrainProgress),
        checkpoint: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        if data.is_empty() {
            return Err(Error::setting("there are no shapes to learn from; hold out fewer"));
        }
        for stage in Stage::ALL {
            let known = match stage {
                Stage::Autoencoder | Stage::StructureAutoencoder => Known::default(),
                Stage::Structure => Known { latents: self.structures(data)?, ..Known::default() },
                Stage::Details => Known { latents: self.latents(data)?, coarse: self.coarse_given_back(data)? },
            };
            let steps = self.steps(stage);
            let mut recent = None;
            while self.done(stage) < steps {
                if stop.load(Ordering::Relaxed) {
                    return checkpoint(self);
                }
                // On a thread of the pool: from others each of hundreds of short parallel loops would wait to be woken.
                let loss = rayon::scope(|_| self.step_of(stage, data, &known))?;
                if !loss.is_finite() {
                    let name = stage.name();
                    return Err(Error::Diverged(format!("training of the {name} diverged; lower its rate with --set")));
                }
                let memory: f64 = recent.unwrap_or(loss);
                recent = Some(0.98 * memory + 0.02 * loss);
                progress(TrainProgress { stage, step: self.done(stage), steps, loss: recent.unwrap_or(loss) });
                if self.done(stage).is_multiple_of(self.config.checkpoint_every.max(1)) {
                    checkpoint(self)?;
                }
            }
        }
        Ok(())
    }

    /// The rate of a stage's next step.
    fn rate(&self, stage: Stage) -> f64 {
        let first = match stage {
            Stage::Autoencoder | Stage::StructureAutoencoder => self.config.autoencoder_rate,
            Stage::Structure | Stage::Details => self.config.rate,
        };
        let (step, steps) = (self.done(stage) as f64, self.steps(stage) as f64);
        let fall = LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + (std::f64::consts::PI * step / steps).cos());
        f64::from(first) * fall * ((step + 1.0) / WARM_UP).min(1.0)
    }

    /// Random numbers of a stage's next step.
    fn rng(&self, stage: Stage) -> Pcg64 {
        let mixed = (self.done(stage) * Stage::COUNT as u64 + stage as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Pcg64::seed_from_u64(self.config.seed ^ mixed)
    }

    /// The next step of a stage, and its loss.
    fn step_of(&mut self, stage: Stage, data: &[Sample], known: &Known) -> Result<f64> {
        match stage {
            Stage::Autoencoder => self.step_autoencoder(data),
            Stage::StructureAutoencoder => self.step_structure_autoencoder(data),
            Stage::Structure => self.step_structure(data, &known.latents),
            Stage::Details => self.step_details(data, known),
        }
    }

    fn step_autoencoder(&mut self, data: &[Sample]) -> Result<f64> {
        let stage = Stage::Autoencoder;
        let mut rng = self.rng(stage);
        let chosen = choose(&mut rng, data, self.config.autoencoder_batch);
        let grid = grid(chosen.iter().map(|i| &data[*i]), self.autoencoder.shape());
        let distances = chosen.iter().flat_map(|i| data[*i].fine.iter().copied()).collect();
        self.encode_and_decode(stage, &grid, distances, &mut rng)
    }

    fn step_structure_autoencoder(&mut self, data: &[Sample]) -> Result<f64> {
        let stage = Stage::StructureAutoencoder;
        let mut rng = self.rng(stage);
        let chosen = choose(&mut rng, data, self.config.structure_autoencoder_batch);
        let grid = Grid::new(all_pieces(chosen.len()), self.structure_autoencoder.shape());
        let distances = chosen.iter().flat_map(|i| to_pieces(&data[*i].coarse)).collect();
        self.encode_and_decode(stage, &grid, distances, &mut rng)
    }

    /// A step of an autoencoder with the distances of blocks.
    fn encode_and_decode(&mut self, stage: Stage, grid: &Grid, distances: Vec<f32>, rng: &mut Pcg64) -> Result<f64> {
        let own = if stage == Stage::Autoencoder { &self.autoencoder } else { &self.structure_autoencoder };
        let learned = &self.learned[stage as usize];
        let mut tape = Tape::new(&learned.parameters);
        let [mean, log_variance] = own.encode(&mut tape, grid, distances.clone());
        let noise = normal(rng, tape.rows(mean) * tape.columns(mean));
        let tokens = tape.drawn(mean, log_variance, noise);
        let out = own.decode(&mut tape, grid, tokens);
        let (error, by_out) = weighted_error(&tape.read(out)?, &distances);
        let (far, mut by) = divergence(&tape.read(mean)?, &tape.read(log_variance)?);
        by.iter_mut().flatten().for_each(|x| *x *= self.config.divergence);
        let [by_mean, by_log] = by;
        let gradients = tape.backward(vec![(out, by_out), (mean, by_mean), (log_variance, by_log)])?;
        let rate = self.rate(stage);
        self.learned[stage as usize].take(&gradients, rate, self.config.averaging);
        Ok(error + f64::from(self.config.divergence) * far)
    }

    fn step_structure(&mut self, data: &[Sample], latents: &[Vec<f32>]) -> Result<f64> {
        let stage = Stage::Structure;
        let mut rng = self.rng(stage);
        let chosen = choose(&mut rng, data, self.config.structure_batch);
        let times: Vec<f32> = chosen.iter().map(|_| time(&mut rng)).collect();
        let labels: Vec<u32> = chosen.iter().map(|i| self.label(&mut rng, data[*i].label)).collect();
        let (mut noisy, mut velocity) = (Vec::new(), Vec::new());
        for (i, t) in chosen.iter().zip(&times) {
            mix(&latents[*i], *t, &mut rng, &mut noisy, &mut velocity);
        }
        let mut tape = Tape::new(&self.learned[stage as usize].parameters);
        let out = self.structure.run(&mut tape, noisy, self.config.structure_latent, PIECES, (&times, &labels));
        let (loss, by_out) = mean_square(&tape.read(out)?, &velocity);
        let gradients = tape.backward(vec![(out, by_out)])?;
        let rate = self.rate(stage);
        self.learned[stage as usize].take(&gradients, rate, self.config.averaging);
        Ok(loss)
    }

    fn step_details(&mut self, data: &[Sample], known: &Known) -> Result<f64> {
        let stage = Stage::Details;
        let mut rng = self.rng(stage);
        let chosen = choose(&mut rng, data, self.config.detail_batch);
        let times: Vec<f32> = chosen.iter().map(|_| time(&mut rng)).collect();
        let labels: Vec<u32> = chosen.iter().map(|i| self.label(&mut rng, data[*i].label)).collect();
        let (mut noisy, mut velocity, mut given) = (Vec::new(), Vec::new(), Vec::new());
        for (i, t) in chosen.iter().zip(&times) {
            mix(&known.latents[*i], *t, &mut rng, &mut noisy, &mut velocity);
            let mut near = surroundings(&known.coarse[*i], &data[*i].blocks());
            let noise = normal(&mut rng, near.len());
            near.iter_mut().zip(noise).for_each(|(x, n)| *x += self.config.structure_noise * n);
            given.extend(near);
        }
        let tokens = self.detail.tokens(&coordinates(chosen.iter().map(|i| &data[*i])), chosen.len());
        let rows = detail_rows(&tokens.order, &noisy, &given, self.config.latent);
        let wanted = ordered(&tokens.order, &velocity, self.config.latent);
        let mut tape = Tape::new(&self.learned[stage as usize].parameters);
        let out = self.detail.run(&mut tape, rows, &tokens, (&times, &labels));
        let (loss, by_out) = mean_square(&tape.read(out)?, &wanted);
        let gradients = tape.backward(vec![(out, by_out)])?;
        let rate = self.rate(stage);
        self.learned[stage as usize].take(&gradients, rate, self.config.averaging);
        Ok(loss)
    }

    /// The class, or now and then none.
    fn label(&self, rng: &mut Pcg64, label: u32) -> u32 {
        if rng.random_bool(self.config.drop_class) { self.classes.len() as u32 } else { label }
    }

    /// The tokens of all shapes' structures with mean 0 and variance 1.
    fn structures(&mut self, data: &[Sample]) -> Result<Vec<Vec<f32>>> {
        let mut all = self.structures_encoded(data)?;
        let scale = self.structure_scale.get_or_insert_with(|| Scale::of(&all, self.config.structure_latent));
        all.iter_mut().for_each(|tokens| scale.narrow(tokens));
        Ok(all)
    }

    /// The coarse distances of all shapes after their autoencoder: what is known of made shapes when details are made.
    fn coarse_given_back(&self, data: &[Sample]) -> Result<Vec<Vec<f32>>> {
        let average = &self.learned[Stage::StructureAutoencoder as usize].average;
        let of = |tokens| Ok(from_pieces(&decoded(&self.structure_autoencoder, average, all_pieces(1), tokens)?));
        self.structures_encoded(data)?.into_iter().map(of).collect()
    }

    fn structures_encoded(&self, data: &[Sample]) -> Result<Vec<Vec<f32>>> {
        let own = &self.structure_autoencoder;
        let average = &self.learned[Stage::StructureAutoencoder as usize].average;
        let grid = Grid::new(all_pieces(1), own.shape());
        data.iter().map(|sample| encoded(own, average, &grid, to_pieces(&sample.coarse))).collect()
    }

    /// The tokens of all shapes with mean 0 and variance 1.
    fn latents(&mut self, data: &[Sample]) -> Result<Vec<Vec<f32>>> {
        let (own, average) = (&self.autoencoder, &self.learned[Stage::Autoencoder as usize].average);
        let of =
            |sample: &Sample| encoded(own, average, &grid(std::iter::once(sample), own.shape()), sample.fine.clone());
        let mut all: Vec<Vec<f32>> = data.iter().map(of).collect::<Result<_>>()?;
        let scale = self.scale.get_or_insert_with(|| Scale::of(&all, self.config.latent));
        all.iter_mut().for_each(|tokens| scale.narrow(tokens));
        Ok(all)
    }
}

impl Scale {
    fn of(all: &[Vec<f32>], columns: usize) -> Self {
        let rows = || all.iter().flat_map(|tokens| tokens.chunks_exact(columns));
        let count = rows().count().max(1) as f64;
        let (mut mean, mut square) = (vec![0.0f64; columns], vec![0.0f64; columns]);
        for row in rows() {
            for (c, x) in row.iter().enumerate() {
                mean[c] += f64::from(*x) / count;
                square[c] += f64::from(*x).powi(2) / count;
            }
        }
        let deviation = mean.iter().zip(square).map(|(m, s)| (s - m * m).max(1e-8).sqrt() as f32).collect();
        Self { mean: mean.into_iter().map(|m| m as f32).collect(), deviation }
    }

    fn narrow(&self, tokens: &mut [f32]) {
        for row in tokens.chunks_exact_mut(self.mean.len()) {
            row.iter_mut().zip(self.mean.iter().zip(&self.deviation)).for_each(|(x, (m, d))| *x = (*x - m) / d);
        }
    }

    /// Back from numbers of mean 0 and variance 1.
    pub fn widen(&self, tokens: &mut [f32]) {
        for row in tokens.chunks_exact_mut(self.mean.len()) {
            row.iter_mut().zip(self.mean.iter().zip(&self.deviation)).for_each(|(x, (m, d))| *x = *x * d + m);
        }
    }
}

/// The tokens of blocks of distances, as an autoencoder makes them.
fn encoded(autoencoder: &Autoencoder, parameters: &Parameters, grid: &Grid, distances: Vec<f32>) -> Result<Vec<f32>> {
    let mut tape = Tape::without_gradients(parameters);
    let [mean, _] = autoencoder.encode(&mut tape, grid, distances);
    tape.take(mean)
}

/// The pieces of the coarse grids of so many shapes, (shape, x, y, z).
pub(super) fn all_pieces(shapes: usize) -> Vec<[i32; 4]> {
    let of = |i: usize| pieces().map(move |[x, y, z]| [i as i32, x as i32, y as i32, z as i32]);
    (0..shapes).flat_map(of).collect()
}

/// The blocks of several shapes, (shape, x, y, z).
pub(super) fn coordinates<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<[i32; 4]> {
    let of = |(i, sample): (usize, &'a Sample)| {
        sample.blocks().into_iter().map(move |[x, y, z]| [i as i32, x as i32, y as i32, z as i32])
    };
    samples.enumerate().flat_map(of).collect()
}

fn grid<'a>(samples: impl Iterator<Item = &'a Sample>, shape: AutoencoderShape) -> Grid {
    Grid::new(coordinates(samples), shape)
}

fn choose(rng: &mut Pcg64, data: &[Sample], count: usize) -> Vec<usize> {
    let known = |i: &usize| !data[*i].fine.is_empty();
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        let i = rng.random_range(0..data.len());
        // A shape without a surface has nothing to learn from.
        chosen.extend(Some(i).filter(|i| known(i) || data.iter().all(|s| s.fine.is_empty())));
    }
    chosen
}

/// Numbers from the standard normal distribution, by the polar method of Box and Muller.
pub(super) fn normal(rng: &mut Pcg64, count: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(count + 1);
    while out.len() < count {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        out.extend([radius * angle.cos(), radius * angle.sin()].map(|x| x as f32));
    }
    out.truncate(count);
    out
}

/// A time between 0 and 1 whose logit is normally distributed.
fn time(rng: &mut Pcg64) -> f32 {
    let x = normal(rng, 1)[0];
    1.0 / (1.0 + (-x).exp())
}

/// Adds `(1 - t) x + t ε` and `ε - x`.
fn mix(x: &[f32], t: f32, rng: &mut Pcg64, noisy: &mut Vec<f32>, velocity: &mut Vec<f32>) {
    let noise = normal(rng, x.len());
    noisy.extend(x.iter().zip(&noise).map(|(x, n)| (1.0 - t) * x + t * n));
    velocity.extend(x.iter().zip(&noise).map(|(x, n)| n - x));
}

/// Rows in another order.
pub(super) fn ordered(order: &[u32], rows: &[f32], columns: usize) -> Vec<f32> {
    order.iter().flat_map(|i| rows[*i as usize * columns..][..columns].iter().copied()).collect()
}

/// What the transformer of details sees: noisy numbers and what is known, in the order of tokens.
pub(super) fn detail_rows(order: &[u32], noisy: &[f32], given: &[f32], latent: usize) -> Vec<f32> {
    let row = |i: &u32| {
        let i = *i as usize;
        noisy[i * latent..][..latent].iter().chain(&given[i * SURROUNDINGS..][..SURROUNDINGS]).copied()
    };
    order.iter().flat_map(row).collect()
}

fn mean_square(values: &[f32], wanted: &[f32]) -> (f64, Vec<f32>) {
    let share = 1.0 / values.len().max(1) as f32;
    let loss = values.iter().zip(wanted).map(|(v, w)| f64::from(v - w).powi(2)).sum::<f64>();
    (loss * f64::from(share), values.iter().zip(wanted).map(|(v, w)| 2.0 * share * (v - w)).collect())
}

/// The mean square of differences, where those of distances that are as long as they get count less.
fn weighted_error(values: &[f32], wanted: &[f32]) -> (f64, Vec<f32>) {
    let weight = |w: f32| if w.abs() < 1.0 { 1.0 } else { FAR };
    let share = 1.0 / wanted.iter().map(|w| weight(*w)).sum::<f32>().max(1.0);
    let loss = values.iter().zip(wanted).map(|(v, w)| f64::from(weight(*w) * (v - w).powi(2))).sum::<f64>();
    let by = values.iter().zip(wanted).map(|(v, w)| 2.0 * share * weight(*w) * (v - w)).collect();
    (loss * f64::from(share), by)
}

/// How well the autoencoder gives back the blocks of a shape: its distances after it.
pub(super) fn given_back(autoencoder: &Autoencoder, parameters: &Parameters, sample: &Sample) -> Result<Vec<f32>> {
    let grid = grid(std::iter::once(sample), autoencoder.shape());
    let tokens = encoded(autoencoder, parameters, &grid, sample.fine.clone())?;
    decoded(autoencoder, parameters, coordinates(std::iter::once(sample)), tokens)
}

/// The distances, `[blocks, 64]`, of blocks' tokens.
pub(super) fn decoded(
    autoencoder: &Autoencoder,
    parameters: &Parameters,
    blocks: Vec<[i32; 4]>,
    tokens: Vec<f32>,
) -> Result<Vec<f32>> {
    let count = blocks.len();
    let grid = Grid::new(blocks, autoencoder.shape());
    let mut tape = Tape::without_gradients(parameters);
    let tokens = tape.constant(tokens, autoencoder.shape().latent);
    let out = autoencoder.decode(&mut tape, &grid, tokens);
    let distances = tape.take(out)?;
    assert_eq!(distances.len(), count * VOXELS, "distances for each block");
    Ok(distances)
}
