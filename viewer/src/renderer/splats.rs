//! Splats: projected, sorted and blended.

use super::gpu::Gpu;
use super::pool::Pool;
use super::shaders::{Binding, PREPARE, PROJECT, SPLATS, bind, group_layout, pipeline_layout};
use super::sort::{SortBuffers, Sorter};
use super::targets::{DEPTH_FORMAT, SPLAT_FORMAT, Targets};
use super::uniforms::Arguments;
use super::view::{Frustum, View};
use wgpu::util::DeviceExt;

/// Quads of one instance; as in `splats.wgsl` and `prepare.wgsl`. Their corners are numbered with 16 bits.
pub(super) const BATCH: u16 = 4096;

/// Draws what is in a [`Pool`].
#[derive(Debug)]
pub(super) struct SplatStage {
    project: wgpu::ComputePipeline,
    prepare: wgpu::ComputePipeline,
    blend: wgpu::RenderPipeline,
    sorter: Sorter,
    outputs_layout: wgpu::BindGroupLayout,
    prepare_layout: wgpu::BindGroupLayout,
    blend_layout: wgpu::BindGroupLayout,
    corners: wgpu::Buffer,
    visible_count: wgpu::Buffer,
    arguments: wgpu::Buffer,
    buffers: Buffers,
}

/// Everything whose size is the number of splats that can be visible.
#[derive(Debug)]
struct Buffers {
    capacity: u64,
    sort: SortBuffers,
    ellipses: wgpu::Buffer,
    colours: wgpu::Buffer,
    outputs: wgpu::BindGroup,
    prepare: wgpu::BindGroup,
    blend: wgpu::BindGroup,
}

impl SplatStage {
    pub fn new(gpu: &Gpu, pool: &Pool, view: &wgpu::Buffer) -> Self {
        use Binding::{Read, Uniform, Write};
        let device = &gpu.device;
        let compute = wgpu::ShaderStages::COMPUTE;
        let outputs_layout = group_layout(device, compute, &[Uniform, Write, Write, Write, Write]);
        let prepare_layout = group_layout(device, compute, &[Uniform, Read, Write]);
        let blend_layout = group_layout(device, wgpu::ShaderStages::VERTEX, &[Uniform, Read, Read, Read, Read, Read]);
        let storage = |label, size, usage| {
            let usage =
                usage | wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
        };
        let arguments = storage("arguments", size_of::<Arguments>() as u64, wgpu::BufferUsages::INDIRECT);
        let visible_count = storage("visible splats", 4, wgpu::BufferUsages::empty());
        let sorter = Sorter::new(gpu);
        let layouts = [&outputs_layout, &prepare_layout, &blend_layout];
        let buffers = Buffers::new(gpu, 4096, &sorter, layouts, [view, &visible_count, &arguments]);
        Self {
            project: PROJECT.compute(device, "main", &[&outputs_layout, &pool.layout]),
            prepare: PREPARE.compute(device, "main", &[&prepare_layout]),
            blend: blend_pipeline(device, &blend_layout),
            corners: corner_indices(device),
            sorter,
            outputs_layout,
            prepare_layout,
            blend_layout,
            visible_count,
            arguments,
            buffers,
        }
    }

    /// Makes room for `splats` visible ones, as far as the device can bind; the number for which there is room.
    pub fn reserve(&mut self, gpu: &Gpu, splats: usize, view: &wgpu::Buffer) -> u32 {
        let limit = (gpu.binding_limit() / size_of::<[f32; 4]>() as u64).min(u64::from(u32::MAX));
        let wanted = (splats as u64).min(limit);
        if wanted > self.buffers.capacity {
            let capacity = (wanted + wanted / 4).min(limit);
            let layouts = [&self.outputs_layout, &self.prepare_layout, &self.blend_layout];
            let shared = [view, &self.visible_count, &self.arguments];
            self.buffers = Buffers::new(gpu, capacity, &self.sorter, layouts, shared);
        }
        self.buffers.capacity as u32
    }

