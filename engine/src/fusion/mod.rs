//! From normal maps with outlines to a closed mesh, without anything learned: Direct2.5's fusion (Lu et al. 2024) on the CPU.
//!
//! ```text
//! maps, masks, cameras ──> visual hull ──> marching cubes ──> fewer triangles
//!                            (hull)                                │
//!              ┌───────────────────────────────────────────────────┘
//!              v
//!     draw normals and outlines from every camera (rasterise)  <──────┐
//!     loss = |normals| / 2 + |outlines| + unevenness of neighbours    │  `steps` times
//!     move vertices against the gradient (descent)                    │
//!     collapse, split and flip edges (remesh)  ───────────────────────┘
//!              │
//!              └──> without small parts ──> at most so many triangles
//! ```
//!
//! Losses are sums over pixels, divided by how many pixels the object covers in all views. Work happens in a scene in which the hull's box has side
//! 1 and its middle is the origin; axes are the world's. Views are drawn side by side, and added in order: results do not depend on the number of
//! threads. What is different from the published code: the hull is carved from distances and not from pixels, so it has no steps; shortest edges
//! follow from the maps' resolution; normals count by how much of their pixel the object covers; nothing is random.

mod convention;
mod descent;
mod hull;
mod input;
mod normals;
mod rasterise;
mod remesh;
mod vector;
mod view;

pub use convention::{Axes, Convention, Space};
pub use input::{Input, Ring};
pub use view::View;

use crate::meshing::{MeshOptions, simplified, tidied, zero_level};
use crate::{Error, Result};
use convention::Agreement;
use descent::Descent;
use hull::{Cube, Hull};
use normals::{Normals, unevenness};
use rasterise::{CHANNELS, Eye, NOTHING, Pixel, Plane, Planes, Shape, ShapeGradient, draw};
use rayon::prelude::*;
use remesh::{Edges, Surface, Vertex};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tessera_datasets::scene::Mesh;
use vector::V3;

/// A view and its drawing, with all planes and their derivatives.
const BYTES_PER_PIXEL: u64 = 160;
/// The share of the steps after which vertices slow down, and how slow they are in the end.
const CALM: f32 = 0.6;
const SLOWEST: f32 = 0.1;

crate::config! {
    /// How normal maps are fused into a mesh.
    pub struct FusionConfig {
        /// Steps of the descent.
        steps: u64 = 200,
        /// Longest side, in pixels, to which maps are reduced; 0 keeps their size.
        resolution: u32 = 512,
        /// Cells along the longest side of the visual hull.
        hull_cells: u32 = 96,
        /// Triangles of the visual hull that the descent begins with.
        hull_faces: u64 = 4000,
        /// Shortest edges, in pixels of the map that sees them largest.
        shortest_edge: f32 = 3.0,
        /// Longest edges, as a share of the object's longest side.
        longest_edge: f32 = 0.1,
        /// How far a vertex moves in a step, as a share of the length of its edges.
        rate: f32 = 0.3,
        /// How much outlines count beside normals.
        outline_weight: f32 = 1.0,
        /// How much the angles between neighbouring triangles count.
        evenness_weight: f32 = 0.1,
        /// How strongly vertices that move are drawn to the middle of their neighbours.
        smoothing: f32 = 0.2,
        /// Parts of less than this share of the largest part's area are left out.
        least_part: f64 = 0.01,
    }
}

impl FusionConfig {
    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// The first that does not, with what it may be.
    pub fn check(&self) -> Result<()> {
        let ranges = [
            ("hull_cells", f64::from(self.hull_cells), 16.0, 1024.0),
            ("hull_faces", self.hull_faces as f64, 100.0, 1e7),
            ("shortest_edge", f64::from(self.shortest_edge), 0.5, 100.0),
            ("longest_edge", f64::from(self.longest_edge), 0.001, 0.5),
            ("rate", f64::from(self.rate), 1e-3, 1.0),
            ("outline_weight", f64::from(self.outline_weight), 0.0, 1e3),
            ("evenness_weight", f64::from(self.evenness_weight), 0.0, 1e3),
            ("smoothing", f64::from(self.smoothing), 0.0, 100.0),
            ("least_part", self.least_part, 0.0, 1.0),
        ];
        match ranges.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            Some((name, value, low, high)) => {
                Err(Error::setting(format!("{name} can't be {value}: it goes from {low} to {high}")))
            }
            None => Ok(()),
        }
    }
}

