//! Pictures, each part drawn by its own field.

use super::buffers::FieldBuffers;
use super::source::Use;
use super::{Drawn, Fields, PictureData, PictureTile};
use crate::ViewerError;
use crate::renderer::gpu::Gpu;
use crate::renderer::shaders::bind;
use bytemuck::{Pod, Zeroable};
use wgpu::util::DeviceExt;

/// Mirrors `Part` of `picture.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
struct PartUniform {
    corners: [f32; 4],
    extent: [f32; 2],
    side: f32,
    pad: f32,
}

impl Fields {
    /// Hands a picture to the device.
    pub(super) fn take_picture(&mut self, gpu: &Gpu, picture: &PictureData) -> Result<Vec<Drawn>, ViewerError> {
        let tile = |tile: &PictureTile| {
            tile.field.check(2)?;
            let uniform = part(picture, tile)?;
            let field = FieldBuffers::new(gpu, &tile.field, Use::Picture)?;
            let uniform = gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("part"),
                contents: bytemuck::bytes_of(&uniform),
                usage: wgpu::BufferUsages::UNIFORM,
            });
            Ok(Drawn {
                pipeline: self.pipeline(gpu, &tile.field, &field, Use::Picture),
                own: bind(&gpu.device, &self.part_layout, &[uniform.as_entire_binding()]),
                field,
                vertices: 4,
            })
        };
        picture.tiles.iter().map(tile).collect()
    }
}

/// Where a part is.
fn part(picture: &PictureData, tile: &PictureTile) -> Result<PartUniform, ViewerError> {
    let inside = (0..2).all(|k| {
        let end = tile.corner[k].checked_add(tile.size[k]);
        tile.size[k] > 0 && tile.size[k] <= tile.side && end.is_some_and(|end| end <= picture.size[k])
    });
    if !inside || !matches!(tile.field.outputs, 1 | 3 | 4) {
        return Err(ViewerError::BadScene("a part of the picture lies outside of it, or has no colours".to_owned()));
    }
    let [[left, ..], [_, top, _]] = picture.bounds();
    let pixel = 1.0 / picture.size[1] as f32;
    let x = |pixels: u32| left + pixel * pixels as f32;
    let y = |pixels: u32| top - pixel * pixels as f32;
    let [end_x, end_y] = [0, 1].map(|k| tile.corner[k] + tile.size[k]);
    Ok(PartUniform {
        corners: [x(tile.corner[0]), y(end_y), x(end_x), y(tile.corner[1])],
        extent: tile.size.map(|pixels| pixels as f32 / tile.side as f32),
        side: tile.side as f32,
        pad: 0.0,
    })
}
