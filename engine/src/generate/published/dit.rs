//! The two diffusion transformers, which differ in what their tokens see: the structure's all of a small grid, the details' by spatial sparse attention.
//!
//! Both predict the velocity of a rectified flow from noisy tokens, the time, and the tokens of a picture, to which every block pays attention.

use super::super::model::{BlockSizes, Linear, Maker, Mlp, SparseAttention, Tokens, waves_of_place, waves_of_time};
use super::super::tape::{Initial, Numbers, Parameter, Parameters, Tape, Var};
use super::config::{DenseDit, SparseDit};
use super::layers::{CrossAttention, Norm, SelfAttention, alone, by_rows};
use super::weights::Wanted;
use crate::Result;
use std::sync::Arc;
use tessera_kernels::dense::Activation;
use tessera_kernels::sparse_attention::{Heads, Pattern};

/// Added to variances inside of blocks, and behind the last.
const EPSILON: f32 = 1e-6;
const LAST_EPSILON: f32 = 1e-5;
/// Numbers that a time becomes, and what it is multiplied by before.
const TIME: usize = 256;
const TIME_SCALE: f32 = 1000.0;

/// Tokens of a picture, `[count, width]`, and where patches lie, for models that want to know.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Row by row.
    pub tokens: Vec<f32>,
    /// (x, y, 0) of patches, and (0, 0, 1) of the tokens before them.
    pub places: Option<Vec<[f32; 3]>>,
}

impl Condition {
    /// No picture: zeros in place of the tokens. Where they are all alike, one of them is as good as many, because attention over equal tokens is any
    /// one of them.
    pub fn none(&self, width: usize) -> Self {
        let count = if self.places.is_some() { self.tokens.len() } else { width };
        Self { tokens: vec![0.0; count], places: self.places.clone() }
    }
}

enum Sight {
    Full(SelfAttention),
    Sparse(Box<SparseAttention>, bool),
}

/// What tokens see.
pub enum Over<'a> {
    /// All of them.
    All,
    /// What spatial sparse attention selects.
    Sparse(&'a Tokens),
}

struct Block {
    sight: Sight,
    norm: Norm,
    cross: CrossAttention,
    mlp: Mlp,
    modulation: Linear,
}

/// One of the transformers.
pub struct Dit {
    width: usize,
    condition_width: usize,
    latent: usize,
    time: [Linear; 2],
    /// What is added to tokens by their place, where the file has that.
    places: Option<Parameter>,
    /// Places are multiplied by this before.
    factor: f32,
    input: Linear,
    /// What a condition's tokens go through, where they know their places.
    condition: Option<Linear>,
    blocks: Vec<Block>,
    output: Linear,
    sizes: BlockSizes,
}

