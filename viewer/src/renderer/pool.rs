//! Where pages of splats lie on the graphics device.
//!
//! A slab is a set of buffers, each below the device's limit for one binding; there are as many slabs as memory allows,
//! so no single limit bounds a scene. Pages are placed in a slab in units of 256 splats, first fit.

use super::gpu::Gpu;
use super::page::{MAX_PAGE, Page, geometry_words, harmonic_words};
use super::shaders::{Binding, bind, group_layout};
use super::uniforms::{PAGE_ANTIALIASED, PAGE_HIGHLIGHTED, PageEntry};
use crate::ViewerError;
use wgpu::util::DeviceExt;

/// Splats for which space is given out at once: a workgroup of the projection.
const UNIT: usize = 256;
/// Largest slab: its number of splats must fit the 22 bits that identifiers have for it.
const MAX_SLAB: usize = 1 << 20;
/// Pages that are projected by one dispatch.
const MAX_PAGES_IN_SLAB: usize = MAX_SLAB / UNIT;

/// Names a page for as long as it is in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId(u32);

/// What one page looks like to the pool.
#[derive(Debug)]
struct Placed {
    slab: usize,
    /// In splats.
    first: usize,
    count: usize,
    bounds: [[f32; 3]; 2],
    antialiased: bool,
    visible: bool,
    highlighted: bool,
}

impl Placed {
    fn units(&self) -> usize {
        self.count.div_ceil(UNIT)
    }
}

/// What pages of a slab have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    sh_degree: u8,
    moves: bool,
}

impl Form {
    fn of(page: &Page) -> Self {
        Self { sh_degree: page.sh_degree, moves: page.moves }
    }

    /// Bytes of geometry and of harmonics for each splat.
    fn strides(self) -> [usize; 2] {
        [4 * geometry_words(self.moves), 4 * harmonic_words(self.sh_degree)]
    }
}

#[derive(Debug)]
struct Slab {
    form: Form,
    geometry: wgpu::Buffer,
    harmonics: wgpu::Buffer,
    states: wgpu::Buffer,
    pages: wgpu::Buffer,
    group: wgpu::BindGroup,
    /// One entry for each unit: taken or not.
    taken: Vec<bool>,
    bytes: u64,
}

/// A dispatch of the projection.
pub(super) struct Dispatch<'a> {
    pub group: &'a wgpu::BindGroup,
    /// Workgroups: for the largest page, and number of pages.
    pub size: [u32; 2],
}

/// All splats on the device.
#[derive(Debug)]
pub(super) struct Pool {
    gpu: Gpu,
    pub layout: wgpu::BindGroupLayout,
    slabs: Vec<Option<Slab>>,
    pages: Vec<Option<Placed>>,
    /// Bytes that slabs may take together.
    pub budget: u64,
    used: u64,
}

impl Pool {
    pub fn new(gpu: &Gpu) -> Self {
        use Binding::{Read, Uniform};
        let layout = group_layout(&gpu.device, wgpu::ShaderStages::COMPUTE, &[Read, Read, Read, Read, Uniform]);
        Self { gpu: gpu.clone(), layout, slabs: Vec::new(), pages: Vec::new(), budget: u64::MAX, used: 0 }
    }

