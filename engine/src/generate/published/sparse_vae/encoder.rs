//! The encoder of details: from signed distances on voxels near a surface to latent numbers of voxels eight times as long.
//!
//! Nothing that is made of a picture needs it. With it a mesh can be sent through the autoencoder, which shows whether weights are read as they are meant.

use super::super::super::model::{Conv, Linear, Maker, Window, waves_of_place};
use super::super::super::tape::{Compressed, Numbers, Parameters, Tape, Var};
use super::super::config::SparseVae;
use super::super::layers::{Norm, alone, by_rows};
use super::super::weights::Wanted;
use super::{EPSILON, FEWER, WINDOW, WindowBlock};
use crate::Result;
use std::sync::Arc;
use tessera_kernels::dense::Activation;
use tessera_kernels::sparse_conv::{Neighbours, Sites};

/// Added to variances of groups.
const GROUP_EPSILON: f32 = 1e-5;
/// Groups of columns that are normalised together.
const GROUPS: usize = 32;

/// Means of voxels twice as long: a norm, the means, and two convolutions of them beside a product.
struct Downsample {
    norms: [Norm; 2],
    convs: [Conv; 2],
    skip: Conv,
    outputs: usize,
}

/// The encoder.
pub struct SparseEncoder {
    latent: usize,
    width: usize,
    distances: Linear,
    down: Vec<Downsample>,
    input: Linear,
    blocks: Vec<WindowBlock>,
    output: Linear,
}

impl Downsample {
    fn new(maker: &mut Maker<'_>, [inputs, outputs]: [usize; 2]) -> Self {
        let first = Norm::new(maker, "act_layers.0", inputs, GROUP_EPSILON);
        let convolved = Conv::of_neighbours(maker, "out_layers.0.conv", [inputs, outputs]);
        let second = Norm::new(maker, "out_layers.1", outputs, GROUP_EPSILON);
        let again = Conv::of_neighbours(maker, "out_layers.3.conv", [outputs; 2]);
        let skip = Conv::of_points(maker, "skip_connection.conv", [inputs, outputs]);
        Self { norms: [first, second], convs: [convolved, again], skip, outputs }
    }

    fn run(&self, tape: &mut Tape<'_>, x: Var, to: &Arc<Compressed>, means: &Sites) -> Var {
        let neighbours = Arc::new(means.neighbours());
        let h = normed(tape, x, &self.norms[0]);
        let h = tape.pool(h, to);
        let h = self.convs[0].run(tape, h, &neighbours);
        let h = normed(tape, h, &self.norms[1]);
        let h = self.convs[1].run(tape, h, &neighbours);
        let x = tape.pool(x, to);
        let x = self.skip.run(tape, x, &Arc::new(Neighbours::alone(means.len())));
        tape.add(h, x)
    }
}

/// Groups of columns of all rows normalised.
fn normed(tape: &mut Tape<'_>, x: Var, norm: &Norm) -> Var {
    let ends = Arc::new(vec![tape.rows(x) as u32]);
    let groups = GROUPS.min(tape.columns(x));
    let h = norm.run_in_groups(tape, x, groups, &ends);
    tape.activation(h, Activation::Silu)
}

impl SparseEncoder {
    /// With what its file must hold.
    pub fn new(config: &SparseVae) -> (Self, Wanted) {
        let mut wanted = Wanted { prefix: "vae.", ..Wanted::default() };
        let own = Self::declared(config, &mut wanted.parameters);
        (own, wanted)
    }

    /// With its tensors among others.
    pub(super) fn declared(config: &SparseVae, parameters: &mut Parameters) -> Self {
        let maker = &mut Maker { parameters, rng: None, prefix: "encoder.".to_owned() };
        let (latent, width) = (config.embed_dim, config.model_channels_encoder);
        let levels = FEWER.len() - 1;
        let distances = Linear::new(maker, "input_layer1", [1, width / FEWER[levels]]);
        let mut down = Vec::new();
        for i in 0..levels {
            let channels = [levels - i, levels - i - 1].map(|level| width / FEWER[level]);
            down.push(Downsample::new(&mut maker.part(&format!("downsample.{i}")), channels));
        }
        let input = Linear::new(maker, "input_layer", [width; 2]);
        let block = |i| WindowBlock::new(&mut maker.part(&format!("blocks.{i}")), width, config.num_heads_encoder);
        let blocks = (0..config.num_blocks_encoder).map(block).collect();
        let output = Linear::new(maker, "out_layer", [width, 2 * latent]);
        Self { latent, width, distances, down, input, blocks, output }
    }

    /// Latent voxels (0, x, y, z), ascending, and the means of their numbers, `[N, latent]`, of voxels (0, x, y, z), ascending, with their distances from -1 to 1.
    ///
    /// # Errors
    /// When a device fails.
    pub fn encode(
        &self,
        parameters: &Parameters,
        voxels: Vec<[i32; 4]>,
        distances: Vec<f32>,
    ) -> Result<(Vec<[i32; 4]>, Vec<f32>)> {
        let distances = parameters.place().give(distances)?;
        let mut x: Numbers = by_rows(parameters, distances, 1, |tape, x| self.distances.run(tape, x))?;
        let mut columns = x.len() / voxels.len().max(1);
        let mut sites = Sites::new(voxels);
        for down in &self.down {
            let (means, parents) = sites.parents();
            let to = Arc::new(Compressed { parents, count: means.len() });
            x = alone(parameters, x, columns, |tape, x| down.run(tape, x, &to, &means))?;
            (columns, sites) = (down.outputs, means);
        }
        let voxels = sites.coordinates().to_vec();
        let place = |c: &[i32; 4]| waves_of_place([c[1], c[2], c[3]].map(|x| x as f32), self.width);
        let places: Vec<f32> = voxels.iter().flat_map(place).collect();
        x = alone(parameters, x, columns, |tape, x| {
            let x = self.input.run(tape, x);
            let places = tape.constant(places.clone(), self.width);
            tape.add(x, places)
        })?;
        let windows = Window::both(&voxels, WINDOW);
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.run(parameters, x, self.width, &windows[i % 2])?;
        }
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.continued(x, self.width);
        let x = tape.layer_norm(x, EPSILON);
        let x = self.output.run(&mut tape, x);
        let means = tape.take_columns(x, 0, 2);
        debug_assert_eq!(tape.columns(means), self.latent);
        Ok((voxels, tape.take(means)?))
    }
}
