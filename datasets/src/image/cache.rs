//! Pixels of a capture's frames at the size in which they are needed, decoded when they are, and not more of them
//! in memory than allowed: 5,000 photos of 12 megapixels take no more than 50.

use super::decode::quarter_turn;
use super::{DepthImage, Image8, Mask8, decode, decode_depth, decode_mask};
use crate::capture::Frame;
use crate::files::Files;
use crate::video::{FrameReader, ReaderPool, VideoInfo};
use crate::{DataError, Result};
use image::metadata::Orientation;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The pixels of one frame at one size.
#[derive(Clone, Debug, PartialEq)]
pub struct FramePixels {
    /// The photo, with alpha when the file has it.
    pub image: Image8,
    /// The mask, of the same size.
    pub mask: Option<Mask8>,
    /// The depth, of the same size.
    pub depth: Option<DepthImage>,
}

impl FramePixels {
    /// Bytes of memory that the pixels take.
    pub fn bytes(&self) -> usize {
        let mask = self.mask.as_ref().map_or(0, |m| m.data.len());
        let depth = self.depth.as_ref().map_or(0, |d| size_of_val(d.data.as_slice()));
        self.image.data.len() + mask + depth
    }
}

/// Decoded frames, the least recently used of which make room for others. It can be shared between threads, and a
/// frame that several of them want at once is decoded once.
///
/// Frames are told apart by [`Frame::name`], those of videos by the video and their number, so a cache serves one capture.
/// What of a video must be decoded on the way to a frame is kept too, as long as there is room.
#[derive(Debug)]
pub struct ImageCache {
    files: Arc<Files>,
    readers: ReaderPool,
    capacity_bytes: usize,
    max_side: Option<u32>,
    state: Mutex<State>,
    /// Rings when a frame has been decoded or has failed to.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By name and, in videos, number; one frame may be there in several sizes.
    frames: HashMap<String, BTreeMap<u32, Vec<Entry>>>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    size: (u32, u32),
    last_used: u64,
    /// `None` while a thread is decoding it.
    pixels: Option<Arc<FramePixels>>,
}

impl ImageCache {
    /// An empty cache over the files of one capture that keeps at most `capacity_bytes` of pixels (those that callers
    /// still hold come on top). With `max_side`, [`ImageCache::full_size`] limits the longer side of every frame.
    pub fn new(files: Arc<Files>, capacity_bytes: usize, max_side: Option<u32>) -> Self {
        Self {
            files,
            readers: ReaderPool::default(),
            capacity_bytes,
            max_side,
            state: Mutex::default(),
            settled: Condvar::new(),
        }
    }

    /// The size of the frame's photo, reduced so that its longer side is no longer than `max_side`.
    pub fn full_size(&self, frame: &Frame) -> (u32, u32) {
        let (width, height) = (frame.camera.width, frame.camera.height);
        match self.max_side {
            Some(limit) if width.max(height) > limit.max(1) => {
                let scale = f64::from(limit.max(1)) / f64::from(width.max(height));
                let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
                (scaled(width), scaled(height))
            }
            _ => (width, height),
        }
    }

    /// The pixels of a frame, resampled to `size` (width, height). A hit takes no allocation.
    ///
    /// # Errors
    /// When a file is missing, damaged, or of another size than the frame's camera.
    pub fn get(&self, frame: &Frame, size: (u32, u32)) -> Result<Arc<FramePixels>> {
        let key = key(frame);
        let mut state = self.lock();
        while let Some(entry) = state.touch(key, size) {
            if let Some(pixels) = &entry.pixels {
                return Ok(pixels.clone());
            }
            state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.reserve(key, size);
        drop(state);

        // Takes the reservation back if decoding fails or panics, so that nobody waits for ever.
        let reservation = Reservation { cache: self, key, size };
        let pixels = Arc::new(load(&self.files, frame, size, |info| self.read_video(frame, info, size))?);
        self.lock().fill(key, size, &pixels, self.capacity_bytes);
        drop(reservation);
        Ok(pixels)
    }

    /// Decodes a frame of a video, and keeps those that are passed on the way to it.
    fn read_video(&self, frame: &Frame, info: &Arc<VideoInfo>, size: (u32, u32)) -> Result<Image8> {
        let path = self.files.display_path(&frame.image);
        let number = frame.video_frame.unwrap_or_default();
        let mut keep = |number: u32, image: Image8| {
            let image = if (image.width, image.height) == size { image } else { image.resized(size.0, size.1) };
            let pixels = Arc::new(FramePixels { image, mask: None, depth: None });
            self.lock().add(&frame.image, number, size, pixels, self.capacity_bytes);
        };
        // Masks and depth of other frames are not known here.
        let is_alone = frame.mask.is_none() && frame.depth.is_none();
        let has_room = || self.bytes() + size.0 as usize * size.1 as usize * 3 * 2 <= self.capacity_bytes;
        self.readers.with(&path, info, |reader| match is_alone && has_room() {
            true => reader.read_past(number, Some(&mut keep)),
            false => reader.read(number),
        })
    }

    /// Bytes of pixels that are kept at the moment.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a frame is known by in the cache.
type Key<'a> = (&'a str, u32);

fn key(frame: &Frame) -> Key<'_> {
    frame.video_frame.map_or((&frame.name, 0), |number| (&frame.image, number))
}

