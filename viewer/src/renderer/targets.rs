//! The textures that a picture is made in.

use super::gpu::Gpu;

/// Holds near / z, zero for nothing.
pub(super) const DEPTH_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Depth32Float;
/// Meshes and points: opaque where there is one.
pub(super) const SURFACE_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// What splats and radiance are added up in. Half precision is what every WebGPU device can blend: its steps of 1/2048 of alpha
/// are below those of a picture's bytes.
pub(super) const SPLAT_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba16Float;
/// near / z where radiance stops half of the light, zero where more passes.
pub(super) const VOLUME_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::R32Float;

/// Textures of one size.
#[derive(Debug)]
pub(super) struct Targets {
    pub size: [u32; 2],
    pub splats: wgpu::TextureView,
    pub surfaces: wgpu::TextureView,
    pub depth: wgpu::TextureView,
    /// Of one pixel, and zero, where there is no radiance.
    pub volumes: wgpu::TextureView,
    pub has_volumes: bool,
}

impl Targets {
    pub fn new(gpu: &Gpu, size: [u32; 2], has_volumes: bool) -> Self {
        let texture = |label, format, size: [u32; 2]| {
            let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
                label: Some(label),
                size: wgpu::Extent3d { width: size[0], height: size[1], depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format,
                usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
                view_formats: &[],
            });
            texture.create_view(&Default::default())
        };
        Self {
            size,
            splats: texture("splats", SPLAT_FORMAT, size),
            surfaces: texture("surfaces", SURFACE_FORMAT, size),
            depth: texture("depth", DEPTH_FORMAT, size),
            volumes: texture("volumes", VOLUME_FORMAT, if has_volumes { size } else { [1, 1] }),
            has_volumes,
        }
    }

    /// A pass that clears everything and draws surfaces.
    pub fn begin_surfaces<'a>(&self, encoder: &'a mut wgpu::CommandEncoder) -> wgpu::RenderPass<'a> {
        self.begin(encoder, "surfaces", &self.surfaces, wgpu::LoadOp::Clear(0.0), wgpu::StoreOp::Store)
    }

    /// A pass that blends splats between surfaces.
    pub fn begin_splats<'a>(&self, encoder: &'a mut wgpu::CommandEncoder) -> wgpu::RenderPass<'a> {
        self.begin(encoder, "splats", &self.splats, wgpu::LoadOp::Load, wgpu::StoreOp::Store)
    }

    /// A pass that blends radiance behind splats.
    pub fn begin_volumes<'a>(&self, encoder: &'a mut wgpu::CommandEncoder) -> wgpu::RenderPass<'a> {
        let attachment = |view, load| wgpu::RenderPassColorAttachment {
            view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load, store: wgpu::StoreOp::Store },
        };
        let depths = attachment(&self.volumes, wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT));
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("volumes"),
            color_attachments: &[Some(attachment(&self.splats, wgpu::LoadOp::Load)), Some(depths)],
            ..Default::default()
        })
    }

    fn begin<'a>(
        &self,
        encoder: &'a mut wgpu::CommandEncoder,
        label: &str,
        colour: &wgpu::TextureView,
        load: wgpu::LoadOp<f32>,
        store: wgpu::StoreOp,
    ) -> wgpu::RenderPass<'a> {
        let attachment = wgpu::RenderPassColorAttachment {
            view: colour,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT), store: wgpu::StoreOp::Store },
        };
        let depth = wgpu::RenderPassDepthStencilAttachment {
            view: &self.depth,
            depth_ops: Some(wgpu::Operations { load, store }),
            stencil_ops: None,
        };
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some(label),
            color_attachments: &[Some(attachment)],
            depth_stencil_attachment: Some(depth),
            ..Default::default()
        })
    }
}
