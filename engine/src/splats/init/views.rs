//! Small pinhole versions of the photos, with what the cameras alone say about where the scene is.
//!
//! Finding a start needs neither many pixels nor an exact lens: every photo is reduced to some 48,000 pixels and
//! resampled to a pinhole camera, so that a plane in space maps from one to another by a homography.

use super::ColouredPoint;
use crate::frames::FrameSet;
use nalgebra::{Matrix3, Vector3};
use rayon::prelude::*;
use tessera_datasets::Result;
use tessera_datasets::camera::Camera;
use tessera_datasets::capture::MaskKind;
use tessera_datasets::image::FramePixels;

/// Pixels of a small photo, about, and of all together.
pub(super) const PIXELS: f64 = 48_000.0;
pub(super) const TOTAL_PIXELS: f64 = 3_000_000.0;
/// Photos that are looked at, evenly spread over the frames.
pub(super) const MAX_VIEWS: usize = 120;
/// Tangent of the widest angle from the axis that is kept of a wide lens.
const MAX_TANGENT: f64 = 1.6;

/// What a pixel of a small photo shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing is known: outside of the lens, or masked out.
    Unknown,
    /// A mask or alpha says that the object is not there.
    Empty,
    /// The scene.
    Scene,
}

/// A small photo of a pinhole camera in scene coordinates.
#[derive(Clone, Debug)]
pub(super) struct WorkingView {
    pub width: usize,
    pub height: usize,
    /// Pixels, the centre with the image corner at 0.
    pub focal: [f32; 2],
    pub centre: [f32; 2],
    /// `camera_from_scene`.
    pub rotation: Matrix3<f32>,
    pub translation: Vector3<f32>,
    /// sRGB in [0, 1]; transparent pixels are grey.
    pub rgb: Vec<[f32; 3]>,
    pub content: Vec<Content>,
    /// Depths between which the scene lies, as far as the cameras tell.
    pub near: f32,
    pub far: f32,
}

/// The small photos of a training set.
#[derive(Clone, Debug)]
pub(super) struct WorkingViews {
    pub views: Vec<WorkingView>,
    /// How far away the subject is from the typical camera, scene units.
    pub distance: f32,
}

impl WorkingView {
    /// The camera's place in the scene.
    pub fn position(&self) -> Vector3<f32> {
        -(self.rotation.transpose() * self.translation)
    }

    /// The direction in which it looks.
    pub fn axis(&self) -> Vector3<f32> {
        self.rotation.row(2).transpose()
    }

    /// The point at depth `z` behind the position `(x, y)` in pixels.
    pub fn unproject(&self, x: f32, y: f32, z: f32) -> Vector3<f32> {
        let ray = Vector3::new((x - self.centre[0]) / self.focal[0], (y - self.centre[1]) / self.focal[1], 1.0);
        self.rotation.transpose() * (ray * z - self.translation)
    }

    /// The pixel `[x, y]` that shows a point, with its depth; `None` outside of the picture.
    pub fn project(&self, point: &Vector3<f32>) -> Option<([usize; 2], f32)> {
        let p = self.rotation * point + self.translation;
        if p.z.is_nan() || p.z <= 1e-6 {
            return None;
        }
        let x = self.focal[0] * p.x / p.z + self.centre[0];
        let y = self.focal[1] * p.y / p.z + self.centre[1];
        let inside = x >= 0.0 && y >= 0.0 && x < self.width as f32 && y < self.height as f32;
        inside.then(|| ([x as usize, y as usize], p.z))
    }

    /// Depths between which nearly all of the points lie that the view sees; `None` when it sees few.
    fn range_of(&self, points: &[ColouredPoint]) -> Option<(f32, f32)> {
        const ENOUGH: usize = 30;
        let visible = points.iter().filter_map(|p| self.project(&Vector3::from(p.position)));
        let mut depths: Vec<f32> = visible.map(|(_, z)| z).collect();
        if depths.len() < ENOUGH {
            return None;
        }
        depths.sort_unstable_by(f32::total_cmp);
        let quantile = |q: f32| depths[(q * (depths.len() - 1) as f32) as usize];
        // What has no texture has no points either, and may lie somewhat nearer or farther.
        Some((0.7 * quantile(0.01), 1.5 * quantile(0.99)))
    }

    pub fn content_at(&self, [x, y]: [usize; 2]) -> Content {
        self.content[y * self.width + x]
    }
}

impl WorkingViews {
    /// Reads the photos of at most [`MAX_VIEWS`] frames. Sparse points, if there are some, tell how far away each
    /// sees the scene.
    pub fn load(frames: &FrameSet, sparse: &[ColouredPoint]) -> Result<Self> {
        let count = frames.len().min(MAX_VIEWS);
        let pixels = PIXELS.min(TOTAL_PIXELS / count.max(1) as f64);
        let views: Result<Vec<_>> =
            (0..count).into_par_iter().map(|k| small_view(frames, k * frames.len() / count, pixels)).collect();
        let mut all = Self::new(views?);
        all.limit_to(sparse);
        Ok(all)
    }