impl Dit {
    /// The transformer of structure.
    pub(super) fn dense(config: &DenseDit) -> (Self, Wanted) {
        let mut wanted = Wanted { prefix: "dit.", ..Wanted::default() };
        let maker = &mut Maker { parameters: &mut wanted.parameters, rng: None, prefix: String::new() };
        let (width, heads) = (config.model_channels, config.heads());
        let widths = [width, config.cond_channels, config.in_channels];
        let places = maker.add("pos_emb", &[config.resolution.pow(3), width], Initial::Zeros);
        let sight = |maker: &mut Maker<'_>, _| {
            let attention = SelfAttention::new(maker, ["to_qkv", "to_out"], width, heads, config.qk_rms_norm);
            Sight::Full(attention)
        };
        let own = Self::new(maker, widths, heads, config.num_blocks, sight);
        (Self { places: Some(places), ..own }, wanted)
    }

    /// The transformer of details.
    pub(super) fn sparse(config: &SparseDit) -> (Self, Wanted) {
        let mut wanted = Wanted { prefix: "dit.", ..Wanted::default() };
        let maker = &mut Maker { parameters: &mut wanted.parameters, rng: None, prefix: String::new() };
        let (width, queries) = (config.model_channels, config.heads());
        let widths = [width, config.cond_channels, config.in_channels];
        let heads = Heads { queries, keys: config.num_kv_heads, width: width / queries };
        let (side, count, kind) = (config.compression_block_size, config.topk, config.compression());
        let condition = config.sparse_conditions.then(|| Linear::new(maker, "cond_proj", [config.cond_channels; 2]));
        let sight = |maker: &mut Maker<'_>, i: usize| {
            let shifted = !config.use_shift || i % 2 == 1;
            Sight::Sparse(Box::new(SparseAttention::new(maker, width, heads, side, count, kind)), shifted)
        };
        let own = Self::new(maker, widths, queries, config.num_blocks, sight);
        let sizes = BlockSizes {
            compression: config.compression_block_size,
            selection: config.selection_block_size,
            window: config.window_size,
        };
        (Self { factor: config.factor, condition, sizes, ..own }, wanted)
    }

    fn new(
        maker: &mut Maker<'_>,
        [width, condition_width, latent]: [usize; 3],
        heads: usize,
        depth: usize,
        mut sight: impl FnMut(&mut Maker<'_>, usize) -> Sight,
    ) -> Self {
        let time = [
            Linear::new(maker, "t_embedder.mlp.0", [TIME, width]),
            Linear::new(maker, "t_embedder.mlp.2", [width, width]),
        ];
        let input = Linear::new(maker, "input_layer", [latent, width]);
        let mut block = |i: usize| {
            let maker = &mut maker.part(&format!("blocks.{i}"));
            Block {
                sight: sight(&mut maker.part("self_attn"), i),
                norm: Norm::new(maker, "norm2", width, EPSILON),
                cross: CrossAttention::new(&mut maker.part("cross_attn"), [width, condition_width], heads),
                mlp: Mlp::new(&mut maker.part("mlp"), width),
                modulation: Linear::new(maker, "adaLN_modulation.1", [width, 6 * width]),
            }
        };
        let blocks = (0..depth).map(&mut block).collect();
        let sizes = BlockSizes { compression: 1, selection: 1, window: 1 };
        let output = Linear::new(maker, "out_layer", [width, latent]);
        let (places, condition, factor) = (None, None, 1.0);
        Self { width, condition_width, latent, time, places, factor, input, condition, blocks, output, sizes }
    }

    /// Numbers of a token of a condition.
    pub fn condition_width(&self) -> usize {
        self.condition_width
    }

    /// Tokens of one sample at (0, x, y, z), in the order of their blocks.
    pub fn tokens(&self, coordinates: &[[i32; 4]]) -> Tokens {
        Tokens::new(coordinates, 1, self.sizes)
    }

    /// A condition as blocks see it.
    ///
    /// # Errors
    /// When a device fails.
    pub fn condition(&self, parameters: &Parameters, condition: &Condition) -> Result<Numbers> {
        let (Some(layer), Some(places)) = (&self.condition, &condition.places) else {
            return parameters.place().give(condition.tokens.clone());
        };
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.constant(condition.tokens.clone(), self.condition_width);
        let x = layer.run(&mut tape, x);
        let waves = places.iter().flat_map(|p| waves_of_place(*p, self.condition_width)).collect();
        let waves = tape.constant(waves, self.condition_width);
        let x = tape.add(x, waves);
        tape.hand_on(x)
    }

    /// Velocities of tokens, `[N, latent]`, in the order of `over`, at a time (1 is noise) and with a condition as [`Self::condition`] makes it.
    ///
    /// # Errors
    /// When a device fails.
    pub fn velocity(
        &self,
        parameters: &Parameters,
        x: &[f32],
        time: f32,
        condition: &Numbers,
        over: &Over<'_>,
    ) -> Result<Vec<f32>> {
        let time = self.time(parameters, time)?;
        let mut x = self.placed(parameters, x, over)?;
        let pattern = match over {
            Over::All => {
                let count = x.len() / self.width;
                Arc::new(vec![Pattern::of_blocks(&[count], &[count])])
            }
            Over::Sparse(_) => Arc::default(),
        };
        for block in &self.blocks {
            x = block.run(parameters, x, &time, (condition, self.condition_width), over, &pattern)?;
        }
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.continued(x, self.width);
        let x = tape.layer_norm(x, LAST_EPSILON);
        let x = self.output.run(&mut tape, x);
        tape.take(x)
    }

    /// What a time becomes before the modulation of each block: `[width]`.
    fn time(&self, parameters: &Parameters, time: f32) -> Result<Numbers> {
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.constant(waves_of_time(TIME_SCALE * time, TIME), TIME);
        let x = self.time[0].run(&mut tape, x);
        let x = tape.activation(x, Activation::Silu);
        let x = self.time[1].run(&mut tape, x);
        let x = tape.activation(x, Activation::Silu);
        tape.hand_on(x)
    }

    /// Tokens at the width of the blocks, with their places.
    fn placed(&self, parameters: &Parameters, x: &[f32], over: &Over<'_>) -> Result<Numbers> {
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.constant(x.to_vec(), self.latent);
        let x = self.input.run(&mut tape, x);
        let places = match (self.places, over) {
            (Some(places), _) => tape.parameter(places),
            (None, Over::Sparse(tokens)) => {
                let place = |c: &[i32; 4]| {
                    let place = [c[1], c[2], c[3]].map(|x| self.factor * x as f32);
                    waves_of_place(place, self.width)
                };
                let waves = tokens.coordinates.iter().flat_map(place).collect();
                tape.constant(waves, self.width)
            }
            (None, Over::All) => return tape.hand_on(x),
        };
        let x = tape.add(x, places);
        tape.hand_on(x)
    }
}

