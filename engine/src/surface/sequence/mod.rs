//! Moving surfaces: a surface for each moment of a capture with times, each beginning with the one before (NeuS2, Wang et al.
//! 2023, section 4: incremental training with a global transformation).
//!
//! The first moment is trained as a still scene. For every other one
//! 1. `motion` finds how the object as a whole has moved, where photos are cut out: the surface stays where it was learned, and
//!    the scene moves past it;
//! 2. grid, networks and the cells that rays visit are taken over, and learn from the photos of the moment in `frame_steps` steps;
//! 3. a mesh is written, and photos that were held out are compared.
//!
//! In memory are the surface and photos of one moment. Training can be interrupted at any step, as that of still scenes.

mod motion;

use super::{Surface, SurfaceConfig, SurfaceTraining, mesh};
use crate::evaluate::EvalReport;
use crate::meshing::MeshOptions;
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use crate::volumetric_video::timeline_of;
use crate::{Error, Result};
use motion::Alignment;
use nalgebra::Isometry3;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::{Capture, Frame};
use tessera_datasets::format::{AtomicFile, Existing, SEQUENCE_FILE, SequenceMesh, write_mesh};
use tessera_datasets::image::Image8;
use tessera_kernels::device::Device;

/// The folder in a run that holds a mesh for each moment.
pub const MESHES: &str = "meshes";
/// Fewer photos of a moment than this show no surface.
const MIN_PHOTOS: usize = 3;
/// The learning rate's share that is left at the last step of a moment.
const RATE_DECAY: f64 = 0.1;

/// The photos of a moment.
#[derive(Debug)]
struct Moment {
    /// Its number, counted in frames from the first.
    number: u32,
    /// In the capture's own time.
    time: f64,
    frames: Vec<Frame>,
}

/// Surfaces of one moment after the other being trained.
#[derive(Debug)]
pub struct SequenceTraining {
    config: SurfaceConfig,
    /// Without photos, in the coordinates of the first moment.
    capture: Capture,
    moments: Vec<Moment>,
    /// The moment that is trained on.
    at: usize,
    training: SurfaceTraining,
    /// Of this moment and the one before: from the scene to the coordinates in which the surface is kept.
    object_from_scene: [Isometry3<f64>; 2],
    folder: Option<PathBuf>,
    meshes: Vec<SequenceMesh>,
    /// Of the moments that are complete.
    report: EvalReport,
}

impl SequenceTraining {
    /// Whether photos of a capture are of several moments that are to have a surface each.
    pub fn is_for(capture: &Capture, config: &SurfaceConfig) -> bool {
        let mut times = capture.frames.iter().filter_map(|frame| frame.time);
        let first = times.next();
        config.frame_steps > 0 && times.any(|time| Some(time) != first)
    }

    /// Prepares training on the CPU.
    ///
    /// # Errors
    /// When some photos have no time or a moment has too few of them, and as [`SurfaceTraining::new`].
    pub fn new(capture: &Capture, config: &SurfaceConfig) -> Result<Self> {
        Self::on(None, capture, config)
    }

    /// As [`SequenceTraining::new`], on a device if one is given.
    ///
    /// # Errors
    /// Also when the device has too little memory or fails.
    pub fn on(device: Option<&Device>, capture: &Capture, config: &SurfaceConfig) -> Result<Self> {
        if config.refine_poses {
            return Err(Error::setting(
                "refine_poses is for things that do not move: give --set refine_poses=false, or --set frame_steps=0 to take all photos for \
                 one moment",
            ));
        }
        let timeline = timeline_of(capture)?;
        let mut moments: BTreeMap<u32, Moment> = BTreeMap::new();
        for frame in &capture.frames {
            let time = frame.time.unwrap_or(timeline.start);
            let number = timeline.frame_at(timeline.seconds_at(time));
            let moment = moments.entry(number).or_insert_with(|| Moment { number, time, frames: Vec::new() });
            moment.frames.push(frame.clone());
        }
        let few = moments.values().filter(|moment| moment.frames.len() < MIN_PHOTOS).count();
        if few > 0 {
            return Err(Error::setting(format!(
                "{}: {few} of {} moments have fewer than {MIN_PHOTOS} photos, which show no surface: use --method video for photos of \
                 one camera, or --set frame_steps=0 to take all photos for one moment",
                capture.files.root().display(),
                moments.len()
            )));
        }
        let capture = Capture { frames: Vec::new(), ..capture.clone() };
        let moments: Vec<Moment> = moments.into_values().collect();
        let first = of_moment(&capture, &moments[0], &Isometry3::identity());
        let mut training = SurfaceTraining::on(device, &first, config)?;
        training.surface.time = Some(moments[0].time);
        training.surface.scene_box = common_box(&capture, &moments, config, &training)?;
        Ok(Self {
            config: config.clone(),
            capture,
            moments,
            at: 0,
            training,
            object_from_scene: [Isometry3::identity(); 2],
            folder: None,
            meshes: Vec::new(),
            report: EvalReport::default(),
        })
    }

