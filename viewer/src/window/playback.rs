//! The open scene when it moves: its clock, and a thread that reads what is seen soon.

use super::content::{Moving, MovingMesh};
use crate::moving::{Ahead, Clock, MeshesAhead, MovingMeshes, MovingScene, Piece, Playhead, Track, device_page};
use crate::renderer::Renderer;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Files are read at once, so little has to be there before it is seen.
const AHEAD: Ahead = Ahead { seconds: 1.0, splats: 8_000_000 };
/// Meshes take longer to read than pages of splats. Short sequences stay on the device as a whole.
const MESHES_AHEAD: MeshesAhead = MeshesAhead { seconds: 2.0, bytes: 512 << 20 };

/// Reads a piece by its number.
type Read = Arc<dyn Fn(u32) -> Result<Piece, String> + Send + Sync>;

/// A piece that was asked for.
type Reply = (u32, Result<Piece, String>);

/// A moving scene in a window.
pub struct Playback {
    track: Track,
    read: Read,
    requests: Sender<u32>,
    replies: Receiver<Reply>,
    /// Asked for and not answered.
    asked: HashSet<u32>,
    /// Replies that were seen and not yet taken.
    waiting: Vec<Reply>,
    problem: Option<String>,
    /// What moment it is.
    pub clock: Clock,
}

impl fmt::Debug for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playback").field("track", &self.track).field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Playback {
    /// Begins to read splats that move. The thread ends when this is dropped.
    pub fn open(moving: &Moving) -> Self {
        let track = Track::Splats(MovingScene::new(moving.manifest.clone(), AHEAD));
        let source = moving.clone();
        // The numbers of its pages are those of every scene with this manifest.
        let numbered = MovingScene::new(moving.manifest.clone(), AHEAD);
        let read = move |number| {
            let splats = (source.read)(&numbered.page(number))?;
            device_page(&splats, &source.manifest).map(Piece::Splats).map_err(|error| error.to_string())
        };
        Self::begin(track, Arc::new(read), moving.start)
    }

    /// Begins to read meshes of several moments.
    pub fn of_meshes(meshes: &MovingMesh) -> Self {
        let track = Track::Meshes(MovingMeshes::new(meshes.moments.clone(), MESHES_AHEAD));
        let source = meshes.read.clone();
        Self::begin(track, Arc::new(move |moment| source(moment).map(Piece::Mesh)), meshes.start)
    }

    fn begin(track: Track, read: Read, start: f64) -> Self {
        let (requests, asked) = channel();
        let (answer, replies) = channel();
        let reader = read.clone();
        std::thread::spawn(move || serve(&reader, &asked, &answer));
        let clock = track.clock(start);
        let (asked, waiting) = Default::default();
        Self { track, read, requests, replies, asked, waiting, problem: None, clock }
    }

    /// Lets so many seconds pass while it is played; whether they do.
    pub fn pass(&mut self, seconds: f64) -> bool {
        self.track.pass(&mut self.clock, seconds)
    }

    /// Shows what has come and asks for what is missing.
    pub fn advance(&mut self, renderer: &mut Renderer) {
        self.is_news();
        for (number, piece) in std::mem::take(&mut self.waiting) {
            self.asked.remove(&number);
            self.take(number, piece, renderer);
        }
        for number in self.track.wanted(self.clock.head()) {
            if self.asked.insert(number) && self.requests.send(number).is_err() {
                break;
            }
        }
        self.track.show(self.clock.head(), renderer);
    }

    /// Shows a moment, for which it waits.
    pub fn show_at(&mut self, seconds: f64, renderer: &mut Renderer) {
        self.clock.seconds = seconds;
        for number in self.track.wanted(Playhead::at(seconds)) {
            let piece = (self.read)(number);
            self.take(number, piece, renderer);
        }
        self.track.show(Playhead::at(seconds), renderer);
    }

    fn take(&mut self, number: u32, piece: Result<Piece, String>, renderer: &mut Renderer) {
        let added = piece.and_then(|piece| {
            self.track.add(number, &piece, renderer).map_err(|error| format!("only a part is shown: {error}"))
        });
        if let Err(reason) = added {
            tracing::warn!("piece {number}: {reason}");
            self.track.miss(number);
            self.problem = Some(reason);
        }
    }

    /// Whether pieces have come that are not shown yet.
    pub fn is_news(&mut self) -> bool {
        self.waiting.extend(self.replies.try_iter());
        !self.waiting.is_empty()
    }

    /// Whether pieces that were asked for have not come.
    pub fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// What could not be shown since this was asked last.
    pub fn take_problem(&mut self) -> Option<String> {
        self.problem.take()
    }

    /// What it is, in a line, when so many bytes of splats are on the device, of which so many splats are shown.
    pub fn status(&self, splats: usize, bytes: u64) -> String {
        match &self.track {
            Track::Splats(scene) => {
                let manifest = scene.manifest();
                let (all, frames) = (manifest.splats, manifest.timeline.frames);
                format!("{splats} of {all} moving splats, {frames} frames, {} MB", bytes >> 20)
            }
            Track::Meshes(meshes) => {
                let count = meshes.moments().seconds.len();
                let shown = meshes.shown().map_or_else(String::new, |(moment, triangles)| {
                    format!("mesh {} of {count}: {triangles} triangles, ", moment + 1)
                });
                format!("{shown}{} MB", meshes.bytes() >> 20)
            }
        }
    }

    /// Takes everything off the device.
    pub fn close(mut self, renderer: &mut Renderer) {
        self.track.clear(renderer);
    }
}

