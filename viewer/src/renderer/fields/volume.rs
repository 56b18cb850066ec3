//! Radiance: drawn when everything else is there, behind splats and before surfaces.

use super::buffers::FieldBuffers;
use super::source::Use;
use super::{Drawn, Fields, VolumeData};
use crate::ViewerError;
use crate::renderer::gpu::Gpu;
use crate::renderer::shaders::{Binding, bind, group_layout};
use crate::renderer::splats::UNDER;
use crate::renderer::targets::{SPLAT_FORMAT, Targets, VOLUME_FORMAT};
use bytemuck::{Pod, Zeroable};
use wgpu::util::DeviceExt;

/// Most cells per side.
const MOST_CELLS: u32 = 1024;

/// Mirrors `Volume` of `volume.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct VolumeUniform {
    from_world: [[f32; 4]; 3],
    low: [f32; 3],
    near: f32,
    high: [f32; 3],
    far: f32,
    step: f32,
    resolution: u32,
    is_unbounded: u32,
    pad: u32,
}

/// Layouts for radiance.
#[derive(Debug)]
pub(super) struct VolumeStage {
    /// Of what radiance has beside its field.
    pub layout: wgpu::BindGroupLayout,
    /// Of the depths of surfaces.
    pub depth_layout: wgpu::BindGroupLayout,
}

impl VolumeStage {
    pub fn new(device: &wgpu::Device) -> Self {
        let fragment = wgpu::ShaderStages::FRAGMENT;
        Self {
            layout: group_layout(device, fragment, &[Binding::Uniform, Binding::Read]),
            depth_layout: group_layout(device, fragment, &[Binding::DepthTexture]),
        }
    }
}

/// Colours are blended under what is there, depths are replaced.
pub(super) const TARGETS: [Option<wgpu::ColorTargetState>; 2] = [
    Some(wgpu::ColorTargetState {
        format: SPLAT_FORMAT,
        blend: Some(wgpu::BlendState { color: UNDER, alpha: UNDER }),
        write_mask: wgpu::ColorWrites::ALL,
    }),
    Some(wgpu::ColorTargetState { format: VOLUME_FORMAT, blend: None, write_mask: wgpu::ColorWrites::ALL }),
];

impl Fields {
    /// Hands radiance to the device.
    pub(super) fn take_volume(&mut self, gpu: &Gpu, volume: &VolumeData) -> Result<Drawn, ViewerError> {
        volume.field.check(3)?;
        let cells = u64::from(volume.resolution).pow(3);
        let is_possible = matches!((volume.field.outputs - 1) / 3, 1 | 4 | 9 | 16)
            && volume.field.outputs % 3 == 1
            && (1..=MOST_CELLS).contains(&volume.resolution)
            && volume.occupied.len() as u64 == cells.div_ceil(32)
            && volume.step > 0.0;
        if !is_possible {
            let text = "the radiance has other numbers than its harmonics and cells need".to_owned();
            return Err(ViewerError::BadScene(text));
        }
        let field = FieldBuffers::new(gpu, &volume.field, Use::Volume)?;
        let buffer = |contents, usage| {
            let label = Some("volume");
            gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label, contents, usage })
        };
        let numbers = uniform(volume);
        let uniform = buffer(bytemuck::bytes_of(&numbers), wgpu::BufferUsages::UNIFORM);
        let cells = buffer(bytemuck::cast_slice(&volume.occupied), wgpu::BufferUsages::STORAGE);
        let own = [uniform.as_entire_binding(), cells.as_entire_binding()];
        Ok(Drawn {
            pipeline: self.pipeline(gpu, &volume.field, &field, Use::Volume),
            own: bind(&gpu.device, &self.volumes.layout, &own),
            field,
            vertices: 3,
        })
    }

    /// Whether there is radiance.
    pub fn has_volumes(&self) -> bool {
        self.held.iter().flatten().any(|held| held.is_volume)
    }

    /// Draws radiance behind splats, which are there already, and before surfaces.
    pub fn draw_volumes(&self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder, targets: &Targets) {
        if !self.has_volumes() {
            return;
        }
        let depth = wgpu::BindingResource::TextureView(&targets.depth);
        let depth = bind(&gpu.device, &self.volumes.depth_layout, &[depth]);
        let mut pass = targets.begin_volumes(encoder);
        pass.set_bind_group(0, &self.view, &[]);
        pass.set_bind_group(3, &depth, &[]);
        for drawn in self.held.iter().flatten().filter(|held| held.is_volume).flat_map(|held| &held.drawn) {
            self.draw_one(&mut pass, drawn);
        }
    }
}

fn uniform(volume: &VolumeData) -> VolumeUniform {
    let ([low, high], [near, far]) = (volume.corners, volume.near_far);
    VolumeUniform {
        from_world: volume.from_world.map(|row| row.map(|x| x as f32)),
        low,
        near,
        high,
        far,
        step: volume.step,
        resolution: volume.resolution,
        is_unbounded: u32::from(volume.is_unbounded),
        pad: 0,
    }
}
