//! Meshes of several moments that are played: which of them are on the graphics device.
//!
//! One mesh is seen at a moment, and those that come next are there before they are needed. What was seen stays as long as there is
//! room, so that a short sequence that begins again is loaded once. Like [`super::MovingScene`] it does no input or output.

use super::clock::EARLY;
use super::{Clock, Playhead};
use crate::ViewerError;
use crate::renderer::{MeshData, Renderer, SurfaceId};
use std::collections::BTreeMap;
use tessera_datasets::scene::Timeline;

/// No more moments than this are looked for ahead.
const MOST_STEPS: usize = 64;

/// When meshes are seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// When each begins, in seconds after the first; ascending, at least one.
    pub seconds: Vec<f64>,
    /// When the last one ends.
    pub end: f64,
    /// The frames, of which some may have no mesh of their own.
    pub timeline: Timeline,
}

impl Moments {
    /// The moment that is seen so many seconds after the first began.
    pub fn at(&self, seconds: f64) -> u32 {
        let early = EARLY / self.timeline.frame_rate;
        self.seconds.partition_point(|begin| *begin <= seconds + early).saturating_sub(1) as u32
    }

    /// From when to when a moment is seen.
    pub fn seconds_of(&self, moment: u32) -> [f64; 2] {
        let moment = moment as usize;
        [self.seconds[moment], self.seconds.get(moment + 1).copied().unwrap_or(self.end)]
    }

    /// A clock that stands still at a time.
    pub fn clock(&self, seconds: f64) -> Clock {
        let mut clock = Clock::until(self.timeline, self.end);
        clock.seek(seconds);
        clock
    }
}

/// What of a sequence is on the device beside what is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeshesAhead {
    /// Meshes are wanted so long before they are seen, in seconds of watching.
    pub seconds: f64,
    /// Bytes on the device beyond which only the next mesh is wanted, and others make way.
    pub bytes: u64,
}

/// A mesh on the device.
#[derive(Clone, Copy, Debug)]
struct Resident {
    surface: SurfaceId,
    bytes: u64,
    triangles: u64,
}

/// A sequence and its meshes on the device, by the numbers of their moments.
#[derive(Debug)]
pub struct MovingMeshes {
    moments: Moments,
    ahead: MeshesAhead,
    /// None of a mesh that cannot be had.
    resident: BTreeMap<u32, Option<Resident>>,
    /// The one that is seen.
    shown: Option<u32>,
    /// Bytes of the largest so far: what others are expected to take.
    largest: u64,
}

impl MovingMeshes {
    /// Nothing of it is there yet.
    pub fn new(moments: Moments, ahead: MeshesAhead) -> Self {
        Self { moments, ahead, resident: BTreeMap::new(), shown: None, largest: 0 }
    }

    /// When they are seen.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// The meshes that are missing, the most urgent first.
    pub fn wanted(&self, at: Playhead) -> Vec<u32> {
        self.needed(at).into_iter().filter(|moment| !self.resident.contains_key(moment)).collect()
    }

    /// Puts a mesh on the device. It is seen from the next [`Self::show`] on, if it is its moment.
    ///
    /// # Errors
    /// When it contradicts itself, or is too large for the device.
    pub fn add(&mut self, moment: u32, mesh: &MeshData, renderer: &mut Renderer) -> Result<(), ViewerError> {
        if !matches!(self.resident.get(&moment), Some(Some(_))) {
            let surface = renderer.add_mesh(mesh)?;
            // It may be one that could not be had before.
            renderer.set_mesh_visible(surface, self.shown == Some(moment));
            let (bytes, triangles) = (mesh.device_bytes(), mesh.triangles());
            self.largest = self.largest.max(bytes);
            self.resident.insert(moment, Some(Resident { surface, bytes, triangles }));
        }
        Ok(())
    }

    /// Goes without a mesh that cannot be had, until it has been out of sight.
    pub fn miss(&mut self, moment: u32) {
        self.resident.entry(moment).or_default();
    }

    /// Gives all meshes that could not be had a new chance.
    pub fn retry_missed(&mut self) {
        self.resident.retain(|_, mesh| mesh.is_some());
    }

    /// Shows the mesh of a moment; until it has come, the one before stays. Makes room.
    pub fn show(&mut self, at: Playhead, renderer: &mut Renderer) {
        let moment = self.moments.at(at.seconds);
        if self.resident.contains_key(&moment) && self.shown != Some(moment) {
            for (number, is_seen) in self.shown.into_iter().map(|before| (before, false)).chain([(moment, true)]) {
                if let Some(Some(mesh)) = self.resident.get(&number) {
                    renderer.set_mesh_visible(mesh.surface, is_seen);
                }
            }
            self.shown = Some(moment);
        }
        let needed = self.needed(at);
        self.resident.retain(|number, mesh| mesh.is_some() || needed.contains(number));
        let mut others: Vec<u32> = self.resident.keys().copied().collect();
        others.retain(|number| !needed.contains(number) && self.shown != Some(*number));
        // What is seen again last goes first.
        others.sort_by_key(|number| self.steps_to(*number, moment, at.rate));
        while self.bytes() > self.ahead.bytes
            && let Some(farthest) = others.pop()
        {
            if let Some(Some(mesh)) = self.resident.remove(&farthest) {
                renderer.remove_mesh(mesh.surface);
            }
        }
    }

