//! How good made shapes are: the protocol of PointFlow (Yang et al., 2019), on points of surfaces.
//!
//! ```text
//! D(X, Y) = mean_x min_y |x - y|² + mean_y min_x |x - y|²
//! MMD     mean over references of the distance to the nearest made shape
//! COV     share of references that are nearest to some made shape
//! 1-NNA   share of all shapes, made and references, whose nearest other shape is of their own kind; 50 % when they cannot be told apart
//! ```

use super::data::{Sample, Volume};
use super::generator::Generator;
use crate::mesh_distance::MeshDistance;
use crate::{Error, Result};
use nalgebra::Vector3;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use tessera_datasets::scene::Mesh;
use tessera_kernels::dispatch;
use tessera_kernels::simd::Lanes;

/// Points of a shape where sets of shapes are compared.
pub const POINTS: usize = 2048;
/// Points of a shape where the nearest of many is looked for.
const FEW_POINTS: usize = 512;
/// Lanes of eight.
const LANES: usize = 8;

/// Points of a surface, coordinate by coordinate.
#[derive(Clone, Debug)]
pub struct Cloud {
    axes: [Vec<f32>; 3],
}

/// How two sets of shapes, as many of each, compare.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SetReport {
    /// Minimum matching distance, in squares of the cube's side.
    pub mmd: f64,
    /// Its standard error.
    pub mmd_error: f64,
    /// Coverage, from 0 to 1.
    pub coverage: f64,
    /// Its standard error, as that of a share of independent shapes.
    pub coverage_error: f64,
    /// Accuracy of the nearest neighbour, from 0 to 1.
    pub nearest_neighbour: f64,
    /// Its standard error, as that of a share of independent shapes.
    pub nearest_neighbour_error: f64,
}

/// What a generator's shapes are like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many were made, and compared with as many held-out ones.
    pub shapes: usize,
    /// Made against held-out shapes.
    pub made: SetReport,
    /// As many of those that were learned from against the held-out ones: what can be reached.
    pub control: SetReport,
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

dispatch! {
    /// The mean square distance of each point of `a` from the nearest of `b`, of which there is a multiple of eight.
    fn one_way(a: &Cloud, b: &Cloud) -> f32 = one_way_kernel;
}

impl Cloud {
    /// Points that lie evenly on a mesh.
    ///
    /// # Errors
    /// When it has no surface.
    pub fn of(mesh: &Mesh, count: usize, seed: u64) -> Result<Self> {
        let corners = |t: &[u32; 3]| t.map(|v| Vector3::from(mesh.positions[v as usize]));
        let mut areas = Vec::with_capacity(mesh.triangles.len());
        let mut total = 0.0;
        for triangle in &mesh.triangles {
            let [a, b, c] = corners(triangle);
            total += f64::from(0.5 * (b - a).cross(&(c - a)).norm());
            areas.push(total);
        }
        if !(total > 0.0 && total.is_finite()) {
            return Err(Error::setting("a shape without a surface has no points"));
        }
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut axes = [0, 1, 2].map(|_| Vec::with_capacity(count));
        for i in 0..count {
            let along = (i as f64 + rng.random::<f64>()) / count as f64 * total;
            let triangle = areas.partition_point(|sum| *sum <= along).min(areas.len() - 1);
            let [a, b, c] = corners(&mesh.triangles[triangle]);
            let (u, v) = (rng.random::<f32>(), rng.random::<f32>());
            let (u, v) = if u + v > 1.0 { (1.0 - u, 1.0 - v) } else { (u, v) };
            let place: [f32; 3] = (a + u * (b - a) + v * (c - a)).into();
            axes.iter_mut().zip(place).for_each(|(axis, x)| axis.push(x));
        }
        // In no order, so that the first few are a fair choice.
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            order.swap(i, rng.random_range(0..=i));
        }
        Ok(Self { axes: axes.map(|axis| order.iter().map(|i| axis[*i]).collect()) })
    }

    fn few(&self) -> Self {
        Self { axes: [0, 1, 2].map(|k| self.axes[k][..FEW_POINTS.min(self.axes[k].len())].to_vec()) }
    }

    /// The Chamfer distance.
    pub fn distance(&self, other: &Self) -> f64 {
        f64::from(one_way(self, other)) + f64::from(one_way(other, self))
    }
}

