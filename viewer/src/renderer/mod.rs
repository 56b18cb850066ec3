//! The renderer: Gaussian splats, meshes and point clouds in one picture, on any adapter that wgpu can use.
//!
//! How a picture comes about:
//!
//! 1. `project.wgsl` takes every splat of the pages that the frustum meets to an ellipse in the picture and appends the
//!    visible ones to a list;
//! 2. `sort.wgsl` sorts them by depth, nearest first (radix sort without subgroup operations);
//! 3. meshes, points, fitted shapes and pictures are drawn with a depth buffer;
//! 4. `splats.wgsl` blends a quad for each ellipse *under* what is there, so that nothing is read back and the depth
//!    buffer hides what lies behind surfaces; radiance is looked through behind the splats;
//! 5. `present.wgsl` puts splats over surfaces over the background.
//!
//! Steps 1 to 4 are left out when nothing has changed since the last picture.
//!
//! Splats come in [`Page`]s of up to 65,536, which are added, removed, hidden and shown at any time: level of detail and
//! live training work by pages. Colours are sRGB-encoded throughout, as they are in training, so outputs must not be
//! textures with an `Srgb` format.
//!
//! ```no_run
//! # fn f(cloud: &tessera_datasets::scene::SplatCloud, view: &tessera_viewer::renderer::View) -> Result<(), tessera_viewer::ViewerError> {
//! use tessera_viewer::renderer::{Gpu, Page, Renderer, Style};
//! let mut renderer = Renderer::new(&Gpu::headless()?);
//! for page in Page::all_of_cloud(cloud) {
//!     renderer.add_page(&page?)?;
//! }
//! let picture = renderer.picture(view, &Style::default())?;
//! # Ok(()) }
//! ```

mod fields;
mod gpu;
mod mesh_data;
mod page;
mod pick;
mod pool;
mod present;
mod readback;
pub mod shaders;
mod sort;
mod splats;
mod surfaces;
mod targets;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(not(target_arch = "wasm32"))]
mod timing;
mod uniforms;
mod view;

pub use fields::{
    Addressing, FieldData, FieldDecoder, FieldId, FieldLevel, FieldScene, PictureData, PictureTile, ShapeData,
    VolumeData,
};
pub use gpu::Gpu;
pub use mesh_data::{MeshData, MeshPart, TextureData};
pub use page::{MAX_PAGE, Page};
pub use pick::Pick;
pub use pool::PageId;
pub use readback::Picture;
pub use surfaces::SurfaceId;
#[cfg(not(target_arch = "wasm32"))]
pub use timing::FrameTimes;
pub use view::{CropBox, Frustum, Style, View};

use crate::ViewerError;
use fields::Fields;
use pick::Picker;
use pool::Pool;
use present::Presenter;
use splats::SplatStage;
use surfaces::Surfaces;
use targets::Targets;
use tessera_datasets::camera::Camera;
use uniforms::ViewUniform;

/// Meshes and points alone are drawn with so many pixels along each side of a pixel that is shown.
const FINENESS: u32 = 2;
/// With more pixels than these, 16 bytes each, they are drawn as they are shown: such screens have small pixels.
const MOST_FINE_PIXELS: u64 = 1 << 24;

/// Draws one scene.
#[derive(Debug)]
pub struct Renderer {
    gpu: Gpu,
    pool: Pool,
    splats: SplatStage,
    surfaces: Surfaces,
    fields: Fields,
    picker: Picker,
    view: wgpu::Buffer,
    targets: Targets,
    /// Pixels of the targets, along each side, for one of the picture.
    fineness: u32,
    presenters: Vec<(wgpu::TextureFormat, Presenter)>,
    /// What the targets hold; none when the scene has changed since.
    drawn: Option<ViewUniform>,
}

/// What a renderer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Splats in pages that are set visible.
    pub splats: usize,
    /// Bytes of splats on the device.
    pub bytes: u64,
}

