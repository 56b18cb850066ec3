//! A moving scene, or meshes of several moments, on the page: the clock, and what is fetched.

use super::WebViewer;
use super::mesh::MeshBuilder;
use crate::moving::{Ahead, Clock, MeshesAhead, Moments, MovingMeshes, MovingScene, Piece, Track, device_page};
use crate::renderer::{MeshData, Renderer};
use crate::streamed::{PageFetch, Surroundings};
use std::collections::{HashMap, HashSet};
use tessera_datasets::format::tiles::StartCamera;
use tessera_datasets::format::volumetric::VideoManifest;
use tessera_datasets::scene::Timeline;
use tessera_datasets::scene::tile_tree::{StreamLimits, seconds_to_wait};
use wasm_bindgen::prelude::*;

/// Pages are wanted so long before they are seen, seconds: networks are slower than disks, and stop now and then.
const AHEAD: f64 = 3.0;
/// What passes in a frame at most, seconds: a page that was behind others goes on from where it was.
const LONGEST_STEP: f64 = 0.5;

/// How many bytes come before the pages of a moving scene, of which these are the first 16 at least.
///
/// # Errors
/// When they begin something else, as the end of a sentence.
#[wasm_bindgen]
pub fn moving_head_bytes(beginning: &[u8]) -> Result<f64, JsError> {
    VideoManifest::head_bytes(beginning).map(|bytes| bytes as f64).map_err(|reason| JsError::new(&reason))
}

/// What moment it is.
#[wasm_bindgen]
#[derive(Clone, Copy)]
pub struct Moment {
    /// After the first frame.
    pub seconds: f64,
    /// Seconds from the first frame to the last.
    pub length: f64,
    /// The nearest frame, from 0.
    pub frame: u32,
    /// How many there are.
    pub frames: u32,
    /// Whether time passes.
    pub playing: bool,
    /// How fast: 1 as it was filmed, negative backwards.
    pub rate: f64,
    /// Whether it begins again at its end.
    pub looped: bool,
}

/// Bytes of a mesh on the device for each splat that may be kept there.
const MESH_BYTES: u64 = 60;

/// A moving scene and what is on its way.
pub(super) struct Moving {
    track: Track,
    pub clock: Clock,
    /// By piece: where it begins in the file, and how many bytes it has.
    places: Vec<[u64; 2]>,
    limits: StreamLimits,
    /// Pages on their way.
    asked: HashSet<u32>,
    /// By page: how often it has failed, and from when on it may be asked for again.
    failures: HashMap<u32, (u32, f64)>,
    /// Whether time passed in the last frame.
    is_running: bool,
    has_begun: bool,
    problems: Vec<String>,
}

impl Moving {
    /// From all bytes before the pages.
    fn new(head: &[u8], limits: StreamLimits) -> Result<Self, String> {
        let manifest = VideoManifest::of_head(head)?;
        let start = head.len() as u64;
        let pages = manifest.segments.iter().flat_map(|segment| &segment.pages);
        let places = pages.map(|page| [start + page.offset, page.length()]).collect();
        Ok(Self::of(Track::Splats(MovingScene::new(manifest, ahead(&limits))), places, limits))
    }

    /// From when meshes are seen, and where they are in the file.
    fn of_meshes(moments: Moments, places: Vec<[u64; 2]>, limits: StreamLimits) -> Self {
        Self::of(Track::Meshes(MovingMeshes::new(moments, meshes_ahead(&limits))), places, limits)
    }

    fn of(track: Track, places: Vec<[u64; 2]>, limits: StreamLimits) -> Self {
        Self {
            clock: track.clock(0.0),
            track,
            places,
            limits,
            asked: HashSet::new(),
            failures: HashMap::new(),
            is_running: false,
            has_begun: false,
            problems: Vec::new(),
        }
    }

    pub fn set_limits(&mut self, limits: StreamLimits) {
        self.limits = limits;
        match &mut self.track {
            Track::Splats(scene) => scene.set_ahead(ahead(&limits)),
            Track::Meshes(meshes) => meshes.set_ahead(meshes_ahead(&limits)),
        }
    }

    /// Lets time pass, and shows what has come; whether it is played.
    pub fn advance(&mut self, seconds: f64, renderer: &mut Renderer) -> bool {
        // The first frame after standing still comes at any time.
        let seconds = if self.is_running { seconds.clamp(0.0, LONGEST_STEP) } else { 0.0 };
        self.is_running = self.track.pass(&mut self.clock, seconds);
        self.track.show(self.clock.head(), renderer);
        self.has_begun |= self.track.progress(self.clock.seconds).2 > 0;
        self.is_running
    }

