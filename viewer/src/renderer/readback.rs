//! Pictures and buffers copied back from the graphics device.

use super::gpu::Gpu;
use super::{Renderer, Style, View};
use crate::ViewerError;

/// A finished picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `[height, width, 3]`, sRGB.
    pub rgb: Vec<u8>,
}

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

impl Renderer {
    /// Draws a picture and waits for it.
    ///
    /// # Errors
    /// When the device was lost, the size is not possible, or the picture cannot be copied.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn picture(&mut self, view: &View, style: &Style) -> Result<Picture, ViewerError> {
        pollster::block_on(self.picture_async(view, style))
    }

    /// Draws a picture. In a browser this completes when the page's event loop has gone round.
    ///
    /// # Errors
    /// When the device was lost, the size is not possible, or the picture cannot be copied.
    pub async fn picture_async(&mut self, view: &View, style: &Style) -> Result<Picture, ViewerError> {
        let (width, height) = (view.camera.width, view.camera.height);
        let limit = self.gpu.device.limits().max_texture_dimension_2d;
        if width.min(height) == 0 || width.max(height) > limit {
            return Err(ViewerError::BadSize { width, height, limit });
        }
        let gpu = self.gpu.clone();
        let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
        let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("picture"),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.draw(&mut encoder, view, style, &texture.create_view(&Default::default()), FORMAT)?;
        let stride = (4 * width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let buffer = staging(&gpu, u64::from(stride) * u64::from(height));
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride), rows_per_image: None };
        encoder.copy_texture_to_buffer(
            texture.as_image_copy(),
            wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
            size,
        );
        gpu.queue.submit([encoder.finish()]);
        let bytes = read(&gpu, &buffer).await?;
        let rows = bytes.chunks_exact(stride as usize);
        let pixels = rows.flat_map(|row| row[..4 * width as usize].chunks_exact(4));
        Ok(Picture { width, height, rgb: pixels.flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect() })
    }
}

/// A buffer that can be copied into and then read.
pub(super) fn staging(gpu: &Gpu, size: u64) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("readback"),
        size,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    })
}

/// The contents of a staging buffer once the work submitted so far is done.
pub(super) async fn read(gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<Vec<u8>, ViewerError> {
    let failed = |reason: String| ViewerError::Readback(reason);
    let (sender, receiver) = futures_channel::oneshot::channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        // Nobody listens any more when the caller has given up.
        let _ = sender.send(result);
    });
    // In the browser the event loop does this.
    #[cfg(not(target_arch = "wasm32"))]
    if let Err(error) = gpu.device.poll(wgpu::PollType::wait_indefinitely()) {
        gpu.check()?;
        return Err(failed(error.to_string()));
    }
    let mapped = receiver.await.map_err(|_| failed("the device is gone".to_owned()))?;
    if let Err(error) = mapped {
        gpu.check()?;
        return Err(failed(error.to_string()));
    }
    let bytes = buffer.get_mapped_range(..).map_err(|error| failed(error.to_string()))?.to_vec();
    buffer.unmap();
    Ok(bytes)
}