#[inline(always)]
fn one_way_kernel<V: Lanes>(a: &Cloud, b: &Cloud) -> f32 {
    const ROWS: usize = 4;
    let (count, others) = (a.axes[0].len(), b.axes[0].len());
    assert!(count % ROWS == 0 && others % LANES == 0, "whole groups of points");
    let mut sum = 0.0;
    for first in (0..count).step_by(ROWS) {
        let mut nearest = [V::all(f32::MAX); ROWS];
        for other in (0..others).step_by(LANES) {
            // SAFETY: the assertion above: whole groups of lanes.
            let y = unsafe {
                let at = |k: usize| b.axes[k].as_ptr().add(other);
                [V::load(at(0)), V::load(at(1)), V::load(at(2))]
            };
            for r in 0..ROWS {
                let mut square = V::all(0.0);
                for k in 0..3 {
                    let d = y[k] - V::all(a.axes[k][first + r]);
                    square = d.mul_add(d, square);
                }
                nearest[r] = nearest[r].min(square);
            }
        }
        for nearest in nearest {
            sum += nearest.to_array().into_iter().fold(f32::MAX, f32::min);
        }
    }
    sum / count as f32
}

/// Compares a set of made shapes with as many references.
///
/// # Panics
/// When there are not as many, or less than two.
pub fn compare(made: &[Cloud], references: &[Cloud]) -> SetReport {
    let n = made.len();
    assert!(n == references.len() && n > 1, "as many made shapes as references");
    let all: Vec<&Cloud> = made.iter().chain(references).collect();
    let pairs: Vec<(usize, usize)> = (0..2 * n).flat_map(|i| (i + 1..2 * n).map(move |j| (i, j))).collect();
    let found: Vec<f64> = pairs.par_iter().map(|(i, j)| all[*i].distance(all[*j])).collect();
    let mut distances = vec![f64::INFINITY; 4 * n * n];
    for ((i, j), distance) in pairs.into_iter().zip(found) {
        distances[i * 2 * n + j] = distance;
        distances[j * 2 * n + i] = distance;
    }
    let nearest = |i: usize, among: std::ops::Range<usize>| {
        let by = |a: &usize, b: &usize| distances[i * 2 * n + a].total_cmp(&distances[i * 2 * n + b]);
        among.min_by(by).unwrap_or(0)
    };
    let matched: Vec<f64> = (n..2 * n).map(|r| distances[r * 2 * n + nearest(r, 0..n)]).collect();
    let mmd = matched.iter().sum::<f64>() / n as f64;
    let variance = matched.iter().map(|d| (d - mmd).powi(2)).sum::<f64>() / (n - 1) as f64;
    let covered: std::collections::HashSet<usize> = (0..n).map(|i| nearest(i, n..2 * n)).collect();
    let coverage = covered.len() as f64 / n as f64;
    let own = (0..2 * n).filter(|i| (nearest(*i, 0..2 * n) < n) == (*i < n)).count();
    let accuracy = own as f64 / (2 * n) as f64;
    let of_share = |share: f64, count: usize| (share * (1.0 - share) / count as f64).sqrt();
    SetReport {
        mmd,
        mmd_error: (variance / n as f64).sqrt(),
        coverage,
        coverage_error: of_share(coverage, n),
        nearest_neighbour: accuracy,
        nearest_neighbour_error: of_share(accuracy, 2 * n),
    }
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
    let [made_report, control_report] = [&made_clouds, &control].map(|set| compare(set, &references));
    progress("the nearest learned shapes");
    let few = |(i, sample): (usize, &Sample)| {
        let mesh = Volume::new(&sample.coarse, &sample.fine).mesh();
        Some((Cloud::of(&mesh, FEW_POINTS, i as u64).ok()?, sample.label))
    };
    let known: Vec<(Cloud, u32)> = learned.par_iter().enumerate().filter_map(few).collect();
    let nearest = |cloud: &Cloud| -> (f64, u32) {
        let few = cloud.few();
        let all = known.par_iter().map(|(other, label)| (few.distance(other), *label));
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