    pub fn add(&mut self, page: &Page) -> Result<PageId, ViewerError> {
        let units = page.count.div_ceil(UNIT);
        let (slab, first) = match self.find(Form::of(page), units) {
            Some(place) => place,
            None => (self.grow(page)?, 0),
        };
        let placed = Placed {
            slab,
            first: first * UNIT,
            count: page.count,
            bounds: page.bounds,
            antialiased: page.antialiased,
            visible: true,
            highlighted: false,
        };
        let held = self.slabs[slab].as_mut().expect("pages are placed in slabs that exist");
        held.taken[first..first + units].fill(true);
        let queue = &self.gpu.queue;
        let splats = placed.first as u64;
        let [geometry, harmonics] = held.form.strides().map(|stride| splats * stride as u64);
        queue.write_buffer(&held.geometry, geometry, bytemuck::cast_slice(&page.geometry));
        queue.write_buffer(&held.harmonics, harmonics, bytemuck::cast_slice(&page.harmonics));
        queue.write_buffer(&held.states, splats / 32 * 8, &vec![0; units * UNIT / 32 * 8]);
        let free = self.pages.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.pages.push(None);
            self.pages.len() - 1
        });
        self.pages[index] = Some(placed);
        Ok(PageId(index as u32))
    }

    pub fn remove(&mut self, id: PageId) {
        let Some(page) = self.pages.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        let start = page.first / UNIT;
        if let Some(slab) = &mut self.slabs[page.slab] {
            slab.taken[start..start + page.units()].fill(false);
            if slab.taken.iter().all(|taken| !taken) {
                self.used -= slab.bytes;
                self.slabs[page.slab] = None;
            }
        }
    }

    pub fn set_visible(&mut self, id: PageId, visible: bool) -> bool {
        self.page_mut(id).is_some_and(|page| std::mem::replace(&mut page.visible, visible) != visible)
    }

    pub fn set_highlighted(&mut self, id: PageId, highlighted: bool) -> bool {
        self.page_mut(id).is_some_and(|page| std::mem::replace(&mut page.highlighted, highlighted) != highlighted)
    }

    /// Marks splats of a page, one bit for each: deleted ones are not shown, selected ones are highlighted.
    pub fn set_marks(&mut self, id: PageId, deleted: &[u32], selected: &[u32]) {
        let Some(page) = self.page_mut(id) else {
            return;
        };
        let words = page.count.div_ceil(32);
        let (slab, first) = (page.slab, page.first);
        let word = |of: &[u32], i: usize| of.get(i).copied().unwrap_or(0);
        let states: Vec<[u32; 2]> = (0..words).map(|i| [word(deleted, i), word(selected, i)]).collect();
        if let Some(slab) = &self.slabs[slab] {
            self.gpu.queue.write_buffer(&slab.states, first as u64 / 32 * 8, bytemuck::cast_slice(&states));
        }
    }

    /// The page and the place in it of a splat that a shader named.
    pub fn locate(&self, name: u32) -> Option<(PageId, u32)> {
        let (slab, index) = ((name >> 22) as usize, (name & 0x3f_ffff) as usize);
        self.placed().find_map(|(id, page)| {
            let inside = page.slab == slab && (page.first..page.first + page.count).contains(&index);
            inside.then(|| (id, (index - page.first) as u32))
        })
    }

    /// Splats in pages that are set visible.
    pub fn splats(&self) -> usize {
        self.placed().filter(|(_, page)| page.visible).map(|(_, page)| page.count).sum()
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.used
    }

    /// Boxes of the pages that are set visible.
    pub fn boxes(&self) -> impl Iterator<Item = [[f32; 3]; 2]> + '_ {
        self.placed().filter(|(_, page)| page.visible && page.count > 0).map(|(_, page)| page.bounds)
    }

    /// Writes the pages that `wanted` accepts by their boxes into each slab's list, and says what to dispatch.
    pub fn dispatches(&self, wanted: impl Fn(&[[f32; 3]; 2]) -> bool) -> Vec<Dispatch<'_>> {
        let mut out = Vec::new();
        for (index, slab) in self.slabs.iter().enumerate() {
            let Some(slab) = slab else { continue };
            let chosen = self.placed().filter(|(_, page)| page.slab == index && page.visible && page.count > 0);
            let entries: Vec<PageEntry> = chosen
                .filter(|(_, page)| wanted(&page.bounds))
                .map(|(_, page)| PageEntry {
                    first: page.first as u32,
                    count: page.count as u32,
                    flags: flag(page.antialiased, PAGE_ANTIALIASED) | flag(page.highlighted, PAGE_HIGHLIGHTED),
                    slab: index as u32,
                })
                .collect();
            let Some(largest) = entries.iter().map(|entry| entry.count).max() else { continue };
            self.gpu.queue.write_buffer(&slab.pages, 0, bytemuck::cast_slice(&entries));
            out.push(Dispatch { group: &slab.group, size: [largest.div_ceil(UNIT as u32), entries.len() as u32] });
        }
        out
    }

    fn placed(&self) -> impl Iterator<Item = (PageId, &Placed)> {
        self.pages.iter().enumerate().filter_map(|(i, page)| Some((PageId(i as u32), page.as_ref()?)))
    }

    fn page_mut(&mut self, id: PageId) -> Option<&mut Placed> {
        self.pages.get_mut(id.0 as usize)?.as_mut()
    }

    /// The first run of free units that is long enough.
    fn find(&self, form: Form, units: usize) -> Option<(usize, usize)> {
        self.slabs.iter().enumerate().find_map(|(index, slab)| {
            let slab = slab.as_ref().filter(|slab| slab.form == form)?;
            let mut run = 0;
            let end = slab.taken.iter().position(|taken| {
                run = if *taken { 0 } else { run + 1 };
                run >= units.max(1)
            })?;
            Some((index, end + 1 - units.max(1)))
        })
    }

    /// Makes a slab that has room for the page and for some more like it.
    fn grow(&mut self, page: &Page) -> Result<usize, ViewerError> {
        let form = Form::of(page);
        let [geometry, harmonics] = form.strides();
        let bytes_each = geometry.max(harmonics) as u64;
        let largest = (self.gpu.binding_limit().min(self.gpu.device.limits().max_buffer_size) / bytes_each) as usize;
        let largest = largest.min(MAX_SLAB) / UNIT * UNIT;
        // The first slab is for small scenes, later ones are for large ones.
        let wish = if self.slabs.iter().all(Option::is_none) { MAX_PAGE } else { 8 * MAX_PAGE };
        let wish = wish.min(largest).max(page.count.next_multiple_of(UNIT)).max(UNIT);
        let least = page.count.next_multiple_of(UNIT).max(UNIT);
        let index = self.slabs.iter().position(Option::is_none).unwrap_or(self.slabs.len());
        let slab = match self.slab(form, wish) {
            Err(ViewerError::OutOfMemory { .. }) if wish > least => self.slab(form, least)?,
            other => other?,
        };
        self.used += slab.bytes;
        if index == self.slabs.len() {
            self.slabs.push(None);
        }
        self.slabs[index] = Some(slab);
        Ok(index)
    }

    fn slab(&self, form: Form, splats: usize) -> Result<Slab, ViewerError> {
        let [geometry, harmonics] = form.strides();
        let rows = geometry as u32 / 16;
        let sizes = [geometry * splats, (harmonics * splats).max(16), splats / 32 * 8];
        let bytes = sizes.iter().sum::<usize>() as u64;
        let full = ViewerError::OutOfMemory { wanted: bytes.div_ceil(1 << 20), used: self.used.div_ceil(1 << 20) };
        if self.used + bytes > self.budget {
            return Err(full);
        }
        let device = &self.gpu.device;
        let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = |size: usize| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("slab"),
                size: size as u64,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let [geometry, harmonics, states] = sizes.map(buffer);
        let pages = buffer(MAX_PAGES_IN_SLAB * size_of::<PageEntry>());
        // In the browser the answer comes later, to the device's own handler.
        #[cfg(not(target_arch = "wasm32"))]
        if pollster::block_on(scope.pop()).is_some() {
            return Err(full);
        }
        #[cfg(target_arch = "wasm32")]
        drop(scope);
        let shape = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("slab shape"),
            contents: bytemuck::cast_slice(&[
                harmonic_words(form.sh_degree) as u32,
                u32::from(form.sh_degree),
                rows,
                0,
            ]),
            usage: wgpu::BufferUsages::UNIFORM,
        });
        let buffers = [&pages, &geometry, &harmonics, &states, &shape].map(wgpu::Buffer::as_entire_binding);
        let group = bind(device, &self.layout, &buffers);
        Ok(Slab { form, geometry, harmonics, states, pages, group, taken: vec![false; splats / UNIT], bytes })
    }
}

fn flag(condition: bool, bit: u32) -> u32 {
    if condition { bit } else { 0 }
}
