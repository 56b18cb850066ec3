//! The same on a device: `attention.cu` in single precision, `attention_bf16.cu` on tensor cores, and `select.cu`.

mod select;

pub use select::{DeviceBlocks, Selector};

use super::pattern::Tasks;
use super::{Heads, Pattern};
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Precision, Source, Stream};
use crate::device_struct;
use bytemuck::{Pod, Zeroable};
use std::sync::OnceLock;

/// The kernels of single precision, and that of both.
pub static ATTENTION: Source = Source::new("sparse_attention/cuda/attention.cu", include_str!("attention.cu"));
/// The kernels on tensor cores.
pub static ATTENTION_BF16: Source =
    Source::new("sparse_attention/cuda/attention_bf16.cu", include_str!("attention_bf16.cu"));
/// The kernels that select blocks.
pub static SELECT: Source = Source::new("sparse_attention/cuda/select.cu", include_str!("select.cu"));

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

/// A [`Pattern`] on a device, and the same turned around as soon as gradients are asked for.
pub struct DevicePattern {
    device: Device,
    pattern: Pattern,
    shared: usize,
    queries: usize,
    keys: usize,
    of_queries: Uploaded,
    of_keys: OnceLock<Uploaded>,
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
            device: device.clone(),
            pattern: pattern.clone(),
            shared: heads.shared(),
            queries: pattern.queries(),
            keys,
            of_queries: Uploaded::new(device, &pattern.tasks(heads.shared()))?,
            of_keys: OnceLock::new(),
        })
    }

    fn of_keys(&self) -> Result<&Uploaded, DeviceError> {
        if let Some(known) = self.of_keys.get() {
            return Ok(known);
        }
        let turned = Uploaded::new(&self.device, &self.pattern.turned(self.keys, self.shared))?;
        Ok(self.of_keys.get_or_init(|| turned))
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
    deltas: Kernel,
    passes: Passes,
}

/// Kernels of one precision.
enum Passes {
    Single(Kernels),
    Brain {
        /// For heads of at most [`NARROW`] numbers.
        narrow: Kernels,
        wide: Kernels,
    },
}

struct Kernels {
    attend: Kernel,
    by_queries: Kernel,
    by_keys: Kernel,
}