/// How far fusing is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps that were taken, and steps in all.
    pub steps: [u64; 2],
    /// The loss of the last one.
    pub loss: f32,
    /// Triangles of the mesh.
    pub triangles: usize,
}

/// What was made of the maps.
#[derive(Clone, Debug)]
pub struct Fused {
    /// In the world of the cameras, with normals; closed.
    pub mesh: Mesh,
    /// Mean angle between the mesh's normals and the maps', in degrees.
    pub normal_degrees: f64,
    /// Mean over the views of what outline and mask have in common, as a share of what either covers.
    pub outline_iou: f64,
}

/// Fuses normal maps that are given in a convention. `faces` is the most triangles, if there is a limit. Ends soon once `stop` becomes true.
///
/// # Errors
/// When settings make no sense, outlines have no volume in common, the maps clearly follow another convention, or the user wanted no more.
pub fn fuse(
    views: &[View],
    convention: Convention,
    config: &FusionConfig,
    faces: Option<usize>,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fused> {
    config.check()?;
    let hull = Hull::new(views)?;
    let cube = hull.cube;
    let mut surface = first_surface(&hull, config)?;
    drop(hull);
    let stage = Stage::new(views, &cube, convention);
    stage.check_convention(&surface, views, convention)?;
    let mut descent = stage.descent(config);
    for vertex in &mut surface.vertices {
        vertex.length = vertex.length.clamp(descent.lengths[0], descent.lengths[1]);
    }
    for step in 0..config.steps {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted("nothing was written".to_owned()));
        }
        let edges = surface.edges();
        let (loss, gradient) = stage.loss(&surface, &edges, config);
        let done = step as f32 / config.steps as f32;
        let share = 1.0 - (1.0 - SLOWEST) * ((done - CALM) / (1.0 - CALM)).max(0.0);
        descent.step(&mut surface, &edges, &gradient, share);
        surface.remesh();
        progress(Progress { steps: [step + 1, config.steps], loss, triangles: surface.triangles.len() });
    }
    let options = MeshOptions { least_part: config.least_part, faces, ..MeshOptions::default() };
    let (positions, triangles) = tidied((surface.positions(), surface.triangles), &options, &mut |_, _| {});
    if triangles.is_empty() {
        return Err(Error::Diverged(
            "nothing is left of the mesh; take fewer steps, or a lower rate (--set rate=0.1)".to_owned(),
        ));
    }
    let (normal_degrees, outline_iou) = stage.measure(&positions, &triangles);
    let world = |p: &V3<f32>| [0, 1, 2].map(|k| (cube.middle[k] + cube.side * f64::from(p[k])) as f32);
    let mut mesh = Mesh { positions: positions.iter().map(world).collect(), triangles, ..Mesh::default() };
    mesh.compute_normals();
    Ok(Fused { mesh, normal_degrees, outline_iou })
}

/// The visual hull as a closed surface of few triangles, in the scene.
fn first_surface(hull: &Hull<'_>, config: &FusionConfig) -> Result<Surface> {
    let found = zero_level(hull, config.hull_cells as usize, [[0.0; 3], [1.0; 3]], &mut |_, _| {});
    let options = MeshOptions { least_part: config.least_part, faces: None, ..MeshOptions::default() };
    let (positions, triangles) = tidied(found, &options, &mut |_, _| {});
    let (positions, triangles) = remesh::mended(positions, triangles);
    let (positions, triangles) = simplified(&positions, &triangles, config.hull_faces as usize, &mut |_, _| {});
    let edges = Edges::of(&triangles, positions.len()).filter(|edges| !edges.ends.is_empty());
    let Some(edges) = edges else {
        return Err(Error::setting(
            "the outlines have so little volume in common that it falls between the cells; use more (--set hull_cells=256), or check the cameras",
        ));
    };
    let place = |p: &V3<f32>| p.map(|x| x - 0.5);
    let vertex = |p| Vertex { position: place(p), ..Vertex::default() };
    let mut surface = Surface { vertices: positions.iter().map(vertex).collect(), triangles };
    let mut sums = vec![[0.0f32; 2]; surface.vertices.len()];
    for ends in &edges.ends {
        let length = surface.edge_length(*ends);
        ends.iter().for_each(|&v| sums[v as usize] = [sums[v as usize][0] + length, sums[v as usize][1] + 1.0]);
    }
    surface.vertices.iter_mut().zip(sums).for_each(|(vertex, [sum, count])| vertex.length = sum / count.max(1.0));
    Ok(surface)
}

