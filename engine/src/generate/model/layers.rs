//! Layers with their parameters.

use super::super::tape::{Initial, Parameter, Parameters, Tape, Var};
use super::tokens::Tokens;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tessera_kernels::dense::Activation;
use tessera_kernels::sparse_attention::{Blocks, Heads};
use tessera_kernels::sparse_conv::{NEIGHBOURS, Neighbours};

/// Added to variances of rows.
const EPSILON: f32 = 1e-6;
/// Added to variances of groups.
const GROUP_EPSILON: f32 = 1e-5;
/// Groups of channels that are normalised together.
const GROUPS: usize = 32;

/// Where a model's parameters are made.
pub struct Maker<'a> {
    /// All so far.
    pub parameters: &'a mut Parameters,
    /// Where they begin; nowhere, when they come from a file.
    pub rng: Option<&'a mut Pcg64>,
    /// What their names begin with.
    pub prefix: String,
}

impl Maker<'_> {
    /// A part of the model whose names begin with its own.
    pub fn part(&mut self, name: &str) -> Maker<'_> {
        let prefix = format!("{}{name}.", self.prefix);
        Maker { parameters: self.parameters, rng: self.rng.as_deref_mut(), prefix }
    }

    /// A tensor.
    pub fn add(&mut self, name: &str, shape: &[usize], initial: Initial) -> Parameter {
        let name = format!("{}{name}", self.prefix);
        match self.rng.as_deref_mut() {
            Some(rng) => self.parameters.add(name, shape, initial, rng),
            None => self.parameters.declare(name, shape),
        }
    }
}

/// `x Wᵀ + b`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    /// With random weights that keep variances as they are, and zeros to add.
    pub fn new(maker: &mut Maker<'_>, name: &str, [inner, outer]: [usize; 2]) -> Self {
        Self::beginning(maker, name, [inner, outer], Initial::Uniform((3.0 / inner as f32).sqrt()), true)
    }

    /// Without anything to add.
    pub fn plain(maker: &mut Maker<'_>, name: &str, [inner, outer]: [usize; 2]) -> Self {
        Self::beginning(maker, name, [inner, outer], Initial::Uniform((3.0 / inner as f32).sqrt()), false)
    }

    /// All zeros: what comes out is nothing at first.
    pub fn zeros(maker: &mut Maker<'_>, name: &str, [inner, outer]: [usize; 2]) -> Self {
        Self::beginning(maker, name, [inner, outer], Initial::Zeros, true)
    }

    /// With tensors that are there already.
    pub fn of(weight: Parameter, bias: Option<Parameter>) -> Self {
        Self { weight, bias }
    }

    fn beginning(maker: &mut Maker<'_>, name: &str, [inner, outer]: [usize; 2], initial: Initial, bias: bool) -> Self {
        let weight = maker.add(&format!("{name}.weight"), &[outer, inner], initial);
        let bias = bias.then(|| maker.add(&format!("{name}.bias"), &[outer], Initial::Zeros));
        Self { weight, bias }
    }

    /// Of all rows.
    pub fn run(&self, tape: &mut Tape<'_>, x: Var) -> Var {
        tape.linear(x, self.weight, self.bias)
    }
}

/// A convolution on sparse voxels.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    kernel: Parameter,
    bias: Parameter,
}

impl Conv {
    /// Over 27 neighbours.
    pub fn of_neighbours(maker: &mut Maker<'_>, name: &str, [inner, outer]: [usize; 2]) -> Self {
        // About half of the neighbours of a voxel near a surface are there.
        let limit = (3.0 / (NEIGHBOURS / 2 * inner) as f32).sqrt();
        let kernel = maker.add(&format!("{name}.kernel"), &[NEIGHBOURS, inner, outer], Initial::Uniform(limit));
        Self { kernel, bias: maker.add(&format!("{name}.bias"), &[outer], Initial::Zeros) }
    }

