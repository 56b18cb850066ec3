//! Fields that were learned from photos: surfaces and radiance, wherever their kind makes no difference.

use crate::inputs::{Run, open_surface};
use crate::settings::Settings;
use anyhow::{Result, bail};
use std::path::Path;
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::evaluate::{EvalOptions, EvalReport};
use tessera_engine::rays::SceneBox;
use tessera_engine::rbf::file::{Content, RbfFile};
use tessera_engine::rbf::radiance::{RADIANCE_FILE, Radiance, RadiancePainter};
use tessera_engine::render::{Painter, PathCamera, orbit_of_points, orbit_past_photos};
use tessera_engine::surface::{Surface, SurfacePainter};
use tessera_engine::target::DEFAULT_BACKGROUND;

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
                Settings::Splats(_) => return Ok(None),
                Settings::Surface(_) => Kind::Surface(Box::new(open_surface(run)?)),
                Settings::Radiance(_) => Kind::Radiance(Box::new(open_radiance(run)?)),
            },
        };
        Ok(Some(Self { field, run }))
    }

    /// The colour behind it.
    pub fn background(&self) -> [f32; 3] {
        self.run.as_ref().map_or(DEFAULT_BACKGROUND, |run| run.settings.background())
    }

    /// What draws it.
    pub fn painter(&self, background: [f32; 3]) -> Box<dyn Painter + '_> {
        match &self.field {
            Kind::Surface(surface) => Box::new(SurfacePainter::new(surface, background)),
            Kind::Radiance(radiance) => Box::new(RadiancePainter::new(radiance, background)),
        }
    }

    /// Compares it with photos.
    ///
    /// # Errors
    /// When there are none, or one cannot be read.
    pub fn evaluate(
        &self,
        capture: &Capture,
        options: &EvalOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<EvalReport> {
        Ok(match &self.field {
            Kind::Surface(surface) => surface.evaluate(capture, options, progress)?,
            Kind::Radiance(radiance) => radiance.evaluate(capture, options, progress)?,
        })
    }

    /// Cameras on a circle around its box, as the photos of `capture` suggest it if there is one.
    pub fn orbit(&self, capture: Option<&Capture>, count: u32, size: [u32; 2]) -> Vec<PathCamera> {
        let (scene_box, scene_from_world) = self.place();
        let world_from_scene = scene_from_world.inverse();
        let [low, high] = scene_box.corners;
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

    fn place(&self) -> (&SceneBox, &Similarity) {
        match &self.field {
            Kind::Surface(surface) => (&surface.scene_box, &surface.scene_from_world),
            Kind::Radiance(radiance) => (&radiance.space.scene_box, &radiance.scene_from_world),
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
