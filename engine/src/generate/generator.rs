//! A trained generator: what it can make, and its file.
//!
//! A file is safetensors with the averaged weights of all models; settings, classes and progress are its metadata. A checkpoint is the
//! same with the weights and moments of training beside them.

use super::config::GenerateConfig;
use super::data::{PIECES, SURROUNDINGS, Sample, Volume, blocks_near, from_pieces, surroundings};
use super::tape::{Parameters, Place, Tape, Tensors};
use super::train::{Scale, Stage, Trainer, all_pieces, decoded, detail_rows, given_back, normal};
use crate::config::Config;
use crate::{Error, Result};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tessera_datasets::scene::Mesh;

/// The only entry of the metadata, of which several have no order: the kind of file.
const KIND: &str = "tessera generator 3";
/// The largest file that is read.
const MOST_BYTES: u64 = 4 << 30;

/// What a file says beside its tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    /// As TOML.
    settings: String,
    classes: Vec<String>,
    /// That each stage has done.
    steps: [u64; Stage::COUNT],
}

/// How shapes are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Making {
    /// Steps from noise to a shape, of both transformers.
    pub steps: usize,
    /// By how much the class is stressed: 1 not at all, which takes half the time.
    pub guidance: f32,
    /// Steps are shorter near the noise, by this factor.
    pub shift: f32,
    /// Start of all random numbers.
    pub seed: u64,
}

impl Default for Making {
    fn default() -> Self {
        Self { steps: 25, guidance: 1.0, shift: 1.5, seed: 1 }
    }
}

/// What was learned.
#[derive(Clone, Debug)]
pub struct Generator {
    trainer: Trainer,
    structure_scale: Scale,
    scale: Scale,
}

/// A made shape.
#[derive(Clone, Debug)]
pub struct Made {
    /// Distances on the coarse grid.
    pub coarse: Vec<f32>,
    /// The surface; empty when there is none.
    pub mesh: Mesh,
}

impl Generator {
    /// What a training has learned so far.
    ///
    /// # Errors
    /// When it did not come to the last stage.
    pub fn of(trainer: &Trainer) -> Result<Self> {
        let remedy = "the training is not complete; continue it with --resume";
        let known = |scale: &Option<Scale>| scale.clone().ok_or_else(|| Error::setting(remedy));
        let (structure_scale, scale) = (known(&trainer.structure_scale)?, known(&trainer.scale)?);
        Ok(Self { trainer: trainer.clone(), structure_scale, scale })
    }

    /// Says where layers are computed; on the host, if nobody says.
    pub fn place_on(&mut self, place: &Arc<dyn Place>) {
        self.trainer.place_on(place);
    }

    /// Names of what it can make.
    pub fn classes(&self) -> &[String] {
        &self.trainer.classes
    }

    /// How it was trained.
    pub fn config(&self) -> &GenerateConfig {
        &self.trainer.config
    }

