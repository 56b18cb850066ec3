//! Where the subject is looked for: a box, from settings, masks, sparse points or cameras.

use super::SeenPlace;
use crate::frames::FrameSet;
use crate::{Error, Result};
use nalgebra::{Matrix3, Vector3};
use rayon::prelude::*;
use tessera_datasets::capture::{Capture, MaskKind};
use tessera_datasets::image::FramePixels;
use tessera_kernels::camera_projection::View;

/// Cells per side of the grid that masks carve.
const CARVED: usize = 64;
/// Longest side of the masks that carve.
const CARVING_SIDE: u32 = 256;
/// What is added around masks' and points' boxes, as a share of their longest side.
const MARGIN: f64 = 0.06;

/// A box in scene coordinates and the cube around it, which becomes the unit cube.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SceneBox {
    /// Corners, in scene units.
    pub corners: [[f64; 3]; 2],
}

impl SceneBox {
    /// Side of the cube.
    pub fn side(&self) -> f64 {
        let [low, high] = self.corners;
        (0..3).map(|k| high[k] - low[k]).fold(0.0, f64::max)
    }

    /// The lowest corner of the cube.
    fn origin(&self) -> [f64; 3] {
        let ([low, high], half) = (self.corners, 0.5 * self.side());
        std::array::from_fn(|k| 0.5 * (low[k] + high[k]) - half)
    }

    /// From the scene to the unit cube.
    pub fn to_cube(&self, place: [f64; 3]) -> [f64; 3] {
        let (origin, side) = (self.origin(), self.side());
        std::array::from_fn(|k| (place[k] - origin[k]) / side)
    }

    /// From the unit cube to the scene.
    pub fn from_cube(&self, place: [f64; 3]) -> [f64; 3] {
        let (origin, side) = (self.origin(), self.side());
        std::array::from_fn(|k| origin[k] + side * place[k])
    }

    /// The box within the unit cube.
    pub fn in_cube(&self) -> [[f32; 3]; 2] {
        self.corners.map(|c| self.to_cube(c).map(|x| x as f32))
    }

    fn around(low: Vector3<f64>, high: Vector3<f64>, margin: f64) -> Self {
        let grow = Vector3::repeat(margin * (high - low).max());
        Self { corners: [(low - grow).into(), (high + grow).into()] }
    }
}

/// What settings say about the box: both corners, in the capture's coordinates, or neither.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoxSettings {
    /// The lowest corner.
    pub min: Option<[f32; 3]>,
    /// The highest corner.
    pub max: Option<[f32; 3]>,
}

impl BoxSettings {
    /// # Errors
    /// When only one corner is set, or they do not lie below each other.
    pub fn check(&self) -> Result<()> {
        match (self.min, self.max) {
            (Some(low), Some(high)) if (0..3).all(|k| low[k] < high[k]) => Ok(()),
            (Some(_), Some(_)) => Err(Error::setting("box_min must lie below box_max")),
            (None, None) => Ok(()),
            _ => Err(Error::setting("set both box_min and box_max, or neither")),
        }
    }
}

/// The box for a capture, and what the user should know about it.
///
/// # Errors
/// When masks show nothing, or cameras look at nothing together.
pub fn find(capture: &Capture, frames: &FrameSet, settings: BoxSettings) -> Result<(SceneBox, Vec<String>)> {
    let mut warnings = Vec::new();
    if let (Some(low), Some(high)) = (settings.min, settings.max) {
        let scene = |p: [f32; 3]| {
            let moved = capture.scene_from_world * nalgebra::Point3::from(p.map(f64::from));
            moved.coords
        };
        let (a, b) = (scene(low), scene(high));
        let found = SceneBox::around(a.inf(&b), a.sup(&b), 0.0);
        check_cameras(&found, frames, "box_min and box_max")?;
        return Ok((found, warnings));
    }
    let views: Vec<View> = frames.views().copied().collect();
    let (centre, distance) = looked_at(&views)?;
    let everything = SceneBox::around(centre.add_scalar(-distance), centre.add_scalar(distance), 0.0);
    let found = match masks(frames)? {
        Masks::None => by_points(capture, centre, distance),
        Masks::Full => {
            warnings.push(
                "the masks leave nothing out: they are all white, so they say nothing about the surface".to_owned(),
            );
            by_points(capture, centre, distance)
        }
        Masks::Some(masks) => {
            let rough = carved(&views, &masks, &everything)?;
            carved(&views, &masks, &rough)?
        }
    };
    check_cameras(&found, frames, "the box that was found")?;
    Ok((found, warnings))
}

