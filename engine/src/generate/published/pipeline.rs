//! From a picture to a mesh with the published models, stage by stage; the weights of one stage are let go before those of the next are read.

use super::super::tape::Place;
use super::config::{PublishedConfig, Scheduler, SparseDit, SparseVae};
use super::dense_vae::DenseDecoder;
use super::dinov2::Dinov2;
use super::dit::{Condition, Dit, Over};
use super::picture::Prepared;
use super::settings::ImageConfig;
use super::sparse_vae::SparseDecoder;
use super::surface::{Surface, centred, voxels_near};
use super::weights::{Wanted, check};
use super::{memory, sampler};
use crate::train::MemoryPlan;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tessera_datasets::format::weights::WeightsFile;
use tessera_datasets::image::Image8;
use tessera_datasets::scene::Mesh;

/// What a part of a file is for, and the tensors that it must hold.
type NamedPart = (&'static str, Wanted);

/// Endings of files of weights, in the order in which they are looked for.
const ENDINGS: [&str; 4] = ["safetensors", "ckpt", "pth", "pt"];
/// Names of the files, without their endings.
const FILES: [&str; 3] = ["model_dense", "model_sparse_512", "model_sparse_1024"];
/// What the image encoder's file is called where it is published.
const ENCODER: &str = "dinov2_vitl14_reg4_pretrain";
/// What makes less memory needed.
pub(super) const REMEDY: &str = "make the shape with --resolution 512, or on a larger machine";

/// How far a shape is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// 512 voxels a side.
    Coarse,
    /// 1024 voxels a side, with the surface of the coarse ones as its beginning.
    #[default]
    Fine,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageStage {
    /// Looking at the picture.
    Picture,
    /// Where the shape is.
    Structure,
    /// What it looks like there.
    Details,
    /// The same, finer.
    FineDetails,
}

/// What a shape is made of.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The object, cut out.
    pub picture: &'a Image8,
    /// The picture's file, for messages.
    pub path: &'a Path,
    /// A shape, in the models' axes, to which details are made anew: its voxels take the place of those that the first models would make.
    pub shape: Option<&'a Mesh>,
}

/// What the caller is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageEvent {
    /// So many of so many steps are done.
    Step(ImageStage, [usize; 2]),
    /// So many voxels have something of the surface.
    Tokens(ImageStage, usize),
    /// Memory may not be enough.
    Warning(String),
}

/// A part of the published weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartReport {
    /// The file.
    pub path: PathBuf,
    /// What it is for.
    pub name: &'static str,
    /// How its numbers are stored.
    pub numbers: String,
    /// Tensors that are used.
    pub tensors: usize,
    /// Weights that are used.
    pub weights: usize,
    /// Tensors that belong to it, and are not needed.
    pub unread: usize,
}

/// Published models whose files fit their settings.
#[derive(Debug)]
pub struct Published {
    config: PublishedConfig,
    encoder: WeightsFile,
    dense: WeightsFile,
    sparse: Vec<WeightsFile>,
}

/// The models of details at a resolution.
pub(super) struct Details<'a> {
    pub dit: &'a SparseDit,
    pub vae: &'a SparseVae,
    scheduler: Scheduler,
    pub file: &'a WeightsFile,
    steps: usize,
    stage: ImageStage,
}

/// Telling and being stopped.
struct Run<'a> {
    settings: &'a ImageConfig,
    place: &'a Arc<dyn Place>,
    stop: &'a AtomicBool,
    tell: &'a mut dyn FnMut(ImageEvent),
}

impl Published {
    /// Opens a folder with `config.yaml` and the files of weights, and checks that they hold exactly what the settings say. No weights are read.
    ///
    /// # Errors
    /// When a file is missing or damaged, or has tensors that do not fit: too few, too many, of other shapes; they are listed.
    pub fn open(folder: &Path, resolution: Resolution) -> Result<Self> {
        let config = PublishedConfig::read(&folder.join("config.yaml"))?;
        if resolution == Resolution::Fine && !config.is_in_two_steps() {
            let reason = "describes no models of 1024 voxels a side";
            return Err(Error::file(folder.join("config.yaml"), reason, "make the shape with --resolution 512"));
        }
        let count = if resolution == Resolution::Fine { 2 } else { 1 };
        let open = |stem: &str| open(folder, stem);
        let own = Self {
            encoder: open(ENCODER)?,
            dense: open(FILES[0])?,
            sparse: FILES[1..][..count].iter().map(|stem| open(stem)).collect::<Result<_>>()?,
            config,
        };
        for (file, wanted) in own.wanted()? {
            let all: Vec<&Wanted> = wanted.iter().map(|(_, wanted)| wanted).collect();
            check(file, &all)?;
        }
        Ok(own)
    }

