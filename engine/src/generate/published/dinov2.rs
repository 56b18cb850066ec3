//! DINOv2 with registers (Oquab et al., 2023; Darcet et al., 2024): a vision transformer whose tokens say what is where in a picture.
//!
//! Its sizes follow from its file. What is wanted of it are all tokens before its own last normalisation: one of the whole, four registers, and one of
//! each patch of 14 pixels a side.

use super::super::model::{Linear, Maker};
use super::super::tape::{Initial, Numbers, Parameter, Parameters, Tape};
use super::layers::{Norm, SelfAttention, alone, by_rows};
use super::weights::Wanted;
use crate::{Error, Result};
use std::sync::Arc;
use tessera_datasets::format::weights::WeightsFile;
use tessera_kernels::dense::Activation;
use tessera_kernels::sparse_attention::Pattern;

/// Added to variances: inside, and behind the last layer.
const EPSILON: f32 = 1e-6;
const LAST_EPSILON: f32 = 1e-5;
/// Numbers of a head, in all sizes of it.
const HEAD: usize = 64;
/// The most that any of its sizes can be.
const LARGEST: usize = 1 << 16;
/// Colours.
const CHANNELS: usize = 3;

struct Block {
    norms: [Norm; 2],
    attention: SelfAttention,
    mlp: [Linear; 2],
    scales: [Parameter; 2],
}

/// The network.
pub struct Dinov2 {
    width: usize,
    /// Patches along a side of the picture, and pixels along a side of a patch.
    side: usize,
    patch: usize,
    registers: usize,
    class: Parameter,
    register_tokens: Parameter,
    places: Parameter,
    patches: Linear,
    /// The patches' weights, which the file has by colour, row and column.
    weight: Parameter,
    blocks: Vec<Block>,
}

impl Dinov2 {
    /// The network of a file, for pictures of `size` pixels a side, with what the file must hold.
    ///
    /// # Errors
    /// When the file is none of such a network, or is one for pictures of another size.
    pub fn new(file: &WeightsFile, size: usize) -> Result<(Self, Wanted)> {
        let remedy = "give dinov2_vitl14_reg4_pretrain.pth, or the same as safetensors";
        let shape = |name: &str| {
            let entry = file.tensors().get(name);
            entry.map(|entry| entry.shape.as_slice()).ok_or_else(|| {
                Error::file(file.path(), format!("lacks {name}, so it is no DINOv2 with registers"), remedy)
            })
        };
        let wrong = |what: String| Error::file(file.path(), what, remedy);
        let (&[width, CHANNELS, patch, _], &[_, registers, _], &[_, places, _]) =
            (shape("patch_embed.proj.weight")?, shape("register_tokens")?, shape("pos_embed")?)
        else {
            return Err(wrong("has tensors of shapes that no DINOv2 has".to_owned()));
        };
        let side = places.saturating_sub(1).isqrt();
        let possible = [width, patch, registers, side].iter().all(|size| (1..=LARGEST).contains(size));
        if !possible || !width.is_multiple_of(HEAD) || side * side + 1 != places {
            return Err(wrong("has tensors of shapes that no DINOv2 has".to_owned()));
        }
        if side * patch != size {
            let reason = format!("is for pictures of {} pixels a side, and config.yaml says {size}", side * patch);
            return Err(wrong(reason));
        }
        let numbers = file.tensors().keys().filter_map(|name| name.strip_prefix("blocks.")?.split('.').next());
        let depth = numbers.filter_map(|n| n.parse::<usize>().ok()).max().map_or(0, |last| last.saturating_add(1));
        if depth == 0 || depth > file.tensors().len() {
            return Err(wrong("has no blocks of a DINOv2".to_owned()));
        }
        Ok(Self::of_sizes([width, side, patch, registers, depth]))
    }