impl Attention {
    /// Prepares the kernels. With [`Precision::Brain`] also the weights of values are rounded to bf16, softmax itself is of single precision.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device, precision: Precision) -> Result<Self, DeviceError> {
        let kernels = |source, [attend, by_queries, by_keys]: [&str; 3]| -> Result<Kernels, DeviceError> {
            let kernel = |name| device.kernel(source, name);
            Ok(Kernels { attend: kernel(attend)?, by_queries: kernel(by_queries)?, by_keys: kernel(by_keys)? })
        };
        let passes = match precision {
            Precision::Single => {
                Passes::Single(kernels(&ATTENTION, ["attend", "attention_by_queries", "attention_by_keys"])?)
            }
            Precision::Brain => Passes::Brain {
                narrow: kernels(
                    &ATTENTION_BF16,
                    ["attend_bf16", "attention_by_queries_bf16", "attention_by_keys_bf16"],
                )?,
                wide: kernels(
                    &ATTENTION_BF16,
                    ["attend_bf16_wide", "attention_by_queries_bf16_wide", "attention_by_keys_bf16_wide"],
                )?,
            },
        };
        Ok(Self { device: device.clone(), deltas: device.kernel(&ATTENTION, "attention_deltas")?, passes })
    }

    /// In which numbers it multiplies.
    pub fn precision(&self) -> Precision {
        match self.passes {
            Passes::Single(_) => Precision::Single,
            Passes::Brain { .. } => Precision::Brain,
        }
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
        let (kernels, room) = self.passes.of(heads);
        for group in 0..heads.keys {
            let of_queries = &pattern(patterns, group).of_queries;
            let launch = room.attend.launch(of_queries.count);
            let Inputs { q, k, v } = inputs;
            let (out, log_sums) = (&mut attended.out, &mut attended.log_sums);
            let common = common(heads, group, queries);
            let arguments = (common, &of_queries.tasks, &of_queries.ranges, q, k, v, out, log_sums);
            kernels.attend.launch(stream, launch, arguments)?;
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
        // Tasks cover all queries and all keys.
        let of_keys = || self.device.buffer(keys * heads.keys * heads.width, PURPOSE);
        let mut gradients = Gradients {
            q: self.device.buffer(queries * heads.queries * heads.width, PURPOSE)?,
            k: of_keys()?,
            v: of_keys()?,
        };
        let mut deltas = self.device.buffer::<f32>(queries * heads.queries, PURPOSE)?;
        let (kernels, room) = self.passes.of(heads);
        let Inputs { q, k, v } = inputs;
        for group in 0..heads.keys {
            let (of_queries, of_keys) = (&pattern(patterns, group).of_queries, pattern(patterns, group).of_keys()?);
            let common = common(heads, group, queries);
            let grid = Launch::linear(queries * heads.shared(), 256);
            self.deltas.launch(stream, grid, (common, &attended.out, by_out, &mut deltas))?;
            let log_sums = &attended.log_sums;
            let (tasks, ranges) = (&of_queries.tasks, &of_queries.ranges);
            let launch = room.by_queries.launch(of_queries.count);
            let arguments = (common, tasks, ranges, q, k, v, by_out, log_sums, &deltas, &mut gradients.q);
            kernels.by_queries.launch(stream, launch, arguments)?;
            let (tasks, ranges) = (&of_keys.tasks, &of_keys.ranges);
            let launch = room.by_keys.launch(of_keys.count);
            let (by_k, by_v) = (&mut gradients.k, &mut gradients.v);
            let arguments = (common, tasks, ranges, q, k, v, by_out, log_sums, &deltas, by_k, by_v);
            kernels.by_keys.launch(stream, launch, arguments)?;
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

/// Heads up to this width have kernels of their own in bf16.
const NARROW: usize = 64;

/// Threads of a block and words of its shared memory.
#[derive(Clone, Copy)]
struct Block {
    threads: u32,
    words: usize,
}

/// The same for each kernel.
struct Room {
    attend: Block,
    by_queries: Block,
    by_keys: Block,
}

impl Block {
    fn launch(self, tasks: usize) -> Launch {
        Launch::blocks(tasks as u32, self.threads).with_shared(4 * self.words)
    }
}

impl Passes {
    /// The kernels for heads of this width, and the room that they need with tiles as large as in the sources.
    fn of(&self, heads: Heads) -> (&Kernels, Room) {
        let width = kernel_width(heads);
        match self {
            Self::Single(kernels) => {
                let others = if width > NARROW { 8 } else { 32 };
                // Rows, a tile of keys and one of values, weights.
                let attend = (64 + 2 * others) * (width + 1) + 64 * (others + 1);
                // Two sides of rows, two tiles, weights and slopes.
                let back = Block { threads: 128, words: (2 * 32 + 2 * others) * (width + 1) + 2 * 32 * (others + 1) };
                (kernels, Room { attend: Block { threads: 256, words: attend }, by_queries: back, by_keys: back })
            }
            Self::Brain { narrow, wide } => {
                let (kernels, forward, back) = if width > NARROW { (wide, 64, 32) } else { (narrow, 128, 64) };
                let rows = |others: usize| others * (width / 2 + 4);
                let pairs = |others: usize| others / 2 * (width + 8);
                let block = |words| Block { threads: 128, words };
                let room = Room {
                    attend: block(rows(forward) + pairs(forward) + 3 * forward),
                    by_queries: block(2 * rows(back) + pairs(back) + 5 * back),
                    by_keys: block(2 * rows(back) + 2 * pairs(back) + 5 * back),
                };
                (kernels, room)
            }
        }
    }
}

/// The width that kernels know: zeros fill it.
fn kernel_width(heads: Heads) -> usize {
    heads.width.next_power_of_two().max(16)
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