    /// All files with what they must hold, and what that is for.
    fn wanted(&self) -> Result<Vec<(&WeightsFile, Vec<NamedPart>)>> {
        let encoder = Dinov2::new(&self.encoder, self.config.dense_image_encoder.params.size)?.1;
        let dense = vec![
            ("transformer of structure", Dit::dense(&self.config.dense_dit.params).1),
            ("decoder of structure", DenseDecoder::new(&self.config.dense_vae.params).1),
        ];
        let mut all = vec![(&self.encoder, vec![("image encoder", encoder)]), (&self.dense, dense)];
        for details in self.details(&ImageConfig::default()) {
            let wanted = vec![
                ("transformer of details", Dit::sparse(details.dit).1),
                ("decoder of details", SparseDecoder::new(details.vae).1),
            ];
            all.push((details.file, wanted));
        }
        Ok(all)
    }

    /// The models of details for the files that were opened.
    pub(super) fn details(&self, settings: &ImageConfig) -> Vec<Details<'_>> {
        let config = &self.config;
        let coarse = (Some(&config.sparse_dit_512), Some(&config.sparse_vae_512), Some(&config.sparse_scheduler_512));
        let fine = (&config.sparse_dit_1024, &config.sparse_vae_1024, &config.sparse_scheduler_1024);
        let fine = (fine.0.as_ref(), fine.1.as_ref(), fine.2.as_ref());
        let steps = [settings.detail_steps, settings.fine_steps];
        let stages = [ImageStage::Details, ImageStage::FineDetails];
        let models = [coarse, fine].into_iter().zip(&self.sparse).zip(steps.into_iter().zip(stages));
        let known = models.filter_map(|(((dit, vae, scheduler), file), (steps, stage))| {
            let (dit, vae, scheduler) = (&dit?.params, &vae?.params, scheduler?.params);
            Some(Details { dit, vae, scheduler, file, steps, stage })
        });
        known.collect()
    }

    /// What there is.
    ///
    /// # Errors
    /// Never, for what was opened.
    pub fn report(&self) -> Result<Vec<PartReport>> {
        let mut parts = Vec::new();
        for (file, wanted) in self.wanted()? {
            for (name, wanted) in wanted {
                let there = |name: &str| file.tensors().get(&format!("{}{name}", wanted.prefix));
                let mut numbers: Vec<&str> =
                    wanted.parameters.table().filter_map(|(name, _)| Some(there(name)?.numbers.name())).collect();
                numbers.sort_unstable();
                numbers.dedup();
                parts.push(PartReport {
                    path: file.path().to_owned(),
                    name,
                    numbers: numbers.join(" and "),
                    tensors: wanted.parameters.len(),
                    weights: wanted.parameters.count(),
                    unread: wanted.unread.table().filter(|(name, _)| there(name).is_some()).count(),
                });
            }
        }
        Ok(parts)
    }

    /// A mesh of the object in a picture, in the cube from -1 to 1; without triangles where the models see no surface. Layers are computed at `place`.
    ///
    /// # Errors
    /// When the picture has no object cut out, memory will not be enough, weights cannot be read or computed with, or `stop` became true.
    pub fn make(
        &self,
        given: &Given<'_>,
        settings: &ImageConfig,
        place: &Arc<dyn Place>,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(ImageEvent),
    ) -> Result<Mesh> {
        settings.check()?;
        let prepared = Prepared::new(given.picture, self.config.dense_image_encoder.params.size, given.path)?;
        let mut run = Run { settings, place, stop, tell };
        let looked = self.look(&prepared, &mut run)?;
        let all = self.details(settings);
        // A given shape needs nothing but the finest details.
        let first = if given.shape.is_some() { all.len() - 1 } else { 0 };
        let mut mesh = given.shape.cloned();
        for details in &all[first..] {
            let voxels = match &mut mesh {
                None => self.structure(&looked, &mut run)?,
                Some(mesh) => {
                    centred(mesh);
                    voxels_near(mesh, details.dit.resolution)
                }
            };
            if voxels.is_empty() {
                return Ok(Mesh::default());
            }
            (run.tell)(ImageEvent::Tokens(details.stage, voxels.len()));
            let distances = details.distances(&looked, &voxels, &mut run)?;
            let surface = Surface::new(&voxels, &distances, details.dit.resolution);
            let made = surface.mesh(settings.level, settings.least_part);
            if made.triangles.is_empty() {
                return Ok(Mesh::default());
            }
            mesh = Some(made);
        }
        Ok(mesh.unwrap_or_default())
    }

    /// The picture's tokens.
    fn look(&self, prepared: &Prepared, run: &mut Run<'_>) -> Result<Looked> {
        (run.tell)(ImageEvent::Step(ImageStage::Picture, [0, 1]));
        let (encoder, mut wanted) = Dinov2::new(&self.encoder, self.config.dense_image_encoder.params.size)?;
        let [side, _] = encoder.grid();
        let count = encoder.before() + side * side;
        let plan =
            memory::transformer(wanted.parameters.count(), [count, encoder.width(), 0], run.place.rows_at_a_time());
        run.check(&plan)?;
        wanted.load(&self.encoder, run.place)?;
        encoder.prepare(&mut wanted.parameters);
        let tokens = encoder.tokens(&wanted.parameters, &prepared.colours)?;
        (run.tell)(ImageEvent::Step(ImageStage::Picture, [1, 1]));
        let (width, before) = (encoder.width(), encoder.before());
        Ok(Looked { tokens, width, before, side, shows: prepared.patches(encoder.grid()) })
    }

    /// The voxels that something of the shape is in.
    fn structure(&self, looked: &Looked, run: &mut Run<'_>) -> Result<Vec<[i32; 4]>> {
        let (config, vae) = (&self.config.dense_dit.params, &self.config.dense_vae.params);
        looked.fits(config.cond_channels, self.encoder.path())?;
        let count = config.resolution.pow(3);
        let latents = {
            let (dit, mut wanted) = Dit::dense(config);
            let sizes = [count, config.model_channels, looked.tokens.len() / looked.width];
            let part = run.place.rows_at_a_time();
            run.check(&memory::transformer(wanted.parameters.count(), sizes, part))?;
            wanted.load(&self.dense, run.place)?;
            let noise = sampler::noise(run.settings.seed, 0, count * config.in_channels);
            let times = sampler::times(&self.config.dense_scheduler.params, run.settings.structure_steps);
            sampled(&dit, &wanted, &looked.all(), &Over::All, (noise, &times), ImageStage::Structure, run)?
        };
        let (decoder, mut wanted) = DenseDecoder::new(vae);
        wanted.load(&self.dense, run.place)?;
        decoder.prepare(&mut wanted.parameters);
        let latents = latents.iter().map(|x| x / vae.latents_scale + vae.latents_shift).collect();
        let (logits, side) = decoder.decode(&wanted.parameters, latents, config.resolution)?;
        let least = run.settings.occupancy;
        let occupied = |i: &usize| 1.0 / (1.0 + (-logits[*i]).exp()) >= least;
        let place = |i: usize| [0, i / (side * side), i / side % side, i % side].map(|x| x as i32);
        Ok((0..logits.len()).filter(occupied).map(place).collect())
    }
}

