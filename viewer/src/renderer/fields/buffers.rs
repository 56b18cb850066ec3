//! A field's numbers on the device.

use super::data::{Addressing, FieldData, FieldDecoder};
use super::source::Use;
use super::{FIRST_TABLE, MAX_TABLES};
use crate::ViewerError;
use crate::renderer::gpu::Gpu;
use crate::renderer::shaders::{Binding, bind, group_layout};
use half::f16;
use wgpu::util::DeviceExt;

/// A level as `field.wgsl` knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PlacedLevel {
    pub scale: f32,
    pub resolution: u32,
    pub size: u32,
    pub offset: u32,
    pub addressing: u32,
    pub table: u32,
}

/// Where a field's numbers lie on the device.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub levels: Vec<PlacedLevel>,
    /// In how many tables its features lie.
    pub tables: usize,
    /// Vectors of four outputs.
    pub quads: usize,
    /// What decoders read, as `field_rbf.wgsl` and `field_network.wgsl` say.
    pub decoder: Vec<[f32; 4]>,
    /// Whether that is small enough for a uniform.
    pub is_uniform: bool,
    /// Whether the adapter is a processor.
    pub is_software: bool,
}

/// What matters of an adapter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adapter {
    /// Entries of a table, at most.
    pub table: usize,
    /// Bytes of a uniform, at most.
    pub uniform: usize,
    /// Whether it is a processor.
    pub is_software: bool,
}

impl Adapter {
    fn of(gpu: &Gpu) -> Self {
        let uniform = gpu.device.limits().max_uniform_buffer_binding_size as usize;
        Self { table: (gpu.binding_limit() / 4) as usize, uniform, is_software: gpu.is_software() }
    }
}

impl Layout {
    /// On this adapter.
    pub fn of(field: &FieldData, purpose: Use, adapter: &Adapter) -> Result<Self, ViewerError> {
        let levels = placed(field, adapter.table)?;
        let outputs = purpose.outputs(field.outputs);
        let decoder = decoder(field, &outputs);
        let tables = levels.last().map_or(0, |level| level.table as usize + 1);
        let is_uniform = size_of_val(&decoder[..]) <= adapter.uniform;
        Ok(Self { levels, tables, quads: outputs.len(), decoder, is_uniform, is_software: adapter.is_software })
    }
}

/// A field that shaders can ask.
#[derive(Debug)]
pub(super) struct FieldBuffers {
    pub layout: Layout,
    pub group_layout: wgpu::BindGroupLayout,
    /// The decoder, then tables.
    pub group: wgpu::BindGroup,
}

impl FieldBuffers {
    pub fn new(gpu: &Gpu, field: &FieldData, purpose: Use) -> Result<Self, ViewerError> {
        let layout = Layout::of(field, purpose, &Adapter::of(gpu))?;
        let mut bindings = vec![if layout.is_uniform { Binding::Uniform } else { Binding::Read }];
        bindings.resize(FIRST_TABLE + layout.tables, Binding::Read);
        let stages = wgpu::ShaderStages::FRAGMENT | wgpu::ShaderStages::COMPUTE;
        let group_layout = group_layout(&gpu.device, stages, &bindings);
        let buffer = |contents: &[u8], usage| {
            let label = Some("field");
            gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label, contents, usage })
        };
        let usage = if layout.is_uniform { wgpu::BufferUsages::UNIFORM } else { wgpu::BufferUsages::STORAGE };
        let mut buffers = vec![buffer(bytemuck::cast_slice(&layout.decoder), usage)];
        for table in 0..layout.tables {
            let levels = field.levels.iter().zip(&layout.levels).filter(|(_, placed)| placed.table as usize == table);
            let entries = levels.flat_map(|(level, _)| &field.table[2 * level.offset..][..2 * level.size as usize]);
            let halves: Vec<f16> = entries.map(|feature| f16::from_f32(*feature)).collect();
            let words: Vec<u32> = halves.as_chunks().0.iter().map(packed).collect();
            buffers.push(buffer(bytemuck::cast_slice(&words), wgpu::BufferUsages::STORAGE));
        }
        let resources: Vec<_> = buffers.iter().map(wgpu::Buffer::as_entire_binding).collect();
        let group = bind(&gpu.device, &group_layout, &resources);
        Ok(Self { layout, group_layout, group })
    }
}

/// Both features of an entry.
fn packed([a, b]: &[f16; 2]) -> u32 {
    u32::from(a.to_bits()) | u32::from(b.to_bits()) << 16
}

