//! What a picture is of, and how it is drawn.

use super::uniforms::{CROPPED, DEPTH_COLOURS, ViewUniform};
use tessera_datasets::camera::{Camera, Pose};

/// A camera at a place. Its lens is taken as a pinhole: distortion is ignored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Lens and picture size.
    pub camera: Camera,
    /// Where it stands.
    pub camera_from_world: Pose,
}

/// A box outside of which nothing is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropBox {
    /// From the world to the frame of the box, whose axes are the box's.
    pub box_from_world: Pose,
    /// Half the length of its edges, world units.
    pub half_size: [f64; 3],
}

impl CropBox {
    /// A box along the world's axes.
    pub fn aligned(low: [f64; 3], high: [f64; 3]) -> Self {
        let centre: [f64; 3] = std::array::from_fn(|k| 0.5 * (low[k] + high[k]));
        let half_size = std::array::from_fn(|k| 0.5 * (high[k] - low[k]));
        Self { box_from_world: Pose::translation(-centre[0], -centre[1], -centre[2]), half_size }
    }

    /// Rows of the affine map that takes the box to [-1, 1]³.
    fn rows(&self) -> [[f32; 4]; 3] {
        let matrix = self.box_from_world.to_homogeneous();
        let half = self.half_size.map(|half| half.max(1e-12));
        std::array::from_fn(|i| std::array::from_fn(|j| (matrix[(i, j)] / half[i]) as f32))
    }

    /// Whether a point is inside.
    pub fn contains(&self, point: [f32; 3]) -> bool {
        self.rows().iter().all(|r| (r[0] * point[0] + r[1] * point[1] + r[2] * point[2] + r[3]).abs() <= 1.0)
    }
}

/// How a scene is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// sRGB colour behind everything.
    pub background: [f32; 3],
    /// Harmonics above this degree are ignored.
    pub sh_degree: u8,
    /// What the size of splats is multiplied by.
    pub splat_scale: f32,
    /// Colour of selected splats, and how strongly it covers their own, 0 to 1.
    pub highlight: ([f32; 3], f32),
    /// Nothing nearer than this along the camera's axis is drawn, world units.
    pub near: f32,
    /// Nothing outside is drawn.
    pub crop: Option<CropBox>,
    /// Diameter of the points of point clouds, pixels.
    pub point_size: f32,
    /// Show depth as grey, with this depth as white, in place of colours.
    pub depth: Option<f32>,
    /// The moment at which moving splats are shown, seconds.
    pub time: f32,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            background: [0.0; 3],
            sh_degree: 3,
            splat_scale: 1.0,
            highlight: ([1.0, 0.8, 0.1], 0.7),
            near: 0.01,
            crop: None,
            point_size: 3.0,
            depth: None,
            time: 0.0,
        }
    }
}

/// Share of the picture's half-extent by which the Jacobian's range exceeds the picture. As in `kernels`.
const JACOBIAN_MARGIN: f64 = 0.3;
/// Depth keys have this many bits.
const KEY_BITS: u32 = 24;

/// The rectangle of normalised coordinates that the picture covers.
fn normalised_bounds(view: &View) -> [f64; 4] {
    let lens = &view.camera.lens;
    let size = [f64::from(view.camera.width), f64::from(view.camera.height)];
    let at = |axis: usize, pixel: f64| (pixel - lens.centre[axis]) / lens.focal[axis];
    [at(0, 0.0), at(1, 0.0), at(0, size[0]), at(1, size[1])]
}

/// The view of the same picture with so many times the pixels along each side.
pub(super) fn finer(view: &View, style: &Style, fineness: u32) -> (View, Style) {
    let [width, height] = [view.camera.width, view.camera.height].map(|side| side.saturating_mul(fineness));
    let camera = if fineness == 1 { view.camera } else { view.camera.resized(width, height) };
    (View { camera, ..*view }, Style { point_size: style.point_size * fineness as f32, ..*style })
}

