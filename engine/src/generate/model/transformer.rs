//! The two diffusion transformers: where a shape is, and what it looks like there.
//!
//! Both predict the velocity of a rectified flow, `x_t = (1 - t) x_0 + t ε` and `v = ε - x_0`, from noisy tokens, the time and the class.

use super::super::tape::{Initial, Parameter, Parameters, Tape, Var};
use super::layers::{Compression, DitBlock, Linear, Maker, Over, SparseAttention};
use super::tokens::{BlockSizes, Tokens};
use rand_pcg::Pcg64;
use std::sync::Arc;
use tessera_kernels::dense::Activation;
use tessera_kernels::sparse_attention::{Heads, Pattern};

/// Added to variances of rows.
const EPSILON: f32 = 1e-5;
/// Numbers that a time becomes.
const TIME: usize = 128;
/// Times are between 0 and this inside of models.
const TIME_SCALE: f32 = 1000.0;
/// The lowest frequency of times and places is one over this.
const PERIOD: f32 = 10_000.0;

/// Sizes of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransformerShape {
    /// Numbers of a token inside.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Classes of shapes.
    pub classes: usize,
}

/// What spatial sparse attention looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseShape {
    /// Heads of keys and values.
    pub key_heads: usize,
    /// Blocks that a query sees.
    pub count: usize,
    /// Sizes of blocks and windows.
    pub sizes: BlockSizes,
    /// How blocks become tokens.
    pub compression: Compression,
}

/// What both have in common.
#[derive(Clone, Debug)]
struct Trunk {
    shape: TransformerShape,
    time: [Linear; 2],
    /// A row for each class, and one for none.
    classes: Parameter,
    input: Linear,
    blocks: Vec<DitBlock>,
    output: Linear,
}

/// The transformer of structure, over all pieces of a small grid.
#[derive(Clone, Debug)]
pub struct StructureModel(Trunk);

/// The transformer of details, over sparse tokens.
#[derive(Clone, Debug)]
pub struct DetailModel {
    trunk: Trunk,
    sizes: BlockSizes,
}

impl Trunk {
    fn new(
        maker: &mut Maker<'_>,
        shape: TransformerShape,
        [inputs, outputs]: [usize; 2],
        mut block: impl FnMut(&mut Maker<'_>, usize) -> DitBlock,
    ) -> Self {
        let width = shape.width;
        let time = [
            Linear::new(maker, "t_embedder.mlp.0", [TIME, width]),
            Linear::new(maker, "t_embedder.mlp.2", [width, width]),
        ];
        let classes = maker.add("classes", &[shape.classes + 1, width], Initial::Uniform(1.0));
        let input = Linear::new(maker, "input_layer", [inputs, width]);
        let blocks = (0..shape.depth).map(|i| block(&mut maker.part(&format!("blocks.{i}")), i)).collect();
        Self { shape, time, classes, input, blocks, output: Linear::zeros(maker, "out_layer", [width, outputs]) }
    }

    /// Rows of `inputs` at `coordinates` to velocities. `labels` beyond the last class mean none.
    fn run(
        &self,
        tape: &mut Tape<'_>,
        inputs: Var,
        places: Vec<f32>,
        samples: &Arc<Vec<u32>>,
        (times, labels): (&[f32], &[u32]),
        over: Over<'_>,
    ) -> Var {
        let time = tape.constant(times.iter().flat_map(|t| waves_of_time(TIME_SCALE * t, TIME)).collect(), TIME);
        let time = self.time[0].run(tape, time);
        let time = tape.activation(time, Activation::Silu);
        let time = self.time[1].run(tape, time);
        let none = self.shape.classes as u32;
        let classes = tape.parameter(self.classes);
        let labels = Arc::new(labels.iter().map(|l| (*l).min(none)).collect());
        let classes = tape.gather(classes, &labels);
        let condition = tape.add(time, classes);
        let condition = tape.activation(condition, Activation::Silu);
        let places = tape.constant(places, self.shape.width);
        let mut x = self.input.run(tape, inputs);
        x = tape.add(x, places);
        for block in &self.blocks {
            x = block.run(tape, x, condition, samples, over);
        }
        let x = tape.layer_norm(x, EPSILON);
        self.output.run(tape, x)
    }
}

impl StructureModel {
    /// Over tokens of `token` numbers each.
    pub fn new(shape: TransformerShape, token: usize, rng: &mut Pcg64) -> (Self, Parameters) {
        let mut parameters = Parameters::default();
        let mut maker = Maker { parameters: &mut parameters, rng: Some(rng), prefix: String::new() };
        let block = |maker: &mut Maker<'_>, _| DitBlock::full(maker, shape.width, shape.heads);
        let trunk = Trunk::new(&mut maker, shape, [token; 2], block);
        (Self(trunk), parameters)
    }