/// What was seen in the picture.
struct Looked {
    tokens: Vec<f32>,
    width: usize,
    /// Tokens before those of patches.
    before: usize,
    /// Patches along a side.
    side: usize,
    /// Which patches show something of the object.
    shows: Vec<bool>,
}

impl Looked {
    fn fits(&self, wanted: usize, path: &Path) -> Result<()> {
        if self.width == wanted {
            return Ok(());
        }
        let reason = format!("makes tokens of {} numbers, and config.yaml says {wanted}", self.width);
        Err(Error::file(path, reason, "give the image encoder that config.yaml names"))
    }

    fn all(&self) -> Condition {
        Condition { tokens: self.tokens.clone(), places: None }
    }

    /// The tokens of patches that show something of the object, and where they are.
    fn of_object(&self) -> Condition {
        let (width, before, side) = (self.width, self.before, self.side);
        let mut tokens = self.tokens[..before * width].to_vec();
        let mut places = vec![[0.0, 0.0, 1.0]; before];
        for (i, _) in self.shows.iter().enumerate().filter(|(_, shows)| **shows) {
            tokens.extend_from_slice(&self.tokens[(before + i) * width..][..width]);
            places.push([(i % side) as f32, (i / side) as f32, 0.0]);
        }
        Condition { tokens, places: Some(places) }
    }
}

