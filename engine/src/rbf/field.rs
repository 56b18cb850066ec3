//! The representation: features from grids and kernels in space, decoded by radial basis functions.

use super::encoding::Encoding;
use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use tessera_kernels::hash_grid::{FEATURES, HashGrid, transposed_product};
use tessera_kernels::mlp::{Activations, BLOCK, Mlp, Rows, blocks_for};
use tessera_kernels::rbf::{Decoded, Decoder, KernelParameters, Neighbours, Prepared, SpatialKernels};

/// Widths of a network's layers are multiples of this.
const FOUR: usize = 4;
/// Width of the hidden layers of the network that the decoder is compared with.
pub const NETWORK_WIDTH: usize = 64;
/// Features begin within this of zero.
const FEATURE_RANGE: f32 = 0.1;

/// What turns features into numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderKind {
    /// Gaussians in the space of features.
    #[default]
    Rbf,
    /// A network of two hidden layers of 64: what the former is measured against.
    Network,
}

/// A decoder of one kind or the other.
#[derive(Clone, Debug)]
pub enum AnyDecoder {
    /// Gaussians in the space of features.
    Rbf(Decoder),
    /// A network; its widths are rounded up to multiples of four.
    Network {
        /// The network.
        mlp: Mlp,
        /// How many of its outputs are meant.
        outputs: usize,
    },
}

impl AnyDecoder {
    /// From `features` features to `outputs` numbers; `kernels` are the centres of radial basis functions.
    pub fn new(kind: DecoderKind, features: usize, kernels: usize, outputs: usize) -> Self {
        match kind {
            DecoderKind::Rbf => Self::Rbf(Decoder::new(features, kernels, outputs)),
            DecoderKind::Network => {
                // One more input is constant: networks have no biases.
                let input = (features + 1).next_multiple_of(FOUR);
                let widths = [input, NETWORK_WIDTH, NETWORK_WIDTH, outputs.next_multiple_of(FOUR)];
                Self::Network { mlp: Mlp::new(&widths), outputs }
            }
        }
    }

    /// Rows of its input.
    fn rows(&self) -> usize {
        match self {
            Self::Rbf(decoder) => decoder.features(),
            Self::Network { mlp, .. } => mlp.widths()[0],
        }
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Rbf(decoder) => decoder.parameters(),
            Self::Network { mlp, .. } => mlp.weights(),
        }
    }

    /// Floating-point operations of one sample's forward pass.
    pub fn operations(&self) -> usize {
        match self {
            Self::Rbf(decoder) => decoder.operations(),
            Self::Network { mlp, .. } => 2 * mlp.weights(),
        }
    }

    /// How many numbers it gives.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Rbf(decoder) => decoder.outputs(),
            Self::Network { outputs, .. } => *outputs,
        }
    }

    /// Rows of its output.
    fn output_rows(&self) -> usize {
        match self {
            Self::Rbf(decoder) => decoder.outputs(),
            Self::Network { mlp, .. } => mlp.widths()[mlp.layers()],
        }
    }

    /// Numbers to begin with.
    fn initial(&self, rng: &mut Pcg64) -> Vec<f32> {
        let mut out = vec![0.0; self.parameters()];
        let mut fill = |values: &mut [f32], range: f32| {
            values.iter_mut().for_each(|x| *x = rng.random_range(-range..range));
        };
        match self {
            Self::Rbf(decoder) => {
                // Centres are spread so far that they respond differently, with precisions at which all respond.
                fill(&mut out[decoder.centres()], 1.0);
                out[decoder.log_precisions()].fill(-(decoder.features() as f32).ln() + 1.0);
                fill(&mut out[decoder.weights()], (decoder.kernels() as f32).sqrt().recip());
            }
            Self::Network { mlp, .. } => {
                for layer in 0..mlp.layers() {
                    let range = (6.0 / (mlp.widths()[layer] + mlp.widths()[layer + 1]) as f32).sqrt();
                    fill(&mut out[mlp.matrix(layer)], range);
                }
            }
        }
        out
    }
}

/// Kernels in space and what they have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernels {
    /// What they have in common.
    pub of: SpatialKernels,
    /// Where they are and what they carry.
    pub parameters: KernelParameters,
}

/// A function of places in the unit square or cube.
#[derive(Clone, Debug)]
pub struct Field {
    /// Grids.
    pub grid: HashGrid,
    /// `[entries, 2]`.
    pub table: Vec<f32>,
    /// Kernels in space, if there are any.
    pub kernels: Option<Kernels>,
    /// From features to numbers.
    pub decoder: AnyDecoder,
    /// Those of the decoder.
    pub parameters: Vec<f32>,
}