struct Reservation<'a> {
    cache: &'a ImageCache,
    key: Key<'a>,
    size: (u32, u32),
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        if let Some(entries) = state.frames.get_mut(self.key.0).and_then(|frames| frames.get_mut(&self.key.1)) {
            entries.retain(|e| e.size != self.size || e.pixels.is_some());
        }
        drop(state);
        self.cache.settled.notify_all();
    }
}

impl State {
    fn touch(&mut self, key: Key<'_>, size: (u32, u32)) -> Option<&Entry> {
        self.clock += 1;
        let entry = self.frames.get_mut(key.0)?.get_mut(&key.1)?.iter_mut().find(|e| e.size == size)?;
        entry.last_used = self.clock;
        Some(entry)
    }

    fn reserve(&mut self, (name, number): Key<'_>, size: (u32, u32)) {
        let entry = Entry { size, last_used: self.clock, pixels: None };
        self.frames.entry(name.to_owned()).or_default().entry(number).or_default().push(entry);
    }

    /// Keeps pixels that nobody asked for yet, if there is room.
    fn add(&mut self, name: &str, number: u32, size: (u32, u32), pixels: Arc<FramePixels>, capacity: usize) {
        let bytes = pixels.bytes();
        if self.bytes + bytes > capacity {
            return;
        }
        let entries = self.frames.entry(name.to_owned()).or_default().entry(number).or_default();
        if entries.iter().all(|entry| entry.size != size) {
            entries.push(Entry { size, last_used: self.clock, pixels: Some(pixels) });
            self.bytes += bytes;
        }
    }

    fn fill(&mut self, (name, number): Key<'_>, size: (u32, u32), pixels: &Arc<FramePixels>, capacity: usize) {
        let bytes = pixels.bytes();
        if bytes > capacity {
            return;
        }
        while self.bytes + bytes > capacity && self.evict_oldest() {}
        let entries = self.frames.get_mut(name).and_then(|frames| frames.get_mut(&number)).into_iter().flatten();
        for entry in entries.filter(|e| e.size == size && e.pixels.is_none()) {
            entry.pixels = Some(pixels.clone());
            self.bytes += bytes;
        }
    }

    /// Drops what was not used for the longest time. A scan is cheap beside the decoding that made it necessary.
    fn evict_oldest(&mut self) -> bool {
        let entries = self.frames.values().flat_map(BTreeMap::values).flatten().filter(|e| e.pixels.is_some());
        let Some(oldest) = entries.map(|e| e.last_used).min() else { return false };
        let bytes = &mut self.bytes;
        let mut keep = |entry: &Entry| match &entry.pixels {
            Some(pixels) if entry.last_used == oldest => {
                *bytes -= pixels.bytes();
                false
            }
            _ => true,
        };
        // Nothing stays of what is dropped: videos have any number of frames.
        self.frames.retain(|_, numbers| {
            numbers.retain(|_, entries| {
                entries.retain(&mut keep);
                !entries.is_empty()
            });
            !numbers.is_empty()
        });
        true
    }
}

/// Decodes the photo of a frame by itself, at full size, without mask and depth.
///
/// # Errors
/// When its file is missing or damaged.
pub fn read_photo(files: &Files, frame: &Frame) -> Result<Image8> {
    let path = files.display_path(&frame.image);
    match frame.video_frame {
        Some(number) => FrameReader::new(path, files.video(&frame.image)?).read(number),
        None => decode(&files.read(&frame.image)?, &path),
    }
}