impl Details<'_> {
    /// Distances of all voxels, `[N, 8³]`.
    fn distances(&self, looked: &Looked, voxels: &[[i32; 4]], run: &mut Run<'_>) -> Result<Vec<f32>> {
        looked.fits(self.dit.cond_channels, self.file.path())?;
        let condition = if self.dit.sparse_conditions { looked.of_object() } else { looked.all() };
        let (decoder, mut decoded) = SparseDecoder::new(self.vae);
        let latents = {
            let (dit, mut wanted) = Dit::sparse(self.dit);
            let weights = [wanted.parameters.count(), decoded.parameters.count()];
            let looks_at = condition.tokens.len() / looked.width;
            let plan = memory::details(
                self.dit,
                weights,
                self.vae.model_channels_decoder,
                looks_at,
                voxels,
                run.place.rows_at_a_time(),
            );
            run.check(&plan)?;
            wanted.load(self.file, run.place)?;
            let tokens = dit.tokens(voxels);
            let noise = sampler::noise(run.settings.seed, self.stage as u64, voxels.len() * self.dit.in_channels);
            let times = sampler::times(&self.scheduler, self.steps);
            let made = sampled(&dit, &wanted, &condition, &Over::Sparse(&tokens), (noise, &times), self.stage, run)?;
            in_order_of_voxels(&made, &tokens.order, self.dit.out_channels)
        };
        decoded.load(self.file, run.place)?;
        let latents = latents.iter().map(|x| x / self.vae.latents_scale + self.vae.latents_shift).collect();
        let distances = decoder.decode(&decoded.parameters, voxels, latents)?;
        if distances.iter().any(|x| !x.is_finite()) {
            let reason = "makes distances that cannot be computed with";
            return Err(Error::file(self.file.path(), reason, "download it again"));
        }
        Ok(distances)
    }
}

impl Run<'_> {
    fn check(&mut self, plan: &MemoryPlan) -> Result<()> {
        if let Some(warning) = plan.check(self.place.memory()?, REMEDY)? {
            (self.tell)(ImageEvent::Warning(warning));
        }
        Ok(())
    }
}

/// From noise to latent numbers.
fn sampled(
    dit: &Dit,
    wanted: &Wanted,
    condition: &Condition,
    over: &Over<'_>,
    (noise, times): (Vec<f32>, &[f64]),
    stage: ImageStage,
    run: &mut Run<'_>,
) -> Result<Vec<f32>> {
    let parameters = &wanted.parameters;
    let with = dit.condition(parameters, condition)?;
    let without = dit.condition(parameters, &condition.none(dit.condition_width()))?;
    let steps = times.len() - 1;
    (run.tell)(ImageEvent::Step(stage, [0, steps]));
    let velocity = |x: &[f32], time: f32, is_with: bool| {
        dit.velocity(parameters, x, time, if is_with { &with } else { &without }, over)
    };
    let tell = &mut *run.tell;
    let done = |i: usize| tell(ImageEvent::Step(stage, [i, steps]));
    sampler::sample(noise, times, run.settings.guidance, run.stop, velocity, done)
}

/// Rows in the order of `order` back to the order of voxels.
fn in_order_of_voxels(rows: &[f32], order: &[u32], columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows.len()];
    for (row, to) in rows.chunks_exact(columns).zip(order) {
        out[*to as usize * columns..][..columns].copy_from_slice(row);
    }
    out
}

/// The file of weights of this name, whatever its ending.
fn open(folder: &Path, stem: &str) -> Result<WeightsFile> {
    let paths = ENDINGS.map(|ending| folder.join(format!("{stem}.{ending}")));
    match paths.iter().find(|path| path.exists()) {
        Some(path) => Ok(WeightsFile::open(path)?),
        None => {
            let usual = if stem == ENCODER { "pth" } else { "ckpt" };
            let path = folder.join(format!("{stem}.{usual}"));
            let reason = "does not exist, nor does the same as .safetensors";
            Err(Error::file(path, reason, "put it there; docs/guide/generation.md says where it is published"))
        }
    }
}