/// The buffers of a few hundred samples that are computed together, by one thread. Kept between uses.
#[derive(Clone, Debug, Default)]
pub struct Tile {
    /// `[blocks, D, 16]`, in the unit square or cube.
    pub positions: Vec<f32>,
    /// `[blocks, rows, 16]`: features of grids, then of kernels.
    features: Vec<f32>,
    prepared: Prepared,
    decoded: Decoded,
    network: Activations,
    network_d: Activations,
    /// `[blocks, rows, 16]`.
    of_features: Vec<f32>,
    of_outputs: Vec<f32>,
    /// `[Q, D]` and `[Q, K]`, for kernels.
    places: Vec<f32>,
    responses: Vec<f32>,
    jacobian: Vec<f32>,
    /// `[blocks, 3, 16]` after [`Field::slopes`].
    slopes: Vec<f32>,
    samples: usize,
}

impl Field {
    /// A field that has learned nothing.
    pub fn new(encoding: &Encoding, kernels: Option<Kernels>, outputs: usize, rng: &mut Pcg64) -> Self {
        let grid = encoding.grid();
        let features = grid.width() + kernels.as_ref().map_or(0, |k| k.of.features);
        let decoder = AnyDecoder::new(encoding.decoder, features, encoding.centres, outputs);
        let table = (0..FEATURES * grid.entries()).map(|_| rng.random_range(-FEATURE_RANGE..FEATURE_RANGE)).collect();
        let parameters = decoder.initial(rng);
        Self { grid, table, kernels, decoder, parameters }
    }

    /// Numbers that are learned.
    pub fn learned(&self) -> usize {
        let of_kernels =
            |k: &Kernels| k.parameters.centres.len() + k.parameters.shapes.len() + k.parameters.weights.len();
        self.table.len() + self.parameters.len() + self.kernels.as_ref().map_or(0, of_kernels)
    }

    /// Whether all numbers are finite.
    pub fn is_finite(&self) -> bool {
        let of_kernels = self
            .kernels
            .iter()
            .flat_map(|k| [&k.parameters.centres, &k.parameters.shapes, &k.parameters.weights].into_iter().flatten());
        self.table.iter().chain(&self.parameters).chain(of_kernels).all(|x| x.is_finite())
    }

    /// Floating-point operations of one place: interpolation of grids, kernels, and the decoder.
    pub fn operations(&self) -> usize {
        let corners = 1 << self.grid.dimensions();
        let of_grid = self.grid.levels().len() * (corners * (FEATURES * 2 + 2) + 6 * self.grid.dimensions());
        of_grid + self.kernels.as_ref().map_or(0, |k| k.of.operations()) + self.decoder.operations()
    }

    /// Which rows the features of grids are, and those of kernels.
    pub fn rows(&self) -> (Rows, Rows) {
        let rows = self.decoder.rows();
        (Rows { rows, first: 0 }, Rows { rows, first: self.grid.width() })
    }

    /// Makes room for so many samples in a tile.
    pub fn make_room(&self, samples: usize, tile: &mut Tile) {
        let blocks = blocks_for(samples);
        tile.samples = samples;
        tile.positions.resize(blocks * self.grid.dimensions() * BLOCK, 0.5);
        tile.features.resize(blocks * self.decoder.rows() * BLOCK, 0.0);
        tile.of_outputs.resize(blocks * self.decoder.output_rows() * BLOCK, 0.0);
    }

    /// Prepares a tile for [`Field::values`], once for all values of the parameters.
    pub fn prepare(&self, tile: &mut Tile) {
        if let AnyDecoder::Rbf(decoder) = &self.decoder {
            decoder.prepare(&self.parameters, &mut tile.prepared);
        }
    }

    /// The numbers at the tile's positions; `neighbours` are the kernels near each, `[Q, K]`, where there are kernels.
    pub fn values(&self, tile: &mut Tile, neighbours: &[u32]) {
        let (of_grid, of_kernels) = self.rows();
        self.grid.encode(&self.table, &tile.positions, usize::MAX, (&mut tile.features, of_grid), None);
        self.finish_values(tile, neighbours, of_kernels);
    }

    fn finish_values(&self, tile: &mut Tile, neighbours: &[u32], of_kernels: Rows) {
        if let Some(kernels) = &self.kernels {
            from_tile(&tile.positions, self.grid.dimensions(), tile.samples, &mut tile.places);
            tile.responses.resize(tile.samples * kernels.of.neighbours, 0.0);
            let out = (&mut tile.features[..], of_kernels);
            kernels.of.forward(&kernels.parameters, &tile.places, neighbours, &mut tile.responses, out);
        }
        match &self.decoder {
            AnyDecoder::Rbf(decoder) => {
                let input = (&tile.features[..], Rows::all(decoder.features()));
                decoder.forward(&tile.prepared, input, &mut tile.decoded);
            }
            AnyDecoder::Network { mlp, .. } => {
                mlp.make_room(tile.features.len() / (mlp.widths()[0] * BLOCK), &mut tile.network);
                let constant = self.grid.width() + self.kernels.as_ref().map_or(0, |k| k.of.features);
                tile.network.layers[0].copy_from_slice(&tile.features);
                for block in tile.network.layers[0].chunks_exact_mut(mlp.widths()[0] * BLOCK) {
                    block[constant * BLOCK..][..BLOCK].fill(1.0);
                }
                mlp.forward(&self.parameters, &mut tile.network);
            }
        }
    }

