//! Where kernels lie: many where the picture has detail, each as wide as the pixels that are its own.

use super::super::field::Kernels;
use super::{ImageConfig, Pixels};
use nalgebra::{Matrix2, Vector2};
use rand::RngExt;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use tessera_datasets::scene::NearestPoints;
use tessera_kernels::rbf::{KernelParameters, KernelShape, SpatialKernels};

/// How many kernels a place sums up.
pub const NEIGHBOURS: usize = 4;
/// Rounds in which kernels move to the middles of their pixels.
const ROUNDS: usize = 8;
/// Every pixel has at least this share of the mean weight.
const LEAST_WEIGHT: f32 = 0.2;
/// Precisions are divided by this: kernels reach over their neighbours.
const REACH: f32 = 2.0;
/// The lowest frequency of responses.
const LOWEST_FREQUENCY: f64 = 0.125;
/// What kernels carry begins within this of zero.
const WEIGHT_RANGE: f32 = 0.1;

/// `count` kernels for a picture.
pub fn place(pixels: &Pixels, count: usize, config: &ImageConfig, rng: &mut Pcg64) -> Kernels {
    let weights = weights(pixels);
    let mut centres = draw(pixels, &weights, count, rng);
    for _ in 0..ROUNDS {
        let clusters = clusters(pixels, &weights, &centres);
        centres.iter_mut().zip(&clusters).for_each(|(centre, cluster)| {
            if cluster.weight > 0.0 {
                *centre = cluster.mean();
            }
        });
    }
    let pixel = 1.0 / pixels.side as f32;
    let shapes = clusters(pixels, &weights, &centres).iter().flat_map(|c| c.precision(pixel)).collect();
    let features = config.kernel_features;
    let ratio = config.highest_frequency / LOWEST_FREQUENCY;
    let frequency = |f: usize| (LOWEST_FREQUENCY * ratio.powf(f as f64 / (features - 1) as f64)) as f32;
    let weights = (0..count * features).map(|_| rng.random_range(-WEIGHT_RANGE..WEIGHT_RANGE)).collect();
    Kernels {
        of: SpatialKernels {
            dimensions: 2,
            features,
            neighbours: NEIGHBOURS,
            shape: KernelShape::InverseQuadric,
            normalised: true,
            frequencies: (0..features).map(frequency).collect(),
        },
        parameters: KernelParameters { centres: centres.into_iter().flatten().collect(), shapes, weights },
    }
}

/// The numbers of the kernels nearest to places, `[Q, 4]`.
pub struct Nearest {
    tree: NearestPoints,
}

impl Nearest {
    /// Of kernels with these centres, `[M, 2]`.
    pub fn new(centres: &[f32]) -> Self {
        let points: Vec<[f32; 3]> = centres.as_chunks::<2>().0.iter().map(|c| [c[0], c[1], 0.0]).collect();
        Self { tree: NearestPoints::new(&points) }
    }

    /// Those nearest to each place.
    pub fn to(&self, places: &[[f32; 2]]) -> Vec<u32> {
        let one = |place: &[f32; 2]| self.of(*place);
        places.par_iter().with_min_len(1024).flat_map_iter(one).collect()
    }

    /// Those nearest to a place.
    pub fn of(&self, place: [f32; 2]) -> [u32; NEIGHBOURS] {
        let found = self.tree.nearest_to::<NEIGHBOURS>([place[0], place[1], 0.0]);
        found.map(|(_, slot)| self.tree.order()[slot as usize])
    }
}

