//! What was learned from photos and is no still splats: surfaces, radiance and volumetric video, wherever their kind makes no difference.

use crate::inputs::{Run, open_surface};
use crate::settings::Settings;
use anyhow::{Result, bail};
use std::path::Path;
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::scene::{Bulk, Timeline};
use tessera_engine::evaluate::{EvalOptions, EvalReport};
use tessera_engine::rbf::file::{Content, RbfFile};
use tessera_engine::rbf::radiance::{RADIANCE_FILE, Radiance, RadiancePainter};
use tessera_engine::render::{Painter, PathCamera, orbit_of_points, orbit_past_photos};
use tessera_engine::surface::{Surface, SurfacePainter};
use tessera_engine::target::DEFAULT_BACKGROUND;
use tessera_engine::train::RunFolder;
use tessera_engine::volumetric_video::{TrainedVideo, VideoConfig, VideoPainter};

/// A field, and the run that it is from.
#[derive(Debug)]
pub struct LearnedField {
    field: Kind,
    pub run: Option<Run>,
}

#[derive(Debug)]
enum Kind {
    Surface(Box<Surface>),
    Radiance(Box<Radiance>),
    Video(Box<TrainedVideo>),
}

impl LearnedField {
    /// The field at `path`, if it is a run folder with one or a file that holds radiance.
    ///
    /// # Errors
    /// When the run is not complete, or the file damaged.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let run = Run::find(path)?;
        let field = match &run {
            None if RbfFile::is_named(path) => {
                let mut file = RbfFile::open(path)?;
                if !matches!(file.index.content, Content::Radiance(_)) {
                    return Ok(None);
                }
                Kind::Radiance(Box::new(Radiance::read(&mut file)?))
            }
            None => return Ok(None),
            Some(run) => match &run.settings {
                Settings::Splats(_) | Settings::Blocks(_) | Settings::Anchors(_) => return Ok(None),
                Settings::Surface(_) => Kind::Surface(Box::new(open_surface(run)?)),
                Settings::Radiance(_) => Kind::Radiance(Box::new(open_radiance(run)?)),
                Settings::Video(config) => Kind::Video(Box::new(open_video(run, config)?)),
            },
        };
        Ok(Some(Self { field, run }))
    }

    /// The colour behind it.
    pub fn background(&self) -> [f32; 3] {
        self.run.as_ref().map_or(DEFAULT_BACKGROUND, |run| run.settings.background())
    }

    /// What draws it.
    ///
    /// # Errors
    /// When its first frame cannot be read.
    pub fn painter(&mut self, background: [f32; 3]) -> Result<Box<dyn Painter + '_>> {
        Ok(match &mut self.field {
            Kind::Surface(surface) => Box::new(SurfacePainter::new(surface, background)),
            Kind::Radiance(radiance) => Box::new(RadiancePainter::new(radiance, background)),
            Kind::Video(video) => Box::new(VideoPainter::new(video, background)?),
        })
    }

    /// The surface, if it is one.
    pub fn surface(&self) -> Option<&Surface> {
        match &self.field {
            Kind::Surface(surface) => Some(surface),
            Kind::Radiance(_) | Kind::Video(_) => None,
        }
    }

    /// Compares it with photos.
    ///
    /// # Errors
    /// When there are none, or one cannot be read.
    pub fn evaluate(
        &mut self,
        capture: &Capture,
        options: &EvalOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<EvalReport> {
        Ok(match &mut self.field {
            Kind::Surface(surface) => surface.evaluate(capture, options, progress)?,
            Kind::Radiance(radiance) => radiance.evaluate(capture, options, progress)?,
            Kind::Video(video) => video.evaluate(capture, options, progress)?,
        })
    }

    /// Cameras on a circle around its box, as the photos of `capture` suggest it if there is one.
    pub fn orbit(&self, capture: Option<&Capture>, count: u32, size: [u32; 2]) -> Vec<PathCamera> {
        let (corners, scene_from_world) = self.place();
        let world_from_scene = scene_from_world.inverse();
        let [low, high] = corners;
        let corner = |i: usize| {
            let scene = nalgebra::Point3::from(std::array::from_fn(|k| if i >> k & 1 == 0 { low[k] } else { high[k] }));
            world_from_scene * scene
        };
        let corners: Vec<nalgebra::Point3<f64>> = (0..8).map(corner).collect();
        let middle = corners.iter().map(|c| c.coords).sum::<nalgebra::Vector3<f64>>() / 8.0;
        let past_photos = capture.and_then(|capture| orbit_past_photos(middle, capture, count as usize, size));
        past_photos.unwrap_or_else(|| {
            let corners: Vec<[f32; 3]> = corners.iter().map(|c| c.coords.cast::<f32>().into()).collect();
            orbit_of_points(&corners, [0.0, -1.0, 0.0], count as usize, size)
        })
    }

    /// The frames of a moving scene.
    pub fn timeline(&self) -> Option<Timeline> {
        match &self.field {
            Kind::Video(video) => Some(video.timeline),
            Kind::Surface(_) | Kind::Radiance(_) => None,
        }
    }

    /// Two corners of what is worth looking at, in the scene's coordinates.
    fn place(&self) -> ([[f64; 3]; 2], &Similarity) {
        match &self.field {
            Kind::Surface(surface) => (surface.scene_box.corners, &surface.scene_from_world),
            Kind::Radiance(radiance) => (radiance.space.scene_box.corners, &radiance.scene_from_world),
            Kind::Video(video) => {
                let Bulk { centre, distance } = Bulk::of(video.means());
                ([-distance, distance].map(|by| centre.map(|c| c + by).into()), &video.scene_from_world)
            }
        }
    }
}

/// The radiance of a run.
///
/// # Errors
/// When the run is not complete, or its file damaged.
pub fn open_radiance(run: &Run) -> Result<Radiance> {
    let file = run.folder.join(RADIANCE_FILE);
    if !file.is_file() {
        bail!("{}: holds a run that has no {RADIANCE_FILE} yet; complete it with --resume", run.folder.display());
    }
    Ok(Radiance::read(&mut RbfFile::open(&file)?)?)
}

/// The volumetric video of a run, as its newest checkpoint has it.
fn open_video(run: &Run, config: &VideoConfig) -> Result<TrainedVideo> {
    let Some(checkpoint) = RunFolder::newest_checkpoint(&run.folder)? else {
        bail!("{}: holds a run that has no checkpoint yet; complete it with --resume", run.folder.display());
    };
    Ok(TrainedVideo::of_checkpoint(&checkpoint, config)?)
}
