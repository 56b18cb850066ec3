//! The same on a device: `attention.cu`, in single precision.

use super::pattern::Tasks;
use super::{Heads, Pattern};
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use bytemuck::{Pod, Zeroable};

/// The kernels of this folder.
pub static ATTENTION: Source = Source::new("sparse_attention/attention.cu", include_str!("attention.cu"));

/// The widest heads.
pub const MAX_WIDTH: usize = 128;

/// What all tasks of a launch have in common, as `attention.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct AttentionHeads {
    groups: u32,
    shared: u32,
    width: u32,
    group: u32,
    rows: u32,
    scale: f32,
}
device_struct!(AttentionHeads);

/// Tasks on a device.
struct Uploaded {
    count: usize,
    /// `[tasks, 4]`
    tasks: Buffer<u32>,
    /// `[ranges, 2]`
    ranges: Buffer<u32>,
}

impl Uploaded {
    fn new(device: &Device, tasks: &Tasks) -> Result<Self, DeviceError> {
        let four = |task: &super::pattern::Task| {
            [task.rows.start, task.rows.end, task.list.start, task.list.end].map(|place| place as u32)
        };
        let rows: Vec<u32> = tasks.tasks.iter().flat_map(four).collect();
        Ok(Self {
            count: tasks.tasks.len(),
            tasks: device.upload(&rows, PURPOSE)?,
            ranges: device.upload(tasks.ranges.as_flattened(), PURPOSE)?,
        })
    }
}

/// A [`Pattern`] on a device, and the same turned around.
pub struct DevicePattern {
    queries: usize,
    keys: usize,
    of_queries: Uploaded,
    of_keys: Uploaded,
}

impl DevicePattern {
    /// A copy for so many keys.
    ///
    /// # Errors
    /// When there is not enough memory.
    ///
    /// # Panics
    /// When the pattern has keys that are not there.
    pub fn new(device: &Device, heads: Heads, pattern: &Pattern, keys: usize) -> Result<Self, DeviceError> {
        heads.check();
        pattern.check(pattern.queries(), keys);
        Ok(Self {
            queries: pattern.queries(),
            keys,
            of_queries: Uploaded::new(device, &pattern.tasks(heads.shared()))?,
            of_keys: Uploaded::new(device, &pattern.turned(keys, heads.shared()))?,
        })
    }
}

/// What attention is computed from, [`super::forward`] has the shapes. Buffers may be larger.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// `[N, H, D]`
    pub q: &'a Buffer<f32>,
    /// `[M, G, D]`
    pub k: &'a Buffer<f32>,
    /// `[M, G, D]`
    pub v: &'a Buffer<f32>,
}

/// What attention gives: [`super::Attended`].
pub struct Attended {
    /// `[N, H, D]`
    pub out: Buffer<f32>,
    /// `[G, N, H / G]`
    pub log_sums: Buffer<f32>,
}

/// The gradients of [`Inputs`].
pub struct Gradients {
    /// `[N, H, D]`
    pub q: Buffer<f32>,
    /// `[M, G, D]`
    pub k: Buffer<f32>,
    /// `[M, G, D]`
    pub v: Buffer<f32>,
}

/// Attention on a device.
pub struct Attention {
    device: Device,
    attend: Kernel,
    deltas: Kernel,
    by_queries: Kernel,
    by_keys: Kernel,
}