/// How much detail there is at each pixel: the length of the gradient, smoothed over neighbours.
fn weights(pixels: &Pixels) -> Vec<f32> {
    let (w, h) = (pixels.width as usize, pixels.height as usize);
    let value = |x: usize, y: usize, c: usize| pixels.values[(y * w + x) * pixels.channels + c];
    let gradient = |i: usize| -> f32 {
        let (x, y) = (i % w, i / w);
        let (left, right) = (x.saturating_sub(1), (x + 1).min(w - 1));
        let (up, down) = (y.saturating_sub(1), (y + 1).min(h - 1));
        let of =
            |c: usize| (value(right, y, c) - value(left, y, c)).powi(2) + (value(x, down, c) - value(x, up, c)).powi(2);
        (0..pixels.channels).map(of).sum::<f32>().sqrt()
    };
    let gradients: Vec<f32> = (0..w * h).into_par_iter().map(gradient).collect();
    let mean = gradients.iter().map(|g| f64::from(*g)).sum::<f64>() / gradients.len() as f64;
    let least = if mean > 0.0 { LEAST_WEIGHT * mean as f32 } else { 1.0 };
    gradients.into_iter().map(|g| g + least).collect()
}

/// Pixels drawn by their weights, as evenly as the order of pixels allows.
fn draw(pixels: &Pixels, weights: &[f32], count: usize, rng: &mut Pcg64) -> Vec<[f32; 2]> {
    let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    let per_kernel = total / count as f64;
    let mut centres = Vec::with_capacity(count);
    let (mut passed, mut next) = (0.0, rng.random::<f64>() * per_kernel);
    // Blocks of pixels one after the other, so that neighbours in the order are neighbours in the picture.
    const BLOCK: u32 = 16;
    for by in (0..pixels.height).step_by(BLOCK as usize) {
        for bx in (0..pixels.width).step_by(BLOCK as usize) {
            for y in by..(by + BLOCK).min(pixels.height) {
                for x in bx..(bx + BLOCK).min(pixels.width) {
                    let i = (y * pixels.width + x) as usize;
                    passed += f64::from(weights[i]);
                    while passed > next && centres.len() < count {
                        let jitter: [f32; 2] =
                            std::array::from_fn(|_| rng.random_range(-0.5..0.5) / pixels.side as f32);
                        let place = pixels.place(i);
                        centres.push([place[0] + jitter[0], place[1] + jitter[1]]);
                        next += per_kernel;
                    }
                }
            }
        }
    }
    while centres.len() < count {
        centres.push(pixels.place(rng.random_range(0..weights.len())));
    }
    centres
}

/// Sums over the pixels that are nearest to a kernel.
#[derive(Clone, Copy, Debug, Default)]
struct Cluster {
    weight: f64,
    sum: Vector2<f64>,
    squares: Matrix2<f64>,
}

impl Cluster {
    fn mean(&self) -> [f32; 2] {
        (self.sum / self.weight).cast::<f32>().into()
    }

    /// The upper triangle of the precision.
    fn precision(&self, pixel: f32) -> [f32; 3] {
        let least = Matrix2::identity() * f64::from(pixel).powi(2) / 4.0;
        let covariance = if self.weight > 0.0 {
            let mean = self.sum / self.weight;
            self.squares / self.weight - mean * mean.transpose() + least
        } else {
            least
        };
        let precision = covariance.try_inverse().unwrap_or_else(|| least.map(|x| if x > 0.0 { 1.0 / x } else { 0.0 }));
        [precision.m11, precision.m12, precision.m22].map(|x| x as f32 / REACH)
    }
}

fn clusters(pixels: &Pixels, weights: &[f32], centres: &[[f32; 2]]) -> Vec<Cluster> {
    let nearest = Nearest::new(centres.as_flattened());
    let own: Vec<u32> =
        (0..weights.len()).into_par_iter().with_min_len(1024).map(|i| nearest.of(pixels.place(i))[0]).collect();
    let mut clusters = vec![Cluster::default(); centres.len()];
    for (i, &kernel) in own.iter().enumerate() {
        let (weight, place) = (f64::from(weights[i]), Vector2::from(pixels.place(i)).cast::<f64>());
        let cluster = &mut clusters[kernel as usize];
        cluster.weight += weight;
        cluster.sum += weight * place;
        cluster.squares += weight * place * place.transpose();
    }
    clusters
}
