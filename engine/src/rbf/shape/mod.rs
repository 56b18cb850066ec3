//! Shapes: a triangle mesh as a signed distance function.
//!
//! The mesh is moved into the unit cube. Half of the places that training looks at lie on the surface, most others near it; a difference
//! counts in proportion to how near the surface it is. The mesh that comes out is compared with the one that went in.

pub mod config;
mod measure;
mod painter;
mod samples;

pub use config::{ShapeConfig, preset};
pub use measure::ShapeReport;
pub use painter::ShapePainter;

use super::descent::Rates;
use super::device::DeviceLearner;
use super::field::Field;
use super::file::{Content, RbfFile, RbfWriter};
use super::learner::{Learner, TILE};
use crate::config::Config;
use crate::mesh_distance::MeshDistance;
use crate::meshing::{Distances, MeshOptions, Progress, tidied, zero_level};
use crate::train::available_memory;
use crate::{Error, Result};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use samples::Samples;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::format::Existing;
use tessera_datasets::scene::Mesh;
use tessera_kernels::device::Device;
use tessera_kernels::rbf::cuda::CostKind;

/// The longest side of the mesh fills so much of the cube.
const FILLED: f64 = 0.9;
/// Differences are divided by the distance and this much of the cube's side.
const NEAREST: f32 = 0.01;

/// From the world of a mesh into the unit cube.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeBox {
    /// The middle of the mesh.
    pub centre: [f64; 3],
    /// The side of the cube, in units of the mesh.
    pub side: f64,
}

/// A signed distance function.
#[derive(Clone, Debug)]
pub struct Shape {
    /// In the unit cube.
    pub field: Field,
    /// Where the cube is.
    pub shape_box: ShapeBox,
    /// How it was fitted.
    pub config: ShapeConfig,
}

/// How far fitting has come.
#[derive(Clone, Copy, Debug)]
pub struct FitProgress {
    /// Steps that are done.
    pub step: u64,
    /// Of so many.
    pub steps: u64,
    /// The mean loss of recent steps.
    pub loss: f64,
}

impl ShapeBox {
    /// The cube around a mesh, with some space about it.
    ///
    /// # Errors
    /// When the mesh has no extent.
    fn around(mesh: &Mesh) -> Result<Self> {
        let [low, high] = mesh.bounds().ok_or_else(|| Error::setting("the mesh has no vertices"))?;
        let extent = (0..3).map(|k| f64::from(high[k]) - f64::from(low[k])).fold(0.0, f64::max);
        if !(extent > 0.0 && extent.is_finite()) {
            return Err(Error::setting("all vertices of the mesh are in one place, or one is not a number"));
        }
        let centre = std::array::from_fn(|k| 0.5 * (f64::from(low[k]) + f64::from(high[k])));
        Ok(Self { centre, side: extent / FILLED })
    }

    fn to_cube(self, p: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|k| ((f64::from(p[k]) - self.centre[k]) / self.side + 0.5) as f32)
    }

    fn to_world(self, p: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|k| ((f64::from(p[k]) - 0.5) * self.side + self.centre[k]) as f32)
    }
}

/// A mesh in the unit cube, ready to be fitted and compared with.
pub struct Target {
    shape_box: ShapeBox,
    in_cube: Mesh,
    distance: MeshDistance,
}

impl Target {
    /// Moves a mesh into the unit cube.
    ///
    /// # Errors
    /// When the mesh has no surface.
    pub fn new(mesh: &Mesh) -> Result<Self> {
        let shape_box = ShapeBox::around(mesh)?;
        let positions = mesh.positions.iter().map(|p| shape_box.to_cube(*p)).collect();
        let in_cube = Mesh { positions, triangles: mesh.triangles.clone(), ..Mesh::default() };
        Ok(Self { shape_box, distance: MeshDistance::new(&in_cube)?, in_cube })
    }

    /// How many triangles have no area, and were left out.
    pub fn degenerate(&self) -> usize {
        self.distance.degenerate()
    }

    /// Fits it on the CPU. Ends early, with what it has, once `stop` is true.
    ///
    /// # Errors
    /// When settings are wrong, or the machine has too little memory.
    pub fn fit(&self, config: &ShapeConfig, stop: &AtomicBool, progress: &mut dyn FnMut(FitProgress)) -> Result<Shape> {
        self.fit_on(None, config, stop, progress)
    }

    /// As [`Target::fit`], on a device if one is given.
    ///
    /// # Errors
    /// As [`Target::fit`], and when the device fails.
    pub fn fit_on(
        &self,
        device: Option<&Device>,
        config: &ShapeConfig,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(FitProgress),
    ) -> Result<Shape> {
        config.check()?;
        let pool = (config.pool * size_of::<samples::Sample>()) as u64;
        let plan =
            Learner::plan(&config.encoding(), 0, config.batch).with("pool", pool, format!("{} places", config.pool));
        if let Some(warning) = plan.check(available_memory(), "lower --set most_entries, pool or batch")? {
            tracing::warn!("{warning}");
        }
        let mut samples = Samples::new(&self.distance, config);
        let mut rng = Pcg64::seed_from_u64(config.seed);
        let field = Field::new(&config.encoding(), None, 1, &mut rng);
        let field = if let Some(device) = device {
            let mut learner = DeviceLearner::new(device, field, config.batch)?;
            let cost = CostKind::Relative { nearest: NEAREST };
            descend(&mut samples, config, stop, progress, |places, distances, rates| {
                learner.step_places(places, distances, cost, rates)
            })?;
            learner.finish()?
        } else {
            let mut learner = Learner::new(field);
            descend(&mut samples, config, stop, progress, |places, distances, rates| {
                Ok(learner.step::<3, 1>(places, Vec::new(), rates, |i, [value]| {
                    let scale = 1.0 / (distances[i].abs() + NEAREST);
                    let difference = value - distances[i];
                    (difference.abs() * scale, [difference.signum() * scale])
                }))
            })?;
            learner.field
        };
        Ok(Shape { field, shape_box: self.shape_box, config: config.clone() })
    }