    /// Small photos of one scene, between depths that their cameras say.
    pub fn new(views: Vec<WorkingView>) -> Self {
        let mut all = Self { views, distance: 1.0 };
        all.find_depth_ranges();
        all
    }

    /// Limits depths to those in which each view sees sparse points.
    pub fn limit_to(&mut self, sparse: &[ColouredPoint]) {
        let range = |view: &WorkingView| view.range_of(sparse);
        let ranges: Vec<_> = self.views.par_iter().map(range).collect();
        for (view, range) in self.views.iter_mut().zip(ranges) {
            (view.near, view.far) = range.unwrap_or((view.near, view.far));
        }
    }

    /// Whether some photo says where the object is not.
    pub fn have_masks(&self) -> bool {
        self.views.iter().any(|v| v.content.contains(&Content::Empty))
    }

    /// Sets near and far from where the cameras look.
    ///
    /// When their axes meet, the subject is there, and the scene reaches from a fifth of its distance to far behind it.
    /// When masks cut the subject out, it is a ball around that point. Otherwise (a walk along a wall, a photographer who
    /// turns around) the cameras' spread is the only length that there is.
    fn find_depth_ranges(&mut self) {
        let spread = self.spread();
        let focus = self.focus();
        let radius = focus.filter(|_| self.have_masks()).and_then(|focus| self.subject_radius(&focus));
        let depths = |views: &[WorkingView], point: &Vector3<f32>| -> Vec<f32> {
            views.iter().map(|v| (v.rotation * point + v.translation).z).collect()
        };
        let subject = focus.map(|focus| depths(&self.views, &focus));
        self.distance = match &subject {
            Some(depths) => median(depths.iter().copied().filter(|z| *z > 0.0)).unwrap_or(spread),
            None => 2.0 * spread,
        };
        for (k, view) in self.views.iter_mut().enumerate() {
            let z = subject.as_ref().map_or(self.distance, |s| s[k]).max(0.25 * self.distance);
            (view.near, view.far) = match radius {
                Some(radius) => ((z - radius).max(0.1 * z), z + radius),
                None => (0.2 * z, 30.0 * z.max(spread)),
            };
        }
    }

    /// The median distance of the cameras from their middle.
    fn spread(&self) -> f32 {
        let positions: Vec<_> = self.views.iter().map(WorkingView::position).collect();
        let middle = positions.iter().sum::<Vector3<f32>>() / positions.len().max(1) as f32;
        let spread = median(positions.iter().map(|p| (p - middle).norm())).unwrap_or(1.0);
        if spread > 1e-6 { spread } else { 1.0 }
    }

    /// The point nearest to all optical axes (least squares), if they meet in front of most cameras.
    pub fn focus(&self) -> Option<Vector3<f32>> {
        let mut normal = Matrix3::zeros();
        let mut right = Vector3::zeros();
        for view in &self.views {
            let across = Matrix3::identity() - view.axis() * view.axis().transpose();
            normal += across;
            right += across * view.position();
        }
        let count = self.views.len() as f32;
        // The mean squared sine of the angles between the axes and their common direction.
        let converges = normal.symmetric_eigenvalues().min() / count > 0.005;
        if !converges {
            return None;
        }
        let point = normal.try_inverse()? * right;
        let in_front = self.views.iter().filter(|v| v.axis().dot(&(point - v.position())) > 0.0).count();
        (4 * in_front >= 3 * self.views.len()).then_some(point)
    }

    /// The radius around `focus` of a ball that covers the object in the masks.
    fn subject_radius(&self, focus: &Vector3<f32>) -> Option<f32> {
        let radius = |view: &WorkingView| {
            let centre = view.rotation * focus + view.translation;
            let (u, v) = (centre.x / centre.z, centre.y / centre.z);
            let scene = view.content.iter().enumerate().filter(|(_, c)| **c == Content::Scene);
            let offset = |i: usize| {
                let x = ((i % view.width) as f32 + 0.5 - view.centre[0]) / view.focal[0];
                let y = ((i / view.width) as f32 + 0.5 - view.centre[1]) / view.focal[1];
                (x - u).hypot(y - v)
            };
            (centre.z > 0.0).then(|| centre.z * scene.map(|(i, _)| offset(i)).fold(0.0, f32::max))
        };
        let largest = self.views.iter().filter_map(radius).fold(0.0, f32::max);
        (largest > 0.0).then_some(1.1 * largest)
    }
}

