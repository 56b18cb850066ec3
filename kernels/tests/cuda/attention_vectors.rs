//! The three parts of spatial sparse attention on a device against golden vectors, in single precision; weights are multiplied on the host.

use crate::common::{Case, for_cases};
use crate::stream;
use tessera_kernels::device::{Buffer, Device, Kind, Precision, Stream};
use tessera_kernels::sparse_attention::cuda::{Attended, Attention, DeviceBlocks, DevicePattern, Inputs, Selector};
use tessera_kernels::sparse_attention::{Blocks, Heads, NONE, Pattern, Selection, Windows, block_order, sample_ends};
use tessera_kernels::sparse_conv::mean_of_children;

pub fn spatial_attention_agrees_with_golden_vectors(device: &Device) {
    // The other compression is a network, which the tests of the engine compare. Two samples take the emulator long.
    let emulated = device.kind() == Kind::Emulator;
    let chosen = |name: &str| name == "v11_shifted_window" || name == "v11_two_samples" && !emulated;
    let outputs = ["o_cmp", "selected_blocks", "o_slc", "o_win"];
    for_cases("sparse_attention", device_name(device), chosen, Some(&outputs), |case| compare(device, case));
}

fn device_name(device: &Device) -> &str {
    &device.properties().name
}

/// `x W`, `W` [inputs, outputs], or turned around, and what `then` makes of it.
fn linear(x: &[f32], weights: &[f32], inputs: usize, turned: bool, then: impl Fn(usize, f32) -> f32) -> Vec<f32> {
    let outputs = weights.len() / inputs;
    let weight = |o: usize, i: usize| weights[if turned { o * inputs + i } else { i * outputs + o }];
    let row = |x: &[f32]| -> Vec<f32> {
        (0..outputs).map(|o| then(o, x.iter().enumerate().map(|(i, x)| x * weight(o, i)).sum())).collect()
    };
    x.chunks_exact(inputs).flat_map(row).collect()
}

/// What an attention of these heads gives on a device.
struct Run<'a> {
    device: &'a Device,
    stream: Stream,
    attention: Attention,
    heads: Heads,
}

impl Run<'_> {
    fn upload(&self, values: &[f32]) -> Buffer<f32> {
        self.device.upload(values, "a test").expect("memory")
    }

    fn attend(&self, patterns: &[Pattern], [q, k, v]: [&Buffer<f32>; 3]) -> Attended {
        let keys = k.len() / (self.heads.keys * self.heads.width);
        let patterns: Vec<DevicePattern> =
            patterns.iter().map(|p| DevicePattern::new(self.device, self.heads, p, keys).expect("memory")).collect();
        let patterns: Vec<&DevicePattern> = patterns.iter().collect();
        self.attention.forward(&self.stream, self.heads, &patterns, Inputs { q, k, v }).expect("attention")
    }

    fn read(&self, buffer: &Buffer<f32>) -> Vec<f32> {
        buffer.read(&self.stream).expect("numbers")
    }
}