    pub fn next_fetch(&mut self, now: f64) -> Option<PageFetch> {
        if self.asked.len() >= self.limits.requests {
            return None;
        }
        let is_due = |page: &u32| self.failures.get(page).is_none_or(|(_, retry_at)| *retry_at <= now);
        let wanted = self.track.wanted(self.clock.head());
        let page = wanted.into_iter().find(|page| !self.asked.contains(page) && is_due(page))?;
        self.asked.insert(page);
        let [offset, length] = self.places[page as usize];
        Some(PageFetch { node: page, file: String::new(), offset, length })
    }

    /// When a page that failed may be asked for again, if one waits for that.
    pub fn next_retry(&self) -> Option<f64> {
        let wanted = self.track.wanted(self.clock.head()).into_iter().filter(|page| !self.asked.contains(page));
        wanted.filter_map(|page| Some(self.failures.get(&page)?.1)).min_by(f64::total_cmp)
    }

    /// Takes the bytes of a page; where its splats are.
    pub fn arrived(
        &mut self,
        page: u32,
        bytes: &[u8],
        now: f64,
        renderer: &mut Renderer,
    ) -> Result<Option<Surroundings>, String> {
        self.asked.remove(&page);
        let placed = self.place(page, bytes, renderer);
        match &placed {
            Ok(_) => drop(self.failures.remove(&page)),
            Err(reason) => self.failed(page, reason, now),
        }
        placed
    }

    fn place(&mut self, page: u32, bytes: &[u8], renderer: &mut Renderer) -> Result<Option<Surroundings>, String> {
        let Track::Splats(scene) = &mut self.track else { return Err("splats came in place of a mesh".to_owned()) };
        let manifest = scene.manifest();
        let splats = manifest.decode_page(&scene.page(page), bytes).map_err(|error| error.to_string())?;
        let for_device = device_page(&splats, manifest).map_err(|error| error.to_string())?;
        scene.add(page, &for_device, renderer).map_err(|error| error.to_string())?;
        Ok(Surroundings::of_splats(&splats.splats.means))
    }

    /// Takes a mesh.
    pub fn mesh_arrived(
        &mut self,
        moment: u32,
        mesh: MeshData,
        now: f64,
        renderer: &mut Renderer,
    ) -> Result<(), String> {
        self.asked.remove(&moment);
        let added = self.track.add(moment, &Piece::Mesh(mesh), renderer).map_err(|error| error.to_string());
        match &added {
            Ok(()) => drop(self.failures.remove(&moment)),
            Err(reason) => self.failed(moment, reason, now),
        }
        added
    }

    pub fn failed(&mut self, page: u32, reason: &str, now: f64) {
        self.asked.remove(&page);
        let (count, retry_at) = self.failures.entry(page).or_default();
        *count += 1;
        if *count < self.limits.attempts {
            *retry_at = now + seconds_to_wait(*count);
            return;
        }
        if *count == self.limits.attempts {
            let when = match self.track.seconds_of(page) {
                None => "at all times".to_owned(),
                Some([from, to]) => format!("from {:.2} to {:.2} s", from.max(0.0), to.min(self.clock.length())),
            };
            self.problems.push(format!("{when}: {reason}"));
        }
        // Once it has been out of sight it has one more chance.
        *retry_at = now;
        self.track.miss(page);
    }

    pub fn cancelled(&mut self, page: u32) {
        self.asked.remove(&page);
    }

    pub fn is_needed(&self, page: u32) -> bool {
        self.track.is_needed(page, self.clock.head())
    }

    pub fn retry_all(&mut self) {
        self.failures.clear();
        self.track.retry_missed();
    }

    pub fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    /// Pieces of the moment, how many of them are settled, what is shown and how much there is: splats or moments.
    pub fn progress(&self) -> (usize, usize, u64, u64) {
        self.track.progress(self.clock.seconds)
    }

    /// What is counted so.
    pub fn kind(&self) -> &'static str {
        match self.track {
            Track::Splats(_) => "moving splats",
            Track::Meshes(_) => "moments",
        }
    }

    /// Bytes of meshes on the device.
    pub fn mesh_bytes(&self) -> u64 {
        match &self.track {
            Track::Splats(_) => 0,
            Track::Meshes(meshes) => meshes.bytes(),
        }
    }

    /// Whether nothing at all could be shown, and nothing more will come.
    pub fn is_hopeless(&self) -> bool {
        let is_lost = |page: &(u32, f64)| page.0 >= self.limits.attempts;
        !self.has_begun && self.track.is_complete(self.clock.seconds) && self.failures.values().any(is_lost)
    }

    pub fn clear(mut self, renderer: &mut Renderer) {
        self.track.clear(renderer);
    }
}

fn ahead(limits: &StreamLimits) -> Ahead {
    Ahead { seconds: AHEAD, splats: limits.cached_splats }
}

fn meshes_ahead(limits: &StreamLimits) -> MeshesAhead {
    MeshesAhead { seconds: AHEAD, bytes: MESH_BYTES * limits.cached_splats }
}