    /// Of each voxel alone.
    pub fn of_points(maker: &mut Maker<'_>, name: &str, [inner, outer]: [usize; 2]) -> Self {
        let limit = (3.0 / inner as f32).sqrt();
        let kernel = maker.add(&format!("{name}.kernel"), &[inner, outer], Initial::Uniform(limit));
        Self { kernel, bias: maker.add(&format!("{name}.bias"), &[outer], Initial::Zeros) }
    }

    /// Of all rows.
    pub fn run(&self, tape: &mut Tape<'_>, x: Var, neighbours: &Arc<Neighbours>) -> Var {
        tape.convolution(x, neighbours, self.kernel, self.bias)
    }
}

/// How blocks of tokens become one token each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// The mean of a layer of each token: version 1.1 of the published models.
    #[default]
    Points,
    /// Means, and two convolutions over neighbouring blocks: version 1.0.
    Neighbours,
}

#[derive(Clone, Copy, Debug)]
struct Norm {
    weight: Parameter,
    bias: Parameter,
}

/// The layers of one compression.
#[derive(Clone, Copy, Debug)]
enum Compressor {
    Points(Conv),
    Neighbours { norms: [Norm; 2], convs: [Conv; 2] },
}

impl Compressor {
    fn new(maker: &mut Maker<'_>, kind: Compression, columns: usize) -> Self {
        let norm = |maker: &mut Maker<'_>, name: &str| Norm {
            weight: maker.add(&format!("{name}.weight"), &[columns], Initial::Ones),
            bias: maker.add(&format!("{name}.bias"), &[columns], Initial::Zeros),
        };
        match kind {
            Compression::Points => Self::Points(Conv::of_points(maker, "act_layers.0.conv", [columns; 2])),
            Compression::Neighbours => Self::Neighbours {
                norms: [norm(maker, "act_layers.0"), norm(maker, "out_layers.1")],
                convs: ["out_layers.0.conv", "out_layers.3.conv"]
                    .map(|name| Conv::of_neighbours(maker, name, [columns; 2])),
            },
        }
    }

    fn run(&self, tape: &mut Tape<'_>, x: Var, tokens: &Tokens) -> Var {
        match self {
            Self::Points(conv) => {
                let h = conv.run(tape, x, &tokens.alone);
                let h = tape.activation(h, Activation::Silu);
                tape.pool(h, &tokens.compressed)
            }
            Self::Neighbours { norms, convs } => {
                let normed = |tape: &mut Tape<'_>, x: Var, norm: &Norm, ends: &Arc<Vec<u32>>| {
                    let groups = GROUPS.min(tape.columns(x));
                    let h = tape.group_norm(x, groups, ends, GROUP_EPSILON);
                    let h = tape.affine(h, norm.weight, norm.bias);
                    tape.activation(h, Activation::Silu)
                };
                let h = normed(tape, x, &norms[0], &tokens.sample_ends);
                let h = tape.pool(h, &tokens.compressed);
                let h = convs[0].run(tape, h, &tokens.compressed_neighbours);
                let h = normed(tape, h, &norms[1], &tokens.compressed_ends);
                let h = convs[1].run(tape, h, &tokens.compressed_neighbours);
                let mean = tape.pool(x, &tokens.compressed);
                tape.add(h, mean)
            }
        }
    }
}

/// Spatial sparse attention.
#[derive(Clone, Debug)]
pub struct SparseAttention {
    heads: Heads,
    count: usize,
    project: [Linear; 4],
    places: Parameter,
    compress: [Compressor; 2],
    gate: Linear,
}

/// What an attention computes on its way.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The layer's output.
    pub out: Var,
    /// What means, selected blocks and windows gave, `[N, H D]`.
    pub parts: [Var; 3],
    /// `[N, 3]`.
    pub gates: Var,
    /// The selected blocks, `[G, N, count]`.
    pub blocks: Vec<u32>,
}