impl Renderer {
    /// A renderer with an empty scene.
    pub fn new(gpu: &Gpu) -> Self {
        let view = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("view"),
            size: size_of::<ViewUniform>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let pool = Pool::new(gpu);
        Self {
            splats: SplatStage::new(gpu, &pool, &view),
            surfaces: Surfaces::new(gpu, &view),
            fields: Fields::new(gpu, &view),
            picker: Picker::new(gpu),
            targets: Targets::new(gpu, [1, 1], false),
            fineness: 1,
            gpu: gpu.clone(),
            pool,
            view,
            presenters: Vec::new(),
            drawn: None,
        }
    }

    /// The device that it draws with.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// How many bytes of splats may be on the device; without limit at first.
    pub fn set_memory_budget(&mut self, bytes: u64) {
        self.pool.budget = bytes;
    }

    /// What is on the device.
    pub fn load(&self) -> Load {
        Load { splats: self.pool.splats(), bytes: self.pool.bytes() }
    }

    /// Adds splats, visible at once.
    ///
    /// # Errors
    /// When memory for them is used up; nothing is added then.
    pub fn add_page(&mut self, page: &Page) -> Result<PageId, ViewerError> {
        self.drawn = None;
        self.pool.add(page)
    }

    /// Takes splats away. Their memory is used again.
    pub fn remove_page(&mut self, id: PageId) {
        self.drawn = None;
        self.pool.remove(id);
    }

    /// Shows or hides a page that stays on the device.
    pub fn set_visible(&mut self, id: PageId, visible: bool) {
        if self.pool.set_visible(id, visible) {
            self.drawn = None;
        }
    }

    /// Highlights all splats of a page.
    pub fn set_highlighted(&mut self, id: PageId, highlighted: bool) {
        if self.pool.set_highlighted(id, highlighted) {
            self.drawn = None;
        }
    }

    /// Marks single splats of a page, one bit for each, 32 in a word: `deleted` ones are not drawn, `selected` ones are
    /// highlighted. Bits beyond a slice are zero.
    pub fn set_marks(&mut self, id: PageId, deleted: &[u32], selected: &[u32]) {
        self.drawn = None;
        self.pool.set_marks(id, deleted, selected);
    }

    /// Adds a mesh, or a point cloud when it has no triangles.
    ///
    /// # Errors
    /// When it contradicts itself, or is too large for the device.
    pub fn add_mesh(&mut self, mesh: &MeshData) -> Result<SurfaceId, ViewerError> {
        self.drawn = None;
        self.surfaces.add(&self.gpu, mesh)
    }

    /// Takes a mesh or point cloud away.
    pub fn remove_mesh(&mut self, id: SurfaceId) {
        self.drawn = None;
        self.surfaces.remove(id);
    }

    /// Shows or hides a mesh or point cloud.
    pub fn set_mesh_visible(&mut self, id: SurfaceId, visible: bool) {
        self.drawn = None;
        self.surfaces.set_visible(id, visible);
    }

    /// Adds a shape, a picture or radiance that is drawn by asking its field.
    ///
    /// # Errors
    /// When it contradicts itself, or is too large for the device.
    pub fn add_field(&mut self, scene: &FieldScene) -> Result<FieldId, ViewerError> {
        self.drawn = None;
        self.fields.add(&self.gpu, scene)
    }

    /// Takes a field away.
    pub fn remove_field(&mut self, id: FieldId) {
        self.drawn = None;
        self.fields.remove(id);
    }

    /// Lowest and highest corner of the box around everything that is visible; none for an empty scene.
    pub fn bounds(&self) -> Option<[[f32; 3]; 2]> {
        self.pool.boxes().chain(self.surfaces.boxes()).chain(self.fields.boxes()).reduce(|[low, high], [l, h]| {
            [std::array::from_fn(|k| low[k].min(l[k])), std::array::from_fn(|k| high[k].max(h[k]))]
        })
    }