    fn of_sizes([width, side, patch, registers, depth]: [usize; 5]) -> (Self, Wanted) {
        let mut wanted = Wanted::default();
        let other = &mut Maker { parameters: &mut wanted.unread, rng: None, prefix: String::new() };
        Norm::new(other, "norm", width, EPSILON);
        other.add("mask_token", &[1, width], Initial::Zeros);
        let maker = &mut Maker { parameters: &mut wanted.parameters, rng: None, prefix: String::new() };
        let class = maker.add("cls_token", &[1, 1, width], Initial::Zeros);
        let register_tokens = maker.add("register_tokens", &[1, registers, width], Initial::Zeros);
        let places = maker.add("pos_embed", &[1, side * side + 1, width], Initial::Zeros);
        let weight = maker.add("patch_embed.proj.weight", &[width, CHANNELS, patch, patch], Initial::Zeros);
        let bias = maker.add("patch_embed.proj.bias", &[width], Initial::Zeros);
        let block = |i: usize| {
            let maker = &mut maker.part(&format!("blocks.{i}"));
            let norms = ["norm1", "norm2"].map(|name| Norm::new(maker, name, width, EPSILON));
            let attention = SelfAttention::new(maker, ["attn.qkv", "attn.proj"], width, width / HEAD, false);
            let mlp = [("mlp.fc1", [width, 4 * width]), ("mlp.fc2", [4 * width, width])];
            let mlp = mlp.map(|(name, shape)| Linear::new(maker, name, shape));
            let scales = ["ls1.gamma", "ls2.gamma"].map(|name| maker.add(name, &[width], Initial::Ones));
            Block { norms, attention, mlp, scales }
        };
        let blocks = (0..depth).map(block).collect();
        let patches = Linear::of(weight, Some(bias));
        let own = Self { width, side, patch, registers, class, register_tokens, places, patches, weight, blocks };
        (own, wanted)
    }

    /// Numbers of a token.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Tokens before those of patches.
    pub fn before(&self) -> usize {
        1 + self.registers
    }

    /// Patches along a side, and pixels of each along a side.
    pub fn grid(&self) -> [usize; 2] {
        [self.side, self.patch]
    }

    /// Lays the patches' weights out as a matrix.
    pub fn prepare(&self, parameters: &mut Parameters) {
        let values = parameters.values(self.weight).to_vec();
        parameters.replace(self.weight, &[self.width, CHANNELS * self.patch * self.patch], values);
    }

    /// The tokens, `[1 + registers + side², width]`, each with mean 0 and variance 1, of a picture, `[3, size, size]`, whose colours were normalised.
    ///
    /// # Errors
    /// When a device fails.
    pub fn tokens(&self, parameters: &Parameters, picture: &[f32]) -> Result<Vec<f32>> {
        let mut x = parameters.place().give(self.first(parameters, picture)?)?;
        let count = x.len() / self.width;
        let pattern = Arc::new(vec![Pattern::of_blocks(&[count], &[count])]);
        for block in &self.blocks {
            x = block.run(parameters, x, self.width, &pattern)?;
        }
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.continued(x, self.width);
        let x = tape.layer_norm(x, LAST_EPSILON);
        tape.take(x)
    }

    /// Tokens before the first block: places are added to those of the whole and of patches, registers have none.
    fn first(&self, parameters: &Parameters, picture: &[f32]) -> Result<Vec<f32>> {
        let (side, patch, size) = (self.side, self.patch, self.side * self.patch);
        let mut rows = Vec::with_capacity(picture.len());
        for at in 0..side * side {
            for channel in 0..CHANNELS {
                for y in 0..patch {
                    let row = (channel * size + (at / side) * patch + y) * size + (at % side) * patch;
                    rows.extend_from_slice(&picture[row..][..patch]);
                }
            }
        }
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.constant(rows, CHANNELS * patch * patch);
        let x = self.patches.run(&mut tape, x);
        let patches = tape.take(x)?;
        let [class, registers, places] =
            [self.class, self.register_tokens, self.places].map(|parameter| parameters.values(parameter));
        let placed = class.iter().chain(&patches).zip(places.iter()).map(|(x, place)| x + place);
        let placed: Vec<f32> = placed.collect();
        Ok([&placed[..self.width], registers.as_slice(), &placed[self.width..]].concat())
    }
}

impl Block {
    fn run(&self, parameters: &Parameters, x: Numbers, width: usize, pattern: &Arc<Vec<Pattern>>) -> Result<Numbers> {
        let x = alone(parameters, x, width, |tape, x| {
            let h = self.norms[0].run(tape, x);
            let h = self.attention.run(tape, h, pattern);
            let h = tape.scale_columns(h, self.scales[0]);
            tape.add(x, h)
        })?;
        by_rows(parameters, x, width, |tape, x| {
            let h = self.norms[1].run(tape, x);
            let h = self.mlp[0].run(tape, h);
            let h = tape.activation(h, Activation::GeluExact);
            let h = self.mlp[1].run(tape, h);
            let h = tape.scale_columns(h, self.scales[1]);
            tape.add(x, h)
        })
    }
}
