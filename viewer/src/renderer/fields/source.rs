//! Shaders of one field: what all fields have in common, with the sizes of this one as constants, which compilers unroll and fold by.

use super::FIRST_TABLE;
use super::buffers::{Layout, PlacedLevel};
use super::data::{FieldData, FieldDecoder};
use std::fmt::Write;

const VIEW: &str = include_str!("../shaders/view.wgsl");
const FIELD: &str = include_str!("../shaders/field.wgsl");
const RBF: &str = include_str!("../shaders/field_rbf.wgsl");
const NETWORK: &str = include_str!("../shaders/field_network.wgsl");
const RAYS: &str = include_str!("../shaders/rays.wgsl");
const SHAPE: &str = include_str!("../shaders/shape.wgsl");
const CELLS: &str = include_str!("../shaders/cells.wgsl");
const PICTURE: &str = include_str!("../shaders/picture.wgsl");
const VOLUME: &str = include_str!("../shaders/volume.wgsl");

/// All files that fields' shaders are made of.
#[cfg(test)]
pub(in crate::renderer) const PARTS: [&str; 8] = [FIELD, RBF, NETWORK, RAYS, SHAPE, CELLS, PICTURE, VOLUME];

/// Vectors of a decoder that are read by as many instructions.
const MOST_UNROLLED: usize = 1024;

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Tracing a signed distance.
    Shape,
    /// A coarse grid of distances.
    Cells,
    /// Colours in a plane.
    Picture,
    /// Looking through densities and colours.
    Volume,
}

impl Use {
    /// Which of a field's outputs shaders are given, in vectors of four.
    pub fn outputs(self, outputs: usize) -> Vec<[Option<usize>; 4]> {
        match (self, outputs) {
            (Self::Shape | Self::Cells, _) => vec![[Some(0), None, None, None]],
            // Grey is red, green and blue.
            (Self::Picture, 1) => vec![[Some(0), Some(0), Some(0), None]],
            (Self::Picture, _) => vec![[Some(0), Some(1), Some(2), (outputs == 4).then_some(3)]],
            (Self::Volume, _) => {
                let harmonics = (outputs - 1) / 3;
                let of = |k: usize| [1, 1 + harmonics, 1 + 2 * harmonics].map(|first| Some(first + k));
                let with = |[r, g, b]: [Option<usize>; 3], w| [r, g, b, w];
                (0..harmonics).map(|k| with(of(k), (k == 0).then_some(0))).collect()
            }
        }
    }

    fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Shape => &[VIEW, RAYS, SHAPE],
            Self::Cells => &[CELLS],
            Self::Picture => &[VIEW, PICTURE],
            Self::Volume => &[VIEW, RAYS, VOLUME],
        }
    }
}

/// The text of a shader for a field whose levels and decoder lie so.
pub(super) fn text(field: &FieldData, layout: &Layout, purpose: Use) -> String {
    let mut text = constants(field, layout);
    text.push_str(&loading(layout.tables));
    text.push_str(&features(&layout.levels));
    let decoder = match &field.decoder {
        FieldDecoder::Rbf { centres, .. } => {
            // What is asked once is not worth the longer compilation.
            let is_long = layout.is_software && purpose != Use::Cells;
            text.push_str(&kernels(centres.len() / field.features(), layout, is_long));
            RBF
        }
        FieldDecoder::Network { .. } => NETWORK,
    };
    for part in [FIELD, decoder].iter().chain(purpose.parts()) {
        text.push_str(part);
        text.push('\n');
    }
    text
}

/// The function that adds all kernels: one by one, if they are few, where the adapter is a processor, because such drivers fetch what lies
/// at a constant place for eight pixels at once, and for each pixel what lies where a loop says. That makes three times the speed.
fn kernels(count: usize, layout: &Layout, is_long: bool) -> String {
    let arguments = "features: ptr<function, array<vec2<f32>, LEVELS>>, sums: ptr<function, array<vec4<f32>, QUADS>>";
    let mut text = format!("fn add_kernels({arguments}) {{\n");
    if is_long && count * (layout.levels.len() + layout.quads) <= MOST_UNROLLED {
        (0..count).for_each(|j| text.push_str(&format!("    add_kernel({j}u, features, sums);\n")));
    } else {
        text.push_str("    for (var j = 0u; j < RESPONSES; j++) { add_kernel(j, features, sums); }\n");
    }
    text.push_str("}\n");
    text
}

// Writing to a string does not fail: the results of `writeln!` say nothing.