    /// Meshes of moments are written to this run folder.
    pub fn write_into(&mut self, folder: &Path) {
        self.folder = Some(folder.to_owned());
    }

    /// The surface of the moment that is trained on.
    pub fn surface(&self) -> &Surface {
        &self.training.surface
    }

    fn first_steps(&self) -> u64 {
        self.config.guide_steps + self.config.fitted() + self.config.steps
    }

    /// The first step of a moment; that of the one after the last is the number of all steps.
    fn begin_of(&self, moment: usize) -> u64 {
        if moment == 0 { 0 } else { self.first_steps() + (moment as u64 - 1) * self.config.frame_steps }
    }

    /// Goes on to the next moment with the surface of this one.
    fn advance(&mut self) -> Result<()> {
        self.training.settle()?;
        let next = &self.moments[self.at + 1];
        let [now, before] = self.object_from_scene;
        let mut moved = now;
        // What is around an object that is not cut out does not move with it.
        if self.training.surface.backdrop.is_none() && self.config.whole_motion {
            let still = of_moment(&self.capture, next, &Isometry3::identity());
            let photos = SurfaceTraining::continued(&still, &self.config, self.training.surface.clone())?;
            let seed = self.config.seed ^ u64::from(next.number);
            let mut alignment = Alignment::new(&self.training.surface, &photos.frames, seed);
            // Where it was, and where it would be if it went on as before.
            moved = alignment.find(&[now, now * before.inverse() * now])?;
        }
        let sharpness = f64::from(self.training.surface.sharpness).min(self.config.moment_sharpness);
        self.begin(self.at + 1, moved, sharpness)
    }

    /// Trains on a moment, at which the object is somewhere and first as sharp as said: what a blurred surface shows reaches farther, to where
    /// parts have gone that move by themselves.
    fn begin(&mut self, moment: usize, object_from_scene: Isometry3<f64>, sharpness: f64) -> Result<()> {
        let capture = of_moment(&self.capture, &self.moments[moment], &object_from_scene);
        let config = self.config.of_later_moments(sharpness);
        let mut training = SurfaceTraining::continued(&capture, &config, self.training.surface.clone())?;
        training.move_to_device_of(&mut self.training);
        self.training = training;
        let variance = &mut self.training.surface.field.parameters.variance;
        *variance = variance.min((sharpness.ln() / 10.0) as f32);
        self.training.surface.time = Some(self.moments[moment].time);
        self.object_from_scene = [object_from_scene, self.object_from_scene[0]];
        self.at = moment;
        Ok(())
    }

    /// Keeps what came of a moment: its mesh, and how good it is.
    fn complete(&mut self) -> Result<()> {
        self.training.settle()?;
        if let Some(report) = self.training.evaluate()? {
            self.report = joined(std::mem::take(&mut self.report), report);
        }
        let Some(folder) = self.folder.as_ref().filter(|_| self.config.mesh_resolution > 0) else { return Ok(()) };
        let folder = folder.join(MESHES);
        std::fs::create_dir_all(&folder).map_err(|e| Error::write(&folder, &e))?;
        let options = MeshOptions { resolution: self.config.mesh_resolution, ..MeshOptions::default() };
        let moment = &self.moments[self.at];
        let file = format!("{:06}.ply", moment.number);
        let found = mesh::extract(&self.training.surface, &options, &mut |_, _| {})?;
        write_mesh(folder.join(&file), &found, Existing::Replace)?;
        let world_from_first = self.world_from_first();
        // A moment may be completed again after an interruption.
        self.meshes.retain(|mesh| mesh.file != file);
        self.meshes.push(SequenceMesh { file, time: moment.time, world_from_first });
        Ok(())
    }

    /// How the object has moved since the first moment, in the capture's coordinates.
    fn world_from_first(&self) -> [[f64; 4]; 4] {
        let scene_from_world = self.capture.scene_from_world;
        let moved: Similarity = scene_from_world.inverse() * self.object_from_scene[0].inverse() * scene_from_world;
        let matrix = moved.to_homogeneous();
        std::array::from_fn(|row| std::array::from_fn(|column| matrix[(row, column)]))
    }
}

/// A capture of the photos of a moment, whose scene is where the object has its coordinates.
fn of_moment(capture: &Capture, moment: &Moment, object_from_scene: &Isometry3<f64>) -> Capture {
    let scene_from_world = *object_from_scene * capture.scene_from_world;
    Capture { frames: moment.frames.clone(), scene_from_world, ..capture.clone() }
}