/// Reads pieces until nobody asks any more.
fn serve(read: &Read, asked: &Receiver<u32>, answer: &Sender<Reply>) {
    for number in asked {
        if answer.send((number, read(number))).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renderer::{MeshData, MeshPart, Page, Picture, Style, View};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};
    use tessera_datasets::camera::{Camera, Pose};
    use tessera_datasets::format::Existing;
    use tessera_datasets::format::volumetric::{SegmentPage, VideoFile, write_video};
    use tessera_datasets::scene::{SplatCloud, TimeHierarchy, Timeline, VolumetricVideo};

    const FRAMES: u32 = 3000;

    /// A still wall, and before it a row of splats of which each flies upwards for a moment, one after the other, for 100 seconds.
    fn video() -> VolumetricVideo {
        let timeline = Timeline { start: 0.0, frame_rate: 30.0, frames: FRAMES };
        let mut video = VolumetricVideo::with_capacity(400, 0, timeline);
        for i in 0..400 {
            let is_still = i < 100;
            let (x, y) = ((i % 10) as f32, (i / 10 % 10) as f32);
            video.means.push([
                0.2 * x - 0.9,
                0.2 * y - 0.9,
                if is_still { 3.0 + 0.02 * i as f32 } else { 2.0 + 0.001 * i as f32 },
            ]);
            video.times.push(if is_still { 0.0 } else { (i - 100) as f32 / 3.0 });
            video.log_scales.push([-2.3; 3]);
            video.log_time_scales.push(if is_still { f32::INFINITY } else { -1.5 });
            video.left_quats.push(if is_still { [1.0, 0.0, 0.0, 0.0] } else { [0.9, 0.0, 0.3, 0.0] });
            video.right_quats.push([1.0, 0.0, 0.0, 0.0]);
            video.opacity_logits.push(3.0);
            video.sh0.push([x / 5.0 - 1.0, y / 5.0 - 1.0, 0.5]);
        }
        video
    }

    fn opened(folder: &std::path::Path) -> (Moving, Arc<Mutex<VideoFile>>) {
        let path = folder.join("scene.t4d");
        let hierarchy = TimeHierarchy::of_duration(100.0, 0.5);
        write_video(&path, &video(), &hierarchy, Existing::Keep).expect("written");
        let file = VideoFile::open(&path).expect("a moving scene");
        let manifest = file.manifest.clone();
        let file = Arc::new(Mutex::new(file));
        let of_thread = file.clone();
        let read = move |page: &SegmentPage| {
            let mut file = of_thread.lock().expect("no reader fails");
            file.read_page(page).map_err(|error| error.to_string())
        };
        (Moving { manifest, surroundings: None, start: 0.0, read: Arc::new(read) }, file)
    }

    fn picture(renderer: &mut Renderer, time: f32) -> Picture {
        let view = View { camera: Camera::from_horizontal_fov(96, 96, 0.9), camera_from_world: Pose::identity() };
        renderer.picture(&view, &Style { time, ..Style::default() }).expect("a picture")
    }

    #[test]
    fn a_moment_looks_as_its_splats_do() {
        let Some(gpu) = crate::renderer::testing::gpu() else { return };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (moving, file) = opened(folder.path());
        let mut playback = Playback::open(&moving);
        let (mut renderer, mut reference) = (Renderer::new(&gpu), Renderer::new(&gpu));
        let mut last: Option<Picture> = None;
        for seconds in [0.0, 33.4, 71.25, 12.0] {
            playback.show_at(seconds, &mut renderer);
            let shown = picture(&mut renderer, seconds as f32);
            let cloud: SplatCloud = file.lock().expect("a reader").at(seconds).expect("a moment");
            let page = reference.add_page(&Page::of_cloud(&cloud, 0..cloud.len()).expect("a page")).expect("room");
            let wanted = picture(&mut reference, 0.0);
            reference.remove_page(page);
            let worst = shown.rgb.iter().zip(&wanted.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
            // Opacities are rounded before fading in one and after it in the other; velocities to half precision.
            assert!(worst <= 2, "at {seconds} s a value differs by {worst}");
            assert!(last.is_none_or(|last| last.rgb != shown.rgb), "nothing has moved at {seconds} s");
            last = Some(shown);
        }
    }

    #[test]
    fn what_is_on_the_device_does_not_grow_with_what_was_played() {
        let Some(gpu) = crate::renderer::testing::gpu() else { return };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (moving, _) = opened(folder.path());
        let mut playback = Playback::open(&moving);
        let mut renderer = Renderer::new(&gpu);
        let mut most = [0; 2];
        playback.clock.is_playing = true;
        for second in 0..100 {
            playback.clock.seconds = f64::from(second);
            let begun = Instant::now();
            playback.advance(&mut renderer);
            while playback.is_waiting() {
                assert!(begun.elapsed() < Duration::from_secs(60), "pages do not come");
                std::thread::sleep(Duration::from_millis(1));
                playback.advance(&mut renderer);
            }
            let half = usize::from(second >= 50);
            let Track::Splats(scene) = &playback.track else { unreachable!("it has splats") };
            most[half] = most[half].max(scene.resident_splats());
        }
        assert!(most[0] >= 100 && most[1] >= 100, "the wall is always there: {most:?}");
        assert!(
            most[1] <= most[0] + 20 && most[1] < 200,
            "of 400 splats, at most so many at once in each half: {most:?}"
        );
    }

    #[test]
    fn time_passes_only_while_it_is_played_and_waits_for_what_has_not_come() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (moving, _) = opened(folder.path());
        let mut playback = Playback::open(&Moving { start: 99.0, ..moving });
        assert!(!playback.pass(0.1) && playback.clock.seconds == 99.0);
        playback.clock.toggle();
        assert!(playback.pass(0.1) && playback.clock.seconds == 99.0, "nothing has come yet");
    }

    /// A triangle that climbs, in ten meshes of a second; the sixth cannot be read.
    fn climbing() -> MovingMesh {
        let timeline = Timeline { start: 0.0, frame_rate: 10.0, frames: 10 };
        let seconds = (0..10).map(|i| timeline.seconds_of(i)).collect();
        let read = |moment: u32| {
            if moment == 5 {
                return Err("it is damaged".to_owned());
            }
            let y = 0.1 * moment as f32 - 0.6;
            let positions = vec![[-0.3, y, 2.0], [0.3, y, 2.0], [0.0, y + 0.3, 2.0]];
            let parts = vec![MeshPart { triangles: vec![[0, 1, 2]], ..MeshPart::default() }];
            Ok(MeshData { positions, parts, ..MeshData::default() })
        };
        let moments = crate::moving::Moments { seconds, end: 1.0, timeline };
        MovingMesh { moments, surroundings: None, start: 0.0, read: Arc::new(read) }
    }

    #[test]
    fn a_moment_shows_its_mesh_and_nothing_of_others() {
        let Some(gpu) = crate::renderer::testing::gpu() else { return };
        let meshes = climbing();
        let mut playback = Playback::of_meshes(&meshes);
        let (mut renderer, mut reference) = (Renderer::new(&gpu), Renderer::new(&gpu));
        for seconds in [0.0, 0.71, 0.2, 0.999] {
            playback.show_at(seconds, &mut renderer);
            let mesh = (meshes.read)((10.0 * seconds) as u32).expect("a mesh");
            let surface = reference.add_mesh(&mesh).expect("room");
            let wanted = picture(&mut reference, 0.0);
            reference.remove_mesh(surface);
            assert!(picture(&mut renderer, seconds as f32).rgb == wanted.rgb, "at {seconds} s");
        }
        playback.show_at(0.55, &mut renderer);
        assert!(playback.take_problem().is_some_and(|reason| reason.contains("damaged")));
        let empty = picture(&mut reference, 0.0);
        assert!(picture(&mut renderer, 0.0).rgb == empty.rgb, "what cannot be read is left out");
    }

    #[test]
    fn meshes_are_played_past_one_that_cannot_be_read() {
        let Some(gpu) = crate::renderer::testing::gpu() else { return };
        let mut playback = Playback::of_meshes(&climbing());
        let mut renderer = Renderer::new(&gpu);
        playback.clock.toggle();
        playback.clock.is_looped = false;
        let begun = Instant::now();
        let mut seen = Vec::new();
        while playback.clock.is_playing {
            assert!(begun.elapsed() < Duration::from_secs(60), "meshes do not come");
            playback.advance(&mut renderer);
            let Track::Meshes(meshes) = &playback.track else { unreachable!("it has meshes") };
            seen.extend(meshes.shown().map(|(moment, _)| moment));
            playback.pass(0.04);
        }
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
        assert!(playback.status(0, 0).starts_with("mesh 10 of 10: 1 triangles"), "{}", playback.status(0, 0));
    }
}