    /// A shape of a class, or of any: number `index` of those that the seed makes. Its mesh lies in the cube from 0 to 1, y up.
    ///
    /// # Errors
    /// When a device fails.
    pub fn make(&self, class: Option<usize>, index: u64, making: &Making) -> Result<Made> {
        let mixed = making.seed ^ (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = Pcg64::seed_from_u64(mixed);
        let none = self.classes().len() as u32;
        let label = class.map_or(none, |class| class as u32);
        let coarse = self.make_structure(label, making, &mut rng)?;
        let fine = self.make_details(label, &coarse, making, &mut rng)?;
        let mesh = Volume::new(&coarse, &fine).mesh();
        Ok(Made { coarse, mesh })
    }

    /// What comes out when a shape goes through the autoencoder.
    ///
    /// # Errors
    /// When a device fails.
    pub fn reconstruct(&self, sample: &Sample) -> Result<Mesh> {
        let fine = given_back(&self.trainer.autoencoder, self.average(Stage::Autoencoder), sample)?;
        Ok(Volume::new(&sample.coarse, &fine).mesh())
    }

    fn average(&self, stage: Stage) -> &Parameters {
        &self.trainer.learned[stage as usize].average
    }

    /// The classes that velocities are asked for side by side: this one, and none where that is to be stressed.
    fn labels(&self, label: u32, making: &Making) -> Vec<u32> {
        let none = self.classes().len() as u32;
        if making.guidance == 1.0 { vec![label] } else { vec![label, none] }
    }

    fn make_structure(&self, label: u32, making: &Making, rng: &mut Pcg64) -> Result<Vec<f32>> {
        let latent = self.config().structure_latent;
        let noise = normal(rng, PIECES.pow(3) * latent);
        let labels = self.labels(label, making);
        let mut tokens = flow(noise, making, |x, t| {
            let mut tape = Tape::without_gradients(self.average(Stage::Structure));
            let (times, all) = (vec![t; labels.len()], x.repeat(labels.len()));
            let out = self.trainer.structure.run(&mut tape, all, latent, PIECES, (&times, &labels));
            Ok(guided(tape.take(out)?, making.guidance))
        })?;
        self.structure_scale.widen(&mut tokens);
        let average = self.average(Stage::StructureAutoencoder);
        Ok(from_pieces(&decoded(&self.trainer.structure_autoencoder, average, all_pieces(1), tokens)?))
    }

    fn make_details(&self, label: u32, coarse: &[f32], making: &Making, rng: &mut Pcg64) -> Result<Vec<f32>> {
        let latent = self.trainer.config.latent;
        let blocks = blocks_near(coarse);
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        let labels = self.labels(label, making);
        let count = labels.len();
        let at = |sample: usize| blocks.iter().map(move |b| [sample, b[0], b[1], b[2]].map(|x| x as i32));
        let all: Vec<[i32; 4]> = (0..count).flat_map(at).collect();
        let tokens = self.trainer.detail.tokens(&all, count);
        let mut back = vec![0usize; tokens.order.len()];
        tokens.order.iter().enumerate().for_each(|(i, token)| back[*token as usize] = i);
        let given = surroundings(coarse, &blocks).repeat(count);
        debug_assert_eq!(given.len(), all.len() * SURROUNDINGS);
        let mut made = flow(normal(rng, blocks.len() * latent), making, |x, t| {
            let rows = detail_rows(&tokens.order, &x.repeat(count), &given, latent);
            let mut tape = Tape::without_gradients(self.average(Stage::Details));
            let out = self.trainer.detail.run(&mut tape, rows, &tokens, (&vec![t; count], &labels));
            let values = tape.take(out)?;
            let in_order: Vec<f32> = back.iter().flat_map(|i| values[i * latent..][..latent].iter().copied()).collect();
            Ok(guided(in_order, making.guidance))
        })?;
        self.scale.widen(&mut made);
        let blocks: Vec<[i32; 4]> = at(0).collect();
        decoded(&self.trainer.autoencoder, self.average(Stage::Autoencoder), blocks, made)
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.trainer.write(path, false)
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// When the file is none of a generator, is damaged, or lacks tensors or has others; they are listed.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(&Trainer::read(path)?)
    }
}

/// From noise at time 1 to time 0 by steps of Euler.
fn flow(
    mut x: Vec<f32>,
    making: &Making,
    mut velocity: impl FnMut(&[f32], f32) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    let time = |i: usize| {
        let even = 1.0 - i as f32 / making.steps as f32;
        making.shift * even / (1.0 + (making.shift - 1.0) * even)
    };
    for i in 0..making.steps {
        let (now, next) = (time(i), time(i + 1));
        let v = velocity(&x, now)?;
        x.iter_mut().zip(v).for_each(|(x, v)| *x += (next - now) * v);
    }
    Ok(x)
}

/// The second half, and by so much from it to the first; all of it where nothing is stressed.
fn guided(both: Vec<f32>, guidance: f32) -> Vec<f32> {
    if guidance == 1.0 {
        return both;
    }
    let (with, without) = both.split_at(both.len() / 2);
    with.iter().zip(without).map(|(with, without)| without + guidance * (with - without)).collect()
}

impl Trainer {
    /// Writes what was learned; with all that training needs to go on, where that is wanted.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, to_go_on: bool) -> Result<()> {
        let mut tensors: Vec<(String, TensorView<'_>)> = Vec::new();
        for (stage, learned) in Stage::ALL.into_iter().zip(&self.learned) {
            let prefix = format!("{}.", stage.name());
            tensors.extend(learned.average.tensors(&prefix)?);
        }
        for (name, scale) in [("structure_scale", &self.structure_scale), ("scale", &self.scale)] {
            for (part, values) in scale.iter().flat_map(|s| [("mean", &s.mean), ("deviation", &s.deviation)]) {
                tensors.push((format!("{name}.{part}"), view(values)?));
            }
        }
        if to_go_on {
            for (stage, learned) in Stage::ALL.into_iter().zip(&self.learned) {
                tensors.extend(learned.parameters.tensors(&format!("training.{}.", stage.name()))?);
                for (i, moments) in learned.moments.iter().enumerate() {
                    tensors.push((format!("moments.{}.{i}.first", stage.name()), view(&moments.first)?));
                    tensors.push((format!("moments.{}.{i}.second", stage.name()), view(&moments.second)?));
                }
            }
        }
        let description = Description {
            settings: self.config.to_toml(),
            classes: self.classes.clone(),
            steps: Stage::ALL.map(|stage| self.done(stage)),
        };
        let failed = |e: String| Error::file(path, format!("cannot be written ({e})"), "report this");
        let text = serde_json::to_string(&description).map_err(|e| failed(e.to_string()))?;
        let metadata = HashMap::from([(KIND.to_owned(), text)]);
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|e| failed(e.to_string()))?;
        crate::train::write_whole(path, &bytes)
    }

