//! Meshes and point clouds: opaque, with a depth buffer that hides splats behind them.

use super::gpu::Gpu;
use super::mesh_data::{MeshData, MeshPart, TextureData, VERTEX_BYTES};
use super::shaders::{Binding, POINTS, SURFACES, bind, group_layout, pipeline_layout};
use super::splats::{BATCH, corner_indices};
use super::targets::{DEPTH_FORMAT, SURFACE_FORMAT};
use super::uniforms::MaterialUniform;
use crate::ViewerError;
use bytemuck::{Pod, Zeroable};
use wgpu::util::DeviceExt;

/// Names a mesh or point cloud for as long as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SurfaceId(u32);

/// How much the light beside the camera matters where a mesh has no colours of its own, and where it has.
const LIGHT: f32 = 1.0;
const LIGHT_ON_COLOURS: f32 = 0.35;
/// Points in one buffer.
const POINTS_IN_BUFFER: usize = 4 << 20;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Vertex {
    position: [f32; 3],
    normal: [f32; 3],
    uv: [f32; 2],
    colour: [u8; 4],
}

const _: () = assert!(size_of::<Vertex>() == VERTEX_BYTES);

#[derive(Debug)]
enum Drawn {
    Triangles { vertices: wgpu::Buffer, parts: Vec<Part> },
    Points(Vec<(wgpu::BindGroup, u32)>),
}

/// Triangles of one material.
#[derive(Debug)]
struct Part {
    indices: wgpu::Buffer,
    count: u32,
    material: wgpu::BindGroup,
}

#[derive(Debug)]
struct Surface {
    drawn: Drawn,
    bounds: Option<[[f32; 3]; 2]>,
    visible: bool,
}

/// All meshes and point clouds.
#[derive(Debug)]
pub(super) struct Surfaces {
    triangles: wgpu::RenderPipeline,
    points: wgpu::RenderPipeline,
    view: wgpu::BindGroup,
    material_layout: wgpu::BindGroupLayout,
    points_layout: wgpu::BindGroupLayout,
    sampler: wgpu::Sampler,
    corners: wgpu::Buffer,
    held: Vec<Option<Surface>>,
}

impl Surfaces {
    pub fn new(gpu: &Gpu, view: &wgpu::Buffer) -> Self {
        let device = &gpu.device;
        let both = wgpu::ShaderStages::VERTEX_FRAGMENT;
        let view_layout = group_layout(device, both, &[Binding::Uniform]);
        let texture = Binding::Texture(wgpu::TextureSampleType::Float { filterable: true });
        let material_layout = group_layout(device, both, &[Binding::Uniform, texture, Binding::Sampler]);
        let points_layout = group_layout(device, wgpu::ShaderStages::VERTEX, &[Binding::Read]);
        let attributes = wgpu::vertex_attr_array![0 => Float32x3, 1 => Float32x3, 2 => Float32x2, 3 => Unorm8x4];
        let vertex_layout = wgpu::VertexBufferLayout {
            array_stride: size_of::<Vertex>() as u64,
            step_mode: wgpu::VertexStepMode::Vertex,
            attributes: &attributes,
        };
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            address_mode_u: wgpu::AddressMode::Repeat,
            address_mode_v: wgpu::AddressMode::Repeat,
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        Self {
            triangles: pipeline(
                device,
                &SURFACES.compile(device),
                &[&view_layout, &material_layout],
                &[Some(vertex_layout)],
            ),
            points: pipeline(device, &POINTS.compile(device), &[&view_layout, &points_layout], &[]),
            view: bind(device, &view_layout, &[view.as_entire_binding()]),
            material_layout,
            points_layout,
            sampler,
            corners: corner_indices(device),
            held: Vec::new(),
        }
    }

    /// Takes a mesh, or a point cloud when it has no triangles.
    pub fn add(&mut self, gpu: &Gpu, mesh: &MeshData) -> Result<SurfaceId, ViewerError> {
        let drawn = if mesh.parts.iter().all(|part| part.triangles.is_empty()) {
            Drawn::Points(self.upload_points(gpu, mesh))
        } else {
            self.upload_triangles(gpu, mesh)?
        };
        let surface = Surface { drawn, bounds: bounds(&mesh.positions), visible: true };
        let index = self.held.iter().position(Option::is_none).unwrap_or_else(|| {
            self.held.push(None);
            self.held.len() - 1
        });
        self.held[index] = Some(surface);
        Ok(SurfaceId(index as u32))
    }