fn constants(field: &FieldData, layout: &Layout) -> String {
    let (levels, dimensions, outputs, smooth) = (field.levels.len(), field.dimensions, field.outputs, field.smooth);
    let mut text = format!("const SMOOTH: bool = {smooth};\n");
    let mut count = |name: &str, value: usize| text.push_str(&format!("const {name}: u32 = {value}u;\n"));
    count("LEVELS", levels);
    count("DIMENSIONS", dimensions);
    count("OUTPUTS", outputs);
    count("QUADS", layout.quads);
    match &field.decoder {
        FieldDecoder::Rbf { centres, .. } => count("RESPONSES", centres.len() / field.features()),
        FieldDecoder::Network { widths, .. } => {
            count("INPUT", widths[0]);
            count("HIDDEN", widths[1]);
            count("RESPONSES", widths[2]);
        }
    }
    let _ = match layout.is_uniform {
        true => {
            writeln!(text, "@group(1) @binding(0) var<uniform> decoder: array<vec4<f32>, {}>;", layout.decoder.len())
        }
        false => writeln!(text, "@group(1) @binding(0) var<storage, read> decoder: array<vec4<f32>>;"),
    };
    text
}

/// Storage of features, and the function that reads an entry of a table.
fn loading(tables: usize) -> String {
    let (mut text, mut cases) = (String::new(), String::new());
    for table in 0..tables {
        let binding = FIRST_TABLE + table;
        let _ = writeln!(text, "@group(1) @binding({binding}) var<storage, read> table{table}: array<u32>;");
        if table > 0 {
            let _ = writeln!(cases, "    if table == {table}u {{ return table{table}[index]; }}");
        }
    }
    let _ = writeln!(text, "fn load(table: u32, index: u32) -> u32 {{\n{cases}    return table0[index];\n}}");
    text
}

/// The function that interpolates all levels, one after the other.
fn features(levels: &[PlacedLevel]) -> String {
    let mut text =
        "fn features_at(place: vec3<f32>) -> array<vec2<f32>, LEVELS> {\n    var features: array<vec2<f32>, LEVELS>;\n"
            .to_owned();
    for (l, level) in levels.iter().enumerate() {
        let PlacedLevel { scale, resolution, size, offset, addressing, table } = level;
        let _ = writeln!(
            text,
            "    features[{l}] = interpolated(Level({scale:?}, {resolution}u, {size}u, {offset}u, {addressing}u, {table}u), place);"
        );
    }
    text.push_str("    return features;\n}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::buffers::Adapter;
    use super::super::data::{Addressing, FieldLevel};
    use super::*;

    fn field(dimensions: usize, outputs: usize, is_network: bool, smooth: bool) -> FieldData {
        let level = |addressing, offset| FieldLevel { scale: 3.0, resolution: 4, size: 64, offset, addressing };
        let kinds = [Addressing::Dense, Addressing::Hashed, Addressing::Periodic];
        let levels: Vec<_> = kinds.into_iter().zip([0, 64, 128]).map(|(kind, offset)| level(kind, offset)).collect();
        let decoder = if is_network {
            FieldDecoder::Network { widths: vec![8, 64, 64, 64], weights: vec![0.0; 8 * 64 + 2 * 64 * 64] }
        } else {
            let (centres, weights) = (vec![0.0; 6 * 32], vec![0.0; 32 * outputs]);
            FieldDecoder::Rbf { log_precisions: centres.clone(), centres, weights, biases: vec![0.0; outputs] }
        };
        FieldData { dimensions, levels, smooth, table: vec![0.0; 2 * 192], decoder, outputs }
    }

    #[test]
    fn shaders_of_every_kind_of_field_are_valid() {
        let check = |field: &FieldData, adapter: &Adapter, purpose: Use| {
            let layout = Layout::of(field, purpose, adapter).expect("a field that fits");
            is_valid(&text(field, &layout, purpose));
        };
        for is_network in [false, true] {
            // All in one table and a uniform; each level in a table, and the decoder too large for a uniform.
            let large = Adapter { table: 1000, uniform: 1 << 16, is_software: true };
            let small = Adapter { table: 64, uniform: 16, is_software: false };
            for (adapter, smooth) in [(&large, false), (&small, true)] {
                let shape = field(3, 1, is_network, smooth);
                check(&shape, adapter, Use::Shape);
                check(&shape, adapter, Use::Cells);
                for outputs in [1, 3, 4] {
                    check(&field(2, outputs, is_network, smooth), adapter, Use::Picture);
                }
                for harmonics in [1, 4, 9, 16] {
                    check(&field(3, 1 + 3 * harmonics, is_network, smooth), adapter, Use::Volume);
                }
            }
        }
    }

    fn is_valid(text: &str) {
        let module =
            naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{}", error.emit_to_string(text)));
        let capabilities = naga::valid::Capabilities::default() | naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities);
        if let Err(error) = validator.validate(&module) {
            panic!("{}", error.emit_to_string(text));
        }
    }
}