fn compare(device: &Device, case: &Case) {
    let heads = Heads { queries: case.size("heads"), keys: case.size("kv_heads"), width: case.size("head_dim") };
    let attention = Attention::new(device, Precision::Single).expect("kernels");
    let run = Run { device, stream: stream(device), attention, heads };
    let coordinates = case.i32("coords").as_chunks::<4>().0.to_vec();
    let (samples, side, columns) = (case.size("samples"), case.size("m_slc") as i32, heads.keys * heads.width);
    let (order, ends) = block_order(&coordinates, side);
    assert!(order.is_sorted(), "the vectors' tokens are in order");
    let x = case.f32("x");
    let [q, k, v] = ["Wq", "Wk", "Wv"].map(|name| linear(&x, &case.f32(name), case.shape("x")[1], true, |_, y| y));

    // Compression: a small network for each token, and the mean of each block.
    let places = case.f32("pe");
    let mut placed = k.clone();
    for (row, [_, x, y, z]) in placed.chunks_exact_mut(columns).zip(&coordinates) {
        let [x, y, z] = [x, y, z].map(|x| x.rem_euclid(side));
        let place = &places[((x * side + y) * side + z) as usize * columns..][..columns];
        row.iter_mut().zip(place).for_each(|(k, p)| *k += p);
    }
    let block_of = |token: usize| ends.partition_point(|end| *end <= token) as u32;
    let parents: Vec<u32> = (0..coordinates.len()).map(block_of).collect();
    let compressed = |values: &[f32], name: &str| {
        let (weights, bias) = (case.f32(&format!("{name}_w")), case.f32(&format!("{name}_b")));
        let silu = |o: usize, y: f32| (y + bias[o]) / (1.0 + (-y - bias[o]).exp());
        mean_of_children(&linear(values, &weights, columns, false, silu), &parents, columns, ends.len())
    };
    let (means, mean_values) = (run.upload(&compressed(&placed, "ck")), run.upload(&compressed(&v, "cv")));
    let token_ends = sample_ends(&coordinates, samples);
    let block_ends: Vec<usize> = token_ends.iter().map(|end| ends.partition_point(|block| block <= end)).collect();
    let to_means = Pattern::of_blocks(&token_ends, &block_ends);
    let rows = case.i32("rows");
    let compare_rows = |name: &str, values: &[f32]| {
        let row = heads.queries * heads.width;
        let stored: Vec<f32> = rows.iter().flat_map(|r| values[*r as usize * row..][..row].to_vec()).collect();
        case.compare(name, &stored);
    };
    let [on_q, on_k, on_v] = [&q, &k, &v].map(|values| run.upload(values));
    let seen = run.attend(std::slice::from_ref(&to_means), [&on_q, &means, &mean_values]);
    compare_rows("o_cmp", &run.read(&seen.out));

    // Selection.
    let of_means: Vec<u32> = (0..ends.len() as u32).collect();
    let blocks = Blocks { ends: &ends, of_means: &of_means, count: case.size("topk") };
    let on_device = DeviceBlocks::new(device, heads, &to_means, blocks).expect("memory");
    let selector = Selector::new(device).expect("kernels");
    let chosen = selector.select(&run.stream, &on_device, [&on_q, &means, &seen.log_sums]).expect("blocks");
    let selection = Selection::of(heads, chosen.read(&run.stream).expect("numbers"), blocks);
    let of_sample = |(row, blocks): (usize, &[u32])| {
        let sample = coordinates[row % coordinates.len()][0] as usize;
        let first = if sample > 0 { block_ends[sample - 1] as i32 } else { 0 };
        blocks.iter().map(|b| if *b == NONE { -1 } else { *b as i32 - first }).collect::<Vec<i32>>()
    };
    let numbers: Vec<i32> = selection.blocks.chunks_exact(blocks.count).enumerate().flat_map(of_sample).collect();
    case.compare("selected_blocks", &numbers);
    compare_rows("o_slc", &run.read(&run.attend(&selection.patterns, [&on_q, &on_k, &on_v]).out));

    // Windows, whose tokens have an order of their own.
    let windows = Windows::new(&coordinates, case.size("window") as i32, case.size("window_shift") as i32);
    let in_order = |values: &[f32], row: usize| {
        let of_token = |token: &u32| values[*token as usize * row..][..row].to_vec();
        run.upload(&windows.order.iter().flat_map(of_token).collect::<Vec<f32>>())
    };
    let row = heads.queries * heads.width;
    let inputs = [&in_order(&q, row), &in_order(&k, columns), &in_order(&v, columns)];
    let near = run.read(&run.attend(std::slice::from_ref(&windows.pattern), inputs).out);
    let mut out = vec![0.0; near.len()];
    for (token, values) in windows.order.iter().zip(near.chunks_exact(row)) {
        out[*token as usize * row..][..row].copy_from_slice(values);
    }
    compare_rows("o_win", &out);
}
