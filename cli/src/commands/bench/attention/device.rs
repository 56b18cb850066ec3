//! The same on a device.

use super::{HEADS, SELECTED};
use anyhow::Result;
use std::time::Instant;
use tessera_engine::generate::model::Tokens;
use tessera_kernels::device::{Buffer, Device, DeviceError, Precision, Stream};
use tessera_kernels::sparse_attention::cuda::{Attention, DeviceBlocks, DevicePattern, Inputs, Selector};
use tessera_kernels::sparse_attention::{Blocks, Pattern, Selection};
use tessera_kernels::sparse_conv::mean_of_children;

/// A device that attends.
pub struct OnDevice {
    device: Device,
    stream: Stream,
    attention: Attention,
    selector: Selector,
}

/// What is attended to.
struct Uploaded {
    q: Buffer<f32>,
    k: Buffer<f32>,
    v: Buffer<f32>,
    by_out: Buffer<f32>,
}

/// Seconds of a pass forward and of one back, and those of the first that the host took to make patterns of selected blocks.
#[derive(Clone, Copy)]
pub struct Times {
    pub forward: f64,
    pub backward: f64,
    pub patterns: f64,
}

impl OnDevice {
    /// Prepares kernels.
    ///
    /// # Errors
    /// When the device cannot be used.
    pub fn new(device: Device, precision: Precision) -> Result<Self> {
        let (stream, attention) = (device.stream()?, Attention::new(&device, precision)?);
        Ok(Self { stream, attention, selector: Selector::new(&device)?, device })
    }

    /// What the device is.
    pub fn name(&self) -> String {
        format!("{}, {}", self.device.properties().name, self.attention.precision())
    }

    /// Spatial sparse attention and attention over all tokens. Means of keys and values are made before.
    ///
    /// # Errors
    /// When the device fails, or has too little memory.
    pub fn measure(
        &self,
        tokens: &Tokens,
        [q, k, v, by_out]: [&[f32]; 4],
        repeats: usize,
    ) -> Result<(Times, Times), DeviceError> {
        let upload = |values: &[f32]| self.device.upload(values, "attention that is measured");
        let inputs = Uploaded { q: upload(q)?, k: upload(k)?, v: upload(v)?, by_out: upload(by_out)? };
        let compressed = &tokens.compressed;
        let columns = HEADS.keys * HEADS.width;
        let means = |values: &[f32]| upload(&mean_of_children(values, &compressed.parents, columns, compressed.count));
        let means = [means(k)?, means(v)?];
        let n = tokens.coordinates.len();
        let all = self.pattern(&Pattern::of_blocks(&[n], &[n]), n)?;
        let (mut sparse, mut dense) = (None, None);
        for _ in 0..repeats {
            keep_least(&mut sparse, self.sparse(tokens, &inputs, &means)?);
            keep_least(&mut dense, self.all(&inputs, &all)?);
        }
        let nothing = Times { forward: 0.0, backward: 0.0, patterns: 0.0 };
        Ok((sparse.unwrap_or(nothing), dense.unwrap_or(nothing)))
    }

    fn pattern(&self, pattern: &Pattern, keys: usize) -> Result<DevicePattern, DeviceError> {
        DevicePattern::new(&self.device, HEADS, pattern, keys)
    }

    fn sparse(&self, tokens: &Tokens, inputs: &Uploaded, means: &[Buffer<f32>; 2]) -> Result<Times, DeviceError> {
        let (stream, n) = (&self.stream, tokens.coordinates.len());
        let Uploaded { q, k, v, by_out } = inputs;
        let blocks = Blocks { ends: &tokens.block_ends, of_means: &tokens.of_means, count: SELECTED };
        // Known before any token has a value, as they are of all layers.
        let to_means = self.pattern(&tokens.to_means[0], tokens.compressed.count)?;
        let on_device = DeviceBlocks::new(&self.device, HEADS, &tokens.to_means[0], blocks)?;
        let window = self.pattern(&Pattern::of_blocks(&tokens.block_ends, &tokens.block_ends), n)?;
        let of_tokens = Inputs { q, k, v };
        let of_means = Inputs { q, k: &means[0], v: &means[1] };
        stream.synchronize()?;

        let start = Instant::now();
        let seen = self.attention.forward(stream, HEADS, &[&to_means], of_means)?;
        let chosen = self.selector.select(stream, &on_device, [q, &means[0], &seen.log_sums])?.read(stream)?;
        let host = Instant::now();
        let selection = Selection::of(HEADS, chosen, blocks);
        let selected: Vec<DevicePattern> =
            selection.patterns.iter().map(|pattern| self.pattern(pattern, n)).collect::<Result<_, _>>()?;
        let patterns = host.elapsed().as_secs_f64();
        let selected: Vec<&DevicePattern> = selected.iter().collect();
        let selected_out = self.attention.forward(stream, HEADS, &selected, of_tokens)?;
        let near = self.attention.forward(stream, HEADS, &[&window], of_tokens)?;
        stream.synchronize()?;
        let forward = start.elapsed().as_secs_f64();

        let start = Instant::now();
        self.attention.backward(stream, HEADS, &[&to_means], of_means, &seen, by_out)?;
        self.attention.backward(stream, HEADS, &selected, of_tokens, &selected_out, by_out)?;
        self.attention.backward(stream, HEADS, &[&window], of_tokens, &near, by_out)?;
        stream.synchronize()?;
        Ok(Times { forward, backward: start.elapsed().as_secs_f64(), patterns })
    }

    fn all(&self, inputs: &Uploaded, pattern: &DevicePattern) -> Result<Times, DeviceError> {
        let Uploaded { q, k, v, by_out } = inputs;
        let (stream, inputs) = (&self.stream, Inputs { q, k, v });
        stream.synchronize()?;
        let start = Instant::now();
        let attended = self.attention.forward(stream, HEADS, &[pattern], inputs)?;
        stream.synchronize()?;
        let forward = start.elapsed().as_secs_f64();
        let start = Instant::now();
        self.attention.backward(stream, HEADS, &[pattern], inputs, &attended, by_out)?;
        stream.synchronize()?;
        Ok(Times { forward, backward: start.elapsed().as_secs_f64(), patterns: 0.0 })
    }
}

fn keep_least(least: &mut Option<Times>, times: Times) {
    let before = least.unwrap_or(times);
    *least = Some(Times {
        forward: times.forward.min(before.forward),
        backward: times.backward.min(before.backward),
        patterns: times.patterns.min(before.patterns),
    });
}
