//! What lies under a pixel.

use super::Renderer;
use super::gpu::Gpu;
use super::pool::PageId;
use super::readback::{read, staging};
use super::shaders::{Binding, PICK, bind, group_layout};
use super::uniforms::PickHit;
use super::view::View;
use crate::ViewerError;

/// Most splats over one pixel that are told apart.
const MAX_HITS: u64 = 16_384;
const HEADER: u64 = 16;
/// Workgroups that share the splats.
const GROUPS: u32 = 256;

/// Something under a pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    /// Where, in the world.
    pub point: [f64; 3],
    /// Along the camera's axis, world units.
    pub depth: f64,
    /// The splat at which the pixel becomes half opaque, and its place in its page; none on anything else.
    pub splat: Option<(PageId, u32)>,
}

/// The picking pipeline.
#[derive(Debug)]
pub(super) struct Picker {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Picker {
    pub fn new(gpu: &Gpu) -> Self {
        use Binding::{DepthTexture, Read, Uniform, Write};
        let volumes = Binding::Texture(wgpu::TextureSampleType::Float { filterable: false });
        let bindings = [Uniform, Uniform, Read, Read, Read, Read, Read, DepthTexture, Write, volumes];
        let layout = group_layout(&gpu.device, wgpu::ShaderStages::COMPUTE, &bindings);
        Self { pipeline: PICK.compute(&gpu.device, "main", &[&layout]), layout }
    }
}

impl Renderer {
    /// What is at a pixel of the picture that was drawn last, whose view is `view`; none where it is less than half
    /// opaque.
    ///
    /// # Errors
    /// When the device was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn pick(&mut self, view: &View, pixel: [f32; 2]) -> Result<Option<Pick>, ViewerError> {
        pollster::block_on(self.pick_async(view, pixel))
    }

    /// As `pick`, for the browser.
    ///
    /// # Errors
    /// When the device was lost.
    pub async fn pick_async(&mut self, view: &View, pixel: [f32; 2]) -> Result<Option<Pick>, ViewerError> {
        let fineness = self.fineness as f32;
        let [width, height] = self.targets.size.map(|side| side as f32 / fineness);
        if self.drawn.is_none() || !(0.0..width).contains(&pixel[0]) || !(0.0..height).contains(&pixel[1]) {
            return Ok(None);
        }
        let bytes = self.gather_hits(pixel.map(|place| place * fineness)).await?;
        let (header, hits) = bytes.split_at(HEADER as usize);
        let [count, surface] = [0, 4].map(|at| u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i])));
        let count = u64::from(count).min(MAX_HITS) as usize;
        let hits: Vec<PickHit> =
            hits.chunks_exact(size_of::<PickHit>()).take(count).map(bytemuck::pod_read_unaligned).collect();
        let Some((z, name)) = front(hits, f32::from_bits(surface)) else {
            return Ok(None);
        };
        let (depth, lens) = (f64::from(z), &view.camera.lens);
        let at = |axis: usize| depth * (f64::from(pixel[axis]) - lens.centre[axis]) / lens.focal[axis];
        let point = view.camera_from_world.inverse() * nalgebra::Point3::new(at(0), at(1), depth);
        Ok(Some(Pick { point: point.coords.into(), depth, splat: name.and_then(|name| self.pool.locate(name)) }))
    }

    /// What covers a pixel of the targets.
    async fn gather_hits(&self, pixel: [f32; 2]) -> Result<Vec<u8>, ViewerError> {
        let gpu = &self.gpu;
        let size = HEADER + MAX_HITS * size_of::<PickHit>() as u64;
        let buffer = |label, size, usage| {
            let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
            gpu.device.create_buffer(&descriptor)
        };
        let found = buffer("hits", size, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
        let at = buffer("pixel", 16, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
        gpu.queue.write_buffer(&at, 0, bytemuck::cast_slice(&[pixel[0], pixel[1], 0.0, 0.0]));
        let [arguments, ellipses, colours, keys, order] = self.splats.sorted();
        let depth = wgpu::BindingResource::TextureView(&self.targets.depth);
        let buffers = [&self.view, &at, arguments, ellipses, colours, keys, order].map(wgpu::Buffer::as_entire_binding);
        let mut resources = buffers.to_vec();
        let volumes = wgpu::BindingResource::TextureView(&self.targets.volumes);
        resources.extend([depth, found.as_entire_binding(), volumes]);
        let group = bind(&gpu.device, &self.picker.layout, &resources);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.picker.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(GROUPS, 1, 1);
        drop(pass);
        let copy = staging(gpu, size);
        encoder.copy_buffer_to_buffer(&found, 0, &copy, 0, size);
        gpu.queue.submit([encoder.finish()]);
        read(gpu, &copy).await
    }
}

/// Depth and name of the splat at which transmittance falls below one half, or the depth of the surface (0 for none) when
/// that comes first.
fn front(mut hits: Vec<PickHit>, surface: f32) -> Option<(f32, Option<u32>)> {
    hits.sort_unstable_by_key(|hit| hit.place);
    let mut transmittance = 1.0;
    for hit in hits.iter().take_while(|hit| surface <= 0.0 || hit.z <= surface) {
        transmittance *= 1.0 - hit.alpha;
        if transmittance < 0.5 {
            return Some((hit.z, Some(hit.name)));
        }
    }
    (surface > 0.0).then_some((surface, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(place: u32, alpha: f32) -> PickHit {
        PickHit { place, name: 10 * place, alpha, z: 1.0 + place as f32 }
    }

    #[test]
    fn the_splat_that_makes_a_pixel_half_opaque_is_picked() {
        assert_eq!(front(vec![hit(2, 0.9), hit(0, 0.3), hit(1, 0.4)], 0.0), Some((2.0, Some(10))));
        assert_eq!(front(vec![hit(0, 0.3)], 0.0), None);
        assert_eq!(front(vec![hit(0, 0.3), hit(1, 0.9)], 1.5), Some((1.5, None)));
    }
}
