//! Signed distance functions.

use super::buffers::FieldBuffers;
use super::source::{self, Use};
use super::{Drawn, Fields, ShapeData, compile};
use crate::ViewerError;
use crate::renderer::gpu::Gpu;
use crate::renderer::shaders::{Binding, bind, group_layout, pipeline_layout};
use bytemuck::{Pod, Zeroable};
use wgpu::util::DeviceExt;

/// Cells per side of the grid by which rays pass through what is empty.
const CELLS: u32 = 64;
/// Threads of a workgroup of `cells.wgsl`, and workgroups of a dispatch: slow drivers lose their patience with long ones.
const GROUP: u32 = 64;
const GROUPS: u32 = 256;
/// Two triangles for each side of a cube.
const VERTICES: u32 = 36;

/// Mirrors `Shape` of `shape.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct ShapeUniform {
    centre: [f32; 3],
    side: f32,
    finest: f32,
    resolution: u32,
    pad: [u32; 2],
}

/// Layouts for shapes.
#[derive(Debug)]
pub(super) struct ShapeStage {
    /// Of what a shape has beside its field.
    pub layout: wgpu::BindGroupLayout,
    cells_layout: wgpu::BindGroupLayout,
}

impl ShapeStage {
    pub fn new(device: &wgpu::Device) -> Self {
        use Binding::{Read, Uniform, Write};
        Self {
            layout: group_layout(device, wgpu::ShaderStages::VERTEX_FRAGMENT, &[Uniform, Read]),
            cells_layout: group_layout(device, wgpu::ShaderStages::COMPUTE, &[Write, Uniform]),
        }
    }
}

impl Fields {
    /// Hands a shape to the device.
    pub(super) fn take_shape(&mut self, gpu: &Gpu, shape: &ShapeData) -> Result<Drawn, ViewerError> {
        shape.field.check(3)?;
        if !(shape.side > 0.0 && shape.side.is_finite() && shape.centre.iter().all(|c| c.is_finite())) {
            return Err(ViewerError::BadScene("the shape's cube has no size or no place".to_owned()));
        }
        let field = FieldBuffers::new(gpu, &shape.field, Use::Shape)?;
        let finest = shape.field.levels.iter().map(|level| level.scale).fold(1.0, f32::max);
        let uniform = ShapeUniform {
            centre: shape.centre.map(|c| c as f32),
            side: shape.side as f32,
            finest: finest.recip(),
            resolution: CELLS,
            pad: [0; 2],
        };
        let uniform = gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("shape"),
            contents: bytemuck::bytes_of(&uniform),
            usage: wgpu::BufferUsages::UNIFORM,
        });
        let cells = self.coarse_distances(gpu, shape, &field);
        let own = [uniform.as_entire_binding(), cells.as_entire_binding()];
        Ok(Drawn {
            pipeline: self.pipeline(gpu, &shape.field, &field, Use::Shape),
            own: bind(&gpu.device, &self.shapes.layout, &own),
            field,
            vertices: VERTICES,
        })
    }

    /// The distance in the middle of each cell, `[CELLS, CELLS, CELLS]`, x fastest.
    fn coarse_distances(&self, gpu: &Gpu, shape: &ShapeData, field: &FieldBuffers) -> wgpu::Buffer {
        let device = &gpu.device;
        let count = CELLS * CELLS * CELLS;
        let cells = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("cells"),
            size: 4 * u64::from(count),
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        let module = compile(device, &source::text(&shape.field, &field.layout, Use::Cells));
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("cells"),
            layout: Some(&pipeline_layout(device, &[&self.shapes.cells_layout, &field.group_layout])),
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        for first in (0..count).step_by((GROUP * GROUPS) as usize) {
            let grid = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("grid"),
                contents: bytemuck::cast_slice(&[CELLS, first, 0, 0]),
                usage: wgpu::BufferUsages::UNIFORM,
            });
            let own = [cells.as_entire_binding(), grid.as_entire_binding()];
            let mut encoder = device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bind(device, &self.shapes.cells_layout, &own), &[]);
            pass.set_bind_group(1, &field.group, &[]);
            pass.dispatch_workgroups(GROUPS.min((count - first).div_ceil(GROUP)), 1, 1);
            drop(pass);
            gpu.queue.submit([encoder.finish()]);
        }
        cells
    }
}