fn load(
    files: &Files,
    frame: &Frame,
    size: (u32, u32),
    read_video: impl FnOnce(&Arc<VideoInfo>) -> Result<Image8>,
) -> Result<FramePixels> {
    let (width, height) = size;
    if width == 0 || height == 0 {
        return Err(DataError::new(files.display_path(&frame.image), "cannot be resized to no pixels")
            .remedy("ask for at least one"));
    }
    let camera_size = (frame.camera.width, frame.camera.height);
    let path = files.display_path(&frame.image);
    // A video has no EXIF data that turns masks.
    let (bytes, mut image) = match frame.video_frame {
        Some(_) => (Vec::new(), read_video(&files.video(&frame.image)?)?),
        None => {
            let bytes = files.read(&frame.image)?;
            let image = decode(&bytes, &path)?;
            (bytes, image)
        }
    };
    if (image.width, image.height) != camera_size {
        let reason = format!(
            "has {}x{} pixels but its camera is calibrated for {}x{}",
            image.width, image.height, camera_size.0, camera_size.1
        );
        return Err(DataError::new(path, reason).remedy("use the photos that the calibration was made with"));
    }
    if (image.width, image.height) != size {
        image = image.resized(width, height);
    }
    let mask = match &frame.mask {
        Some(source) => {
            let path = files.display_path(&source.path);
            let mut mask = decode_mask(&files.read(&source.path)?, &path)?;
            if let Some(orientation) = turn_beside((mask.width, mask.height), camera_size, &bytes, &path)? {
                mask = mask.turned(orientation);
            }
            check_shape("mask", &path, (mask.width, mask.height), camera_size)?;
            Some(mask.resized(width, height))
        }
        None => None,
    };
    let depth = match &frame.depth {
        Some(source) => {
            let path = files.display_path(&source.path);
            let mut depth = decode_depth(&files.read(&source.path)?, &path, source.scale)?;
            if let Some(orientation) = turn_beside((depth.width, depth.height), camera_size, &bytes, &path)? {
                depth = depth.turned(orientation);
            }
            check_shape("depth image", &path, (depth.width, depth.height), camera_size)?;
            Some(depth.resized(width, height))
        }
        None => None,
    };
    Ok(FramePixels { image, mask, depth })
}

/// How a mask or depth image must be turned that was made from a photo's pixels as stored, which EXIF turns by a quarter.
fn turn_beside(found: (u32, u32), upright: (u32, u32), photo: &[u8], path: &Path) -> Result<Option<Orientation>> {
    if photo.is_empty() || have_one_shape(found, upright) || !have_one_shape(found, (upright.1, upright.0)) {
        return Ok(None);
    }
    quarter_turn(photo, path)
}

/// Whether two pictures have the same proportions.
fn have_one_shape(a: (u32, u32), b: (u32, u32)) -> bool {
    let (w, h) = (f64::from(a.0) / f64::from(b.0), f64::from(a.1) / f64::from(b.1));
    // Half a pixel of rounding on each side, and a little more for odd downscaling.
    let tolerance = 1.5 / f64::from(a.0.min(a.1));
    (w / h - 1.0).abs() <= tolerance
}

/// Masks and depth may have another resolution than the photo, but not another shape.
fn check_shape(what: &str, path: &Path, found: (u32, u32), photo: (u32, u32)) -> Result<()> {
    if !have_one_shape(found, photo) {
        let reason = format!("is a {what} of {}x{} pixels for a photo of {}x{}", found.0, found.1, photo.0, photo.1);
        return Err(DataError::new(path, reason).remedy("make it the same shape as the photo"));
    }
    Ok(())
}

/// A frame and the size in which it will be wanted.
type Announcement = (Arc<Frame>, (u32, u32));

/// Threads that decode announced frames into a cache before they are asked for.
#[derive(Debug)]
pub struct Prefetcher {
    announcements: Option<SyncSender<Announcement>>,
    cache: Arc<ImageCache>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Prefetcher {
    /// Starts `threads` threads (at least one); at most `depth` announced frames wait for them.
    pub fn new(cache: &Arc<ImageCache>, threads: usize, depth: usize) -> Self {
        let (announcements, receiver) = sync_channel(depth);
        let receiver = Arc::new(Mutex::new(receiver));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..threads.max(1))
            .map(|_| {
                let (cache, receiver, stop) = (cache.clone(), receiver.clone(), stop.clone());
                std::thread::spawn(move || prefetch(&cache, &receiver, &stop))
            })
            .collect();
        Self { announcements: Some(announcements), cache: cache.clone(), stop, threads }
    }

    /// Says that `frame` will be wanted at `size` soon. Never waits: false when too many frames are announced already.
    /// What is wrong with a file is reported by [`ImageCache::get`], not here. Nothing is allocated for a frame that the
    /// cache holds.
    pub fn announce(&self, frame: &Arc<Frame>, size: (u32, u32)) -> bool {
        if self.cache.lock().touch(key(frame), size).is_some() {
            return true;
        }
        let Some(announcements) = &self.announcements else { return false };
        match announcements.try_send((frame.clone(), size)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Drop for Prefetcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.announcements = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing to clean up.
            let _ = thread.join();
        }
    }
}

fn prefetch(cache: &ImageCache, announcements: &Mutex<Receiver<Announcement>>, stop: &AtomicBool) {
    loop {
        let next = announcements.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((frame, size)) = next else { return };
        if !stop.load(Ordering::Relaxed) {
            let _ = cache.get(&frame, size); // whoever asks for the frame gets the error
        }
    }
}