    pub fn remove(&mut self, id: SurfaceId) {
        if let Some(surface) = self.held.get_mut(id.0 as usize) {
            *surface = None;
        }
    }

    pub fn set_visible(&mut self, id: SurfaceId, visible: bool) {
        if let Some(Some(surface)) = self.held.get_mut(id.0 as usize) {
            surface.visible = visible;
        }
    }

    /// Boxes of what is visible.
    pub fn boxes(&self) -> impl Iterator<Item = [[f32; 3]; 2]> + '_ {
        self.held.iter().flatten().filter(|surface| surface.visible).filter_map(|surface| surface.bounds)
    }

    pub fn draw(&self, pass: &mut wgpu::RenderPass<'_>) {
        pass.set_bind_group(0, &self.view, &[]);
        for surface in self.held.iter().flatten().filter(|surface| surface.visible) {
            match &surface.drawn {
                Drawn::Triangles { vertices, parts } => {
                    pass.set_pipeline(&self.triangles);
                    pass.set_vertex_buffer(0, vertices.slice(..));
                    for part in parts {
                        pass.set_bind_group(1, &part.material, &[]);
                        pass.set_index_buffer(part.indices.slice(..), wgpu::IndexFormat::Uint32);
                        pass.draw_indexed(0..part.count, 0, 0..1);
                    }
                }
                Drawn::Points(buffers) => {
                    pass.set_pipeline(&self.points);
                    pass.set_index_buffer(self.corners.slice(..), wgpu::IndexFormat::Uint16);
                    for (points, count) in buffers {
                        pass.set_bind_group(1, points, &[]);
                        let quads = (*count).min(u32::from(BATCH));
                        pass.draw_indexed(0..6 * quads, 0, 0..count.div_ceil(u32::from(BATCH)));
                    }
                }
            }
        }
    }

    fn upload_triangles(&self, gpu: &Gpu, mesh: &MeshData) -> Result<Drawn, ViewerError> {
        let n = mesh.positions.len();
        if mesh.parts.iter().flat_map(|part| &part.triangles).flatten().any(|&vertex| vertex as usize >= n) {
            return Err(ViewerError::BadScene("the mesh has triangles with vertices that do not exist".to_owned()));
        }
        let limit = gpu.device.limits().max_buffer_size as usize;
        let largest = mesh.parts.iter().map(|part| size_of_val(&part.triangles[..])).max().unwrap_or(0);
        if (n * size_of::<Vertex>()).max(largest) > limit {
            let text = format!("the mesh has {n} vertices, more than fit into a buffer of {} MB", limit >> 20);
            return Err(ViewerError::BadScene(text));
        }
        let vertex = |i: usize| Vertex {
            position: mesh.positions[i],
            normal: mesh.normals.get(i).copied().unwrap_or_default(),
            uv: mesh.uvs.get(i).copied().unwrap_or_default(),
            colour: mesh.colours.get(i).map_or([255; 4], |&[r, g, b]| [r, g, b, 255]),
        };
        let vertices: Vec<Vertex> = (0..n).map(vertex).collect();
        let part = |part: &MeshPart| {
            let material = self.upload_material(gpu, part, !mesh.colours.is_empty())?;
            let indices = buffer(gpu, bytemuck::cast_slice(&part.triangles), wgpu::BufferUsages::INDEX);
            Ok(Part { indices, count: 3 * part.triangles.len() as u32, material })
        };
        let parts = mesh.parts.iter().map(part).collect::<Result<_, ViewerError>>()?;
        Ok(Drawn::Triangles {
            vertices: buffer(gpu, bytemuck::cast_slice(&vertices), wgpu::BufferUsages::VERTEX),
            parts,
        })
    }

    fn upload_material(&self, gpu: &Gpu, part: &MeshPart, coloured: bool) -> Result<wgpu::BindGroup, ViewerError> {
        let white = TextureData { size: [1, 1], rgba: vec![255; 4] };
        let texture = part.texture.as_ref().unwrap_or(&white);
        let [width, height] = texture.size;
        let side = gpu.device.limits().max_texture_dimension_2d;
        let is_whole = texture.rgba.len() as u64 == 4 * u64::from(width) * u64::from(height) && width.min(height) > 0;
        if width.max(height) > side || !is_whole {
            let text = format!("a texture has {width}x{height} pixels; 1 to {side} on a side are possible");
            return Err(ViewerError::BadScene(text));
        }
        let descriptor = wgpu::TextureDescriptor {
            label: Some("texture"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        let order = wgpu::wgt::TextureDataOrder::LayerMajor;
        let picture = gpu.device.create_texture_with_data(&gpu.queue, &descriptor, order, &texture.rgba);
        // Products of encoded values are encoded products as far as the encoding is a power.
        let encode = |linear: f32| linear.clamp(0.0, 1.0).powf(1.0 / 2.2);
        let factor = part.colour.unwrap_or([1.0; 4]);
        let uniform = MaterialUniform {
            colour: [encode(factor[0]), encode(factor[1]), encode(factor[2]), factor[3]],
            light: if coloured || part.texture.is_some() { LIGHT_ON_COLOURS } else { LIGHT },
            pad: [0.0; 3],
        };
        let uniform = buffer(gpu, bytemuck::bytes_of(&uniform), wgpu::BufferUsages::UNIFORM);
        let picture = picture.create_view(&Default::default());
        let resources = [
            uniform.as_entire_binding(),
            wgpu::BindingResource::TextureView(&picture),
            wgpu::BindingResource::Sampler(&self.sampler),
        ];
        Ok(bind(&gpu.device, &self.material_layout, &resources))
    }

    fn upload_points(&self, gpu: &Gpu, mesh: &MeshData) -> Vec<(wgpu::BindGroup, u32)> {
        let most = (gpu.binding_limit() / 16).min(POINTS_IN_BUFFER as u64) as usize;
        let starts = (0..mesh.positions.len()).step_by(most.max(1));
        let upload = |start: usize| {
            let end = (start + most).min(mesh.positions.len());
            let point = |i: usize| {
                let [x, y, z] = mesh.positions[i].map(f32::to_bits);
                let [r, g, b] = mesh.colours.get(i).copied().unwrap_or([200; 3]);
                [x, y, z, u32::from_le_bytes([r, g, b, 255])]
            };
            let points: Vec<[u32; 4]> = (start..end).map(point).collect();
            let buffer = buffer(gpu, bytemuck::cast_slice(&points), wgpu::BufferUsages::STORAGE);
            let group = bind(&gpu.device, &self.points_layout, &[buffer.as_entire_binding()]);
            (group, points.len() as u32)
        };
        starts.map(upload).collect()
    }
}

fn buffer(gpu: &Gpu, contents: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
    gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some("surface"), contents, usage })
}

