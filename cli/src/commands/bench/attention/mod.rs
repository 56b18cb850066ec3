//! `tessera bench attention`: spatial sparse attention beside attention over all tokens, on made shells of voxels.

mod device;

use super::super::reconstruct;
use crate::args::Bench;
use crate::console::{Console, UsageError};
use crate::report::{Facts, Table, count};
use anyhow::{Context, Result};
use device::{OnDevice, Times};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tessera_engine::generate::model::{BlockSizes, Tokens};
use tessera_kernels::device::Precision;
use tessera_kernels::sparse_attention::{Attended, Blocks, Heads, Pattern, Patterns, backward, forward, select};
use tessera_kernels::sparse_conv::mean_of_children;

/// Heads of the attention: eight of queries share two of keys and values.
const HEADS: Heads = Heads { queries: 8, keys: 2, width: 32 };
/// Voxels a side of blocks and windows, as in the published models.
const SIDE: usize = 8;
/// Blocks that a query selects, likewise.
const SELECTED: usize = 8;
/// On the CPU attention over all tokens is measured for so many queries at most: its time is in proportion to them.
const DENSE_QUERIES: usize = 4096;
/// Each sparse time is the least of so many.
const REPEATS: usize = 3;
/// Numbers of tokens where none are said.
const TOKENS: [u64; 5] = [8_192, 16_384, 32_768, 65_536, 131_072];

/// Seconds of one number of tokens.
struct Row {
    tokens: usize,
    sparse: [f64; 2],
    dense: [f64; 2],
    /// On a device, those of the host in the sparse pass forward.
    patterns: Option<f64>,
}

/// Runs the command.
///
/// # Errors
/// When the device cannot be used, or the report cannot be written.
pub fn run(args: &Bench, console: &Console) -> Result<()> {
    let device = reconstruct::chosen(args.device.unwrap_or_default(), console)?;
    if device.is_none() && args.precision.is_some_and(|precision| precision != Precision::Single) {
        return Err(UsageError("the CPU multiplies in single precision only; leave --precision out".to_owned()).into());
    }
    let on = device.map(|device| OnDevice::new(device, args.precision.unwrap_or_default())).transpose()?;
    let wanted = if args.tokens.is_empty() { TOKENS.to_vec() } else { args.tokens.clone() };
    let mut rows = Vec::new();
    for tokens in wanted {
        console.note(format_args!("measuring {} tokens", count(u128::from(tokens))));
        let row = measure(tokens as usize, on.as_ref())?;
        if let Some(seconds) = row.patterns {
            console.note(format_args!("making patterns of selected blocks took the host {seconds:.3} s"));
        }
        rows.push(row);
    }
    if args.json {
        let rows: Value = rows.iter().map(Row::to_json).collect();
        return console.result(serde_json::to_string_pretty(&rows).context("the report is no JSON")?);
    }
    let header = ["tokens", "forward, all", "sparse", "times", "backward, all", "sparse", "times"];
    let mut table = Table::new(header);
    for row in &rows {
        let seconds = |s: f64| format!("{:.3} s", s);
        let times = |i: usize| format!("{:.1}", row.dense[i] / row.sparse[i]);
        let [forward, backward] = [0, 1].map(|i| [seconds(row.dense[i]), seconds(row.sparse[i]), times(i)]);
        let [a, b, c] = forward;
        let [d, e, f] = backward;
        table.row([count(row.tokens as u128), a, b, c, d, e, f]);
    }
    let mut facts = Facts::default();
    facts.add_some("device", on.as_ref().map(OnDevice::name));
    facts.add("threads", rayon::current_num_threads().to_string());
    facts.add("heads", format!("{} of {} numbers, {} of keys", HEADS.queries, HEADS.width, HEADS.keys));
    console.note(&facts);
    console.result(table)
}

impl Row {
    fn to_json(&self) -> Value {
        json!({
            "tokens": self.tokens, "forward_sparse": self.sparse[0], "forward_all": self.dense[0],
            "backward_sparse": self.sparse[1], "backward_all": self.dense[1], "host_patterns": self.patterns,
        })
    }
}