    /// Finds the visible splats.
    pub fn project(&self, encoder: &mut wgpu::CommandEncoder, pool: &Pool, view: &View, near: f32) {
        let frustum = Frustum::new(view, near);
        encoder.clear_buffer(&self.visible_count, 0, None);
        let descriptor = wgpu::ComputePassDescriptor { label: Some("project"), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        pass.set_pipeline(&self.project);
        pass.set_bind_group(0, &self.buffers.outputs, &[]);
        for dispatch in pool.dispatches(|bounds| frustum.sees(bounds)) {
            pass.set_bind_group(1, dispatch.group, &[]);
            pass.dispatch_workgroups(dispatch.size[0], dispatch.size[1], 1);
        }
        pass.set_pipeline(&self.prepare);
        pass.set_bind_group(0, &self.buffers.prepare, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    }

    /// Orders the visible splats.
    pub fn sort(&self, encoder: &mut wgpu::CommandEncoder) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some("sort"), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        self.sorter.sort(&mut pass, &self.buffers.sort, &self.arguments);
    }

    /// Blends the splats, in the order found before, in front of and behind what is in the depth buffer.
    pub fn draw(&self, encoder: &mut wgpu::CommandEncoder, targets: &Targets) {
        let mut pass = targets.begin_splats(encoder);
        pass.set_pipeline(&self.blend);
        pass.set_bind_group(0, &self.buffers.blend, &[]);
        pass.set_index_buffer(self.corners.slice(..), wgpu::IndexFormat::Uint16);
        pass.draw_indexed_indirect(&self.arguments, 0);
    }

    /// [`Arguments`], ellipses, colours, sorted keys and order, after [`Self::sort`].
    pub fn sorted(&self) -> [&wgpu::Buffer; 5] {
        let Buffers { sort, ellipses, colours, .. } = &self.buffers;
        [&self.arguments, ellipses, colours, sort.keys(), sort.values()]
    }
}

impl Buffers {
    /// `layouts` of outputs, prepare and blend; `shared` are view, number of visible splats, and arguments.
    fn new(
        gpu: &Gpu,
        capacity: u64,
        sorter: &Sorter,
        layouts: [&wgpu::BindGroupLayout; 3],
        shared: [&wgpu::Buffer; 3],
    ) -> Self {
        let device = &gpu.device;
        let [view, visible_count, arguments] = shared;
        let sort = sorter.buffers(gpu, capacity, arguments);
        let [ellipses, colours] = ["ellipses", "colours"].map(|label| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: 16 * capacity,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            })
        });
        let group = |layout: &wgpu::BindGroupLayout, buffers: &[&wgpu::Buffer]| {
            let resources: Vec<_> = buffers.iter().map(|buffer| buffer.as_entire_binding()).collect();
            bind(device, layout, &resources)
        };
        Self {
            outputs: group(layouts[0], &[view, visible_count, &ellipses, &colours, sort.keys()]),
            prepare: group(layouts[1], &[view, visible_count, arguments]),
            blend: group(layouts[2], &[view, arguments, &ellipses, &colours, sort.keys(), sort.values()]),
            capacity,
            sort,
            ellipses,
            colours,
        }
    }
}

/// Two triangles for each quad of a batch.
pub(super) fn corner_indices(device: &wgpu::Device) -> wgpu::Buffer {
    let indices: Vec<u16> = (0..BATCH).flat_map(|quad| [0, 1, 2, 2, 1, 3].map(|corner| 4 * quad + corner)).collect();
    device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some("corners"),
        contents: bytemuck::cast_slice(&indices),
        usage: wgpu::BufferUsages::INDEX,
    })
}

/// Blending below what is there already.
pub(super) const UNDER: wgpu::BlendComponent = wgpu::BlendComponent {
    src_factor: wgpu::BlendFactor::OneMinusDstAlpha,
    dst_factor: wgpu::BlendFactor::One,
    operation: wgpu::BlendOperation::Add,
};

fn blend_pipeline(device: &wgpu::Device, layout: &wgpu::BindGroupLayout) -> wgpu::RenderPipeline {
    let module = SPLATS.compile(device);
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("splats"),
        layout: Some(&pipeline_layout(device, &[layout])),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("corner"),
            compilation_options: Default::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: Some(wgpu::DepthStencilState {
            format: DEPTH_FORMAT,
            depth_write_enabled: Some(false),
            depth_compare: Some(wgpu::CompareFunction::GreaterEqual),
            stencil: Default::default(),
            bias: Default::default(),
        }),
        multisample: Default::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("blend"),
            compilation_options: Default::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format: SPLAT_FORMAT,
                blend: Some(wgpu::BlendState { color: UNDER, alpha: UNDER }),
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        multiview_mask: None,
        cache: None,
    })
}
