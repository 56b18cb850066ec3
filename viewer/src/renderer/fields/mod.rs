//! Fitted fields, asked by shaders: shapes are sphere-traced, pictures drawn as finely as the view wants; both are opaque and share the
//! depth buffer of meshes. Rays look through radiance.

mod buffers;
mod data;
mod picture;
mod shape;
mod source;
mod volume;

pub use data::{
    Addressing, FieldData, FieldDecoder, FieldLevel, FieldScene, PictureData, PictureTile, ShapeData, VolumeData,
};

#[cfg(test)]
pub(super) use source::PARTS as FIELD_PARTS;

use super::gpu::Gpu;
use super::shaders::{Binding, bind, group_layout, pipeline_layout};
use super::targets::{DEPTH_FORMAT, SURFACE_FORMAT};
use crate::ViewerError;
use buffers::FieldBuffers;
use shape::ShapeStage;
use source::Use;
use volume::VolumeStage;

/// The binding of a field's first table of features, behind the decoder, and how many there may be: WebGPU promises eight storage buffers.
const FIRST_TABLE: usize = 1;
const MAX_TABLES: usize = 4;

/// Names a field for as long as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(u32);

/// Something that one draw shows.
#[derive(Debug)]
struct Drawn {
    /// Of [`Fields::pipelines`].
    pipeline: usize,
    field: FieldBuffers,
    own: wgpu::BindGroup,
    vertices: u32,
}

#[derive(Debug)]
struct Held {
    drawn: Vec<Drawn>,
    bounds: [[f32; 3]; 2],
    is_volume: bool,
}

/// All fields.
#[derive(Debug)]
pub(super) struct Fields {
    view: wgpu::BindGroup,
    view_layout: wgpu::BindGroupLayout,
    shapes: ShapeStage,
    volumes: VolumeStage,
    part_layout: wgpu::BindGroupLayout,
    /// By the text of their shaders: tiles of a picture share one.
    pipelines: Vec<(String, wgpu::RenderPipeline)>,
    held: Vec<Option<Held>>,
}

impl Fields {
    pub fn new(gpu: &Gpu, view: &wgpu::Buffer) -> Self {
        let device = &gpu.device;
        let both = wgpu::ShaderStages::VERTEX_FRAGMENT;
        let view_layout = group_layout(device, both, &[Binding::Uniform]);
        Self {
            view: bind(device, &view_layout, &[view.as_entire_binding()]),
            view_layout,
            shapes: ShapeStage::new(device),
            volumes: VolumeStage::new(device),
            part_layout: group_layout(device, both, &[Binding::Uniform]),
            pipelines: Vec::new(),
            held: Vec::new(),
        }
    }

    pub fn add(&mut self, gpu: &Gpu, scene: &FieldScene) -> Result<FieldId, ViewerError> {
        let drawn = match scene {
            FieldScene::Shape(shape) => vec![self.take_shape(gpu, shape)?],
            FieldScene::Picture(picture) => self.take_picture(gpu, picture)?,
            FieldScene::Volume(volume) => vec![self.take_volume(gpu, volume)?],
        };
        let is_volume = matches!(scene, FieldScene::Volume(_));
        let held = Held { drawn, bounds: scene.bounds(), is_volume };
        let index = self.held.iter().position(Option::is_none).unwrap_or_else(|| {
            self.held.push(None);
            self.held.len() - 1
        });
        self.held[index] = Some(held);
        Ok(FieldId(index as u32))
    }

    pub fn remove(&mut self, id: FieldId) {
        if let Some(held) = self.held.get_mut(id.0 as usize) {
            *held = None;
        }
    }

    /// Boxes of all that is held.
    pub fn boxes(&self) -> impl Iterator<Item = [[f32; 3]; 2]> + '_ {
        self.held.iter().flatten().map(|held| held.bounds)
    }

    /// Draws what is opaque, among meshes and points.
    pub fn draw(&self, pass: &mut wgpu::RenderPass<'_>) {
        for drawn in self.held.iter().flatten().filter(|held| !held.is_volume).flat_map(|held| &held.drawn) {
            pass.set_bind_group(0, &self.view, &[]);
            self.draw_one(pass, drawn);
        }
    }

    fn draw_one(&self, pass: &mut wgpu::RenderPass<'_>, drawn: &Drawn) {
        pass.set_pipeline(&self.pipelines[drawn.pipeline].1);
        pass.set_bind_group(1, &drawn.field.group, &[]);
        pass.set_bind_group(2, &drawn.own, &[]);
        pass.draw(0..drawn.vertices, 0..1);
    }

    /// The pipeline that draws such fields for a purpose.
    fn pipeline(&mut self, gpu: &Gpu, field: &FieldData, buffers: &FieldBuffers, purpose: Use) -> usize {
        let text = source::text(field, &buffers.layout, purpose);
        let known = self.pipelines.iter().position(|(known, _)| *known == text);
        known.unwrap_or_else(|| {
            let pipeline = self.new_pipeline(gpu, &text, &buffers.group_layout, purpose);
            self.pipelines.push((text, pipeline));
            self.pipelines.len() - 1
        })
    }

    fn new_pipeline(&self, gpu: &Gpu, text: &str, field: &wgpu::BindGroupLayout, purpose: Use) -> wgpu::RenderPipeline {
        let own = match purpose {
            Use::Picture => &self.part_layout,
            Use::Volume => &self.volumes.layout,
            Use::Shape | Use::Cells => &self.shapes.layout,
        };
        let mut layouts = vec![&self.view_layout, field, own];
        let opaque = [Some(SURFACE_FORMAT.into())];
        if purpose == Use::Volume {
            layouts.push(&self.volumes.depth_layout);
            let primitive = wgpu::PrimitiveState::default();
            return pipeline(&gpu.device, text, &layouts, primitive, None, ("look", &volume::TARGETS));
        }
        let (topology, cull_mode) = match purpose {
            Use::Picture => (wgpu::PrimitiveTopology::TriangleStrip, None),
            // The far sides of a cube.
            _ => (wgpu::PrimitiveTopology::TriangleList, Some(wgpu::Face::Front)),
        };
        let primitive = wgpu::PrimitiveState { topology, cull_mode, ..Default::default() };
        let depth = wgpu::DepthStencilState {
            format: DEPTH_FORMAT,
            depth_write_enabled: Some(true),
            depth_compare: Some(wgpu::CompareFunction::Greater),
            stencil: Default::default(),
            bias: Default::default(),
        };
        pipeline(&gpu.device, text, &layouts, primitive, Some(depth), ("shade", &opaque))
    }
}

fn compile(device: &wgpu::Device, text: &str) -> wgpu::ShaderModule {
    let source = wgpu::ShaderSource::Wgsl(text.into());
    device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("field"), source })
}

fn pipeline(
    device: &wgpu::Device,
    text: &str,
    layouts: &[&wgpu::BindGroupLayout],
    primitive: wgpu::PrimitiveState,
    depth_stencil: Option<wgpu::DepthStencilState>,
    (entry, targets): (&str, &[Option<wgpu::ColorTargetState>]),
) -> wgpu::RenderPipeline {
    let module = compile(device, text);
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("field"),
        layout: Some(&pipeline_layout(device, layouts)),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("corner"),
            compilation_options: Default::default(),
            buffers: &[],
        },
        primitive,
        depth_stencil,
        multisample: Default::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some(entry),
            compilation_options: Default::default(),
            targets,
        }),
        multiview_mask: None,
        cache: None,
    })
}