impl Attention {
    /// Prepares the kernels.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&ATTENTION, name);
        Ok(Self {
            attend: kernel("attend")?,
            deltas: kernel("attention_deltas")?,
            by_queries: kernel("attention_by_queries")?,
            by_keys: kernel("attention_by_keys")?,
            device: device.clone(),
        })
    }

    /// As [`super::forward`]. `patterns` is one for all groups, or one for each.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When sizes do not agree, or heads are wider than [`MAX_WIDTH`].
    pub fn forward(
        &self,
        stream: &Stream,
        heads: Heads,
        patterns: &[&DevicePattern],
        inputs: Inputs<'_>,
    ) -> Result<Attended, DeviceError> {
        let queries = check(heads, patterns, inputs);
        let mut attended = Attended {
            out: self.device.buffer(queries * heads.queries * heads.width, PURPOSE)?,
            log_sums: self.device.buffer(queries * heads.queries, PURPOSE)?,
        };
        // Rows, a tile of keys and one of values, weights.
        let shared = |width, others| (64 + 2 * others) * (width + 1) + 64 * (others + 1);
        for group in 0..heads.keys {
            let of_queries = &pattern(patterns, group).of_queries;
            let launch = Launch::blocks(of_queries.count as u32, 256).with_shared(4 * tile(heads, shared));
            let Inputs { q, k, v } = inputs;
            let (out, log_sums) = (&mut attended.out, &mut attended.log_sums);
            let common = common(heads, group, queries);
            let arguments = (common, &of_queries.tasks, &of_queries.ranges, q, k, v, out, log_sums);
            self.attend.launch(stream, launch, arguments)?;
        }
        Ok(attended)
    }

    /// As [`super::backward`].
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// As [`Attention::forward`].
    pub fn backward(
        &self,
        stream: &Stream,
        heads: Heads,
        patterns: &[&DevicePattern],
        inputs: Inputs<'_>,
        attended: &Attended,
        by_out: &Buffer<f32>,
    ) -> Result<Gradients, DeviceError> {
        let queries = check(heads, patterns, inputs);
        assert!(by_out.len() >= queries * heads.queries * heads.width, "the gradient has another size than the output");
        let keys = patterns.first().map_or(0, |pattern| pattern.keys);
        let of_keys = || self.device.zeros(keys * heads.keys * heads.width, PURPOSE);
        let mut gradients = Gradients {
            q: self.device.zeros(queries * heads.queries * heads.width, PURPOSE)?,
            k: of_keys()?,
            v: of_keys()?,
        };
        let mut deltas = self.device.buffer::<f32>(queries * heads.queries, PURPOSE)?;
        // Two sides of rows, two tiles, weights and slopes.
        let shared = |width, others| (2 * 32 + 2 * others) * (width + 1) + 2 * 32 * (others + 1);
        let bytes = 4 * tile(heads, shared);
        let Inputs { q, k, v } = inputs;
        for group in 0..heads.keys {
            let DevicePattern { of_queries, of_keys, .. } = pattern(patterns, group);
            let common = common(heads, group, queries);
            let grid = Launch::linear(queries * heads.shared(), 256);
            self.deltas.launch(stream, grid, (common, &attended.out, by_out, &mut deltas))?;
            let log_sums = &attended.log_sums;
            let (tasks, ranges) = (&of_queries.tasks, &of_queries.ranges);
            let launch = Launch::blocks(of_queries.count as u32, 128).with_shared(bytes);
            let arguments = (common, tasks, ranges, q, k, v, by_out, log_sums, &deltas, &mut gradients.q);
            self.by_queries.launch(stream, launch, arguments)?;
            let (tasks, ranges) = (&of_keys.tasks, &of_keys.ranges);
            let launch = Launch::blocks(of_keys.count as u32, 128).with_shared(bytes);
            let (by_k, by_v) = (&mut gradients.k, &mut gradients.v);
            let arguments = (common, tasks, ranges, q, k, v, by_out, log_sums, &deltas, by_k, by_v);
            self.by_keys.launch(stream, launch, arguments)?;
        }
        Ok(gradients)
    }
}

fn pattern<'a>(patterns: &[&'a DevicePattern], group: usize) -> &'a DevicePattern {
    patterns[group.min(patterns.len() - 1)]
}

/// Panics unless sizes agree; the number of queries.
fn check(heads: Heads, patterns: &[&DevicePattern], inputs: Inputs<'_>) -> usize {
    heads.check();
    assert!(heads.width <= MAX_WIDTH, "heads have at most {MAX_WIDTH} numbers");
    assert!(patterns.len() == 1 || patterns.len() == heads.keys, "one pattern, or one for each group");
    let (queries, keys) = (patterns[0].queries, patterns[0].keys);
    assert!(patterns.iter().all(|p| (p.queries, p.keys) == (queries, keys)), "patterns for the same queries and keys");
    assert!(inputs.q.len() >= queries * heads.queries * heads.width, "q must be [N, H, D]");
    for values in [inputs.k, inputs.v] {
        assert!(values.len() >= keys * heads.keys * heads.width, "k and v must be [M, G, D]");
    }
    queries
}

/// Floats of shared memory for heads that are padded to the width that kernels know, with tiles of as many rows as fit.
fn tile(heads: Heads, floats: impl Fn(usize, usize) -> usize) -> usize {
    match heads.width {
        0..=16 => floats(16, 32),
        17..=32 => floats(32, 32),
        33..=64 => floats(64, 32),
        _ => floats(128, 8),
    }
}

fn common(heads: Heads, group: usize, queries: usize) -> AttentionHeads {
    AttentionHeads {
        groups: heads.keys as u32,
        shared: heads.shared() as u32,
        width: heads.width as u32,
        group: group as u32,
        rows: (queries * heads.shared()) as u32,
        scale: heads.scale(),
    }
}

const PURPOSE: &str = "attention";
