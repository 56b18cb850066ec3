//! How good made shapes are: the protocol of PointFlow (Yang et al., 2019), on points of surfaces.
//!
//! ```text
//! D(X, Y) = mean_x min_y |x - y|² + mean_y min_x |x - y|²        Chamfer, or
//!           mean_x |x - φ(x)|, φ the shortest one-to-one assignment    earth mover
//! MMD     mean over references of the distance to the nearest made shape
//! COV     share of references that are nearest to some made shape
//! 1-NNA   share of all shapes, made and references, whose nearest other shape is of their own kind; 50 % when they cannot be told apart
//! ```

mod cloud;
mod earth_mover;
mod sets;

pub use cloud::Cloud;
pub use earth_mover::ACCURACY;
pub use sets::{Comparison, EARTH_MOVER_POINTS, SetReport, compare};

use super::data::{Sample, Volume};
use super::generator::Generator;
use crate::mesh_distance::MeshDistance;
use crate::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use tessera_datasets::scene::Mesh;

/// Points of a shape where sets of shapes are compared.
pub const POINTS: usize = 2048;
/// Points of a shape where the nearest of many is looked for.
const FEW_POINTS: usize = 512;

/// What a generator's shapes are like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many were made, and compared with as many held-out ones.
    pub shapes: usize,
    /// Made against held-out shapes.
    pub made: Comparison,
    /// As many of those that were learned from against the held-out ones: what can be reached.
    pub control: Comparison,
    /// Share of made shapes that are one closed part.
    pub valid: f64,
    /// Share of made shapes whose nearest learned shape is of the class that was asked for.
    pub class_accuracy: f64,
    /// The same of held-out shapes.
    pub class_accuracy_of_held_out: f64,
    /// Median distance of made shapes from the nearest that was learned from.
    pub nearest_learned: f64,
    /// The same of held-out shapes: made ones that are much nearer are copies.
    pub nearest_learned_of_held_out: f64,
    /// Of held-out shapes after the autoencoder: the share of their surfaces within half a voxel of each other, as F-score.
    pub autoencoder_f_score: f64,
}

/// Whether a mesh is closed, and has one part.
pub fn is_one_closed_part(mesh: &Mesh) -> bool {
    let mut edges: HashMap<[u32; 2], i32> = HashMap::new();
    let mut parent: Vec<u32> = (0..mesh.positions.len() as u32).collect();
    fn root(parent: &mut [u32], mut v: u32) -> u32 {
        while parent[v as usize] != v {
            parent[v as usize] = parent[parent[v as usize] as usize];
            v = parent[v as usize];
        }
        v
    }
    for t in &mesh.triangles {
        for k in 0..3 {
            let (a, b) = (t[k], t[(k + 1) % 3]);
            *edges.entry([a.min(b), a.max(b)]).or_default() += if a < b { 1 } else { -1 };
            let (a, b) = (root(&mut parent, a), root(&mut parent, b));
            parent[a.max(b) as usize] = a.min(b);
        }
    }
    let closed = edges.values().all(|balance| *balance == 0);
    let parts: std::collections::HashSet<u32> = mesh.triangles.iter().map(|t| root(&mut parent, t[0])).collect();
    closed && parts.len() == 1
}

