//! The layers of attention on sparse tokens against golden vectors, forward and backward, with both kinds of SIMD lanes and on a device.

#[path = "../../kernels/tests/common/mod.rs"]
mod common;

use common::{Case, for_each_case};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use std::sync::Arc;
use tessera_engine::generate::model::{BlockSizes, Compression, Maker, SparseAttention, Tokens};
use tessera_engine::generate::tape::{Initial, Parameter, Parameters, Tape, Var};
use tessera_engine::generate::{Host, OnDevice, Place};
use tessera_kernels::dense::Activation;
use tessera_kernels::device::{Device, Precision};
use tessera_kernels::simd::{Backend, best_backend, select_backend};
use tessera_kernels::sparse_attention::{Heads, NONE, SetOrder, Sets};

#[test]
fn attention_on_sparse_tokens_agrees() {
    for (variant, backend) in [("portable", Backend::Portable), ("best", best_backend())] {
        select_backend(backend);
        for_each_case("sparse_attention", variant, |case| match case.name {
            "dsvt" => rotated_sets(case, &on_the_host()),
            _ => spatial(case, &on_the_host()),
        });
    }
}

tessera_emulator::on_devices! {
    fast_device: attention_on_sparse_tokens_agrees_on_a_device
}

fn attention_on_sparse_tokens_agrees_on_a_device(open: &dyn Fn() -> Device) {
    let place: Arc<dyn Place> = Arc::new(OnDevice::new(&open(), Precision::Single).expect("kernels"));
    for_each_case("sparse_attention", "device", |case| match case.name {
        "dsvt" => rotated_sets(case, &place),
        _ => spatial(case, &place),
    });
}

fn on_the_host() -> Arc<dyn Place> {
    Arc::new(Host)
}

fn coordinates(case: &Case) -> Vec<[i32; 4]> {
    case.i32("coords").as_chunks::<4>().0.to_vec()
}

/// Gives a tensor the numbers that a case has.
fn set(case: &Case, parameters: &mut Parameters, name: &str, tensor: &str) {
    let parameter = parameters.named(name).unwrap_or_else(|| panic!("no tensor is called {name}"));
    parameters.set(parameter, case.f32(tensor));
}

/// Compares the gradients that a case has.
fn compare_gradients(case: &Case, parameters: &Parameters, names: &[(String, String)], found: &[Option<Vec<f32>>]) {
    let mut compared = 0;
    for (i, (name, tensor)) in names.iter().enumerate() {
        let tensor = format!("d_{tensor}");
        if case.has(&tensor) {
            assert!(parameters.named(name).is_some(), "no tensor is called {name}");
            case.compare(&tensor, found[i].as_ref().unwrap_or_else(|| panic!("{name} has no gradient")));
            compared += 1;
        }
    }
    assert!(compared > 5, "the case has gradients");
}

/// Names of our tensors and those of the vectors'.
fn names(compression: Compression) -> Vec<(String, String)> {
    let own = [("proj_q", "Wq"), ("proj_k", "Wk"), ("proj_v", "Wv"), ("proj_o", "Wo"), ("gate.0", "Wg")];
    let mut names: Vec<(String, String)> =
        own.iter().map(|(own, other)| (format!("{own}.weight"), (*other).to_owned())).collect();
    names.push(("intra_block_pe".to_owned(), "pe".to_owned()));
    for (own, other) in [("compression_key", "ck"), ("compression_value", "cv")] {
        let parts: &[(&str, &str)] = match compression {
            Compression::Points => &[("act_layers.0.conv.kernel", "w"), ("act_layers.0.conv.bias", "b")],
            Compression::Neighbours => &[
                ("act_layers.0.weight", "gn1_w"),
                ("act_layers.0.bias", "gn1_b"),
                ("out_layers.0.conv.kernel", "conv1_w"),
                ("out_layers.0.conv.bias", "conv1_b"),
                ("out_layers.1.weight", "gn2_w"),
                ("out_layers.1.bias", "gn2_b"),
                ("out_layers.3.conv.kernel", "conv2_w"),
                ("out_layers.3.conv.bias", "conv2_b"),
            ],
        };
        names.extend(parts.iter().map(|(a, b)| (format!("{own}.{a}"), format!("{other}_{b}"))));
    }
    names.push(("x".to_owned(), "x".to_owned()));
    names
}