/// Levels in tables of at most `capacity` entries, each level in one of them.
fn placed(field: &FieldData, capacity: usize) -> Result<Vec<PlacedLevel>, ViewerError> {
    let (mut table, mut end) = (0, 0);
    let place = |level: &super::FieldLevel| {
        let size = level.size as usize;
        if end + size > capacity && end > 0 {
            (table, end) = (table + 1, 0);
        }
        if size > capacity || table >= MAX_TABLES {
            let megabytes = (2 * field.table.len()) >> 20;
            let text = format!("its field has {megabytes} MB of features, more than this adapter's shaders can see");
            return Err(ViewerError::BadScene(text));
        }
        let addressing = match level.addressing {
            Addressing::Dense => 0,
            Addressing::Hashed => 1,
            Addressing::Periodic => 2,
        };
        let offset = end as u32;
        end += size;
        let (scale, resolution) = (level.scale, level.resolution);
        Ok(PlacedLevel { scale, resolution, size: level.size, offset, addressing, table: table as u32 })
    };
    field.levels.iter().map(place).collect()
}

/// What decoders read, for outputs in this order.
fn decoder(field: &FieldData, outputs: &[[Option<usize>; 4]]) -> Vec<[f32; 4]> {
    let quad = |of: &dyn Fn(usize) -> f32| -> Vec<[f32; 4]> {
        outputs.iter().map(|quad| quad.map(|output| output.map_or(0.0, of))).collect()
    };
    match &field.decoder {
        FieldDecoder::Rbf { centres, log_precisions, weights, biases } => {
            let kernels = centres.len() / field.features();
            let rows = centres.chunks_exact(field.features()).zip(log_precisions.chunks_exact(field.features()));
            let mut numbers: Vec<[f32; 4]> = Vec::new();
            for (j, (centres, betas)) in rows.enumerate() {
                // As `tessera_kernels::rbf` prepares them: squared radii are sums of squares, which cannot cancel.
                let scales = betas.iter().map(|beta| (0.5 * beta).exp());
                let pairs: Vec<[f32; 2]> = scales.zip(centres).map(|(scale, c)| [scale, -scale * c]).collect();
                numbers.extend(pairs.as_chunks().0.iter().map(|[[a, b], [c, d]]| [*a, *b, *c, *d]));
                numbers.extend(quad(&|o| weights[o * kernels + j]));
            }
            numbers.extend(quad(&|o| biases[o]));
            numbers
        }
        FieldDecoder::Network { widths, weights } => {
            let (hidden, last) = (widths[2], widths[0] * widths[1] + widths[1] * widths[2]);
            let mut numbers = weights[..last].as_chunks().0.to_vec();
            (0..hidden).for_each(|j| numbers.extend(quad(&|o| weights[last + o * hidden + j])));
            numbers
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::FieldLevel;
    use super::*;

    #[test]
    fn levels_share_tables_as_far_as_they_fit() {
        let level =
            |size, offset| FieldLevel { scale: 1.0, resolution: 2, size, offset, addressing: Addressing::Dense };
        let decoder = FieldDecoder::Network { widths: vec![8; 4], weights: vec![0.0; 192] };
        let levels = vec![level(8, 0), level(8, 8), level(12, 16)];
        let field = FieldData { dimensions: 3, levels, smooth: false, table: vec![0.0; 56], decoder, outputs: 1 };
        let levels = placed(&field, 20).expect("two tables");
        let places: Vec<_> = levels.iter().map(|level| (level.table, level.offset)).collect();
        assert_eq!(places, [(0, 0), (0, 8), (1, 0)]);
        let error = placed(&field, 10).expect_err("a level is larger than a table").to_string();
        assert!(error.contains("features"), "{error}");
    }

    #[test]
    fn outputs_are_in_the_order_that_shaders_expect() {
        let (centres, weights) = (vec![0.5; 4], (0..14).map(|i| i as f32).collect());
        let log_precisions = vec![0.0; 4];
        let decoder_of = FieldDecoder::Rbf { centres, log_precisions, weights, biases: vec![7.0; 7] };
        let level = FieldLevel { scale: 1.0, resolution: 2, size: 8, offset: 0, addressing: Addressing::Dense };
        let (levels, table) = (vec![level], vec![0.0; 16]);
        let field = FieldData { dimensions: 3, levels, smooth: false, table, decoder: decoder_of, outputs: 7 };
        // Two kernels and one level; y_o has the weights 2 o and 2 o + 1.
        let numbers = decoder(&field, &[[Some(1), Some(3), Some(5), Some(0)], [Some(2), None, None, None]]);
        assert_eq!(numbers[0], [1.0, -0.5, 1.0, -0.5], "scales and shifts");
        assert_eq!(numbers[1..3], [[2.0, 6.0, 10.0, 0.0], [4.0, 0.0, 0.0, 0.0]], "weights of the first kernel");
        assert_eq!(numbers[4..6], [[3.0, 7.0, 11.0, 1.0], [5.0, 0.0, 0.0, 0.0]], "weights of the second");
        assert_eq!(numbers[6..], [[7.0; 4], [7.0, 0.0, 0.0, 0.0]], "biases");
    }
}