    /// Draws the scene into `output`, whose format is `format`. The picture has the size of the view's camera and is
    /// stretched when the output has another.
    ///
    /// # Errors
    /// When the device was lost, or the size is not possible.
    pub fn draw(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        view: &View,
        style: &Style,
        output: &wgpu::TextureView,
        format: wgpu::TextureFormat,
    ) -> Result<(), ViewerError> {
        let uniform = self.prepare(view, style)?;
        if self.drawn != Some(uniform) {
            self.splats.project(encoder, &self.pool, view, style.near);
            self.splats.sort(encoder);
            self.draw_surfaces(encoder);
            self.draw_transparent(encoder);
            self.drawn = Some(uniform);
        }
        let presenter = self.presenter(format);
        self.presenters[presenter].1.draw(&self.gpu, encoder, &self.view, &self.targets, output);
        Ok(())
    }

    /// Everything that is opaque.
    fn draw_surfaces(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = self.targets.begin_surfaces(encoder);
        self.surfaces.draw(&mut pass);
        self.fields.draw(&mut pass);
    }

    /// Everything that lets light pass.
    fn draw_transparent(&self, encoder: &mut wgpu::CommandEncoder) {
        self.splats.draw(encoder, &self.targets);
        self.fields.draw_volumes(&self.gpu, encoder, &self.targets);
    }

    /// Makes room for a picture and tells the shaders about it.
    fn prepare(&mut self, view: &View, style: &Style) -> Result<ViewUniform, ViewerError> {
        self.gpu.check()?;
        self.fineness = self.fineness_of(&view.camera);
        let (view, style) = view::finer(view, style, self.fineness);
        self.resize([view.camera.width, view.camera.height])?;
        let capacity = self.splats.reserve(&self.gpu, self.pool.splats(), &self.view);
        let frustum = Frustum::new(&view, style.near);
        let far = self.pool.boxes().map(|bounds| frustum.depths(&bounds)[1]).fold(0.0, f64::max);
        let uniform = view::uniform(&view, &style, far as f32, capacity);
        self.gpu.queue.write_buffer(&self.view, 0, bytemuck::bytes_of(&uniform));
        Ok(uniform)
    }

    /// Meshes and points have jagged edges unless they are drawn finer than they are shown. Splats are smooth as they are, and
    /// trained for their pixels; fields cost too much for each.
    fn fineness_of(&self, camera: &Camera) -> u32 {
        let is_alone = self.pool.splats() == 0 && self.fields.boxes().next().is_none();
        let [width, height] = [camera.width, camera.height].map(|side| u64::from(side) * u64::from(FINENESS));
        let limit = u64::from(self.gpu.device.limits().max_texture_dimension_2d);
        let has_room = width.max(height) <= limit && width * height <= MOST_FINE_PIXELS;
        if is_alone && has_room && self.surfaces.boxes().next().is_some() { FINENESS } else { 1 }
    }

    fn resize(&mut self, size: [u32; 2]) -> Result<(), ViewerError> {
        let has_volumes = self.fields.has_volumes();
        if self.targets.size == size && self.targets.has_volumes == has_volumes {
            return Ok(());
        }
        let [width, height] = size;
        let limit = self.gpu.device.limits().max_texture_dimension_2d;
        if size.iter().any(|&side| side == 0 || side > limit) {
            return Err(ViewerError::BadSize { width, height, limit });
        }
        self.targets = Targets::new(&self.gpu, size, has_volumes);
        self.drawn = None;
        Ok(())
    }

    fn presenter(&mut self, format: wgpu::TextureFormat) -> usize {
        let known = self.presenters.iter().position(|(known, _)| *known == format);
        known.unwrap_or_else(|| {
            self.presenters.push((format, Presenter::new(&self.gpu, format)));
            self.presenters.len() - 1
        })
    }
}
