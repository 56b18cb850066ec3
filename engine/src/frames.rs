//! What training looks at: frames in a seeded, shuffled order, decoded ahead of time, and the picture of each as the
//! loss wants it.
//!
//! - [`FrameSet`]: the chosen frames of a capture, in scene coordinates, at any step of the resolution schedule.
//! - [`mean_up`]: what is up for most of them.
//! - [`Sampler`]: epochs of shuffled frames, with a state of three numbers that resumes bit for bit.
//! - [`FrameTarget`]: the planes of a frame, its depth among them, in reused buffers.

use crate::target::Target;
use nalgebra::Vector3;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use tessera_datasets::Result;
use tessera_datasets::camera::{Camera, Distortion, Lens, Pose};
use tessera_datasets::capture::{Capture, Frame, MaskKind};
use tessera_datasets::image::{FramePixels, ImageCache, Prefetcher};
use tessera_kernels::camera_projection::View;

/// How many frames ahead of the current one are being decoded.
pub const LOOKAHEAD: usize = 6;

/// Frames of a capture in scene coordinates, with their pixels behind the cache.
#[derive(Debug)]
pub struct FrameSet {
    frames: Vec<PreparedFrame>,
    cache: Arc<ImageCache>,
    prefetcher: Prefetcher,
}

#[derive(Debug)]
struct PreparedFrame {
    frame: Arc<Frame>,
    index: usize,
    stand: Arc<Stand>,
    depth_scale: f32,
}

/// A camera at its place. A rig's thousands of photos share a few.
#[derive(Debug)]
struct Stand {
    camera: Camera,
    camera_from_scene: Pose,
    /// At full size; the range in which its lens is valid is costly to find and does not depend on the size.
    view: View,
}

/// The stands that there are already, by the bits of their poses and lenses.
#[derive(Default)]
struct Stands(HashMap<Vec<u64>, Arc<Stand>>);

impl Stands {
    fn share(&mut self, camera: Camera, camera_from_scene: Pose) -> Arc<Stand> {
        let (rotation, translation) = (camera_from_scene.rotation, camera_from_scene.translation);
        let Lens { focal, centre, distortion } = camera.lens;
        let (k, p) = match distortion {
            Distortion::None => ([0.0; 6], [0.0; 2]),
            Distortion::Polynomial { k, p } => (k, p),
            // A tangential term that no other lens has.
            Distortion::Fisheye { k: [a, b, c, d] } => ([a, b, c, d, 0.0, 0.0], [f64::INFINITY; 2]),
        };
        let numbers = rotation.coords.iter().chain(translation.vector.iter()).chain(&focal).chain(&centre);
        let size = [camera.width, camera.height].map(u64::from);
        let key = numbers.chain(&k).chain(&p).map(|v| v.to_bits()).chain(size).collect();
        let new = || Arc::new(Stand { camera, camera_from_scene, view: View::new(&camera, &camera_from_scene) });
        self.0.entry(key).or_insert_with(new).clone()
    }
}

/// One frame at the size in which it is trained on.
#[derive(Clone, Debug)]
pub struct TrainingFrame {
    /// Position in the [`FrameSet`], not in the capture.
    pub index: usize,
    /// The camera in scene coordinates, at the size of the pixels.
    pub view: View,
    /// What the photo, its mask and its depth show.
    pub pixels: Arc<FramePixels>,
    /// What black in the mask means.
    pub mask_kind: Option<MaskKind>,
    /// Scene units for each unit of `pixels.depth`.
    pub depth_scale: f32,
}

impl TrainingFrame {
    /// Whether the photo's alpha or a foreground mask says where the object is.
    pub fn is_cut_out(&self) -> bool {
        let masked = self.mask_kind == Some(MaskKind::Foreground) && self.pixels.mask.is_some();
        self.pixels.image.has_alpha() || masked
    }
}

/// Which photos are for training, and how they are read.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// Of photos that the capture does not assign, every so many is held out; 0 holds out none.
    pub test_every: usize,
    /// Longest side in pixels; 0 leaves photos as they are.
    pub resolution: u32,
    /// Decoded photos that are kept, in MiB.
    pub image_cache_mb: usize,
}

impl Split {
    /// An empty cache for photos that are read so.
    pub fn cache(&self, capture: &Capture) -> Arc<ImageCache> {
        let max_side = (self.resolution > 0).then_some(self.resolution);
        Arc::new(ImageCache::new(capture.files.clone(), self.image_cache_mb << 20, max_side))
    }
}

impl FrameSet {
    /// The photos to train on and those that are held out, behind one cache.
    ///
    /// # Errors
    /// When none are left to train on.
    pub fn split(capture: &Capture, split: &Split) -> crate::Result<(Self, Self)> {
        Self::split_behind(&split.cache(capture), capture, split.test_every)
    }