fn bounds(positions: &[[f32; 3]]) -> Option<[[f32; 3]; 2]> {
    let finite = positions.iter().filter(|position| position.iter().all(|x| x.is_finite()));
    finite.map(|&position| [position, position]).reduce(|[low, high], [p, _]| {
        [std::array::from_fn(|k| low[k].min(p[k])), std::array::from_fn(|k| high[k].max(p[k]))]
    })
}

fn pipeline(
    device: &wgpu::Device,
    module: &wgpu::ShaderModule,
    layouts: &[&wgpu::BindGroupLayout],
    buffers: &[Option<wgpu::VertexBufferLayout<'_>>],
) -> wgpu::RenderPipeline {
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("surfaces"),
        layout: Some(&pipeline_layout(device, layouts)),
        vertex: wgpu::VertexState {
            module,
            entry_point: Some("corner"),
            compilation_options: Default::default(),
            buffers,
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: Some(wgpu::DepthStencilState {
            format: DEPTH_FORMAT,
            depth_write_enabled: Some(true),
            depth_compare: Some(wgpu::CompareFunction::Greater),
            stencil: Default::default(),
            bias: Default::default(),
        }),
        multisample: Default::default(),
        fragment: Some(wgpu::FragmentState {
            module,
            entry_point: Some("shade"),
            compilation_options: Default::default(),
            targets: &[Some(SURFACE_FORMAT.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}
