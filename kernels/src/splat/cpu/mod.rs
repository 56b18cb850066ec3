//! The SIMD, multi-threaded implementation. [`Rasterizer`] holds every buffer, so that steady use allocates nothing.

mod accumulate;
mod composite;
mod parameters;
mod primitives;
mod project;
mod tile;
mod tiles;

use super::{RenderSettings, Rendering, RenderingGradient, SplatGradients};
use crate::camera_projection::View;
pub use primitives::Primitives;
use primitives::Shapes;
use tiles::Tiles;

/// Splats are projected in groups of this many; also the grain of every parallel loop over splats.
const CHUNK: usize = 1024;

/// What compositing needs of one visible splat: one cache line.
///
/// The exponent of alpha is kept in base 2: `log2(alpha) = log2_opacity - (a dx² + b2 dx dy + c dy²)`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Record {
    mean: [f32; 2],
    /// Conic times ½ log2(e).
    a: f32,
    /// Twice the conic's off-diagonal times ½ log2(e).
    b2: f32,
    c: f32,
    log2_opacity: f32,
    rgb: [f32; 3],
    z: f32,
    /// Along a row at `dy` the splat touches `x = mean_x - shear dy ± sqrt(half_width² - narrowing dy²)`.
    shear: f32,
    narrowing: f32,
    half_width_squared: f32,
    /// First and last column and row that it touches, inclusive.
    columns: [u16; 2],
    rows: [u16; 2],
    splat: u32,
}

/// Sums over the pixels of one tile for one splat; `s` is ∂L/∂(ln alpha).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct TileSums {
    s: f32,
    s_dx: f32,
    s_dy: f32,
    s_dx_dx: f32,
    s_dx_dy: f32,
    s_dy_dy: f32,
    rgb: [f32; 3],
    z: f32,
    score: f32,
    /// Keeps the size at 48 bytes.
    unused: f32,
}

/// How far compositing went in one tile.
#[derive(Clone, Copy, Debug, Default)]
struct TileProgress {
    /// Entries of the tile's list gone through before all its pixels were finished.
    processed: u32,
    /// Groups of eight pixels evaluated.
    groups: u32,
}

/// What the forward pass leaves for the backward pass.
struct Composited<'a> {
    tiles: &'a Tiles,
    records: &'a [Record],
    progress: &'a [TileProgress],
}

/// What one forward pass did, for benchmarks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Splats that touch the picture.
    pub visible: usize,
    /// (splat, tile) pairs.
    pub instances: usize,
    /// (splat, pixel) pairs evaluated, in groups of eight counted as eight.
    pub evaluations: u64,
    /// Pixels of the picture.
    pub pixels: usize,
}

/// Renders splats on the CPU and differentiates the result. Keeps its buffers between calls.
#[derive(Debug, Default)]
pub struct Rasterizer {
    /// One slot for each splat: chunk `i`'s visible splats stand first in `records[i * CHUNK ..]`.
    records: Vec<Record>,
    /// Visible splats of each chunk.
    visible: Vec<u32>,
    tiles: Tiles,
    progress: Vec<TileProgress>,
    rendering: Rendering,
    sums: Vec<TileSums>,
    pose_sums: Vec<[f32; 6]>,
}

