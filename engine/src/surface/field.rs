//! What is learned: a hash grid and a network from its features to distance, and another grid and network for colour.
//!
//! In the unit cube: `distance + radius = N_sdf([x - ½ | e(x)])`, the normal is the distance's exact gradient, and the colour
//! `σ(N_rgb([e_rgb(x) | harmonics of the direction | x - ½ | normal | code of the photo]))`. Neither network has biases.
//!
//! In NeuS2 one grid does both. Then the pattern of a flat thing becomes unevenness: colours need a fine grid that learns fast, distances one
//! that does not, and whatever separates light from dark among the colour network's inputs is used for it, normals too.

use super::config::SurfaceConfig;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tessera_kernels::hash_grid::{FEATURES, HashGrid, product, transposed_product};
use tessera_kernels::mlp::{Activations, BLOCK, Mlp, Rows, blocks_for};

/// Outputs of the distance network: the distance, and what widths of networks are multiples of.
pub const DISTANCE_OUTPUTS: usize = 4;
/// Harmonics of the viewing direction, up to degree 3.
pub const HARMONICS: usize = 16;
/// Inputs of the colour network between its encoding and the photo's code: harmonics, place, normal.
const COLOUR_INPUTS: usize = HARMONICS + 6;

/// The shapes of grid and networks, and their parameters.
#[derive(Clone, Debug)]
pub struct Field {
    /// The encoding of places for distances.
    pub grid: HashGrid,
    /// The encoding of places for colours.
    pub colour_grid: HashGrid,
    /// To distance.
    pub distance: Mlp,
    /// To colour.
    pub colour: Mlp,
    /// What is learned.
    pub parameters: Parameters,
    /// Subtracted from the distance network's first output: the radius of the sphere that training begins with.
    pub radius: f32,
    /// Levels of the grid for distances that are looked up.
    pub active_levels: usize,
}

/// What is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// `[entries, 2]`.
    pub table: Vec<f32>,
    /// `[entries, 2]`, of the grid for colours.
    pub colour_table: Vec<f32>,
    /// The distance network's matrices.
    pub distance: Vec<f32>,
    /// The colour network's matrices.
    pub colour: Vec<f32>,
    /// The sharpness is `exp(10 v)`.
    pub variance: f32,
}

/// How a sample is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Of the direction.
    pub harmonics: &'a [f32; HARMONICS],
    /// Of the photo; empty for what photos see on average.
    pub code: &'a [f32],
}

/// Buffers for a batch of samples, `[blocks, rows, 16]` all of them.
#[derive(Clone, Debug, Default)]
pub struct Tile {
    /// How many samples there are; the rest of the last block is filling.
    pub samples: usize,
    /// `[blocks, 3, 16]`.
    pub positions: Vec<f32>,
    /// Of the distance network.
    pub distance: Activations,
    /// Derivatives of the distance by its layers.
    pub sensitivity: Activations,
    /// Of the encoding.
    pub jacobian: Vec<f32>,
    /// `[blocks, 3, 16]`, the distance's gradient.
    pub normals: Vec<f32>,
    /// Of the colour network.
    pub colour: Activations,
}

impl Field {
    /// The field that training begins with: a sphere.
    pub fn new(config: &SurfaceConfig) -> Self {
        let grid = HashGrid::new(&config.grid());
        let input = (3 + grid.width()).next_multiple_of(4);
        let distance = Mlp::new(&[input, config.distance_width, DISTANCE_OUTPUTS]);
        let colour_grid = HashGrid::new(&config.colour_grid());
        let input_of_colour = (colour_grid.width() + COLOUR_INPUTS + config.appearance).next_multiple_of(4);
        let colour = Mlp::new(&[input_of_colour, config.colour_width, config.colour_width, 4]);
        let mut rng = Pcg64::seed_from_u64(config.seed);
        let mut uniform =
            |bound: f32, len: usize| -> Vec<f32> { (0..len).map(|_| rng.random_range(-bound..bound)).collect() };
        let table = uniform(1e-4, FEATURES * grid.entries());
        let colour_table = uniform(1e-4, FEATURES * colour_grid.entries());
        let mut colours = Vec::with_capacity(colour.weights());
        for pair in colour.widths().windows(2) {
            // As large on average after a layer as before it (He et al. 2015).
            colours.extend(uniform((6.0 / pair[0] as f32).sqrt(), pair[0] * pair[1]));
        }
        let parameters = Parameters {
            table,
            colour_table,
            distance: sphere(config.distance_width, input),
            colour: colours,
            variance: (config.first_sharpness().ln() / 10.0) as f32,
        };
        let radius = config.initial_radius as f32;
        Self { grid, colour_grid, distance, colour, parameters, radius, active_levels: config.active_levels(0) }
    }

    /// Rows of the distance network's input that the encoding fills.
    pub fn encoded(&self) -> Rows {
        Rows { rows: self.distance.widths()[0], first: 3 }
    }