/// The point with the least squared distances to all optical axes, and the median distance of the cameras from it.
fn looked_at(views: &[View]) -> Result<(Vector3<f64>, f64)> {
    let axes: Vec<(Vector3<f64>, Vector3<f64>)> = views
        .iter()
        .map(|v| (Vector3::from(v.position().map(f64::from)), Vector3::from(v.rotation[2].map(f64::from))))
        .collect();
    let mut normal = Matrix3::zeros();
    let mut right = Vector3::zeros();
    for (centre, axis) in &axes {
        let across = Matrix3::identity() - axis * axis.transpose();
        normal += across;
        right += across * centre;
    }
    let nothing = || {
        Error::setting(
            "the cameras look at no common place, so the box around the surface cannot be found; set box_min and box_max \
             (--set box_min=[-1,-1,-1] --set box_max=[1,1,1])",
        )
    };
    // Axes that are all parallel have no nearest point.
    if normal.symmetric_eigenvalues().min() < 1e-4 * axes.len() as f64 {
        return Err(nothing());
    }
    let point = normal.try_inverse().ok_or_else(nothing)? * right;
    let in_front = axes.iter().filter(|(centre, axis)| axis.dot(&(point - centre)) > 0.0).count();
    if 4 * in_front < axes.len() {
        return Err(Error::setting(format!(
            "the cameras look away from what they have in common ({} of {} do): their poses seem to be written in the other axis \
             convention; turn them with --set flip_cameras=true, or set box_min and box_max",
            axes.len() - in_front,
            axes.len()
        )));
    }
    let mut distances: Vec<f64> = axes.iter().map(|(centre, _)| (point - centre).norm()).collect();
    let middle = distances.len() / 2;
    let distance = *distances.select_nth_unstable_by(middle, f64::total_cmp).1;
    if distance > 1e-9 { Ok((point, distance)) } else { Err(nothing()) }
}

/// The box of most sparse points near what is looked at; without points a cube of the size that pictures commonly show.
fn by_points(capture: &Capture, centre: Vector3<f64>, distance: f64) -> SceneBox {
    let near = |p: &Vector3<f64>| (p - centre).norm() < distance;
    let points: Vec<Vector3<f64>> =
        capture.points_in_scene().iter().map(|p| Vector3::from(p.position)).filter(near).collect();
    if points.len() < 100 {
        let half = 0.5 * distance;
        return SceneBox::around(centre.add_scalar(-half), centre.add_scalar(half), 0.0);
    }
    let bound = |axis: usize, share: f64| {
        let mut values: Vec<f64> = points.iter().map(|p| p[axis]).collect();
        let at = ((values.len() - 1) as f64 * share).round() as usize;
        *values.select_nth_unstable_by(at, f64::total_cmp).1
    };
    let corner = |share: f64| Vector3::from_fn(|axis, _| bound(axis, share));
    SceneBox::around(corner(0.01), corner(0.99), MARGIN)
}

/// What masks and alpha say.
enum Masks {
    /// There are none.
    None,
    /// They leave nothing out.
    Full,
    /// `(width, height, opaque)` of each frame that has one.
    Some(Vec<Option<(usize, usize, Vec<bool>)>>),
}

fn masks(frames: &FrameSet) -> Result<Masks> {
    let one = |i: usize| -> Result<Option<(usize, usize, Vec<bool>)>> {
        let foreground = frames.frame(i).mask.as_ref().is_some_and(|m| m.kind == MaskKind::Foreground);
        let full = frames.size(i, 1);
        let scale = f64::from(CARVING_SIDE) / f64::from(full.0.max(full.1));
        let size = |side: u32| if scale < 1.0 { (f64::from(side) * scale).round().max(1.0) as u32 } else { side };
        let pixels = frames.pixels(i, (size(full.0), size(full.1)))?;
        if !foreground && !pixels.image.has_alpha() {
            return Ok(None);
        }
        Ok(Some((pixels.image.width as usize, pixels.image.height as usize, widened(&pixels, foreground))))
    };
    let all = (0..frames.len()).into_par_iter().map(one).collect::<Result<Vec<_>>>()?;
    let known: Vec<&Vec<bool>> = all.iter().flatten().map(|(_, _, opaque)| opaque).collect();
    if known.is_empty() {
        return Ok(Masks::None);
    }
    if known.iter().all(|opaque| opaque.iter().all(|o| !o)) {
        return Err(Error::setting(
            "the masks leave nothing: they are all black or all transparent; white is what belongs to the object (leave masks \
             out with --set masks=off)",
        ));
    }
    let opaque: usize = known.iter().map(|opaque| opaque.iter().filter(|o| **o).count()).sum();
    let pixels: usize = known.iter().map(|opaque| opaque.len()).sum();
    Ok(if opaque * 1000 > pixels * 999 { Masks::Full } else { Masks::Some(all) })
}