    /// Output `o` of sample `i` after [`Field::values`].
    #[inline(always)]
    pub fn value(&self, tile: &Tile, o: usize, i: usize) -> f32 {
        let rows = self.decoder.output_rows();
        let outputs = match &self.decoder {
            AnyDecoder::Rbf(_) => &tile.decoded.outputs,
            AnyDecoder::Network { mlp, .. } => &tile.network.layers[mlp.layers()],
        };
        outputs[Rows::all(rows).at(i / BLOCK, o) + i % BLOCK]
    }

    /// Sets the gradient of the loss by output `o` of sample `i`. All of them must be set before [`Field::differentiate`].
    #[inline(always)]
    pub fn set_gradient(&self, tile: &mut Tile, o: usize, i: usize, value: f32) {
        let rows = self.decoder.output_rows();
        tile.of_outputs[Rows::all(rows).at(i / BLOCK, o) + i % BLOCK] = value;
    }

    /// Forgets gradients that were set, also those of the padding.
    pub fn clear_gradients(&self, tile: &mut Tile) {
        tile.of_outputs.fill(0.0);
    }

    /// Adds the gradient of the decoder's parameters to `gradient`, and leaves that of the features in the tile.
    pub fn differentiate(&self, tile: &mut Tile, gradient: &mut [f32]) {
        tile.of_features.resize(tile.features.len(), 0.0);
        match &self.decoder {
            AnyDecoder::Rbf(decoder) => {
                let rows = Rows::all(decoder.features());
                decoder.backward(
                    &tile.prepared,
                    (&tile.features, rows),
                    &mut tile.decoded,
                    &tile.of_outputs,
                    (&mut tile.of_features, rows),
                    gradient,
                );
            }
            AnyDecoder::Network { mlp, .. } => {
                mlp.make_room(tile.features.len() / (mlp.widths()[0] * BLOCK), &mut tile.network_d);
                tile.network_d.layers[mlp.layers()].copy_from_slice(&tile.of_outputs);
                mlp.back(&self.parameters, &tile.network, &mut tile.network_d, true);
                mlp.weight_gradient(&tile.network, &tile.network_d, gradient);
                tile.of_features.copy_from_slice(&tile.network_d.layers[0]);
            }
        }
    }

    /// Numbers at the tile's positions and, in `tile.slopes`, the gradient of output 0 by positions. For fields over the cube without kernels.
    pub fn slopes(&self, tile: &mut Tile) {
        let (of_grid, of_kernels) = self.rows();
        let blocks = blocks_for(tile.samples);
        tile.jacobian.resize(blocks * 3 * self.grid.width() * BLOCK, 0.0);
        let out = (&mut tile.features[..], of_grid);
        self.grid.encode(&self.table, &tile.positions, usize::MAX, out, Some(&mut tile.jacobian));
        self.finish_values(tile, &[], of_kernels);
        self.clear_gradients(tile);
        (0..tile.samples).for_each(|i| self.set_gradient(tile, 0, i, 1.0));
        let mut unused = vec![0.0; self.parameters.len()];
        self.differentiate(tile, &mut unused);
        tile.slopes.resize(blocks * 3 * BLOCK, 0.0);
        transposed_product(&tile.jacobian, &tile.of_features, of_grid, self.grid.width(), &mut tile.slopes);
    }
}

impl Tile {
    /// Sets the position of sample `i`.
    #[inline(always)]
    pub fn place<const D: usize>(&mut self, i: usize, position: [f32; D]) {
        for (k, x) in position.into_iter().enumerate() {
            self.positions[Rows::all(D).at(i / BLOCK, k) + i % BLOCK] = x;
        }
    }

    /// The gradient of the loss by features, `[blocks, rows, 16]`, after [`Field::differentiate`].
    pub fn of_features(&self) -> &[f32] {
        &self.of_features
    }

    /// Responses of kernels, `[Q, K]`; empty where there are none.
    pub fn responses(&self) -> &[f32] {
        &self.responses
    }

    /// The gradient of output 0 by the position of sample `i`, after [`Field::slopes`].
    pub fn slope(&self, i: usize) -> [f32; 3] {
        std::array::from_fn(|k| self.slopes[Rows::all(3).at(i / BLOCK, k) + i % BLOCK])
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.samples
    }
}

/// `[Q, D]` from `[blocks, D, 16]`.
pub fn from_tile(positions: &[f32], dimensions: usize, samples: usize, out: &mut Vec<f32>) {
    out.clear();
    for i in 0..samples {
        out.extend((0..dimensions).map(|k| positions[Rows::all(dimensions).at(i / BLOCK, k) + i % BLOCK]));
    }
}

/// Pairs of places and kernels, of a whole step.
pub fn neighbours(kernels: Vec<u32>, of: &Kernels) -> Neighbours {
    Neighbours::new(kernels, of.parameters.centres.len() / of.of.dimensions)
}