/// Measures made shapes: `made` with the class that each should be of, against as many `held_out` ones, with `learned` from which the
/// generator learned. `progress` is told what is done.
///
/// # Errors
/// When there are fewer than two shapes of any kind, or nothing was made.
pub fn measure(
    generator: &Generator,
    made: &[(Mesh, u32)],
    [learned, held_out]: [&[Sample]; 2],
    progress: &mut dyn FnMut(&str),
) -> Result<Report> {
    let count = made.len();
    if count < 2 || held_out.len() < count || learned.len() < count {
        return Err(Error::setting(format!(
            "{count} made shapes cannot be compared with {} held-out ones and {} that were learned from: at least two are needed, and as many of \
             each",
            held_out.len(),
            learned.len()
        )));
    }
    let held_out = of_each_class(held_out, count);
    progress("points of surfaces");
    let clouds = |samples: &[&Sample], points: usize| -> Vec<Cloud> {
        let cloud = |(i, sample): (usize, &&Sample)| {
            Cloud::of(&Volume::new(&sample.coarse, &sample.fine).mesh(), points, i as u64).ok()
        };
        samples.par_iter().enumerate().filter_map(cloud).collect()
    };
    let references = clouds(&held_out, POINTS);
    let control = clouds(&of_each_class(learned, count), POINTS);
    let sound: Vec<(Cloud, u32)> = made
        .par_iter()
        .enumerate()
        .filter_map(|(i, (mesh, label))| Some((Cloud::of(mesh, POINTS, i as u64).ok()?, *label)))
        .collect();
    if sound.len() < 2 || references.len() < count || control.len() < count {
        return Err(Error::setting("too few of the shapes have a surface; train the generator longer"));
    }
    progress("distances between sets");
    // Copies take the places of shapes without a surface. They are nearest to each other, which counts against the generator.
    let made_clouds: Vec<Cloud> = (0..count).map(|i| sound[i % sound.len()].0.clone()).collect();
    let [made_report, control_report] = [&made_clouds, &control].map(|set| Comparison::of(set, &references));
    progress("the nearest learned shapes");
    let few = |(i, sample): (usize, &Sample)| {
        let mesh = Volume::new(&sample.coarse, &sample.fine).mesh();
        Some((Cloud::of(&mesh, FEW_POINTS, i as u64).ok()?, sample.label))
    };
    let known: Vec<(Cloud, u32)> = learned.par_iter().enumerate().filter_map(few).collect();
    let nearest = |cloud: &Cloud| -> (f64, u32) {
        let few = cloud.first(FEW_POINTS);
        let all = known.par_iter().map(|(other, label)| (few.chamfer(other), *label));
        all.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::INFINITY, u32::MAX))
    };
    let right = |cloud: &Cloud, label: u32| {
        let (distance, own) = nearest(cloud);
        (distance, own == label)
    };
    let of_made: Vec<(f64, bool)> = sound.iter().map(|(cloud, label)| right(cloud, *label)).collect();
    let of_held_out: Vec<(f64, bool)> =
        references.iter().zip(&held_out).map(|(cloud, sample)| right(cloud, sample.label)).collect();
    progress("the autoencoder");
    let f_scores: Vec<f64> = held_out.par_iter().map(|sample| f_score(generator, sample)).collect::<Result<_>>()?;
    let share = |pairs: &[(f64, bool)], of: usize| pairs.iter().filter(|(_, right)| *right).count() as f64 / of as f64;
    Ok(Report {
        shapes: count,
        made: made_report,
        control: control_report,
        valid: made.iter().filter(|(mesh, _)| is_one_closed_part(mesh)).count() as f64 / count as f64,
        class_accuracy: share(&of_made, count),
        class_accuracy_of_held_out: share(&of_held_out, count),
        nearest_learned: median(of_made.iter().map(|(d, _)| *d).collect()),
        nearest_learned_of_held_out: median(of_held_out.iter().map(|(d, _)| *d).collect()),
        autoencoder_f_score: f_scores.iter().sum::<f64>() / f_scores.len() as f64,
    })
}

/// So many of all: one of each class in turn, as long as there are such.
pub fn of_each_class(samples: &[Sample], count: usize) -> Vec<&Sample> {
    let mut classes: BTreeMap<u32, Vec<&Sample>> = BTreeMap::new();
    samples.iter().for_each(|sample| classes.entry(sample.label).or_default().push(sample));
    let longest = classes.values().map(Vec::len).max().unwrap_or(0);
    let turn = |i: usize| classes.values().filter_map(move |class| class.get(i).copied()).collect::<Vec<_>>();
    (0..longest).flat_map(turn).take(count).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How much of a shape's surface is within half a voxel of that after the autoencoder, and the reverse.
fn f_score(generator: &Generator, sample: &Sample) -> Result<f64> {
    let half = 0.5 / super::data::FINE as f32;
    let meshes = [Volume::new(&sample.coarse, &sample.fine).mesh(), generator.reconstruct(sample)?];
    let surfaces = [MeshDistance::new(&meshes[0])?, MeshDistance::new(&meshes[1])?];
    let near = |from: usize| -> f64 {
        let mut rng = Pcg64::seed_from_u64(from as u64);
        let place = |i: usize, rng: &mut Pcg64| {
            let along = (i as f64 + rng.random::<f64>()) / POINTS as f64;
            surfaces[from].on_surface(along, rng.random(), rng.random()).0
        };
        let within = (0..POINTS).filter(|i| surfaces[1 - from].nearest(place(*i, &mut rng)).0 <= half).count();
        within as f64 / POINTS as f64
    };
    let (precision, recall) = (near(1), near(0));
    Ok(if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 })
}