    /// Compares a fitted shape with the mesh.
    ///
    /// # Errors
    /// When the shape is empty.
    pub fn measure(&self, shape: &Shape) -> Result<ShapeReport> {
        measure::measure(shape, &self.distance, &self.in_cube)
    }
}

/// All steps, or those until `stop` is true: `step` takes places with their distances and gives the mean loss.
fn descend(
    samples: &mut Samples<'_>,
    config: &ShapeConfig,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(FitProgress),
    mut step: impl FnMut(&[[f32; 3]], &[f32], Rates) -> Result<f64>,
) -> Result<()> {
    let mut recent = 0.0;
    for number in 0..config.steps {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (places, distances) = samples.batch(config.batch, config.fresh, number);
        let decay = config.rate_decay.powf(number as f64 / config.steps as f64);
        let rates = Rates { features: (config.rate * decay) as f32, decoder: (config.decoder_rate * decay) as f32 };
        let loss = step(&places, &distances, rates)?;
        recent = if number == 0 { loss } else { 0.95 * recent + 0.05 * loss };
        progress(FitProgress { step: number + 1, steps: config.steps, loss: recent });
    }
    Ok(())
}

impl Shape {
    /// Writes it to a file, and gives it back as readers will see it.
    ///
    /// # Errors
    /// When fitting diverged, or the file cannot be written.
    pub fn write(&self, path: &Path, existing: Existing) -> Result<Self> {
        let mut writer = RbfWriter::new(path, existing)?;
        let field = writer.add(&self.field, &self.config.encoding(), self.config.bits)?;
        writer.finish(Content::Shape { shape_box: self.shape_box }, self.config.to_toml())?;
        Ok(Self { field, ..self.clone() })
    }

    /// Reads the shape in a file.
    ///
    /// # Errors
    /// When it is damaged, or holds a picture.
    pub fn read(file: &mut RbfFile) -> Result<Self> {
        let Content::Shape { shape_box } = file.index.content else {
            return Err(Error::setting("the file holds a picture or radiance, no shape; `tessera render` draws it"));
        };
        let config = ShapeConfig::from_toml(&file.index.settings, "the file's settings")?;
        Ok(Self { field: file.field(0)?, shape_box, config })
    }
}

impl Distances for Shape {
    type Scratch = super::field::Tile;

    fn append(&self, tile: &mut Self::Scratch, places: &[[f32; 3]], out: &mut Vec<f32>) {
        self.field.prepare(tile);
        for places in places.chunks(TILE) {
            self.field.make_room(places.len(), tile);
            places.iter().enumerate().for_each(|(i, place)| tile.place(i, *place));
            self.field.values(tile, &[]);
            out.extend((0..places.len()).map(|i| self.field.value(tile, 0, i)));
        }
    }
}

impl Shape {
    /// Its mesh in the world of the mesh that it was fitted to, without colours. `progress` is told how much of how much is done.
    ///
    /// # Errors
    /// When the distance changes its sign nowhere.
    pub fn mesh(&self, options: &MeshOptions, progress: Progress<'_>) -> Result<Mesh> {
        let mut mesh = self.mesh_in_cube(options, progress)?;
        mesh.normals = self.normals(&mesh.positions);
        mesh.positions.iter_mut().for_each(|p| *p = self.shape_box.to_world(*p));
        Ok(mesh)
    }

    fn mesh_in_cube(&self, options: &MeshOptions, progress: Progress<'_>) -> Result<Mesh> {
        let found = zero_level(self, options.resolution, [[0.0; 3], [1.0; 3]], progress);
        let (positions, triangles) = tidied(found, options, progress);
        if triangles.is_empty() {
            return Err(Error::setting(
                "the shape is empty: its distance changes its sign nowhere; fit it with more steps",
            ));
        }
        Ok(Mesh { positions, triangles, ..Mesh::default() })
    }

    /// Directions in which the distance grows, of length 1.
    fn normals(&self, places: &[[f32; 3]]) -> Vec<[f32; 3]> {
        use rayon::prelude::*;
        let chunks = places.par_chunks(TILE).map_init(super::field::Tile::default, |tile, places| {
            self.field.prepare(tile);
            self.field.make_room(places.len(), tile);
            places.iter().enumerate().for_each(|(i, place)| tile.place(i, *place));
            self.field.slopes(tile);
            let unit = |i: usize| {
                let slope = nalgebra::Vector3::from(tile.slope(i));
                slope.try_normalize(0.0).unwrap_or_else(nalgebra::Vector3::z).into()
            };
            (0..places.len()).map(unit).collect::<Vec<[f32; 3]>>()
        });
        chunks.collect::<Vec<_>>().concat()
    }
}