/// What shaders are told; `far` is the depth of the farthest splat, `capacity` how many may be visible.
pub(super) fn uniform(view: &View, style: &Style, far: f32, capacity: u32) -> ViewUniform {
    let matrix = view.camera_from_world.to_homogeneous();
    let centre = view.camera_from_world.inverse().translation.vector;
    let [u0, v0, u1, v1] = normalised_bounds(view);
    let (du, dv) = (0.5 * JACOBIAN_MARGIN * (u1 - u0), 0.5 * JACOBIAN_MARGIN * (v1 - v0));
    let lens = &view.camera.lens;
    let near = style.near.max(1e-6);
    let key_range = far.max(near).to_bits() - near.to_bits();
    let mut flags = 0;
    if style.crop.is_some() {
        flags |= CROPPED;
    }
    if style.depth.is_some() {
        flags |= DEPTH_COLOURS;
    }
    ViewUniform {
        camera_from_world: std::array::from_fn(|i| std::array::from_fn(|j| matrix[(i, j)] as f32)),
        centre: [centre.x as f32, centre.y as f32, centre.z as f32],
        near,
        lens: [lens.focal[0], lens.focal[1], lens.centre[0], lens.centre[1]].map(|x| x as f32),
        jacobian_bounds: [u0 - du, v0 - dv, u1 + du, v1 + dv].map(|x| x as f32),
        crop_from_world: style.crop.map_or([[0.0; 4]; 3], |crop| crop.rows()),
        background: style.background,
        splat_log_scale: style.splat_scale.max(1e-6).ln(),
        highlight: style.highlight.0,
        highlight_strength: style.highlight.1,
        size: [view.camera.width as f32, view.camera.height as f32],
        sh_degree: u32::from(style.sh_degree),
        flags,
        key_base: near.to_bits(),
        key_shift: (u32::BITS - key_range.leading_zeros()).saturating_sub(KEY_BITS),
        capacity,
        point_size: style.point_size,
        depth_scale: style.depth.unwrap_or(1.0).max(1e-12),
        time: style.time,
        pad: [0.0; 2],
    }
}

/// Tells which boxes a view can see.
#[derive(Clone, Copy, Debug)]
pub struct Frustum {
    view: View,
    bounds: [f64; 4],
    near: f64,
}

impl Frustum {
    /// What `view` sees beyond `near`, with the margin that splats need whose centres lie outside the picture.
    pub fn new(view: &View, near: f32) -> Self {
        let [u0, v0, u1, v1] = normalised_bounds(view);
        let margin = [0.25 * (u1 - u0), 0.25 * (v1 - v0)];
        let bounds = [u0 - margin[0], v0 - margin[1], u1 + margin[0], v1 + margin[1]];
        Self { view: *view, bounds, near: f64::from(near) }
    }

    /// Least and greatest depth of a box; the box may be seen when the greatest lies beyond the near plane and
    /// [`Self::sees`].
    pub fn depths(&self, bounds: &[[f32; 3]; 2]) -> [f64; 2] {
        let depths = self.corners(bounds).map(|corner| corner.z);
        [depths.iter().copied().fold(f64::INFINITY, f64::min), depths.iter().copied().fold(f64::NEG_INFINITY, f64::max)]
    }

    /// False when all of a box lies on the far side of one side of the frustum.
    pub fn sees(&self, bounds: &[[f32; 3]; 2]) -> bool {
        let corners = self.corners(bounds);
        let [u0, v0, u1, v1] = self.bounds;
        let outside = |side: &dyn Fn(&nalgebra::Point3<f64>) -> bool| corners.iter().all(side);
        !(outside(&|p| p.z < self.near)
            || outside(&|p| p.x < u0 * p.z)
            || outside(&|p| p.x > u1 * p.z)
            || outside(&|p| p.y < v0 * p.z)
            || outside(&|p| p.y > v1 * p.z))
    }

    fn corners(&self, bounds: &[[f32; 3]; 2]) -> [nalgebra::Point3<f64>; 8] {
        std::array::from_fn(|i| {
            let at = |axis: usize| f64::from(bounds[i >> axis & 1][axis]);
            self.view.camera_from_world * nalgebra::Point3::new(at(0), at(1), at(2))
        })
    }
}