    /// As [`FrameSet::split`], behind a cache that others may look at photos through as well.
    ///
    /// # Errors
    /// As there.
    pub fn split_behind(cache: &Arc<ImageCache>, capture: &Capture, test_every: usize) -> crate::Result<(Self, Self)> {
        let (train, test) = capture.split_indices((test_every > 0).then_some(test_every));
        if train.is_empty() {
            let message = "no photos are left to train on; lower --test-every or give the capture more photos";
            return Err(crate::Error::setting(message));
        }
        Ok((Self::new(capture, &train, cache, 1), Self::new(capture, &test, cache, 1)))
    }

    /// The frames of `capture` with the given indices, each at most as large as the cache's limit. `threads` (at least
    /// one) decode what training will want next.
    pub fn new(capture: &Capture, indices: &[usize], cache: &Arc<ImageCache>, threads: usize) -> Self {
        let mut stands = Stands::default();
        let prepare = |&index: &usize| {
            let frame = capture.frames.get(index)?;
            let (width, height) = cache.full_size(frame);
            let camera = frame.camera.resized(width, height);
            Some(PreparedFrame {
                frame: Arc::new(frame.clone()),
                index,
                stand: stands.share(camera, capture.camera_from_scene(frame)),
                // The cache has turned stored units into the world's.
                depth_scale: capture.scene_from_world.scaling() as f32,
            })
        };
        Self {
            frames: indices.iter().filter_map(prepare).collect(),
            cache: cache.clone(),
            prefetcher: Prefetcher::new(cache, threads, 2 * LOOKAHEAD),
        }
    }

    /// Some of these frames as a set of their own, behind the same cache.
    ///
    /// # Panics
    /// When an index is out of range.
    #[must_use]
    pub fn subset(&self, capture: &Capture, indices: &[usize]) -> Self {
        let of_capture: Vec<usize> = indices.iter().map(|&i| self.frames[i].index).collect();
        Self::new(capture, &of_capture, &self.cache, 1)
    }

    /// Bytes of pixels that the cache holds at the moment, of these frames and of others.
    pub fn cached_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// True when there are no frames.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frame as the capture describes it. Panics when `i` is out of range, as do the others.
    pub fn frame(&self, i: usize) -> &Frame {
        &self.frames[i].frame
    }

    /// The frame's index within the capture.
    pub fn capture_index(&self, i: usize) -> usize {
        self.frames[i].index
    }

    /// The lens at full size.
    pub fn camera(&self, i: usize) -> &Camera {
        &self.frames[i].stand.camera
    }

    /// From the scene to the frame's camera, as the capture has it unless it was moved.
    pub fn camera_from_scene(&self, i: usize) -> &Pose {
        &self.frames[i].stand.camera_from_scene
    }

    /// Moves the camera of a frame.
    pub fn move_camera(&mut self, i: usize, camera_from_scene: Pose) {
        let camera = self.frames[i].stand.camera;
        let view = View::new(&camera, &camera_from_scene);
        self.frames[i].stand = Arc::new(Stand { camera, camera_from_scene, view });
    }

    /// The views of all frames at full size.
    pub fn views(&self) -> impl ExactSizeIterator<Item = &View> {
        self.frames.iter().map(|f| &f.stand.view)
    }

    /// (width, height) of a frame when `downscale` pixels become one along each side.
    pub fn size(&self, i: usize, downscale: u32) -> (u32, u32) {
        let Camera { width, height, .. } = self.frames[i].stand.camera;
        let scaled = |side: u32| (f64::from(side) / f64::from(downscale.max(1))).round().max(1.0) as u32;
        (scaled(width), scaled(height))
    }

    /// The view of a frame at that size.
    pub fn view(&self, i: usize, downscale: u32) -> View {
        self.view_sized(i, self.size(i, downscale))
    }

    /// The view of a frame at any size.
    pub fn view_sized(&self, i: usize, (width, height): (u32, u32)) -> View {
        let Stand { camera, view, .. } = &*self.frames[i].stand;
        let lens = camera.resized(width, height).lens;
        View { width: width as usize, height: height as usize, lens, ..*view }
    }

    /// One frame with its pixels.
    ///
    /// # Errors
    /// When the photo or what belongs to it cannot be read.
    pub fn load(&self, i: usize, downscale: u32) -> Result<TrainingFrame> {
        let PreparedFrame { frame, depth_scale, .. } = &self.frames[i];
        Ok(TrainingFrame {
            index: i,
            view: self.view(i, downscale),
            pixels: self.cache.get(frame, self.size(i, downscale))?,
            mask_kind: frame.mask.as_ref().map(|m| m.kind),
            depth_scale: *depth_scale,
        })
    }

    /// Pixels of a frame at any size, for those that need a small picture of each.
    ///
    /// # Errors
    /// As [`FrameSet::load`].
    pub fn pixels(&self, i: usize, size: (u32, u32)) -> Result<Arc<FramePixels>> {
        self.cache.get(&self.frames[i].frame, size)
    }