/// Tokens on a ball's shell of voxels, in the order of their blocks.
fn shell(wanted: usize) -> Tokens {
    // A shell as thick as a voxel's diagonal.
    let thickness = 3.0f64.sqrt();
    let radius = (wanted as f64 / (4.0 * std::f64::consts::PI * thickness)).sqrt();
    let reach = (radius + thickness).ceil() as i32;
    let mut all = Vec::new();
    for x in -reach..=reach {
        for y in -reach..=reach {
            for z in -reach..=reach {
                let length = f64::from(x * x + y * y + z * z).sqrt();
                if (length - radius).abs() < 0.5 * thickness {
                    all.push([0, x + reach, y + reach, z + reach]);
                }
            }
        }
    }
    all.truncate(wanted);
    Tokens::new(&all, 1, BlockSizes { compression: SIDE, selection: SIDE, window: SIDE })
}

fn measure(wanted: usize, on: Option<&OnDevice>) -> Result<Row> {
    let tokens = shell(wanted);
    let n = tokens.coordinates.len();
    let values = |salt: u64, len: usize| -> Vec<f32> {
        // Any numbers between -1 and 1 will do: a linear congruential generator.
        let mut state = salt;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    };
    let (rows, columns) = (HEADS.queries * HEADS.width, HEADS.keys * HEADS.width);
    let (q, k, v) = (values(1, n * rows), values(2, n * columns), values(3, n * columns));
    let by_out = values(4, n * rows);
    if let Some(on) = on {
        let (sparse, dense) = on.measure(&tokens, [&q, &k, &v, &by_out], REPEATS)?;
        let both = |times: Times| [times.forward, times.backward];
        return Ok(Row { tokens: n, sparse: both(sparse), dense: both(dense), patterns: Some(sparse.patterns) });
    }
    let mut sparse = [f64::INFINITY; 2];
    for _ in 0..REPEATS {
        let times = measure_sparse(&tokens, [&q, &k, &v], &by_out);
        sparse = [0, 1].map(|i| sparse[i].min(times[i]));
    }
    Ok(Row { tokens: n, sparse, dense: measure_dense(n, [&q, &k, &v], &by_out), patterns: None })
}

/// Seconds forward and backward of means, selection and windows. Layers around them are left out, as they are of attention over all.
fn measure_sparse(tokens: &Tokens, [q, k, v]: [&[f32]; 3], by_out: &[f32]) -> [f64; 2] {
    let start = Instant::now();
    let columns = HEADS.keys * HEADS.width;
    let compressed = &tokens.compressed;
    let [means, mean_values] = [k, v].map(|x| mean_of_children(x, &compressed.parents, columns, compressed.count));
    let all = Patterns::Shared(&tokens.to_means[0]);
    let seen = forward(HEADS, all, q, &means, &mean_values);
    let blocks = Blocks { ends: &tokens.block_ends, of_means: &tokens.of_means, count: SELECTED };
    let selection = select(HEADS, &tokens.to_means[0], [q, &means], &seen, blocks);
    let selected = Patterns::OfGroups(&selection.patterns);
    let chosen = forward(HEADS, selected, q, k, v);
    // Unshifted windows of the blocks' size are the blocks, whose tokens follow each other.
    let window = Pattern::of_blocks(&tokens.block_ends, &tokens.block_ends);
    let window = Patterns::Shared(&window);
    let near = forward(HEADS, window, q, k, v);
    let forward = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let parts: [(Patterns<'_>, [&[f32]; 3], &Attended); 3] =
        [(all, [q, &means, &mean_values], &seen), (selected, [q, k, v], &chosen), (window, [q, k, v], &near)];
    for (patterns, inputs, attended) in parts {
        std::hint::black_box(backward(HEADS, patterns, inputs, attended, by_out));
    }
    [forward, start.elapsed().as_secs_f64()]
}

/// Seconds forward and backward of attention over all tokens.
fn measure_dense(n: usize, [q, k, v]: [&[f32]; 3], by_out: &[f32]) -> [f64; 2] {
    let queries = n.min(DENSE_QUERIES);
    let pattern = Arc::new(Pattern::of_blocks(&[queries], &[n]));
    let patterns = Patterns::Shared(&pattern);
    let row = HEADS.queries * HEADS.width;
    let (q, by_out) = (&q[..queries * row], &by_out[..queries * row]);
    let start = Instant::now();
    let attended = forward(HEADS, patterns, q, k, v);
    let forward = start.elapsed().as_secs_f64();
    let start = Instant::now();
    std::hint::black_box(backward(HEADS, patterns, [q, k, v], &attended, by_out));
    let backward = start.elapsed().as_secs_f64();
    [forward, backward].map(|seconds| seconds * n as f64 / queries as f64)
}
