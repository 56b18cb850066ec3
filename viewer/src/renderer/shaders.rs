//! The WGSL sources and how they are put together: WGSL has no imports, so shared files are prepended.

const VIEW: &str = include_str!("shaders/view.wgsl");
const ARGUMENTS: &str = include_str!("shaders/arguments.wgsl");

/// A shader module: its name and the files that make it up.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// For messages and captures.
    pub name: &'static str,
    /// Contents, in order.
    pub parts: &'static [&'static str],
}

/// Projection of splats.
pub const PROJECT: Source = Source { name: "project", parts: &[VIEW, include_str!("shaders/project.wgsl")] };
/// Arguments of later dispatches.
pub const PREPARE: Source = Source { name: "prepare", parts: &[VIEW, ARGUMENTS, include_str!("shaders/prepare.wgsl")] };
/// Radix sort.
pub const SORT: Source = Source { name: "sort", parts: &[ARGUMENTS, include_str!("shaders/sort.wgsl")] };
/// Drawing of sorted splats.
pub const SPLATS: Source = Source { name: "splats", parts: &[VIEW, ARGUMENTS, include_str!("shaders/splats.wgsl")] };
/// The finished picture.
pub const PRESENT: Source = Source { name: "present", parts: &[VIEW, include_str!("shaders/present.wgsl")] };
/// Meshes.
pub const SURFACES: Source = Source { name: "surfaces", parts: &[VIEW, include_str!("shaders/surfaces.wgsl")] };
/// Point clouds.
pub const POINTS: Source = Source { name: "points", parts: &[VIEW, include_str!("shaders/points.wgsl")] };
/// What lies under a pixel.
pub const PICK: Source = Source { name: "pick", parts: &[VIEW, ARGUMENTS, include_str!("shaders/pick.wgsl")] };

/// All of them.
pub const ALL: [Source; 8] = [PROJECT, PREPARE, SORT, SPLATS, PRESENT, SURFACES, POINTS, PICK];

impl Source {
    /// The whole text.
    pub fn text(&self) -> String {
        self.parts.join("\n")
    }

    /// Compiles it.
    pub(super) fn compile(&self, device: &wgpu::Device) -> wgpu::ShaderModule {
        device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(self.name),
            source: wgpu::ShaderSource::Wgsl(self.text().into()),
        })
    }

    /// Compiles one compute entry point.
    pub(super) fn compute(
        &self,
        device: &wgpu::Device,
        entry: &str,
        layouts: &[&wgpu::BindGroupLayout],
    ) -> wgpu::ComputePipeline {
        let module = self.compile(device);
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(self.name),
            layout: Some(&pipeline_layout(device, layouts)),
            module: &module,
            entry_point: Some(entry),
            compilation_options: Default::default(),
            cache: None,
        })
    }
}

pub(super) fn pipeline_layout(device: &wgpu::Device, groups: &[&wgpu::BindGroupLayout]) -> wgpu::PipelineLayout {
    let groups: Vec<_> = groups.iter().map(|&group| Some(group)).collect();
    device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &groups,
        immediate_size: 0,
    })
}

/// What a binding is, in the order of a layout.
#[derive(Clone, Copy, Debug)]
pub(super) enum Binding {
    Uniform,
    Read,
    Write,
    Texture(wgpu::TextureSampleType),
    DepthTexture,
    Sampler,
}

/// A layout whose bindings are numbered from zero.
pub(super) fn group_layout(
    device: &wgpu::Device,
    stages: wgpu::ShaderStages,
    bindings: &[Binding],
) -> wgpu::BindGroupLayout {
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let texture = |sample_type| wgpu::BindingType::Texture {
        sample_type,
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    let entry = |(index, binding): (usize, &Binding)| wgpu::BindGroupLayoutEntry {
        binding: index as u32,
        visibility: stages,
        count: None,
        ty: match *binding {
            Binding::Uniform => buffer(wgpu::BufferBindingType::Uniform),
            Binding::Read => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
            Binding::Write => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
            Binding::Texture(sample_type) => texture(sample_type),
            Binding::DepthTexture => texture(wgpu::TextureSampleType::Depth),
            Binding::Sampler => wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering),
        },
    };
    let entries: Vec<_> = bindings.iter().enumerate().map(entry).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}

/// A group whose bindings are numbered from zero.
pub(super) fn bind(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    resources: &[wgpu::BindingResource<'_>],
) -> wgpu::BindGroup {
    let numbered = (0..).zip(resources);
    let entries: Vec<_> =
        numbered.map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource: resource.clone() }).collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}

#[cfg(test)]
mod tests {
    use super::super::fields::FIELD_PARTS as FIELDS;
    use super::*;
    use std::path::Path;

    #[test]
    fn every_shader_is_valid() {
        for source in ALL {
            let text = source.text();
            let module = naga::front::wgsl::parse_str(&text)
                .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&text, source.name)));
            // Every WebGPU device can unpack half precision, though not compute with it.
            let capabilities =
                naga::valid::Capabilities::default() | naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
            let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities);
            if let Err(error) = validator.validate(&module) {
                panic!("{}", error.emit_to_string_with_path(&text, source.name));
            }
        }
    }

    #[test]
    fn no_shader_file_is_left_out() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/renderer/shaders");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let is_used = ALL.iter().any(|source| source.parts.contains(&text.as_str()));
            assert!(is_used || FIELDS.contains(&text.as_str()), "{} is unused", path.display());
        }
    }
}