    /// Velocities of tokens, `[samples, side³, token]`, at a time and of a class each.
    pub fn run(
        &self,
        tape: &mut Tape<'_>,
        tokens: Vec<f32>,
        token: usize,
        side: usize,
        conditions: (&[f32], &[u32]),
    ) -> Var {
        let (samples, count) = (conditions.0.len(), side.pow(3));
        let places = (0..count).map(|i| [i / side.pow(2), i / side % side, i % side].map(|x| x as f32));
        let places: Vec<f32> = places.flat_map(|p| waves_of_place(p, self.0.shape.width)).collect();
        let of: Arc<Vec<u32>> = Arc::new((0..samples * count).map(|i| (i / count) as u32).collect());
        let ends: Vec<usize> = (1..=samples).map(|sample| sample * count).collect();
        let pattern = Arc::new(vec![Pattern::of_blocks(&ends, &ends)]);
        let x = tape.constant(tokens, token);
        self.0.run(tape, x, places.repeat(samples), &of, conditions, Over::All(&pattern))
    }
}

impl DetailModel {
    /// Over sparse tokens of `latent` numbers, to which `given` more are known.
    pub fn new(
        shape: TransformerShape,
        sparse: SparseShape,
        [latent, given]: [usize; 2],
        rng: &mut Pcg64,
    ) -> (Self, Parameters) {
        let mut parameters = Parameters::default();
        let mut maker = Maker { parameters: &mut parameters, rng: Some(rng), prefix: String::new() };
        let heads = Heads { queries: shape.heads, keys: sparse.key_heads, width: shape.width / shape.heads };
        let block = |maker: &mut Maker<'_>, i: usize| {
            let attention = |maker: &mut Maker<'_>| {
                let side = sparse.sizes.compression;
                SparseAttention::new(maker, shape.width, heads, side, sparse.count, sparse.compression)
            };
            DitBlock::sparse(maker, shape.width, attention, i % 2 == 1)
        };
        let trunk = Trunk::new(&mut maker, shape, [latent + given, latent], block);
        (Self { trunk, sizes: sparse.sizes }, parameters)
    }

    /// Tokens at (sample, x, y, z), in the order of their blocks.
    pub fn tokens(&self, coordinates: &[[i32; 4]], samples: usize) -> Tokens {
        Tokens::new(coordinates, samples, self.sizes)
    }

    /// Velocities of tokens' rows, of noisy and of given numbers.
    pub fn run(&self, tape: &mut Tape<'_>, rows: Vec<f32>, tokens: &Tokens, conditions: (&[f32], &[u32])) -> Var {
        let columns = rows.len() / tokens.coordinates.len().max(1);
        let width = self.trunk.shape.width;
        let place = |c: &[i32; 4]| waves_of_place([c[1], c[2], c[3]].map(|x| x as f32), width);
        let places = tokens.coordinates.iter().flat_map(place).collect();
        let x = tape.constant(rows, columns);
        self.trunk.run(tape, x, places, &tokens.samples, conditions, Over::Sparse(tokens))
    }
}

/// Cosines and sines of a time at frequencies from 1 to 1 / 10,000.
pub fn waves_of_time(time: f32, columns: usize) -> Vec<f32> {
    let half = columns / 2;
    let angle = |k: usize| time * (-PERIOD.ln() * k as f32 / half as f32).exp();
    (0..half).map(|k| angle(k).cos()).chain((0..half).map(|k| angle(k).sin())).collect()
}

/// Sines and cosines of each coordinate, zeros behind them.
pub fn waves_of_place(place: [f32; 3], width: usize) -> Vec<f32> {
    let count = width / 6;
    let mut waves = Vec::with_capacity(width);
    for x in place {
        let angle = |k: usize| x * PERIOD.powf(-(k as f32) / count as f32);
        waves.extend((0..count).map(|k| angle(k).sin()));
        waves.extend((0..count).map(|k| angle(k).cos()));
    }
    waves.resize(width, 0.0);
    waves
}