impl SparseAttention {
    /// Over tokens of `width` numbers; a query sees `count` blocks of tokens, and means of blocks of `side` voxels a side.
    pub fn new(
        maker: &mut Maker<'_>,
        width: usize,
        heads: Heads,
        side: usize,
        count: usize,
        kind: Compression,
    ) -> Self {
        let (inner, keys) = (heads.queries * heads.width, heads.keys * heads.width);
        let project = [("proj_q", [width, inner]), ("proj_k", [width, keys]), ("proj_v", [width, keys])];
        let [q, k, v] = project.map(|(name, shape)| Linear::plain(maker, name, shape));
        let project = [q, k, v, Linear::plain(maker, "proj_o", [inner, width])];
        let places = maker.add("intra_block_pe", &[side, side, side, keys], Initial::Uniform(0.02));
        let compress =
            ["compression_key", "compression_value"].map(|name| Compressor::new(&mut maker.part(name), kind, keys));
        Self { heads, count, project, places, compress, gate: Linear::plain(maker, "gate.0", [width, 3]) }
    }

    /// Of tokens in the order of their blocks; `shifted` moves windows by half of their size.
    pub fn run(&self, tape: &mut Tape<'_>, x: Var, tokens: &Tokens, shifted: bool) -> Looked {
        let [q, k, v] = [0, 1, 2].map(|i| self.project[i].run(tape, x));
        let places = tape.parameter(self.places);
        let places = tape.gather(places, &tokens.places);
        let placed = tape.add(k, places);
        let [means, values] = [(placed, 0), (v, 1)].map(|(x, which)| self.compress[which].run(tape, x, tokens));
        let (seen, attended) = tape.attention(self.heads, &tokens.to_means, [q, means, values]);
        let blocks = Blocks { ends: &tokens.block_ends, of_means: &tokens.of_means, count: self.count };
        let (chosen, patterns) = tape.select(self.heads, &tokens.to_means, [q, means], &attended, blocks);
        let (selected, _) = tape.attention(self.heads, &patterns, [q, k, v]);
        let window = &tokens.windows[usize::from(shifted)];
        let ordered = [q, k, v].map(|x| tape.gather(x, &window.order));
        let (near, _) = tape.attention(self.heads, &window.pattern, ordered);
        let near = tape.gather(near, &window.back);
        let gates = self.gate.run(tape, x);
        let gates = tape.activation(gates, Activation::Sigmoid);
        let parts = [seen, selected, near];
        let [a, b, c] = [0, 1, 2].map(|i| tape.scale_rows(parts[i], gates, i));
        let sum = tape.add(a, b);
        let sum = tape.add(sum, c);
        Looked { out: self.project[3].run(tape, sum), parts, gates, blocks: chosen }
    }
}

/// Attention over all tokens of a sample, or over those of its window.
#[derive(Clone, Debug)]
pub struct FullAttention {
    heads: Heads,
    project: [Linear; 4],
}

impl FullAttention {
    /// Over tokens of `width` numbers.
    pub fn new(maker: &mut Maker<'_>, width: usize, heads: usize) -> Self {
        let project = ["to_q", "to_k", "to_v", "to_out"].map(|name| Linear::new(maker, name, [width; 2]));
        Self { heads: Heads::equal(heads, width / heads), project }
    }

    /// By a pattern.
    pub fn run(
        &self,
        tape: &mut Tape<'_>,
        x: Var,
        pattern: &Arc<Vec<tessera_kernels::sparse_attention::Pattern>>,
    ) -> Var {
        let inputs = [0, 1, 2].map(|i| self.project[i].run(tape, x));
        let (out, _) = tape.attention(self.heads, pattern, inputs);
        self.project[3].run(tape, out)
    }
}

/// Two layers with an activation between them.
#[derive(Clone, Debug)]
pub struct Mlp([Linear; 2]);

impl Mlp {
    /// With four times as many numbers between.
    pub fn new(maker: &mut Maker<'_>, width: usize) -> Self {
        let first = Linear::new(maker, "mlp.0", [width, 4 * width]);
        Self([first, Linear::new(maker, "mlp.2", [4 * width, width])])
    }

    /// Of all rows.
    pub fn run(&self, tape: &mut Tape<'_>, x: Var) -> Var {
        let h = self.0[0].run(tape, x);
        let h = tape.activation(h, Activation::Gelu);
        self.0[1].run(tape, h)
    }
}