impl Rasterizer {
    /// A rasteriser with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Renders [`Splats`](super::Splats) or [`Ellipsoids`](super::Ellipsoids) as seen from `view`.
    ///
    /// # Panics
    /// When the lengths of the tensors disagree, or the picture has more than 65,535 pixels on a side.
    pub fn forward<'a>(
        &mut self,
        splats: impl Into<Primitives<'a>>,
        view: &View,
        settings: &RenderSettings,
    ) -> &Rendering {
        let splats = splats.into();
        splats.check(view);
        project::project_all(&splats, view, settings, &mut self.records, &mut self.visible);
        self.tiles.build(view, &mut self.records, &self.visible);
        self.rendering.resize(view, settings);
        composite::composite_all(&self.tiles, &self.records, settings, &mut self.rendering, &mut self.progress);
        &self.rendering
    }

    /// The gradient of a loss with respect to everything that the last [`Rasterizer::forward`] was given; the
    /// arguments must be the same.
    ///
    /// # Panics
    /// When the lengths of the tensors disagree, or a depth gradient is given but no depth was rendered.
    pub fn backward<'a>(
        &mut self,
        splats: impl Into<Primitives<'a>>,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
        out: &mut SplatGradients,
    ) {
        let splats = &splats.into();
        splats.check(view);
        let pixels = view.width * view.height;
        assert_eq!(gradient.rgb.len(), 3 * pixels, "the colour gradient must be [3, H, W]");
        assert!(gradient.depth.is_none() || settings.depth, "a depth gradient needs a rendered depth");
        let composited = Composited { tiles: &self.tiles, records: &self.records, progress: &self.progress };
        accumulate::accumulate_all(&composited, &self.rendering, gradient, &mut self.sums);
        out.resize(splats);
        let scene = parameters::Scene { splats, view, settings, records: &self.records, visible: &self.visible };
        parameters::parameter_gradients(&scene, &self.tiles, &self.sums, &mut self.pose_sums, out);
    }

    /// The gradient with respect to the background colour: `rgb = ... + T background`, so it is Σ T v over the pixels.
    pub fn background_gradient(&self, v_rgb: &[f32]) -> [f32; 3] {
        let t = &self.rendering.transmittance;
        std::array::from_fn(|channel| {
            let plane = &v_rgb[channel * t.len()..][..t.len()];
            // Row by row, so that single precision loses nothing to the length of the sum.
            let rows = plane.chunks(self.rendering.width).zip(t.chunks(self.rendering.width));
            rows.map(|(v, t)| f64::from(v.iter().zip(t).map(|(v, t)| v * t).sum::<f32>())).sum::<f64>() as f32
        })
    }

    /// The picture that the last forward pass made.
    pub fn rendering(&self) -> &Rendering {
        &self.rendering
    }

    /// What the last forward pass did.
    pub fn counts(&self) -> Counts {
        Counts {
            visible: self.visible.iter().map(|&n| n as usize).sum(),
            instances: self.tiles.instances(),
            evaluations: self.progress.iter().map(|p| 8 * u64::from(p.groups)).sum(),
            pixels: self.rendering.transmittance.len(),
        }
    }

    /// Splats come in chunks of this many: chunk `i` holds those from `i * CHUNK` on.
    pub const CHUNK: usize = CHUNK;

    /// Indices of the splats of one chunk that the last forward pass could see, ascending.
    pub fn visible_in_chunk(&self, chunk: usize) -> impl Iterator<Item = usize> + '_ {
        let n = self.visible.get(chunk).map_or(0, |&n| n as usize);
        self.records.iter().skip(chunk * CHUNK).take(n).map(|r| r.splat as usize)
    }

    /// Bytes held in buffers.
    pub fn allocated_bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
            + self.sums.capacity() * size_of::<TileSums>()
            + self.tiles.allocated_bytes()
            + self.rendering.rgb.capacity() * 4
            + self.rendering.transmittance.capacity() * 4
    }
}

impl Rendering {
    fn resize(&mut self, view: &View, settings: &RenderSettings) {
        let pixels = view.width * view.height;
        self.width = view.width;
        self.height = view.height;
        self.rgb.resize(3 * pixels, 0.0);
        self.transmittance.resize(pixels, 0.0);
        self.depth.resize(if settings.depth { pixels } else { 0 }, 0.0);
        self.median_depth.resize(if settings.median_depth { pixels } else { 0 }, 0.0);
    }
}

impl SplatGradients {
    fn resize(&mut self, splats: &Primitives<'_>) {
        let n = splats.len();
        let (turned, whole) = match splats.shapes {
            Shapes::Turned { .. } => (n, 0),
            Shapes::Covariances { .. } => (0, n),
        };
        self.means.resize(3 * n, 0.0);
        self.log_scales.resize(3 * turned, 0.0);
        self.quats.resize(4 * turned, 0.0);
        self.opacity_logits.resize(turned, 0.0);
        self.covariances.resize(6 * whole, 0.0);
        self.opacities.resize(whole, 0.0);
        self.sh0.resize(3 * n, 0.0);
        self.sh_rest.resize(splats.sh_rest.len(), 0.0);
        self.scores.resize(n, 0.0);
        self.mean2d_norms.resize(n, 0.0);
    }
}

/// A pointer that tasks share because each writes to places of its own.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);

// SAFETY: every use states why the tasks' places are disjoint.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// # Safety
    /// `index` must be within the slice, and no other task may touch that element meanwhile.
    #[inline(always)]
    unsafe fn at(&self, index: usize) -> *mut T {
        // SAFETY: the caller keeps the index in range.
        unsafe { self.0.add(index) }
    }

    /// # Safety
    /// The range must be within the slice, and no other task may touch it meanwhile.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    unsafe fn range(&self, start: usize, len: usize) -> &mut [T] {
        // SAFETY: the caller keeps the range in bounds and to itself.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}