    /// Whether the mesh of a moment has come or cannot be had.
    pub fn is_complete(&self, seconds: f64) -> bool {
        self.resident.contains_key(&self.moments.at(seconds))
    }

    /// The number of the moment that is seen, and the triangles of its mesh.
    pub fn shown(&self) -> Option<(u32, u64)> {
        let shown = self.shown?;
        Some((shown, self.resident.get(&shown)?.as_ref()?.triangles))
    }

    /// Lets so many seconds of watching pass while it is played; whether it is. Time waits for meshes that have not come.
    pub fn pass(&self, clock: &mut Clock, seconds: f64) -> bool {
        if clock.is_playing {
            // Where frames are slow the whole step may lead past what is on the device; the next mesh always is wanted.
            let frame = 1.0 / (self.moments.timeline.frame_rate * clock.rate.abs());
            let moments = [seconds, seconds.min(frame)].map(|seconds| clock.after(seconds));
            if let Some(next) = moments.into_iter().find(|(seconds, _)| self.is_complete(*seconds)) {
                (clock.seconds, clock.is_playing) = next;
            }
        }
        clock.is_playing
    }

    /// Bytes on the device, seen or not.
    pub fn bytes(&self) -> u64 {
        self.resident.values().flatten().map(|mesh| mesh.bytes).sum()
    }

    /// Changes what is on the device beside what is seen.
    pub fn set_ahead(&mut self, ahead: MeshesAhead) {
        self.ahead = ahead;
    }

    /// Takes everything off the device.
    pub fn clear(&mut self, renderer: &mut Renderer) {
        self.shown = None;
        let meshes = std::mem::take(&mut self.resident).into_values().flatten();
        meshes.for_each(|mesh| renderer.remove_mesh(mesh.surface));
    }

    /// Whether a mesh is seen now or soon.
    pub fn is_needed(&self, moment: u32, at: Playhead) -> bool {
        self.needed(at).contains(&moment)
    }

    /// What is seen now, then what is seen soon.
    fn needed(&self, at: Playhead) -> Vec<u32> {
        let mut moment = self.moments.at(at.seconds);
        let mut needed = vec![moment];
        let last = self.moments.seconds.len() as u32 - 1;
        while at.rate != 0.0 && needed.len() <= MOST_STEPS {
            let (is_at_end, next) = if at.rate > 0.0 { (moment == last, 0) } else { (moment == 0, last) };
            moment = match (is_at_end, at.is_looped) {
                (true, false) => break,
                (true, true) => next,
                (false, _) if at.rate > 0.0 => moment + 1,
                (false, _) => moment - 1,
            };
            let frames = needed.len() as f64 - 1.0;
            let is_late = frames > self.ahead.seconds * at.rate.abs() * self.moments.timeline.frame_rate;
            let is_full = (needed.len() as u64 + 1) * self.largest > self.ahead.bytes;
            // The next one always is wanted.
            if needed.contains(&moment) || (needed.len() > 1 && (is_late || is_full)) {
                break;
            }
            needed.push(moment);
        }
        needed
    }