    /// Multiplications and additions of the networks for a sample that is learned from: six passes through that for distances (forward, its gradient by
    /// places, back, and what the latter's gradients add), three through that for colours.
    pub fn operations(&self) -> usize {
        2 * (6 * self.distance.weights() + 3 * self.colour.weights())
    }

    /// The learned sharpness.
    pub fn sharpness(&self) -> f32 {
        (10.0 * self.parameters.variance).exp()
    }

    /// Makes room for so many samples.
    pub fn make_room(&self, samples: usize, tile: &mut Tile) {
        let blocks = blocks_for(samples);
        tile.samples = samples;
        tile.positions.resize(3 * blocks * BLOCK, 0.5);
        tile.normals.resize(3 * blocks * BLOCK, 0.0);
        tile.jacobian.resize(blocks * 3 * self.grid.width() * BLOCK, 0.0);
        self.distance.make_room(blocks, &mut tile.distance);
        self.distance.make_room(blocks, &mut tile.sensitivity);
    }

    /// Distances at the tile's positions, without their gradients.
    pub fn distances(&self, tile: &mut Tile) {
        self.encode(tile, false);
        self.distance.forward(&self.parameters.distance, &mut tile.distance);
    }

    /// Distances and normals at the tile's positions.
    pub fn surface(&self, tile: &mut Tile) {
        self.encode(tile, true);
        self.distance.forward(&self.parameters.distance, &mut tile.distance);
        self.distance.sensitivity(&self.parameters.distance, &tile.distance, 0, &mut tile.sensitivity);
        let by_input = &tile.sensitivity.layers[0];
        transposed_product(&tile.jacobian, by_input, self.encoded(), self.grid.width(), &mut tile.normals);
        add_position_rows(by_input, self.distance.widths()[0], &mut tile.normals);
    }

    fn encode(&self, tile: &mut Tile, jacobian: bool) {
        let rows = self.encoded();
        let input = &mut tile.distance.layers[0];
        let padding = rows.first + self.grid.width();
        for (input, x) in input.chunks_exact_mut(rows.rows * BLOCK).zip(tile.positions.chunks_exact(3 * BLOCK)) {
            input[..3 * BLOCK].iter_mut().zip(x).for_each(|(input, x)| *input = x - 0.5);
            input[padding * BLOCK..].fill(0.0);
        }
        let jacobian = jacobian.then_some(&mut tile.jacobian[..]);
        self.grid.encode(&self.parameters.table, &tile.positions, self.active_levels, (input, rows), jacobian);
    }

    /// The distance of sample `i` after [`Field::distances`] or [`Field::surface`].
    pub fn distance_of(&self, tile: &Tile, i: usize) -> f32 {
        tile.distance.layers[2][at(DISTANCE_OUTPUTS, 0, i)] - self.radius
    }

    /// Colours at the tile's positions after [`Field::surface`], each looked at in the way that `look` says of the sample.
    pub fn colours<'a>(&self, tile: &mut Tile, look: impl Fn(usize) -> Look<'a>) {
        let rows = self.colour.widths()[0];
        let blocks = blocks_for(tile.samples);
        self.colour.make_room(blocks, &mut tile.colour);
        let input = &mut tile.colour.layers[0];
        let encoded = self.colour_encoded();
        self.colour_grid.encode(
            &self.parameters.colour_table,
            &tile.positions,
            self.colour_grid.levels().len(),
            (input, encoded),
            None,
        );
        let (place, normal) = ((self.normal_row() - 3) * BLOCK, self.normal_row() * BLOCK);
        for block in 0..blocks {
            let out = &mut input[block * rows * BLOCK..][..rows * BLOCK];
            let of_block = 3 * block * BLOCK..3 * (block + 1) * BLOCK;
            let places = &tile.positions[of_block.clone()];
            out[place..normal].iter_mut().zip(places).for_each(|(out, x)| *out = x - 0.5);
            out[normal..normal + 3 * BLOCK].copy_from_slice(&tile.normals[of_block]);
            out[normal + 3 * BLOCK..].fill(0.0);
        }
        for i in 0..tile.samples {
            let Look { harmonics, code } = look(i);
            for (k, &value) in harmonics.iter().enumerate() {
                input[at(rows, self.colour_grid.width() + k, i)] = value;
            }
            for (k, &value) in code.iter().enumerate() {
                input[at(rows, self.code_row() + k, i)] = value;
            }
        }
        self.colour.forward(&self.parameters.colour, &mut tile.colour);
    }

    /// The colour of sample `i` after [`Field::colours`].
    pub fn colour_of(&self, tile: &Tile, i: usize) -> [f32; 3] {
        std::array::from_fn(|k| 1.0 / (1.0 + (-tile.colour.layers[3][at(4, k, i)]).exp()))
    }

    /// Rows of the colour network's input that its encoding fills.
    pub fn colour_encoded(&self) -> Rows {
        Rows { rows: self.colour.widths()[0], first: 0 }
    }

    /// The first row of the normal among the colour network's inputs.
    pub fn normal_row(&self) -> usize {
        self.code_row() - 3
    }

    /// The first row of the photo's code among the colour network's inputs.
    pub fn code_row(&self) -> usize {
        self.colour_grid.width() + COLOUR_INPUTS
    }
}