    /// Reads what was learned.
    ///
    /// # Errors
    /// As [`Generator::read`].
    pub fn read(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(|e| Error::read(path, &e))?.len();
        let remedy = "give a model that tessera generate train has written";
        if size > MOST_BYTES {
            return Err(Error::file(path, "is larger than any model", remedy));
        }
        let bytes = std::fs::read(path).map_err(|e| Error::read(path, &e))?;
        let not_ours = |reason: String| Error::file(path, reason, remedy);
        let damaged = |e: safetensors::SafeTensorError| not_ours(format!("is no model, or damaged ({e})"));
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let Some(text) = header.metadata().as_ref().and_then(|metadata| metadata.get(KIND)) else {
            return Err(not_ours("is no model of this version of tessera".to_owned()));
        };
        let Description { settings, classes, steps } =
            serde_json::from_str(text).map_err(|e| not_ours(format!("does not say what it is ({e})")))?;
        let config = GenerateConfig::from_toml(&settings, "the model's settings")
            .map_err(|e| not_ours(format!("has settings that cannot be used: {e}")))?;
        let mut tensors = all_tensors(&safetensors::SafeTensors::deserialize(&bytes).map_err(damaged)?, path)?;
        drop(bytes);
        if config.least_weights() > weights_of(&tensors) {
            return Err(not_ours("has settings of a larger model than its tensors are".to_owned()));
        }
        let mut own =
            Self::new(&config, &classes).map_err(|e| not_ours(format!("has settings that cannot be used: {e}")))?;
        own.learned.iter_mut().zip(steps).for_each(|(learned, step)| learned.step = step);
        own.structure_scale = scale_of("structure_scale", config.structure_latent, &mut tensors, path)?;
        own.scale = scale_of("scale", config.latent, &mut tensors, path)?;
        own.take(&tensors, path)?;
        Ok(own)
    }

    /// Weights, and what training needs to go on, where it is there.
    fn take(&mut self, tensors: &Tensors, path: &Path) -> Result<()> {
        let to_go_on = tensors.keys().any(|name| name.starts_with("training."));
        for stage in Stage::ALL {
            let learned = &mut self.learned[stage as usize];
            learned.average.load(&format!("{}.", stage.name()), tensors, path)?;
            if !to_go_on {
                learned.parameters = learned.average.clone();
                continue;
            }
            learned.parameters.load(&format!("training.{}.", stage.name()), tensors, path)?;
            for (i, moments) in learned.moments.iter_mut().enumerate() {
                let name = |which: &str| format!("moments.{}.{i}.{which}", stage.name());
                for (which, own) in [("first", &mut moments.first), ("second", &mut moments.second)] {
                    let known = tensors.get(&name(which)).filter(|(_, values)| values.len() == own.len());
                    let Some((_, values)) = known else {
                        let reason = format!("lacks the moments {}, or they have another size", name(which));
                        return Err(Error::file(path, reason, "start the training anew"));
                    };
                    own.clone_from(values);
                }
            }
        }
        Ok(())
    }
}

fn view(values: &[f32]) -> Result<TensorView<'_>> {
    TensorView::new(Dtype::F32, vec![values.len()], bytemuck::cast_slice(values))
        .map_err(|e| Error::setting(format!("a tensor cannot be written ({e})")))
}

/// A scale of so many columns, where the file has one.
fn scale_of(name: &str, columns: usize, tensors: &mut Tensors, path: &Path) -> Result<Option<Scale>> {
    let [mean, deviation] = ["mean", "deviation"].map(|part| tensors.remove(&format!("{name}.{part}")));
    let (Some((_, mean)), Some((_, deviation))) = (mean, deviation) else { return Ok(None) };
    if mean.len() != columns || deviation.len() != columns {
        let reason = format!("has a {name} of another size than what it scales");
        return Err(Error::file(path, reason, "give a model that tessera generate train has written"));
    }
    Ok(Some(Scale { mean, deviation }))
}

fn weights_of(tensors: &Tensors) -> u64 {
    tensors.values().map(|(_, values)| values.len() as u64).sum()
}

fn all_tensors(file: &safetensors::SafeTensors<'_>, path: &Path) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    for (name, tensor) in file.tensors() {
        if tensor.dtype() != Dtype::F32 {
            let reason = format!("tensor {name} is {:?} and not float32", tensor.dtype());
            return Err(Error::file(path, reason, "give a model that tessera generate train has written"));
        }
        let values: Vec<f32> = tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        if values.iter().any(|x| !x.is_finite()) {
            let reason = format!("tensor {name} has values that are not numbers");
            return Err(Error::file(path, reason, "train the model anew with a lower rate"));
        }
        tensors.insert(name.clone(), (tensor.shape().to_vec(), values));
    }
    Ok(tensors)
}
