//! Initial points that somebody has measured: the sparse points of structure from motion, and depth images.

use super::ColouredPoint;
use crate::frames::FrameSet;
use rand::RngExt;
use rand::seq::index;
use rand_pcg::Pcg64;
use tessera_datasets::Result;
use tessera_datasets::capture::Capture;

/// Depth images are read at no more than this many pixels along the longer side.
const DEPTH_SIDE: u32 = 640;
/// Depth images of no more frames than this are read, evenly spread.
const DEPTH_FRAMES: usize = 200;

/// The sparse points in scene coordinates, at most `limit` of them.
pub(super) fn sparse_points(capture: &Capture, limit: usize, rng: &mut Pcg64) -> Vec<ColouredPoint> {
    let points = capture.points_in_scene().into_iter().map(|point| ColouredPoint {
        position: point.position.map(|v| v as f32),
        colour: point.colour.map(|v| f32::from(v) / 255.0),
    });
    let finite: Vec<_> = points.filter(|p| p.position.iter().all(|v| v.is_finite() && v.abs() < 1e6)).collect();
    subsample(finite, limit, rng)
}

/// At most `limit` points, every one as likely as the others, in their order.
pub(super) fn subsample(points: Vec<ColouredPoint>, limit: usize, rng: &mut Pcg64) -> Vec<ColouredPoint> {
    if points.len() <= limit {
        return points;
    }
    let mut kept = index::sample(rng, points.len(), limit).into_vec();
    kept.sort_unstable();
    kept.into_iter().map(|i| points[i]).collect()
}

/// About `count` points on the surfaces that the depth images show, spread evenly over the pictures; none when no frame
/// has depth.
pub(super) fn depth_points(frames: &FrameSet, count: usize, rng: &mut Pcg64) -> Result<Vec<ColouredPoint>> {
    let with_depth: Vec<usize> = (0..frames.len()).filter(|&i| frames.frame(i).depth.is_some()).collect();
    let used = with_depth.len().min(DEPTH_FRAMES).min(count);
    let mut points = Vec::new();
    for k in 0..used {
        let i = with_depth[k * with_depth.len() / used];
        // Twice as many as needed: depth has holes.
        unproject(frames, i, 2 * count.div_ceil(used), rng, &mut points)?;
    }
    Ok(subsample(points, count, rng))
}

/// One random pixel from each of about `count` cells of the picture.
fn unproject(
    frames: &FrameSet,
    i: usize,
    count: usize,
    rng: &mut Pcg64,
    points: &mut Vec<ColouredPoint>,
) -> Result<()> {
    let (width, height) = frames.size(i, 1);
    let downscale = width.max(height).div_ceil(DEPTH_SIDE);
    let frame = frames.load(i, downscale)?;
    let Some(depth) = &frame.pixels.depth else { return Ok(()) };
    let image = &frame.pixels.image;
    let camera = frames.camera(i).resized(image.width, image.height);
    let scene_from_camera = frames.camera_from_scene(i).inverse();
    let cell = (f64::from(image.width) * f64::from(image.height) / count as f64).sqrt().max(1.0);
    let (columns, rows) = ((f64::from(image.width) / cell) as u32, (f64::from(image.height) / cell) as u32);
    for row in 0..rows {
        for column in 0..columns {
            let inside = |k: u32, limit: u32, jitter: f64| (((f64::from(k) + jitter) * cell) as u32).min(limit - 1);
            let x = inside(column, image.width, rng.random());
            let y = inside(row, image.height, rng.random());
            let z = depth.data[(y * image.width + x) as usize] * frame.depth_scale;
            let pixel = image.pixel(x, y);
            let masked = frame.pixels.mask.as_ref().is_some_and(|m| m.data[(y * image.width + x) as usize] < 128);
            let transparent = pixel.get(3).is_some_and(|&a| a < 128);
            if !(z.is_finite() && z > 0.0) || transparent || masked {
                continue;
            }
            let Ok([u, v]) = camera.lens.unproject([f64::from(x) + 0.5, f64::from(y) + 0.5]) else { continue };
            let z = f64::from(z);
            let position = scene_from_camera * nalgebra::Point3::new(u * z, v * z, z);
            points.push(ColouredPoint {
                position: position.coords.cast::<f32>().into(),
                colour: [pixel[0], pixel[1], pixel[2]].map(|c| f32::from(c) / 255.0),
            });
        }
    }
    Ok(())
}