fn spatial(case: &Case, place: &Arc<dyn Place>) {
    let compression = if case.has("ck_w") { Compression::Points } else { Compression::Neighbours };
    let heads = Heads { queries: case.size("heads"), keys: case.size("kv_heads"), width: case.size("head_dim") };
    let sizes =
        BlockSizes { compression: case.size("m_cmp"), selection: case.size("m_slc"), window: case.size("window") };
    let coordinates = coordinates(case);
    let tokens = Tokens::new(&coordinates, case.size("samples"), sizes);
    assert_eq!(tokens.coordinates, coordinates, "the vectors' tokens are in order");
    let width = case.shape("x")[1];
    let mut parameters = Parameters::default();
    parameters.place_on(place);
    let rng = &mut Pcg64::seed_from_u64(0);
    let mut maker = Maker { parameters: &mut parameters, rng: Some(rng), prefix: String::new() };
    let layer = SparseAttention::new(&mut maker, width, heads, sizes.compression, case.size("topk"), compression);
    let x = maker.add("x", &case.shape("x"), Initial::Zeros);
    let names = names(compression);
    assert_eq!(names.len(), parameters.len(), "all tensors have a name in the vectors");
    names.iter().for_each(|(own, other)| set(case, &mut parameters, own, other));

    let mut tape = Tape::new(&parameters);
    let x = tape.parameter(x);
    let looked = layer.run(&mut tape, x, &tokens, case.size("window_shift") > 0);
    compare_blocks(case, &looked.blocks, &tokens, heads);
    case.compare("y", &tape.read(looked.out).expect("numbers"));
    case.compare("gate", &tape.read(looked.gates).expect("numbers"));
    let columns = heads.queries * heads.width;
    for (name, part) in ["o_cmp", "o_slc", "o_win"].into_iter().zip(looked.parts) {
        let values = tape.read(part).expect("numbers");
        let rows = case.i32("rows");
        let rows: Vec<f32> = rows.iter().flat_map(|r| values[*r as usize * columns..][..columns].to_vec()).collect();
        case.compare(name, &rows);
    }
    let found = tape.backward(vec![(looked.out, case.f32("v_y"))]).expect("gradients");
    let in_order: Vec<Option<Vec<f32>>> = names.iter().map(|(own, _)| found[index(&parameters, own)].clone()).collect();
    compare_gradients(case, &parameters, &names, &in_order);
}

fn index(parameters: &Parameters, name: &str) -> usize {
    parameters.named(name).unwrap_or_else(|| panic!("no tensor is called {name}")).index()
}

/// Vectors count the blocks of each sample from 0.
fn compare_blocks(case: &Case, blocks: &[u32], tokens: &Tokens, heads: Heads) {
    let count = blocks.len() / heads.keys / tokens.coordinates.len();
    let mut first = vec![0; tokens.sample_ends.len() + 1];
    for (sample, end) in tokens.sample_ends.iter().enumerate() {
        first[sample + 1] = tokens.block_ends.partition_point(|block| *block <= *end as usize) as i32;
    }
    let of_row = |(row, blocks): (usize, &[u32])| {
        let first = first[tokens.samples[row % tokens.samples.len()] as usize];
        blocks.iter().map(|b| if *b == NONE { -1 } else { *b as i32 - first }).collect::<Vec<i32>>()
    };
    let own: Vec<i32> = blocks.chunks_exact(count).enumerate().flat_map(of_row).collect();
    case.compare("selected_blocks", &own);
}

/// One layer of rotated sets: attention, and a network.
struct SetLayer {
    sets: Sets,
    back: Arc<Vec<u32>>,
    prefix: String,
}

/// The tensors of a layer, without the packed projection of queries, keys and values.
const LAYER: [&str; 12] =
    ["out_w", "out_b", "w1", "b1", "w2", "b2", "ln1_w", "ln1_b", "ln2_w", "ln2_b", "ln3_w", "ln3_b"];

impl SetLayer {
    fn parameter(&self, parameters: &Parameters, name: &str) -> Parameter {
        let name = format!("{}{name}", self.prefix);
        parameters.named(&name).unwrap_or_else(|| panic!("no tensor is called {name}"))
    }

    /// Attention, and the output of the layer.
    fn run(&self, tape: &mut Tape, parameters: &Parameters, feat: Var, pos: Var, heads: usize) -> [Var; 2] {
        let of = |name: &str| self.parameter(parameters, name);
        let columns = tape.columns(feat);
        let placed = tape.add(feat, pos);
        let order = Arc::new(self.sets.order.clone());
        let third = |tape: &mut Tape, x: Var, part: usize| {
            let x = tape.gather(x, &order);
            tape.linear(x, of(&format!("in_w.{part}")), Some(of(&format!("in_b.{part}"))))
        };
        let inputs = [third(tape, placed, 0), third(tape, placed, 1), third(tape, feat, 2)];
        let heads = Heads::equal(heads, columns / heads);
        let (out, _) = tape.attention(heads, &Arc::new(vec![self.sets.pattern.clone()]), inputs);
        let out = tape.linear(out, of("out_w"), Some(of("out_b")));
        let attention = tape.gather(out, &self.back);
        let norm = |tape: &mut Tape, x: Var, which: usize| {
            let x = tape.layer_norm(x, 1e-5);
            tape.affine(x, of(&format!("ln{which}_w")), of(&format!("ln{which}_b")))
        };
        let h = tape.add(feat, attention);
        let h = norm(tape, h, 1);
        let inner = tape.linear(h, of("w1"), Some(of("b1")));
        let inner = tape.activation(inner, Activation::GeluExact);
        let inner = tape.linear(inner, of("w2"), Some(of("b2")));
        let h = tape.add(h, inner);
        let h = norm(tape, h, 2);
        let h = tape.add(feat, h);
        [attention, norm(tape, h, 3)]
    }
}

