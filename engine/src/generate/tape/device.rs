//! Layers on a device. Everything is work of one stream, and results stay there until they are read.
//!
//! What the host shares with a layer (parameters, patterns, neighbours) is copied when it is first met, and kept as long as the host has it.

use super::host::SHORTEST;
use super::place::{Attended, Numbers, Part, Place, Samples, Turned};
use super::{Compressed, Values};
use crate::Result;
use crate::train::AvailableMemory;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tessera_kernels::dense::Activation;
use tessera_kernels::dense::cuda::{Dense, DeviceMatrix, DeviceRows, Part as DevicePart, Rows};
use tessera_kernels::device::{Buffer, Device, Precision, Stream};
use tessera_kernels::sparse_attention::cuda::{Attention, DeviceBlocks, DevicePattern, Inputs, Selector};
use tessera_kernels::sparse_attention::{self, Blocks, Heads, Pattern, Selection};
use tessera_kernels::sparse_conv::cuda::{Convolutions, DeviceNeighbours};
use tessera_kernels::sparse_conv::{CHILDREN, Convolution, Neighbours};

/// A device with all operations of layers.
pub struct OnDevice {
    device: Device,
    stream: Stream,
    precision: Precision,
    dense: Dense,
    rows: Rows,
    convolutions: Convolutions,
    attention: Attention,
    selector: Selector,
    parameters: Copies<Vec<f32>, Buffer<f32>>,
    gathered: Copies<Vec<u32>, DeviceRows>,
    ends: Copies<Vec<u32>, Buffer<u32>>,
    pooled: Copies<Compressed, DeviceRows>,
    neighbours: Copies<Neighbours, DeviceNeighbours>,
    patterns: Copies<Vec<Pattern>, Vec<DevicePattern>>,
    blocks: Copies<Vec<Pattern>, DeviceBlocks>,
}

/// Copies of what the host shares.
struct Copies<T, C>(Mutex<HashMap<Key, Copied<T, C>>>);

/// Where the host's lies, and numbers that belong to the copy.
type Key = (usize, [usize; 2]);

/// While the host's is there nothing else can lie in its place.
struct Copied<T, C>(Weak<T>, Arc<C>);

impl<T, C> Default for Copies<T, C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T, C> Copies<T, C> {
    fn of(&self, shared: &Arc<T>, with: [usize; 2], copy: impl FnOnce(&T) -> Result<C>) -> Result<Arc<C>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::as_ptr(shared) as usize, with);
        if let Some(Copied(known, copied)) = all.get(&key)
            && known.strong_count() > 0
        {
            return Ok(Arc::clone(copied));
        }
        all.retain(|_, Copied(known, _)| known.strong_count() > 0);
        let copied = Arc::new(copy(shared)?);
        all.insert(key, Copied(Arc::downgrade(shared), Arc::clone(&copied)));
        Ok(copied)
    }
}

impl Numbers {
    /// Those of a device.
    fn device(&self) -> &Buffer<f32> {
        match self {
            Self::Device(buffer) => buffer,
            Self::Attended(attended) => &attended.out,
            Self::Host(_) => unreachable!("a tape's numbers are all in one place"),
        }
    }
}

impl From<Buffer<f32>> for Numbers {
    fn from(buffer: Buffer<f32>) -> Self {
        Self::Device(Arc::new(buffer))
    }
}

impl<'a> From<Turned<'a>> for DeviceMatrix<'a> {
    fn from(matrix: Turned<'a>) -> Self {
        let own = DeviceMatrix::new(matrix.numbers.device(), matrix.columns);
        if matrix.turned { own.turned() } else { own }
    }
}

impl<'a> From<Part<'a>> for DevicePart<'a> {
    fn from(part: Part<'a>) -> Self {
        Self { values: part.numbers.device(), width: part.width, first: part.first }
    }
}

impl OnDevice {
    /// Prepares all operations.
    ///
    /// # Errors
    /// When kernels cannot be compiled.
    pub fn new(device: &Device, precision: Precision) -> Result<Self> {
        let stream = device.stream()?;
        let device = device.with_memory_of(&stream);
        Ok(Self {
            dense: Dense::new(&device)?,
            rows: Rows::new(&device)?,
            convolutions: Convolutions::new(&device)?,
            attention: Attention::new(&device, precision)?,
            selector: Selector::new(&device)?,
            parameters: Copies::default(),
            gathered: Copies::default(),
            ends: Copies::default(),
            pooled: Copies::default(),
            neighbours: Copies::default(),
            patterns: Copies::default(),
            blocks: Copies::default(),
            device,
            stream,
            precision,
        })
    }

    fn rows_of(&self, rows: &Arc<Vec<u32>>, count: usize) -> Result<Arc<DeviceRows>> {
        self.gathered.of(rows, [count, 0], |rows| Ok(DeviceRows::new(&self.device, rows, count)?))
    }

