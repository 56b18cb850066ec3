//! Structures that shaders read, laid out as they expect.

use bytemuck::{Pod, Zeroable};

/// Mirrors `View` of `view.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable, PartialEq)]
pub(super) struct ViewUniform {
    pub camera_from_world: [[f32; 4]; 3],
    pub centre: [f32; 3],
    pub near: f32,
    pub lens: [f32; 4],
    pub jacobian_bounds: [f32; 4],
    pub crop_from_world: [[f32; 4]; 3],
    pub background: [f32; 3],
    pub splat_log_scale: f32,
    pub highlight: [f32; 3],
    pub highlight_strength: f32,
    pub size: [f32; 2],
    pub sh_degree: u32,
    pub flags: u32,
    pub key_base: u32,
    pub key_shift: u32,
    pub capacity: u32,
    pub point_size: f32,
    pub depth_scale: f32,
    pub time: f32,
    pub pad: [f32; 2],
}

/// Mirrors `Page` of `project.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct PageEntry {
    pub first: u32,
    pub count: u32,
    pub flags: u32,
    pub slab: u32,
}

/// Mirrors `Pass` of `sort.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct SortPass {
    pub shift: u32,
    pub numbers_values: u32,
    pub pad: [u32; 2],
}

/// Mirrors `Arguments` of `arguments.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(super) struct Arguments {
    pub index_count: u32,
    pub instance_count: u32,
    pub first_index: u32,
    pub base_vertex: u32,
    pub first_instance: u32,
    pub blocks: [u32; 3],
    pub count: u32,
    pub wanted: u32,
}

/// Mirrors `Material` of `surfaces.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct MaterialUniform {
    pub colour: [f32; 4],
    pub light: f32,
    pub pad: [f32; 3],
}

/// Mirrors `Hit` of `pick.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct PickHit {
    pub place: u32,
    pub name: u32,
    pub alpha: f32,
    pub z: f32,
}

/// Where the sort's dispatch arguments begin, bytes.
pub(super) const BLOCKS_OFFSET: u64 = 20;

const _: () = assert!(size_of::<ViewUniform>() == 224);
const _: () = assert!(size_of::<PageEntry>() == 16);
const _: () = assert!(size_of::<SortPass>() == 16);
const _: () = assert!(size_of::<Arguments>() == 40);
const _: () = assert!(size_of::<MaterialUniform>() == 32);
const _: () = assert!(size_of::<PickHit>() == 16);
const _: () = assert!(std::mem::offset_of!(Arguments, blocks) == BLOCKS_OFFSET as usize);
const _: () = assert!(std::mem::offset_of!(ViewUniform, size) == 176);

/// `ViewUniform::flags`: the crop box is in force.
pub(super) const CROPPED: u32 = 1;
/// `ViewUniform::flags`: colours are depths.
pub(super) const DEPTH_COLOURS: u32 = 2;
/// `PageEntry::flags`: splats were trained with the antialiased filter.
pub(super) const PAGE_ANTIALIASED: u32 = 1;
/// `PageEntry::flags`: all splats are highlighted.
pub(super) const PAGE_HIGHLIGHTED: u32 = 2;