fn rotated_sets(case: &Case, place: &Arc<dyn Place>) {
    let coordinates = coordinates(case);
    let sizes = |name: &str| -> [i32; 3] {
        let values = case.option(name).as_array().expect("three sizes");
        std::array::from_fn(|k| values[k].as_i64().expect("a size") as i32)
    };
    let (window, size) = (sizes("window"), case.size("tau"));
    let sets = |shift: [i32; 3], by: SetOrder| Sets::new(&coordinates, window, shift, size, by);
    let layers = [SetOrder::Y, SetOrder::X].map(|by| sets([0; 3], by));
    compare_sets(case, "layer1", &layers[0], size);
    compare_sets(case, "layer2", &layers[1], size);
    compare_sets(case, "shifted_window", &sets(sizes("shift_of_shifted_window"), SetOrder::Y), size);

    let mut parameters = Parameters::default();
    parameters.place_on(place);
    let rng = &mut Pcg64::seed_from_u64(0);
    let mut names: Vec<String> = ["feat", "pos1", "pos2", "ln4_w", "ln4_b"].map(str::to_owned).to_vec();
    names.extend(["l1_", "l2_"].iter().flat_map(|layer| LAYER.map(|name| format!("{layer}{name}"))));
    for name in &names {
        let parameter = parameters.add(name.clone(), &case.shape(name), Initial::Zeros, rng);
        parameters.set(parameter, case.f32(name));
    }
    // The projections of queries, keys and values are thirds of one tensor.
    let packed = ["l1_in_w", "l1_in_b", "l2_in_w", "l2_in_b"];
    for name in packed {
        let (mut shape, values) = (case.shape(name), case.f32(name));
        shape[0] /= 3;
        for (part, values) in values.chunks_exact(values.len() / 3).enumerate() {
            let parameter = parameters.add(format!("{name}.{part}"), &shape, Initial::Zeros, rng);
            parameters.set(parameter, values.to_vec());
        }
    }
    let of = |name: &str| parameters.named(name).expect("added above");
    let mut tape = Tape::new(&parameters);
    let feat = tape.parameter(of("feat"));
    let mut x = feat;
    let mut outputs = Vec::new();
    for (number, sets) in layers.into_iter().enumerate() {
        let mut back = vec![0; sets.order.len()];
        sets.order.iter().enumerate().for_each(|(i, voxel)| back[*voxel as usize] = i as u32);
        let prefix = format!("l{}_", number + 1);
        let layer = SetLayer { sets, back: Arc::new(back), prefix };
        let pos = tape.parameter(of(&format!("pos{}", number + 1)));
        let [attention, out] = layer.run(&mut tape, &parameters, x, pos, case.size("heads"));
        outputs.push(attention);
        outputs.push(out);
        x = out;
    }
    let sum = tape.add(x, feat);
    let block = tape.layer_norm(sum, 1e-5);
    let block = tape.affine(block, of("ln4_w"), of("ln4_b"));
    case.compare("layer1_attention", &tape.read(outputs[0]).expect("numbers"));
    case.compare("layer1", &tape.read(outputs[1]).expect("numbers"));
    case.compare("block", &tape.read(block).expect("numbers"));
    let found = tape.backward(vec![(block, case.f32("v_block"))]).expect("gradients");
    for (name, parts) in packed.iter().zip(found[names.len()..].chunks_exact(3)) {
        let whole = parts.iter().map(|part| part.clone().expect("a gradient")).collect::<Vec<_>>().concat();
        case.compare(&format!("d_{name}"), &whole);
    }
    let names: Vec<(String, String)> = names.into_iter().map(|name| (name.clone(), name)).collect();
    compare_gradients(case, &parameters, &names, &found);
}

fn compare_sets(case: &Case, name: &str, sets: &Sets, size: usize) {
    let own: Vec<i32> = sets.slots.iter().map(|voxel| *voxel as i32).collect();
    case.compare(&format!("{name}_sets"), &own);
    let masked = |set: &[u32]| (0..size).map(|k| u8::from(k > 0 && set[k] == set[k - 1])).collect::<Vec<u8>>();
    let mask: Vec<u8> = sets.slots.chunks_exact(size).flat_map(masked).collect();
    case.compare(&format!("{name}_key_mask"), &mask);
}