/// A box that holds the object at the first moment, in the middle and at the end.
fn common_box(
    capture: &Capture,
    moments: &[Moment],
    config: &SurfaceConfig,
    first: &SurfaceTraining,
) -> Result<crate::rays::SceneBox> {
    let mut corners = first.surface.scene_box.corners;
    if config.box_min.is_none() && config.box_max.is_none() {
        for moment in [moments.len() / 2, moments.len() - 1] {
            let there = of_moment(capture, &moments[moment], &Isometry3::identity());
            let other = SurfaceTraining::new(&there, config)?.surface.scene_box.corners;
            for k in 0..3 {
                corners[0][k] = corners[0][k].min(other[0][k]);
                corners[1][k] = corners[1][k].max(other[1][k]);
            }
        }
    }
    Ok(crate::rays::SceneBox { corners })
}

/// Means over the images of both.
fn joined(mut all: EvalReport, more: EvalReport) -> EvalReport {
    if all.images == 0 {
        return more;
    }
    let total = (all.images + more.images) as f64;
    let mean = |a: f64, b: f64| (a * all.images as f64 + b * more.images as f64) / total;
    (all.psnr, all.ssim, all.cc_psnr) =
        (mean(all.psnr, more.psnr), mean(all.ssim, more.ssim), mean(all.cc_psnr, more.cc_psnr));
    all.images += more.images;
    all.seconds += more.seconds;
    all.per_image.extend(more.per_image);
    all
}

impl Method for SequenceTraining {
    fn name(&self) -> &'static str {
        "surface"
    }

    fn total_steps(&self) -> u64 {
        self.begin_of(self.moments.len())
    }

    fn memory_plan(&self) -> MemoryPlan {
        self.training.memory_plan()
    }

    fn step(&mut self, step: u64) -> Result<StepReport> {
        if step >= self.begin_of(self.at + 1) {
            self.advance()?;
        }
        let report = self.training.step(step - self.begin_of(self.at))?;
        if step + 1 == self.begin_of(self.at + 1) {
            self.complete()?;
        }
        Ok(report)
    }

    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        if self.report.images > 0 { Ok(Some(self.report.clone())) } else { self.training.evaluate() }
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        self.training.preview()
    }

    fn settle(&mut self) -> Result<()> {
        self.training.settle()
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        self.training.save(checkpoint)?;
        checkpoint.state("moment", &self.at)?;
        let motions = self.object_from_scene.map(|motion| {
            let (turn, shift) = (motion.rotation.coords, motion.translation.vector);
            [turn[0], turn[1], turn[2], turn[3], shift[0], shift[1], shift[2]]
        });
        checkpoint.state("motions", &motions)?;
        checkpoint.state("first_sharpness", &self.training.config.sharpness)?;
        checkpoint.state("meshes", &self.meshes)?;
        checkpoint.state("report", &self.report)
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let motions: [[f64; 7]; 2] = checkpoint.state("motions")?;
        let [now, before] = motions.map(|[i, j, k, w, x, y, z]| {
            // As it was, to the bit: normalised once, not again.
            let turn = nalgebra::Unit::new_unchecked(nalgebra::Quaternion::new(w, i, j, k));
            Isometry3::from_parts(nalgebra::Translation3::new(x, y, z), turn)
        });
        let at: usize = checkpoint.state("moment")?;
        if at >= self.moments.len() {
            return Err(checkpoint.unfit("moment"));
        }
        if at > 0 {
            self.begin(at, now, checkpoint.state("first_sharpness")?)?;
        }
        self.training.load(checkpoint)?;
        self.object_from_scene = [now, before];
        self.meshes = checkpoint.state("meshes")?;
        self.report = checkpoint.state("report")?;
        Ok(())
    }

    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut files = self.training.export(folder)?;
        if !self.meshes.is_empty() {
            let path = folder.join(MESHES).join(SEQUENCE_FILE);
            let json = serde_json::to_vec_pretty(&self.meshes).map_err(|e| Error::setting(e.to_string()))?;
            let mut file = AtomicFile::create(&path, Existing::Replace)?;
            file.put(&json)?;
            file.commit()?;
            files.push(path);
        }
        Ok(files)
    }

    fn config_toml(&self) -> String {
        crate::config::Config::to_toml(&self.config)
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![("moments", format!("{}, a mesh of each in {MESHES}", self.moments.len()))]
    }

    fn take_warnings(&mut self) -> Vec<String> {
        self.training.take_warnings()
    }
}

impl SurfaceConfig {
    /// How a moment after the first is trained, whose surface begins as sharp as said.
    fn of_later_moments(&self, sharpness: f64) -> Self {
        let sharpness = sharpness.max(1.0);
        Self {
            steps: self.frame_steps,
            guide_steps: 0,
            first_levels: self.levels,
            // What was learned should be mended, not forgotten.
            rate: self.rate * if self.is_guided() { self.guided_rate } else { 0.3 },
            rate_decay: RATE_DECAY,
            sharpness,
            guided_sharpness: sharpness,
            final_sharpness: sharpness.max(self.final_sharpness),
            anneal_until: 0.0,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
