//! The window's surface: the scene below, the panels above.

use crate::ViewerError;
use crate::renderer::{Gpu, Renderer, Style, View};
use std::sync::Arc;
use winit::window::Window;

/// Everything that is lost with the graphics device.
pub struct Graphics {
    /// Draws the scene.
    pub renderer: Renderer,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    egui: egui_wgpu::Renderer,
}

impl Graphics {
    /// Opens a device that can draw on the window.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(window: Arc<Window>) -> Result<Self, ViewerError> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let size = window.inner_size();
        let surface = instance.create_surface(window).map_err(|error| {
            // Without any driver there is not even a surface.
            match pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all())).is_empty() {
                true => ViewerError::NoAdapter,
                false => ViewerError::NoWindow(error.to_string()),
            }
        })?;
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            compatible_surface: Some(&surface),
            ..Default::default()
        };
        let adapter = pollster::block_on(instance.request_adapter(&options)).map_err(|_| ViewerError::NoAdapter)?;
        let gpu = pollster::block_on(Gpu::of_adapter(&adapter))?;
        let config = surface.get_default_config(&adapter, size.width.max(1), size.height.max(1));
        let mut config = config.ok_or(ViewerError::NoAdapter)?;
        // Colours are encoded already.
        let formats = surface.get_capabilities(&adapter).formats;
        config.format = formats.into_iter().find(|format| !format.is_srgb()).unwrap_or(config.format);
        surface.configure(&gpu.device, &config);
        let egui = egui_wgpu::Renderer::new(&gpu.device, config.format, egui_wgpu::RendererOptions::default());
        Ok(Self { renderer: Renderer::new(&gpu), surface, config, egui })
    }

    /// The window has another size.
    pub fn resize(&mut self, width: u32, height: u32) {
        if width > 0 && height > 0 {
            (self.config.width, self.config.height) = (width, height);
            self.surface.configure(&self.renderer.gpu().device, &self.config);
        }
    }

    /// Pixels of the window.
    pub fn size(&self) -> [u32; 2] {
        [self.config.width, self.config.height]
    }

    /// Draws a frame; false when the window cannot be drawn on now.
    ///
    /// # Errors
    /// When the device was lost.
    pub fn draw(
        &mut self,
        view: &View,
        style: &Style,
        context: &egui::Context,
        mut output: egui::FullOutput,
    ) -> Result<bool, ViewerError> {
        let gpu = self.renderer.gpu().clone();
        // Textures are kept up to date even when this frame is not shown: they are not announced again.
        for (id, deltas) in output.textures_delta.set.drain() {
            for delta in &deltas {
                self.egui.update_texture(&gpu.device, &gpu.queue, id, delta);
            }
        }
        let freed: Vec<_> = output.textures_delta.free.drain().collect();
        gpu.check()?;
        let jobs = context.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point);
        let frame = match self.surface.get_current_texture() {
            wgpu::CurrentSurfaceTexture::Success(frame) | wgpu::CurrentSurfaceTexture::Suboptimal(frame) => frame,
            wgpu::CurrentSurfaceTexture::Outdated | wgpu::CurrentSurfaceTexture::Lost => {
                self.surface.configure(&gpu.device, &self.config);
                return Ok(false);
            }
            _ => return Ok(false),
        };
        let target = frame.texture.create_view(&Default::default());
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.renderer.draw(&mut encoder, view, style, &target, self.config.format)?;
        let screen =
            egui_wgpu::ScreenDescriptor { size_in_pixels: self.size(), pixels_per_point: output.pixels_per_point };
        let mut buffers = self.egui.update_buffers(&gpu.device, &gpu.queue, &mut encoder, &jobs, &screen);
        let attachment = wgpu::RenderPassColorAttachment {
            view: &target,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Load, store: wgpu::StoreOp::Store },
        };
        let pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("panels"),
            color_attachments: &[Some(attachment)],
            ..Default::default()
        });
        self.egui.render(&mut pass.forget_lifetime(), &jobs, &screen);
        buffers.push(encoder.finish());
        gpu.queue.submit(buffers);
        gpu.queue.present(frame);
        freed.iter().for_each(|id| self.egui.free_texture(id));
        Ok(true)
    }
}

impl std::fmt::Debug for Graphics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graphics").field("renderer", &self.renderer).finish_non_exhaustive()
    }
}