fn median(values: impl Iterator<Item = f32>) -> Option<f32> {
    let mut values: Vec<f32> = values.collect();
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// The photo of frame `i` with about `small` pixels; its depths are still unknown.
pub(super) fn small_view(frames: &FrameSet, i: usize, small: f64) -> Result<WorkingView> {
    let full = frames.camera(i);
    let scale = (small / (f64::from(full.width) * f64::from(full.height))).sqrt().min(1.0);
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    let size = (side(full.width), side(full.height));
    let pixels = frames.pixels(i, size)?;
    let mask_kind = frames.frame(i).mask.as_ref().map(|m| m.kind);
    let camera = full.resized(size.0, size.1);

    let [u0, v0, u1, v1] = camera.normalised_bounds().map(|b| b.clamp(-MAX_TANGENT, MAX_TANGENT));
    let [fx, fy] = camera.lens.focal;
    // A wide lens is stretched towards its edge; that must not cost more than the photo had.
    let shrink = (1.5 * small / ((u1 - u0) * (v1 - v0) * fx * fy)).sqrt().min(1.0);
    let focal = [fx * shrink, fy * shrink];
    let extent = |low: f64, high: f64, f: f64| (((high - low) * f).round().max(1.0)) as usize;
    let (width, height) = (extent(u0, u1, focal[0]), extent(v0, v1, focal[1]));

    let pose = frames.camera_from_scene(i);
    let mut view = WorkingView {
        width,
        height,
        focal: focal.map(|f| f as f32),
        centre: [(-u0 * focal[0]) as f32, (-v0 * focal[1]) as f32],
        rotation: pose.rotation.to_rotation_matrix().into_inner().cast(),
        translation: pose.translation.vector.cast(),
        rgb: Vec::with_capacity(width * height),
        content: Vec::with_capacity(width * height),
        near: 0.0,
        far: 0.0,
    };
    let limit = camera.lens.max_valid_radius_squared();
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (u0 + (x as f64 + 0.5) / focal[0], v0 + (y as f64 + 0.5) / focal[1]);
            let (colour, content) = if u * u + v * v > limit {
                ([0.5; 3], Content::Unknown)
            } else {
                let [du, dv] = camera.lens.distort(u, v).uv;
                let [cx, cy] = camera.lens.centre;
                sample(&pixels, &camera, mask_kind, [fx * du + cx, fy * dv + cy])
            };
            view.rgb.push(colour);
            view.content.push(content);
        }
    }
    Ok(view)
}

/// The colour, interpolated and composed on grey, and the content at a position in pixels.
fn sample(pixels: &FramePixels, camera: &Camera, mask_kind: Option<MaskKind>, [x, y]: [f64; 2]) -> ([f32; 3], Content) {
    let image = &pixels.image;
    if !(x >= 0.0 && y >= 0.0 && x < f64::from(camera.width) && y < f64::from(camera.height)) {
        return ([0.5; 3], Content::Unknown);
    }
    let nearest = (y as u32 * image.width + x as u32) as usize;
    let mask = pixels.mask.as_ref().map_or(255, |m| m.data[nearest]);
    let cut_out = mask_kind == Some(MaskKind::Foreground);
    let opaque = |x: u32, y: u32| -> ([f32; 3], f32) {
        let p = image.pixel(x, y);
        let own = p.get(3).map_or(1.0, |&a| f32::from(a) / 255.0);
        let masked = match (&pixels.mask, cut_out) {
            (Some(m), true) => f32::from(m.data[(y * image.width + x) as usize]) / 255.0,
            _ => 1.0,
        };
        let alpha = own * masked;
        ([p[0], p[1], p[2]].map(|c| 0.5 + alpha * (f32::from(c) / 255.0 - 0.5)), alpha)
    };
    let (sx, sy) = ((x - 0.5).max(0.0), (y - 0.5).max(0.0));
    let (x0, y0) = (sx as u32, sy as u32);
    let (x1, y1) = ((x0 + 1).min(image.width - 1), (y0 + 1).min(image.height - 1));
    let (tx, ty) = ((sx - f64::from(x0)) as f32, (sy - f64::from(y0)) as f32);
    let corners = [
        (opaque(x0, y0), (1.0 - tx) * (1.0 - ty)),
        (opaque(x1, y0), tx * (1.0 - ty)),
        (opaque(x0, y1), (1.0 - tx) * ty),
        (opaque(x1, y1), tx * ty),
    ];
    let mut colour = [0.0; 3];
    let mut alpha = 0.0;
    for ((c, a), weight) in corners {
        (0..3).for_each(|k| colour[k] += weight * c[k]);
        alpha += weight * a;
    }
    let content = if mask < 128 && !cut_out {
        Content::Unknown
    } else if alpha < 0.5 {
        Content::Empty
    } else {
        Content::Scene
    };
    (colour, content)
}