/// The views as what drawings are compared with.
struct Stage {
    eyes: Vec<Eye>,
    /// For each view, `[H, W]`: the normal in the scene times the share of the pixel that is covered, and that share.
    targets: Vec<Vec<Pixel<f32>>>,
    /// For each view, how far its camera is from the middle of the object, in sides of the cube.
    distances: Vec<f64>,
    /// Pixels that the object covers.
    covered: f32,
    /// For each view, the memory of its drawings.
    planes: Vec<Mutex<Planes<f32>>>,
}

impl Stage {
    fn new(views: &[View], cube: &Cube, convention: Convention) -> Self {
        let eye = |view: &View| {
            let r = view.camera_from_world.rotation.to_rotation_matrix();
            let t = (r * cube.middle + view.camera_from_world.translation.vector) / cube.side;
            Eye {
                rotation: [0, 1, 2].map(|i| [0, 1, 2].map(|j| r[(i, j)] as f32)),
                translation: [0, 1, 2].map(|k| t[k] as f32),
                lens: view.camera.lens,
                rays: Plane::new(&view.camera),
            }
        };
        let target = |view: &View| -> Vec<Pixel<f32>> {
            let pixel = |(channels, alpha): (&V3<f32>, &f32)| {
                let n = vector::scaled(convention.normal(view, *channels), *alpha);
                [n[0], n[1], n[2], *alpha]
            };
            view.channels.iter().zip(&view.alpha).map(pixel).collect()
        };
        Self {
            eyes: views.par_iter().map(eye).collect(),
            targets: views.par_iter().map(target).collect(),
            distances: views.iter().map(|view| (view.position() - cube.middle).norm() / cube.side).collect(),
            planes: views.iter().map(|_| Mutex::default()).collect(),
            covered: views.iter().flat_map(|view| &view.alpha).sum::<f32>().max(1.0),
        }
    }

    /// # Errors
    /// When the maps clearly follow another convention than the one that is given.
    fn check_convention(&self, surface: &Surface, views: &[View], convention: Convention) -> Result<()> {
        let drawings = self.drawn(&surface.positions(), &surface.triangles, |_, drawing| drawing.pixels);
        let mut agreement = Agreement::default();
        for (view, pixels) in views.iter().zip(drawings) {
            for (channels, [x, y, z, covered]) in view.channels.iter().zip(pixels) {
                if covered >= 1.0 && *channels != [0.0; 3] {
                    agreement.add(view, *channels, vector::unit([x, y, z]).unwrap_or_default());
                }
            }
        }
        agreement.check(convention)
    }

    fn descent(&self, config: &FusionConfig) -> Descent {
        let pixel = |(eye, distance): (&Eye, &f64)| distance / eye.lens.focal[0].max(eye.lens.focal[1]);
        let finest = self.eyes.iter().zip(&self.distances).map(pixel).fold(f64::INFINITY, f64::min) as f32;
        let shortest = (config.shortest_edge * finest).min(config.longest_edge);
        Descent { lengths: [shortest, config.longest_edge], rate: config.rate, smoothing: config.smoothing, taken: 0 }
    }

    /// What is made of the drawing of each view, in their order.
    fn drawn<T: Send>(
        &self,
        positions: &[V3<f32>],
        triangles: &[[u32; 3]],
        make: impl Fn(usize, rasterise::Drawing<f32>) -> T + Sync,
    ) -> Vec<T> {
        let edges = Edges::of(triangles, positions.len()).expect("the surface is closed");
        let neighbours = edges.neighbours();
        let normals = Normals::of(positions, triangles).units;
        let shape = Shape { positions, normals: &normals, triangles, neighbours: &neighbours };
        self.eyes.par_iter().enumerate().map(|(i, eye)| make(i, draw(eye, &shape, Planes::default()))).collect()
    }