    fn samples_of(&self, samples: &Samples) -> Result<Arc<DeviceRows>> {
        self.rows_of(&samples.of_rows, samples.count)
    }

    fn pooled(&self, to: &Arc<Compressed>) -> Result<Arc<DeviceRows>> {
        self.pooled.of(to, [0; 2], |to| Ok(DeviceRows::new(&self.device, &to.parents, to.count)?))
    }

    fn ends_of(&self, ends: &Arc<Vec<u32>>) -> Result<Arc<Buffer<u32>>> {
        self.ends.of(ends, [0; 2], |ends| Ok(self.device.upload(ends, "ends of samples")?))
    }

    fn neighbours_of(&self, neighbours: &Arc<Neighbours>) -> Result<Arc<DeviceNeighbours>> {
        self.neighbours.of(neighbours, [0; 2], |neighbours| Ok(DeviceNeighbours::new(&self.device, neighbours)?))
    }

    fn patterns_of(
        &self,
        heads: Heads,
        patterns: &Arc<Vec<Pattern>>,
        k: &Buffer<f32>,
    ) -> Result<Arc<Vec<DevicePattern>>> {
        let keys = k.len() / (heads.keys * heads.width);
        self.patterns.of(patterns, [keys, heads.shared()], |patterns| {
            let copied = patterns.iter().map(|pattern| DevicePattern::new(&self.device, heads, pattern, keys));
            Ok(copied.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// Which row of half the resolution each child copies.
    fn children(&self, rows: usize) -> Result<DeviceRows> {
        let of_each: Vec<u32> = (0..(rows * CHILDREN) as u32).map(|child| child / CHILDREN as u32).collect();
        Ok(DeviceRows::new(&self.device, &of_each, rows)?)
    }
}

impl Place for OnDevice {
    fn memory(&self) -> Result<Option<AvailableMemory>> {
        let (total, free) = (self.device.properties().memory, self.device.free_memory()?);
        Ok(Some(AvailableMemory { total, free }))
    }

    fn rows_at_a_time(&self) -> usize {
        usize::MAX
    }

    fn give(&self, values: Vec<f32>) -> Result<Numbers> {
        Ok(self.device.upload(&values, "numbers of layers")?.into())
    }

    fn parameter(&self, values: &Values) -> Result<Numbers> {
        let copied = self.parameters.of(values, [0; 2], |values| Ok(self.device.upload(values, "weights")?))?;
        Ok(Numbers::Device(copied))
    }

    fn read(&self, numbers: &Numbers) -> Result<Values> {
        Ok(Arc::new(numbers.device().read(&self.stream)?))
    }

    fn product(&self, matrices: [Turned<'_>; 2], size: [usize; 3], bias: Option<&Numbers>) -> Result<Numbers> {
        let bias = bias.map(Numbers::device);
        Ok(self.dense.product(&self.stream, self.precision, matrices.map(Into::into), size, bias)?.into())
    }

    fn sum_columns(&self, values: &Numbers, by: Option<&Numbers>, columns: usize) -> Result<Numbers> {
        Ok(self.dense.sum_columns(&self.stream, values.device(), by.map(Numbers::device), columns)?.into())
    }

    fn add(&self, a: Numbers, b: &Numbers) -> Result<Numbers> {
        Ok(self.dense.add(&self.stream, a.device(), b.device())?.into())
    }

    fn activate(&self, of: Activation, x: &Numbers) -> Result<Numbers> {
        Ok(self.dense.activate(&self.stream, of, x.device())?.into())
    }

    fn activate_backward(&self, of: Activation, x: &Numbers, by_out: &Numbers) -> Result<Numbers> {
        Ok(self.dense.activate_backward(&self.stream, of, x.device(), by_out.device())?.into())
    }

    fn normalise(&self, x: &Numbers, columns: usize, epsilon: f32) -> Result<[Numbers; 2]> {
        Ok(self.dense.normalise(&self.stream, x.device(), columns, epsilon)?.map(Into::into))
    }

    fn normalise_backward(&self, normalised: &[Numbers; 2], columns: usize, by_values: &Numbers) -> Result<Numbers> {
        let normalised = normalised.each_ref().map(Numbers::device);
        Ok(self.dense.normalise_backward(&self.stream, normalised, columns, by_values.device())?.into())
    }

    fn normalise_groups(
        &self,
        x: &Numbers,
        shape: [usize; 2],
        ends: &Arc<Vec<u32>>,
        epsilon: f32,
    ) -> Result<[Numbers; 2]> {
        let ends = self.ends_of(ends)?;
        Ok(self.dense.normalise_groups(&self.stream, x.device(), shape, &ends, epsilon)?.map(Into::into))
    }

    fn normalise_groups_backward(
        &self,
        normalised: &[Numbers; 2],
        shape: [usize; 2],
        ends: &Arc<Vec<u32>>,
        by_values: &Numbers,
    ) -> Result<Numbers> {
        let (normalised, ends) = (normalised.each_ref().map(Numbers::device), self.ends_of(ends)?);
        let by_values = by_values.device();
        Ok(self.dense.normalise_groups_backward(&self.stream, normalised, shape, &ends, by_values)?.into())
    }

    fn normalise_lengths(&self, x: &Numbers, by: &Numbers, width: usize) -> Result<Numbers> {
        Ok(self.rows.normalise_lengths(&self.stream, x.device(), by.device(), width, SHORTEST)?.into())
    }

    fn scale_columns(&self, x: &Numbers, w: &Numbers, b: Option<&Numbers>) -> Result<Numbers> {
        Ok(self.rows.scale_columns(&self.stream, x.device(), w.device(), b.map(Numbers::device))?.into())
    }

    fn take_columns(&self, part: Part<'_>, columns: usize) -> Result<Numbers> {
        Ok(self.rows.take_columns(&self.stream, part.into(), columns)?.into())
    }

    fn modulate(&self, x: &Numbers, by: Part<'_>, samples: &Samples) -> Result<Numbers> {
        Ok(self.rows.modulate(&self.stream, x.device(), by.into(), &*self.samples_of(samples)?)?.into())
    }

    fn modulate_backward(&self, x: &Numbers, by: Part<'_>, samples: &Samples, by_out: Numbers) -> Result<[Numbers; 2]> {
        let (samples, d) = (self.samples_of(samples)?, by_out.device());
        let by_x = self.rows.modulate_backward(&self.stream, d, by.into(), &samples)?;
        let columns = d.len() / samples.many().max(1);
        let parts = [(by.first, None), (by.first + columns, Some(x.device()))];
        let by_by = self.rows.sum_samples(&self.stream, d, &parts, by.width, &samples)?;
        Ok([by_x.into(), by_by.into()])
    }

    fn add_gated(&self, x: &Numbers, h: &Numbers, by: Part<'_>, samples: &Samples) -> Result<Numbers> {
        let samples = self.samples_of(samples)?;
        Ok(self.rows.add_gated(&self.stream, Some(x.device()), h.device(), by.into(), &samples)?.into())
    }

    fn add_gated_backward(
        &self,
        h: &Numbers,
        by: Part<'_>,
        samples: &Samples,
        by_out: &Numbers,
    ) -> Result<[Numbers; 2]> {
        let (samples, d) = (self.samples_of(samples)?, by_out.device());
        let by_h = self.rows.add_gated(&self.stream, None, d, by.into(), &samples)?;
        let parts = [(by.first, Some(h.device()))];
        let by_by = self.rows.sum_samples(&self.stream, d, &parts, by.width, &samples)?;
        Ok([by_h.into(), by_by.into()])
    }

    fn scale_rows(&self, x: &Numbers, by: Part<'_>) -> Result<Numbers> {
        Ok(self.rows.scale_rows(&self.stream, x.device(), by.into())?.into())
    }

    fn scale_rows_backward(&self, x: &Numbers, by: Part<'_>, by_out: Numbers) -> Result<[Numbers; 2]> {
        let d = by_out.device();
        let by_x = self.rows.scale_rows(&self.stream, d, by.into())?;
        let columns = d.len() / (by.numbers.len() / by.width).max(1);
        let shape = [by.width, by.first];
        let by_by = self.rows.row_products(&self.stream, [d, x.device()], columns.max(1), shape)?;
        Ok([by_x.into(), by_by.into()])
    }

    fn gather(&self, x: &Numbers, rows: &Arc<Vec<u32>>, columns: usize) -> Result<Numbers> {
        let rows = self.rows_of(rows, x.len() / columns)?;
        Ok(self.rows.gather(&self.stream, x.device(), &rows, columns, false)?.into())
    }

    fn gather_backward(&self, by_out: &Numbers, rows: &Arc<Vec<u32>>, columns: usize, count: usize) -> Result<Numbers> {
        let rows = self.rows_of(rows, count)?;
        Ok(self.rows.sum(&self.stream, by_out.device(), &rows, columns, false)?.into())
    }

    fn draw(&self, mean: &Numbers, log_variance: &Numbers, noise: &Numbers) -> Result<Numbers> {
        let inputs = [mean, log_variance, noise].map(Numbers::device);
        Ok(self.rows.draw(&self.stream, inputs)?.into())
    }

    fn draw_backward(&self, log_variance: &Numbers, noise: &Numbers, by_out: &Numbers) -> Result<Numbers> {
        let inputs = [log_variance, noise, by_out].map(Numbers::device);
        Ok(self.rows.draw_backward(&self.stream, inputs)?.into())
    }

    fn convolve(&self, of: &Convolution, neighbours: &Arc<Neighbours>, inputs: [&Numbers; 3]) -> Result<Numbers> {
        let near = self.neighbours_of(neighbours)?;
        let inputs = inputs.map(Numbers::device);
        Ok(self.convolutions.forward(&self.stream, self.precision, of, &near, inputs)?.into())
    }

    fn convolve_backward(
        &self,
        of: &Convolution,
        neighbours: &Arc<Neighbours>,
        [x, kernel]: [&Numbers; 2],
        by_out: &Numbers,
    ) -> Result<[Numbers; 3]> {
        let (near, d, stream) = (self.neighbours_of(neighbours)?, by_out.device(), &self.stream);
        let (dense, convolutions, precision) = (&self.dense, &self.convolutions, self.precision);
        let by_x = convolutions.by_input(stream, precision, of, &near, [kernel.device(), d])?;
        let by_kernel = convolutions.by_kernel(stream, dense, precision, of, &near, [x.device(), d])?;
        let by_bias = dense.sum_columns(stream, d, None, of.outputs())?;
        Ok([by_x.into(), by_kernel.into(), by_bias.into()])
    }

    fn pool(&self, x: &Numbers, to: &Arc<Compressed>, columns: usize) -> Result<Numbers> {
        Ok(self.rows.sum(&self.stream, x.device(), &*self.pooled(to)?, columns, true)?.into())
    }

    fn pool_backward(&self, by_out: &Numbers, to: &Arc<Compressed>, columns: usize) -> Result<Numbers> {
        Ok(self.rows.gather(&self.stream, by_out.device(), &*self.pooled(to)?, columns, true)?.into())
    }

    fn subdivide(&self, x: &Numbers, columns: usize) -> Result<Numbers> {
        let children = self.children(x.len() / columns)?;
        Ok(self.rows.gather(&self.stream, x.device(), &children, columns, false)?.into())
    }

    fn subdivide_backward(&self, by_out: &Numbers, columns: usize) -> Result<Numbers> {
        let children = self.children(by_out.len() / columns / CHILDREN)?;
        Ok(self.rows.sum(&self.stream, by_out.device(), &children, columns, false)?.into())
    }

    fn attend(&self, heads: Heads, patterns: &Arc<Vec<Pattern>>, [q, k, v]: [&Numbers; 3]) -> Result<Attended> {
        let inputs = Inputs { q: q.device(), k: k.device(), v: v.device() };
        let patterns = self.patterns_of(heads, patterns, inputs.k)?;
        let patterns: Vec<&DevicePattern> = patterns.iter().collect();
        let attended = self.attention.forward(&self.stream, heads, &patterns, inputs)?;
        Ok(Attended { out: Numbers::Attended(Arc::new(attended)), on_host: None })
    }

    fn attend_backward(
        &self,
        heads: Heads,
        patterns: &Arc<Vec<Pattern>>,
        [q, k, v]: [&Numbers; 3],
        attended: &Attended,
        by_out: &Numbers,
    ) -> Result<[Numbers; 3]> {
        let inputs = Inputs { q: q.device(), k: k.device(), v: v.device() };
        let patterns = self.patterns_of(heads, patterns, inputs.k)?;
        let patterns: Vec<&DevicePattern> = patterns.iter().collect();
        let (attended, d) = (kept(attended), by_out.device());
        let by = self.attention.backward(&self.stream, heads, &patterns, inputs, attended, d)?;
        Ok([by.q.into(), by.k.into(), by.v.into()])
    }

    fn select(
        &self,
        heads: Heads,
        pattern: &Arc<Vec<Pattern>>,
        [q, means]: [&Numbers; 2],
        attended: &Attended,
        blocks: Blocks<'_>,
    ) -> Result<(Vec<u32>, Arc<Vec<Pattern>>)> {
        // A pattern belongs to tokens, and so to their blocks.
        let known = self.blocks.of(pattern, [blocks.count, heads.keys], |pattern| {
            Ok(DeviceBlocks::new(&self.device, heads, &pattern[0], blocks)?)
        })?;
        let inputs = [q.device(), means.device(), &kept(attended).log_sums];
        let chosen = self.selector.select(&self.stream, &known, inputs)?.read(&self.stream)?;
        let selection = Selection::of(heads, chosen, blocks);
        Ok((selection.blocks, Arc::new(selection.patterns)))
    }
}

fn kept(attended: &Attended) -> &sparse_attention::cuda::Attended {
    match &attended.out {
        Numbers::Attended(kept) => kept,
        Numbers::Host(_) | Numbers::Device(_) => unreachable!("a tape's numbers are all in one place"),
    }
}
