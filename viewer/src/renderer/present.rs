//! The last step: splats over surfaces over the background, into whatever is shown or saved.

use super::gpu::Gpu;
use super::shaders::{Binding, PRESENT, bind, group_layout, pipeline_layout};
use super::targets::Targets;

/// Draws finished pictures of one format.
#[derive(Debug)]
pub(super) struct Presenter {
    pipeline: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
}

impl Presenter {
    pub fn new(gpu: &Gpu, format: wgpu::TextureFormat) -> Self {
        let device = &gpu.device;
        let texture = Binding::Texture(wgpu::TextureSampleType::Float { filterable: false });
        let layout = group_layout(device, wgpu::ShaderStages::FRAGMENT, &[Binding::Uniform, texture, texture]);
        let module = PRESENT.compile(device);
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("present"),
            layout: Some(&pipeline_layout(device, &[&layout])),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("corner"),
                compilation_options: Default::default(),
                buffers: &[],
            },
            primitive: Default::default(),
            depth_stencil: None,
            multisample: Default::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("present"),
                compilation_options: Default::default(),
                targets: &[Some(format.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        Self { pipeline, layout }
    }

    pub fn draw(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        view: &wgpu::Buffer,
        targets: &Targets,
        output: &wgpu::TextureView,
    ) {
        let textures = [&targets.splats, &targets.surfaces].map(wgpu::BindingResource::TextureView);
        let group =
            bind(&gpu.device, &self.layout, &[view.as_entire_binding(), textures[0].clone(), textures[1].clone()]);
        let attachment = wgpu::RenderPassColorAttachment {
            view: output,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store },
        };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("present"),
            color_attachments: &[Some(attachment)],
            ..Default::default()
        });
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.draw(0..3, 0..1);
    }
}