    /// The loss, and its derivatives with respect to the vertices' positions.
    fn loss(&self, surface: &Surface, edges: &Edges, config: &FusionConfig) -> (f32, Vec<V3<f32>>) {
        let positions = surface.positions();
        let triangles = &surface.triangles;
        let neighbours = edges.neighbours();
        let normals = Normals::of(&positions, triangles);
        let shape = Shape { positions: &positions, normals: &normals.units, triangles, neighbours: &neighbours };
        let weights = [0.5, 0.5, 0.5, config.outline_weight].map(|weight| weight / self.covered);
        let of_view = |(i, eye): (usize, &Eye)| {
            let mut planes = self.planes[i].lock().unwrap_or_else(PoisonError::into_inner);
            let mut drawing = draw(eye, &shape, std::mem::take(&mut *planes));
            let loss = compare(&drawing.pixels, &self.targets[i], weights, &mut drawing.of_pixels);
            let gradient = drawing.backward(eye, &shape);
            *planes = drawing.into_planes();
            (loss, gradient)
        };
        let of_views: Vec<(f32, ShapeGradient<f32>)> = self.eyes.par_iter().enumerate().map(of_view).collect();
        let mut sum = ShapeGradient::zeros(positions.len());
        let mut loss = 0.0;
        for (of_view, gradient) in &of_views {
            loss += of_view;
            sum.add(gradient);
        }
        let mut gradient = sum.positions;
        normals.backward(&positions, triangles, &sum.normals, &mut gradient);
        loss += unevenness(&positions, triangles, edges, config.evenness_weight, &mut gradient);
        (loss, gradient)
    }

    /// Mean angle between normals in degrees, and mean intersection over union of outlines.
    fn measure(&self, positions: &[V3<f32>], triangles: &[[u32; 3]]) -> (f64, f64) {
        let of_views = self.drawn(positions, triangles, |i, drawing| {
            let (mut angles, mut both, mut shared, mut either) = (0.0, 0.0, 0.0, 0.0);
            for ((pixel, target), shown) in drawing.pixels.iter().zip(&self.targets[i]).zip(&drawing.cover.triangles) {
                let [of_drawing, of_map] = [pixel, target].map(|p| vector::unit([p[0], p[1], p[2]]));
                if let (Some(a), Some(b)) =
                    (of_drawing, of_map.filter(|_| *shown != NOTHING && target[3] >= hull::INSIDE))
                {
                    angles += f64::from(vector::dot(a, b).clamp(-1.0, 1.0)).acos().to_degrees();
                    both += 1.0;
                }
                shared += f64::from(pixel[3].min(target[3]));
                either += f64::from(pixel[3].max(target[3]));
            }
            (angles, both, shared / f64::max(either, 1e-9))
        });
        let angles: f64 = of_views.iter().map(|v| v.0).sum();
        let both: f64 = of_views.iter().map(|v| v.1).sum();
        (angles / both.max(1.0), of_views.iter().map(|v| v.2).sum::<f64>() / of_views.len().max(1) as f64)
    }
}

/// The weighted sum of absolute differences; writes its derivatives with respect to the pixels.
fn compare(pixels: &[Pixel<f32>], targets: &[Pixel<f32>], weights: Pixel<f32>, of_pixels: &mut Vec<Pixel<f32>>) -> f32 {
    let mut loss = 0.0f64;
    of_pixels.clear();
    of_pixels.extend(pixels.iter().zip(targets).map(|(pixel, target)| {
        let mut of_pixel = [0.0; CHANNELS];
        if pixel != target {
            for k in 0..CHANNELS {
                let difference = pixel[k] - target[k];
                loss += f64::from(weights[k] * difference.abs());
                of_pixel[k] = if difference == 0.0 { 0.0 } else { weights[k].copysign(difference) };
            }
        }
        of_pixel
    }));
    loss as f32
}

#[cfg(test)]
mod tests;