/// Which pixels the object touches, or a neighbour does.
fn widened(pixels: &FramePixels, foreground: bool) -> Vec<bool> {
    let (w, h) = (pixels.image.width as usize, pixels.image.height as usize);
    let opaque = |x: usize, y: usize| {
        let mask = pixels.mask.as_ref().filter(|_| foreground).map_or(255, |m| m.data[y * w + x]);
        let alpha = if pixels.image.has_alpha() { pixels.image.data[4 * (y * w + x) + 3] } else { 255 };
        mask.min(alpha) > 127
    };
    let near = |x: usize, y: usize| {
        let around = |v: usize, end: usize| v.saturating_sub(1)..(v + 2).min(end);
        around(y, h).any(|y| around(x, w).any(|x| opaque(x, y)))
    };
    (0..w * h).map(|i| near(i % w, i / w)).collect()
}

/// The box of what all masks leave of a box.
fn carved(views: &[View], masks: &[Option<(usize, usize, Vec<bool>)>], within: &SceneBox) -> Result<SceneBox> {
    let (low, side) =
        (Vector3::from(within.corners[0]), Vector3::from(within.corners[1]) - Vector3::from(within.corners[0]));
    let masked = masks.iter().flatten().count();
    let is_left = |cell: usize| {
        let at = [cell % CARVED, cell / CARVED % CARVED, cell / CARVED.pow(2)];
        let place = Vector3::from_fn(|k, _| low[k] + side[k] * (at[k] as f64 + 0.5) / CARVED as f64);
        let mut seen = 0;
        for (view, mask) in views.iter().zip(masks) {
            let Some((width, height, opaque)) = mask else { continue };
            let Some([x, y]) = projected(view, &place) else { continue };
            let (x, y) = ((x * *width as f64) as usize, (y * *height as f64) as usize);
            if !opaque[y.min(height - 1) * width + x.min(width - 1)] {
                return false;
            }
            seen += 1;
        }
        // What few cameras see is not carved, and not what they are pointed at.
        2 * seen >= masked
    };
    let left: Vec<usize> = (0..CARVED.pow(3)).into_par_iter().filter(|&cell| is_left(cell)).collect();
    if left.is_empty() {
        return Err(Error::setting(
            "the masks of the photos have no common volume: no place lies inside all of them; check that masks and poses belong together, \
             set box_min and box_max, or leave masks out with --set masks=off",
        ));
    }
    let mut bounds = [[usize::MAX; 3], [0; 3]];
    for cell in left {
        for (k, x) in [cell % CARVED, cell / CARVED % CARVED, cell / CARVED.pow(2)].into_iter().enumerate() {
            bounds[0][k] = bounds[0][k].min(x);
            bounds[1][k] = bounds[1][k].max(x + 1);
        }
    }
    let corner = |b: [usize; 3]| Vector3::from_fn(|k, _| low[k] + side[k] * b[k] as f64 / CARVED as f64);
    Ok(SceneBox::around(corner(bounds[0]), corner(bounds[1]), MARGIN))
}

/// Where a place is seen, as shares of the picture's sides; `None` when it is not.
fn projected(view: &View, place: &Vector3<f64>) -> Option<[f64; 2]> {
    let [x, y] = SeenPlace::of(view, place)?.pixel;
    Some([x / view.width as f64, y / view.height as f64])
}

/// # Errors
/// When most cameras do not see the box.
fn check_cameras(found: &SceneBox, frames: &FrameSet, what: &str) -> Result<()> {
    let [low, high] = found.corners.map(Vector3::from);
    let places: Vec<Vector3<f64>> = (0..125)
        .map(|i| [i % 5, i / 5 % 5, i / 25].map(|x| (f64::from(x) + 0.5) / 5.0))
        .map(|s| Vector3::from_fn(|k, _| low[k] + s[k] * (high[k] - low[k])))
        .collect();
    let sees = frames.views().filter(|view| places.iter().any(|place| projected(view, place).is_some())).count();
    if 2 * sees < frames.len() {
        return Err(Error::setting(format!(
            "{what} is seen by {sees} of {} cameras only; if their poses are in the other axis convention turn them with --set \
             flip_cameras=true, else set box_min and box_max to where the object is",
            frames.len()
        )));
    }
    Ok(())
}