    /// How many moments later a moment is seen, when another is seen now.
    fn steps_to(&self, moment: u32, now: u32, rate: f64) -> u32 {
        let count = self.moments.seconds.len() as u32;
        let forwards = (moment + count - now) % count;
        if rate < 0.0 { (count - forwards) % count } else { forwards }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD: MeshesAhead = MeshesAhead { seconds: 0.5, bytes: 1 << 30 };

    /// Ten meshes in a second.
    fn meshes(ahead: MeshesAhead) -> MovingMeshes {
        let seconds = (0..10).map(|i| 0.1 * f64::from(i)).collect();
        let timeline = Timeline { start: 0.0, frame_rate: 10.0, frames: 10 };
        MovingMeshes::new(Moments { seconds, end: 1.0, timeline }, ahead)
    }

    fn playing(seconds: f64, rate: f64, is_looped: bool) -> Playhead {
        Playhead { seconds, rate, is_looped }
    }

    /// A triangle of so many vertices.
    fn mesh(vertices: usize) -> MeshData {
        let parts = vec![crate::renderer::MeshPart { triangles: vec![[0, 1, 2]], ..Default::default() }];
        MeshData { positions: vec![[0.0; 3]; vertices], parts, ..MeshData::default() }
    }

    #[test]
    fn what_comes_next_is_wanted_in_the_order_in_which_it_is_played() {
        let meshes = meshes(AHEAD);
        assert_eq!(meshes.wanted(Playhead::at(0.25)), [2]);
        assert_eq!(meshes.wanted(playing(0.25, 1.0, false)), [2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(meshes.wanted(playing(0.25, -1.0, false)), [2, 1, 0]);
        assert_eq!(meshes.wanted(playing(0.85, 1.0, true)), [8, 9, 0, 1, 2, 3, 4]);
        assert_eq!(meshes.wanted(playing(0.1, -1.0, true)), [1, 0, 9, 8, 7, 6, 5]);
        assert_eq!(meshes.wanted(playing(0.25, 0.1, true)), [2, 3], "slowly, the next is enough");
        assert_eq!(meshes.wanted(playing(0.0, 8.0, true)).len(), 10, "none twice");
    }

    #[test]
    fn moments_are_found_by_times_that_are_rounded() {
        let moments = meshes(AHEAD).moments;
        assert_eq!([0.0, 0.3, 0.299_999_99, 0.29, 0.999, 5.0, -1.0].map(|t| moments.at(t)), [0, 3, 3, 2, 9, 9, 0]);
        assert_eq!((moments.seconds_of(2), moments.seconds_of(9)), ([0.2, 0.3 + 4.0e-17], [0.9, 1.0]));
        let mut clock = moments.clock(0.95);
        assert_eq!(clock.length(), 1.0, "the last one is seen as long as the others");
        clock.step(1);
        assert_eq!(moments.at(clock.seconds), 9);
    }

    #[test]
    fn time_waits_for_what_has_not_come_and_the_picture_before_stays() {
        let Some(gpu) = crate::renderer::testing::gpu() else { return };
        let mut renderer = Renderer::new(&gpu);
        let mut meshes = meshes(AHEAD);
        let mut clock = meshes.moments().clock(0.0);
        clock.toggle();
        meshes.add(0, &mesh(3), &mut renderer).expect("room");
        meshes.show(clock.head(), &mut renderer);
        assert!(meshes.pass(&mut clock, 0.09) && clock.seconds == 0.09);
        meshes.pass(&mut clock, 0.09);
        assert_eq!(clock.seconds, 0.09, "the next has not come");
        meshes.add(1, &mesh(3), &mut renderer).expect("room");
        meshes.pass(&mut clock, 0.09);
        assert!((clock.seconds - 0.18).abs() < 1e-12);
        // Frames of half a second: it goes on to the next one that is there.
        meshes.add(2, &mesh(3), &mut renderer).expect("room");
        meshes.pass(&mut clock, 0.5);
        assert_eq!(meshes.moments().at(clock.seconds), 2);
        meshes.show(clock.head(), &mut renderer);
        assert_eq!(meshes.shown(), Some((2, 1)));
        meshes.show(Playhead::at(0.75), &mut renderer);
        assert_eq!(meshes.shown(), Some((2, 1)), "it stays until another has come");
        meshes.miss(7);
        meshes.show(Playhead::at(0.75), &mut renderer);
        assert_eq!(meshes.shown(), None, "there is none of this moment");
        assert_eq!(renderer.bounds(), None);
        meshes.retry_missed();
        meshes.add(7, &mesh(3), &mut renderer).expect("room");
        meshes.show(Playhead::at(0.75), &mut renderer);
        assert_eq!(meshes.shown(), Some((7, 1)), "a second attempt is seen");
        assert!(renderer.bounds().is_some());
    }

    #[test]
    fn what_is_on_the_device_is_bounded_and_short_sequences_stay() {
        let Some(gpu) = crate::renderer::testing::gpu() else { return };
        let mut renderer = Renderer::new(&gpu);
        let one = mesh(100).device_bytes();
        for (room, most) in [(4, 4), (100, 10), (0, 2)] {
            let mut meshes = meshes(MeshesAhead { seconds: 0.5, bytes: room * one });
            let (mut peak, mut loads) = (0, 0);
            for turn in 0..40 {
                let at = playing(0.1 * f64::from(turn % 10) + 0.05, 1.0, true);
                for moment in meshes.wanted(at) {
                    meshes.add(moment, &mesh(100), &mut renderer).expect("room");
                    loads += 1;
                }
                meshes.show(at, &mut renderer);
                assert_eq!(meshes.shown().map(|(moment, _)| moment), Some(turn as u32 % 10));
                peak = peak.max(meshes.bytes() / one);
            }
            assert!(peak <= most, "{peak} of at most {most}");
            assert_eq!(loads == 10, room == 100, "{loads} loads with room for {room}");
            meshes.clear(&mut renderer);
            assert_eq!(meshes.bytes(), 0);
        }
    }
}
