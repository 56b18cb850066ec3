//! Selection on a device: `select.cu`.
//!
//! The device says which blocks each query sees, the host makes patterns of them ([`Selection::of`](crate::sparse_attention::Selection::of)),
//! cuts those into tasks and turns them around. That takes it about 30 ms for 46,000 queries of two groups that see eight
//! blocks each, on two cores; a second implementation of it on devices would save little of a step.

use super::{AttentionHeads, MAX_WIDTH, NARROW, SELECT, common, kernel_width};
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Stream};
use crate::sparse_attention::{Blocks, Heads, Pattern};

/// Queries that a block of threads takes, and threads.
const QUERIES: usize = 8;
const THREADS: usize = 256;
/// Numbers of queries' rows that a block of threads keeps: 16 kB.
const ROWS: usize = 4096;

/// Blocks that can be selected, on a device, by queries whose means are those of a pattern.
pub struct DeviceBlocks {
    heads: Heads,
    queries: usize,
    means: usize,
    /// How many blocks a query sees.
    count: usize,
    /// `[tasks, 4]`
    tasks: Buffer<u32>,
    /// Means in the order of their blocks, and those.
    ordered: Buffer<u32>,
    blocks: Buffer<u32>,
}

impl DeviceBlocks {
    /// A copy of `blocks` for queries that paid attention to means by `pattern`.
    ///
    /// # Errors
    /// When there is not enough memory.
    ///
    /// # Panics
    /// As [`super::super::select`].
    pub fn new(device: &Device, heads: Heads, pattern: &Pattern, blocks: Blocks<'_>) -> Result<Self, DeviceError> {
        heads.check();
        pattern.check(pattern.queries(), blocks.of_means.len());
        assert!(blocks.count > 0, "queries see blocks");
        assert!(blocks.of_means.iter().all(|b| (*b as usize) < blocks.ends.len()), "blocks that are there");
        let (mut tasks, mut ordered) = (Vec::new(), Vec::new());
        for (queries, list) in pattern.runs() {
            let first = ordered.len();
            ordered.extend(pattern.ranges(list).flatten());
            let of_run: &mut [u32] = &mut ordered[first..];
            // Stable: a block's means stay ascending.
            of_run.sort_by_key(|mean| blocks.of_means[*mean as usize]);
            for part in queries.clone().step_by(queries_of_a_task(heads)) {
                let end = (part + queries_of_a_task(heads)).min(queries.end);
                tasks.extend([part, end, first, ordered.len()].map(|place| place as u32));
            }
        }
        let of_ordered: Vec<u32> = ordered.iter().map(|mean| blocks.of_means[*mean as usize]).collect();
        Ok(Self {
            heads,
            queries: pattern.queries(),
            means: blocks.of_means.len(),
            count: blocks.count,
            tasks: device.upload(&tasks, PURPOSE)?,
            ordered: device.upload(&ordered, PURPOSE)?,
            blocks: device.upload(&of_ordered, PURPOSE)?,
        })
    }
}

/// Selects blocks on a device.
pub struct Selector {
    device: Device,
    narrow: Kernel,
    wide: Kernel,
}

impl Selector {
    /// Prepares the kernels.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&SELECT, name);
        Ok(Self { narrow: kernel("select_blocks")?, wide: kernel("select_blocks_wide")?, device: device.clone() })
    }

    /// The blocks that [`super::super::select`] finds, `[G, N, count]`, by queries, means and the sums of what they gave: `[N, H, D]`,
    /// `[M, G, D]` and `[G, N, H / G]`. Scores that differ by roundings only may be taken for each other.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When sizes do not agree, or heads are wider than [`MAX_WIDTH`].
    pub fn select(
        &self,
        stream: &Stream,
        blocks: &DeviceBlocks,
        [q, means, log_sums]: [&Buffer<f32>; 3],
    ) -> Result<Buffer<u32>, DeviceError> {
        let DeviceBlocks { heads, queries, count, .. } = *blocks;
        assert!(heads.width <= MAX_WIDTH, "heads have at most {MAX_WIDTH} numbers");
        assert!(q.len() >= queries * heads.queries * heads.width, "q must be [N, H, D]");
        assert!(means.len() >= blocks.means * heads.keys * heads.width, "means must be [M, G, D]");
        assert!(log_sums.len() >= queries * heads.queries, "sums must be [G, N, H / G]");
        let mut chosen = self.device.buffer(heads.keys * queries * count, PURPOSE)?;
        let kernel = if kernel_width(heads) > NARROW { &self.wide } else { &self.narrow };
        let launch =
            Launch::blocks((blocks.tasks.len() / 4) as u32, THREADS as u32).with_shared(4 * words(heads, count));
        for group in 0..heads.keys {
            let common: AttentionHeads = common(heads, group, queries);
            let (tasks, ordered, of_ordered) = (&blocks.tasks, &blocks.ordered, &blocks.blocks);
            let arguments = (common, count as u32, tasks, ordered, of_ordered, q, means, log_sums, &mut chosen);
            kernel.launch(stream, launch, arguments)?;
        }
        Ok(chosen)
    }
}

/// As many as have room.
fn queries_of_a_task(heads: Heads) -> usize {
    (ROWS / (heads.shared() * kernel_width(heads))).clamp(1, QUERIES)
}

/// Words of shared memory: the best blocks twice, queries' rows and sums, scores of a tile and of what is open, blocks.
fn words(heads: Heads, count: usize) -> usize {
    let (queries, width) = (queries_of_a_task(heads), kernel_width(heads));
    let tile = if width > 32 { THREADS } else { 2 * THREADS };
    4 * queries * count + queries * heads.shared() * (width + 1) + queries * tile + queries + tile + 1
}

const PURPOSE: &str = "selected blocks";