impl Tile {
    /// Sets the position of sample `i`.
    pub fn place(&mut self, i: usize, position: [f32; 3]) {
        (0..3).for_each(|k| self.positions[at(3, k, i)] = position[k]);
    }

    /// The distance's gradient at sample `i`.
    pub fn normal_of(&self, i: usize) -> [f32; 3] {
        std::array::from_fn(|k| self.normals[at(3, k, i)])
    }

    /// Keeps the samples that `keep` lists, ascending, with all that [`Field::surface`] found.
    pub fn retain(&mut self, keep: &[u32]) {
        let blocks = blocks_for(keep.len());
        let per_block = self.positions.len() / 3;
        let layers = self.distance.layers.iter_mut().chain(&mut self.sensitivity.layers);
        let others = [&mut self.positions, &mut self.normals, &mut self.jacobian];
        for values in layers.chain(others) {
            let rows = values.len() / per_block;
            for (to, &from) in keep.iter().enumerate() {
                let (to, from) = (at(rows, 0, to), at(rows, 0, from as usize));
                if to != from {
                    (0..rows).for_each(|row| values[to + row * BLOCK] = values[from + row * BLOCK]);
                }
            }
            values.truncate(blocks * rows * BLOCK);
        }
        self.samples = keep.len();
    }
}

/// Where row `row` of sample `i` is among `rows` rows.
#[inline(always)]
pub fn at(rows: usize, row: usize, i: usize) -> usize {
    Rows::all(rows).at(i / BLOCK, row) + i % BLOCK
}

/// Adds the first three of `rows` rows to `out`, `[blocks, 3, 16]`.
fn add_position_rows(values: &[f32], rows: usize, out: &mut [f32]) {
    for (out, values) in out.chunks_exact_mut(3 * BLOCK).zip(values.chunks_exact(rows * BLOCK)) {
        out.iter_mut().zip(values).for_each(|(out, value)| *out += value);
    }
}

/// From a tangent `v` of positions, `[blocks, 3, 16]`, to one of the distance network's input.
pub fn input_tangent(field: &Field, jacobian: &[f32], v: &[f32], out: &mut [f32]) {
    let rows = field.encoded();
    let padding = rows.first + field.grid.width();
    for (out, v) in out.chunks_exact_mut(rows.rows * BLOCK).zip(v.chunks_exact(3 * BLOCK)) {
        out[..3 * BLOCK].copy_from_slice(v);
        out[padding * BLOCK..].fill(0.0);
    }
    product(jacobian, v, field.grid.width(), (out, rows));
}

/// Weights with which the distance network computes `|x - ½|`: hidden units along directions that are spread evenly over the sphere, where
/// the mean of `relu(cos)` is a quarter.
fn sphere(width: usize, input: usize) -> Vec<f32> {
    let mut weights = Vec::with_capacity(width * (input + DISTANCE_OUTPUTS));
    let golden = std::f32::consts::PI * (3.0 - 5.0f32.sqrt());
    for unit in 0..width {
        let z = 1.0 - (2 * unit + 1) as f32 / width as f32;
        let (r, angle) = ((1.0 - z * z).sqrt(), golden * unit as f32);
        weights.extend([r * angle.cos(), r * angle.sin(), z]);
        weights.extend(std::iter::repeat_n(0.0, input - 3));
    }
    weights.extend(std::iter::repeat_n(4.0 / width as f32, width));
    weights.resize(width * (input + DISTANCE_OUTPUTS), 0.0);
    weights
}

/// Real spherical harmonics up to degree 3 of a direction of length 1.
pub fn harmonics([x, y, z]: [f32; 3]) -> [f32; HARMONICS] {
    let (xx, yy, zz) = (x * x, y * y, z * z);
    [
        0.282_094_79,
        -0.488_602_51 * y,
        0.488_602_51 * z,
        -0.488_602_51 * x,
        1.092_548_43 * x * y,
        -1.092_548_43 * y * z,
        0.946_174_70 * zz - 0.315_391_57,
        -1.092_548_43 * x * z,
        0.546_274_22 * (xx - yy),
        0.590_043_59 * y * (yy - 3.0 * xx),
        2.890_611_44 * x * y * z,
        0.457_045_80 * y * (1.0 - 5.0 * zz),
        0.373_176_33 * z * (5.0 * zz - 3.0),
        0.457_045_80 * x * (1.0 - 5.0 * zz),
        1.445_305_72 * z * (xx - yy),
        0.590_043_59 * x * (3.0 * yy - xx),
    ]
}