    /// The next frame in the sampler's order; those that come after it are decoded meanwhile.
    ///
    /// # Errors
    /// As [`FrameSet::load`].
    pub fn next(&self, sampler: &mut Sampler, downscale: u32) -> Result<TrainingFrame> {
        // In the steady state the nearer ones have been announced before; at the start all are new.
        let first = if sampler.state.position == 0 { 1 } else { LOOKAHEAD };
        for ahead in first..=LOOKAHEAD {
            self.announce(sampler.peek(ahead), downscale);
        }
        self.load(sampler.advance(), downscale)
    }

    /// A frame, while those that come after it are decoded: `after` says which one comes so many later. At the beginning none of
    /// them has been asked for before.
    ///
    /// # Errors
    /// As [`FrameSet::load`].
    pub fn load_before(
        &self,
        i: usize,
        is_begin: bool,
        after: impl Fn(u64) -> usize,
        downscale: u32,
    ) -> Result<TrainingFrame> {
        for ahead in if is_begin { 1 } else { LOOKAHEAD }..=LOOKAHEAD {
            self.announce(after(ahead as u64), downscale);
        }
        self.load(i, downscale)
    }

    fn announce(&self, i: usize, downscale: u32) {
        self.prefetcher.announce(&self.frames[i].frame, self.size(i, downscale));
    }
}

/// The mean of the cameras' upward axes in the world. It is as long as they agree, at most 1.
pub fn mean_up(frames: &[Frame]) -> Vector3<f64> {
    let ups = frames.iter().map(|frame| frame.camera_from_world.rotation.inverse() * -Vector3::y());
    ups.sum::<Vector3<f64>>() / frames.len().max(1) as f64
}

/// Goes through all frames in a new random order in each epoch.
#[derive(Clone, Debug)]
pub struct Sampler {
    state: SamplerState,
    current: Vec<usize>,
    upcoming: Vec<usize>,
}

/// All that a [`Sampler`] needs to go on where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplerState {
    /// Of the whole order.
    pub seed: u64,
    /// Which pass over the frames.
    pub epoch: u64,
    /// How many frames of the pass are done.
    pub position: usize,
}

impl Sampler {
    /// Begins the first epoch of `count` frames (at least one).
    pub fn new(count: usize, seed: u64) -> Self {
        Self::restore(count, SamplerState { seed, epoch: 0, position: 0 })
    }

    /// Goes on from a saved state. With another count than then, the order differs but is as good.
    pub fn restore(count: usize, state: SamplerState) -> Self {
        assert!(count > 0, "there must be a frame to sample");
        let mut sampler = Self { state, current: (0..count).collect(), upcoming: (0..count).collect() };
        sampler.state.position = state.position.min(count - 1);
        shuffle(&mut sampler.current, state.seed, state.epoch);
        shuffle(&mut sampler.upcoming, state.seed, state.epoch.wrapping_add(1));
        sampler
    }

    /// What to save.
    pub fn state(&self) -> SamplerState {
        self.state
    }

    /// The frame that `ahead` more calls of [`Sampler::advance`] lead to; 0 is the next one. Looks no further than the
    /// end of the next epoch.
    pub fn peek(&self, ahead: usize) -> usize {
        let count = self.current.len();
        let position = self.state.position + ahead;
        if position < count { self.current[position] } else { self.upcoming[(position - count).min(count - 1)] }
    }

    /// The next frame.
    pub fn advance(&mut self) -> usize {
        let next = self.current[self.state.position];
        self.state.position += 1;
        if self.state.position == self.current.len() {
            self.state.position = 0;
            self.state.epoch = self.state.epoch.wrapping_add(1);
            std::mem::swap(&mut self.current, &mut self.upcoming);
            shuffle(&mut self.upcoming, self.state.seed, self.state.epoch.wrapping_add(1));
        }
        next
    }
}

/// The order of one epoch, whatever was in `order` before.
fn shuffle(order: &mut [usize], seed: u64, epoch: u64) {
    order.iter_mut().enumerate().for_each(|(i, slot)| *slot = i);
    order.shuffle(&mut Pcg64::new(u128::from(seed), u128::from(epoch)));
}

/// What a rendering of a frame is compared with. Filling it again reuses the memory.
#[derive(Clone, Debug, Default)]
pub struct FrameTarget {
    /// Colours with the background where the frame is transparent, weights and alpha.
    pub picture: Target,
    /// `[H, W]`, along the camera's axis in scene units, 0 where unknown; empty when there is none.
    pub depth: Vec<f32>,
}

impl FrameTarget {
    /// Takes over the pixels of `frame` in front of `background`.
    pub fn fill(&mut self, frame: &TrainingFrame, background: [f32; 3]) {
        self.picture.fill(&frame.pixels, frame.mask_kind, background);
        self.depth.clear();
        let in_scene = |&z: &f32| if z.is_finite() && z > 0.0 { z * frame.depth_scale } else { 0.0 };
        self.depth.extend(frame.pixels.depth.iter().flat_map(|d| d.data.iter().map(in_scene)));
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