#[wasm_bindgen]
impl WebViewer {
    /// Begins to load meshes of several moments in place of what is shown: when each begins and the last one ends, in seconds after
    /// the first (`[N + 1]`), where each is in the file and how many bytes it has (`[N, 2]`), and the box around all of them
    /// (lowest and highest corner).
    ///
    /// # Errors
    /// When these contradict each other.
    pub fn set_sequence(&mut self, seconds: &[f64], places: &[f64], bounds: &[f32]) -> Result<(), JsError> {
        let bad = || JsError::new("it does not say when its meshes are seen");
        let (end, seconds) = seconds.split_last().filter(|(_, seconds)| !seconds.is_empty()).ok_or_else(bad)?;
        let is_sound = seconds[0] == 0.0
            && seconds.iter().chain([end]).all(|time| time.is_finite())
            && seconds.windows(2).all(|pair| pair[0] < pair[1])
            && seconds[seconds.len() - 1] < *end
            && places.len() == 2 * seconds.len();
        if !is_sound {
            return Err(bad());
        }
        let timeline = Timeline::of_moments(seconds, 0.0);
        let moments = Moments { seconds: seconds.to_vec(), end: *end, timeline };
        let places = places.as_chunks().0.iter().map(|place| place.map(|bytes| bytes as u64)).collect();
        let moving = Moving::of_meshes(moments, places, self.limits);
        if let Some(old) = self.moving.replace(moving) {
            old.clear(&mut self.renderer);
        }
        self.generation += 1;
        if let Some(around) = Surroundings::of_surfaces(bounds.as_chunks().0) {
            // Meshes have y upwards by custom.
            self.find_home(around, Some([0.0, 1.0, 0.0]), None);
        }
        Ok(())
    }

    /// The mesh of a moment has come.
    ///
    /// # Errors
    /// Why it cannot be used; it is asked for again a few times.
    pub fn mesh_arrived(
        &mut self,
        generation: u32,
        moment: u32,
        builder: MeshBuilder,
        now: f64,
    ) -> Result<(), JsError> {
        let Some(moving) = self.moving.as_mut().filter(|_| generation == self.generation) else { return Ok(()) };
        let arrived = moving.mesh_arrived(moment, builder.mesh, now, &mut self.renderer);
        arrived.map_err(|reason| JsError::new(&reason))
    }

    /// Begins to load a moving scene from all bytes before its pages, in place of what is shown. `view` says where to begin looking
    /// from, where that is known: position, target, vertical angle in radians, up, lowest and highest corner of most of it,
    /// nearest distance that is drawn; empty, or 17 numbers.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn set_moving(&mut self, head: &[u8], view: &[f32]) -> Result<(), JsError> {
        let moving = Moving::new(head, self.limits).map_err(|reason| JsError::new(&reason))?;
        if let Some(old) = self.moving.replace(moving) {
            old.clear(&mut self.renderer);
        }
        self.generation += 1;
        if let Ok([px, py, pz, tx, ty, tz, fov_y, ux, uy, uz, lx, ly, lz, hx, hy, hz, near]) =
            <[f32; 17]>::try_from(view)
        {
            let camera = StartCamera { position: [px, py, pz], target: [tx, ty, tz], fov_y };
            let around = Surroundings { bounds: [[lx, ly, lz], [hx, hy, hz]], near };
            self.find_home(around, Some([ux, uy, uz]), Some(camera));
        }
        Ok(())
    }

    /// What moment it is; nothing when the scene does not move.
    pub fn moment(&self) -> Option<Moment> {
        let clock = self.moving.as_ref()?.clock;
        let (frame, frames) = clock.frame();
        Some(Moment {
            seconds: clock.seconds,
            length: clock.length(),
            frame,
            frames,
            playing: clock.is_playing,
            rate: clock.rate,
            looped: clock.is_looped,
        })
    }

    /// Plays, or stops.
    pub fn toggle_time(&mut self) {
        self.with_clock(Clock::toggle);
    }

    /// Stops at a moment, seconds after the first frame.
    pub fn seek(&mut self, seconds: f64) {
        self.with_clock(|clock| clock.seek(seconds));
    }

    /// Stops so many frames later.
    pub fn step_frames(&mut self, frames: i32) {
        self.with_clock(|clock| clock.step(i64::from(frames)));
    }

    /// How fast time passes: 1 as it was filmed, negative backwards.
    pub fn set_rate(&mut self, rate: f64) {
        self.with_clock(|clock| clock.rate = if rate.is_finite() { rate.clamp(-8.0, 8.0) } else { 1.0 });
    }

    /// Whether it begins again at its end.
    pub fn set_looped(&mut self, looped: bool) {
        self.with_clock(|clock| clock.is_looped = looped);
    }
}

impl WebViewer {
    fn with_clock(&mut self, change: impl FnOnce(&mut Clock)) {
        if let Some(moving) = &mut self.moving {
            change(&mut moving.clock);
        }
    }
}