impl Block {
    fn run(
        &self,
        parameters: &Parameters,
        x: Numbers,
        time: &Numbers,
        (condition, condition_width): (&Numbers, usize),
        over: &Over<'_>,
        pattern: &Arc<Vec<Pattern>>,
    ) -> Result<Numbers> {
        let width = time.len();
        let by = alone(parameters, time.clone(), width, |tape, time| self.modulation.run(tape, time))?;
        let all = self.looked(parameters, x, &by, width, over, pattern)?;
        let seen = self.cross.seen(parameters, condition, condition_width)?;
        by_rows(parameters, all, width, |tape, x| {
            let samples = Arc::new(vec![0; tape.rows(x)]);
            let by = tape.continued(by.clone(), 6 * width);
            let h = self.norm.run(tape, x);
            let h = self.cross.run(tape, h, &seen);
            let x = tape.add(x, h);
            let h = tape.layer_norm(x, EPSILON);
            let h = tape.modulate(h, by, 3, &samples);
            let h = self.mlp.run(tape, h);
            tape.add_gated(x, h, by, 5, &samples)
        })
    }

    /// Behind attention among the tokens.
    fn looked(
        &self,
        parameters: &Parameters,
        x: Numbers,
        by: &Numbers,
        width: usize,
        over: &Over<'_>,
        pattern: &Arc<Vec<Pattern>>,
    ) -> Result<Numbers> {
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.continued(x, width);
        let samples = Arc::new(vec![0; tape.rows(x)]);
        let by = tape.continued(by.clone(), 6 * width);
        let h = tape.layer_norm(x, EPSILON);
        let h = tape.modulate(h, by, 0, &samples);
        let h: Var = match (&self.sight, over) {
            (Sight::Full(attention), _) => attention.run(&mut tape, h, pattern),
            (Sight::Sparse(attention, shifted), Over::Sparse(tokens)) => {
                attention.run(&mut tape, h, tokens, *shifted).out
            }
            (Sight::Sparse(..), Over::All) => unreachable!("sparse transformers are run over sparse tokens"),
        };
        let x = tape.add_gated(x, h, by, 2, &samples);
        tape.hand_on(x)
    }
}