/// What a block of a transformer lets tokens see.
#[derive(Clone, Debug)]
enum Sight {
    Sparse(SparseAttention, bool),
    Full(FullAttention),
}

/// A block of a diffusion transformer: attention and a network, both scaled, shifted and gated by the condition of their sample.
#[derive(Clone, Debug)]
pub struct DitBlock {
    sight: Sight,
    mlp: Mlp,
    modulation: Linear,
}

/// What blocks look at.
#[derive(Clone, Copy, Debug)]
pub enum Over<'a> {
    /// Sparse tokens.
    Sparse(&'a Tokens),
    /// All tokens of a sample.
    All(&'a Arc<Vec<tessera_kernels::sparse_attention::Pattern>>),
}

impl DitBlock {
    /// With spatial sparse attention.
    pub fn sparse(
        maker: &mut Maker<'_>,
        width: usize,
        attention: impl FnOnce(&mut Maker<'_>) -> SparseAttention,
        shifted: bool,
    ) -> Self {
        let attention = attention(&mut maker.part("self_attn"));
        Self::with(maker, width, Sight::Sparse(attention, shifted))
    }

    /// With attention over all tokens.
    pub fn full(maker: &mut Maker<'_>, width: usize, heads: usize) -> Self {
        let attention = FullAttention::new(&mut maker.part("self_attn"), width, heads);
        Self::with(maker, width, Sight::Full(attention))
    }

    fn with(maker: &mut Maker<'_>, width: usize, sight: Sight) -> Self {
        let mlp = Mlp::new(&mut maker.part("mlp"), width);
        Self { sight, mlp, modulation: Linear::zeros(maker, "adaLN_modulation.1", [width, 6 * width]) }
    }

    /// `condition` is `[samples, width]`; `samples` says whose each token is.
    pub fn run(&self, tape: &mut Tape<'_>, x: Var, condition: Var, samples: &Arc<Vec<u32>>, over: Over<'_>) -> Var {
        let by = self.modulation.run(tape, condition);
        let h = tape.layer_norm(x, EPSILON);
        let h = tape.modulate(h, by, 0, samples);
        let h = match (&self.sight, over) {
            (Sight::Sparse(attention, shifted), Over::Sparse(tokens)) => attention.run(tape, h, tokens, *shifted).out,
            (Sight::Full(attention), Over::All(pattern)) => attention.run(tape, h, pattern),
            _ => unreachable!("a model hands its blocks what they look at"),
        };
        let x = tape.add_gated(x, h, by, 2, samples);
        let h = tape.layer_norm(x, EPSILON);
        let h = tape.modulate(h, by, 3, samples);
        let h = self.mlp.run(tape, h);
        tape.add_gated(x, h, by, 5, samples)
    }
}

/// A block without a condition, over windows.
#[derive(Clone, Debug)]
pub struct WindowBlock {
    attention: FullAttention,
    mlp: Mlp,
    shifted: bool,
}

impl WindowBlock {
    /// Over tokens of `width` numbers.
    pub fn new(maker: &mut Maker<'_>, width: usize, heads: usize, shifted: bool) -> Self {
        let attention = FullAttention::new(&mut maker.part("attn"), width, heads);
        Self { attention, mlp: Mlp::new(&mut maker.part("mlp"), width), shifted }
    }

    /// Of all tokens.
    pub fn run(&self, tape: &mut Tape<'_>, x: Var, windows: &[super::tokens::Window; 2]) -> Var {
        let window = &windows[usize::from(self.shifted)];
        let h = tape.layer_norm(x, EPSILON);
        let h = tape.gather(h, &window.order);
        let h = self.attention.run(tape, h, &window.pattern);
        let h = tape.gather(h, &window.back);
        let x = tape.add(x, h);
        let h = tape.layer_norm(x, EPSILON);
        let h = self.mlp.run(tape, h);
        tape.add(x, h)
    }
}
