//! The open scene when it moves: its clock, and a thread that reads the pages that are seen soon.

use super::content::{Moving, ReadMoving};
use crate::moving::{Ahead, Clock, MovingScene, Playhead, device_page};
use crate::renderer::{Page, Renderer};
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use tessera_datasets::format::volumetric::{SegmentPage, VideoManifest};

/// Files are read at once, so little has to be there before it is seen.
const AHEAD: Ahead = Ahead { seconds: 1.0, splats: 8_000_000 };

/// A page that was asked for.
type Reply = (u32, Result<Page, String>);

/// A moving scene in a window.
#[derive(Debug)]
pub struct Playback {
    scene: MovingScene,
    source: Moving,
    requests: Sender<(u32, SegmentPage)>,
    replies: Receiver<Reply>,
    /// Asked for and not answered.
    asked: HashSet<u32>,
    /// Replies that were seen and not yet taken.
    waiting: Vec<Reply>,
    problem: Option<String>,
    /// What moment it is.
    pub clock: Clock,
}

impl Playback {
    /// Begins to read a scene. The thread ends when this is dropped.
    pub fn open(moving: &Moving) -> Self {
        let (requests, asked) = channel();
        let (answer, replies) = channel();
        let (manifest, read) = (moving.manifest.clone(), moving.read.clone());
        std::thread::spawn(move || serve(&manifest, &read, &asked, &answer));
        Self {
            scene: MovingScene::new(moving.manifest.clone(), AHEAD),
            source: moving.clone(),
            requests,
            replies,
            asked: HashSet::new(),
            waiting: Vec::new(),
            problem: None,
            clock: Clock::new(moving.manifest.timeline, moving.start),
        }
    }

    /// Lets so many seconds pass while it is played; whether they do.
    pub fn pass(&mut self, seconds: f64) -> bool {
        self.scene.pass(&mut self.clock, seconds)
    }

    /// Shows what has come and asks for what is missing.
    pub fn advance(&mut self, renderer: &mut Renderer) {
        self.is_news();
        for (number, page) in std::mem::take(&mut self.waiting) {
            self.asked.remove(&number);
            self.take(number, page, renderer);
        }
        for number in self.scene.wanted(self.clock.head()) {
            if self.asked.insert(number) && self.requests.send((number, self.scene.page(number))).is_err() {
                break;
            }
        }
        self.scene.show(self.clock.head(), renderer);
    }

    /// Shows a moment, for which it waits.
    pub fn show_at(&mut self, seconds: f64, renderer: &mut Renderer) {
        self.clock.seconds = seconds;
        for number in self.scene.wanted(Playhead::at(seconds)) {
            let page = read(self.scene.manifest(), &self.source.read, &self.scene.page(number));
            self.take(number, page, renderer);
        }
        self.scene.show(Playhead::at(seconds), renderer);
    }

    fn take(&mut self, number: u32, page: Result<Page, String>, renderer: &mut Renderer) {
        let added = page.and_then(|page| {
            self.scene.add(number, &page, renderer).map_err(|error| format!("only a part is shown: {error}"))
        });
        if let Err(reason) = added {
            tracing::warn!("page {number}: {reason}");
            self.scene.miss(number);
            self.problem = Some(reason);
        }
    }

    /// Whether pages have come that are not shown yet.
    pub fn is_news(&mut self) -> bool {
        self.waiting.extend(self.replies.try_iter());
        !self.waiting.is_empty()
    }

    /// Whether pages that were asked for have not come.
    pub fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// What could not be shown since this was asked last.
    pub fn take_problem(&mut self) -> Option<String> {
        self.problem.take()
    }

    /// What it is, in a line.
    pub fn status(&self, shown: usize) -> String {
        let manifest = self.scene.manifest();
        format!("{shown} of {} moving splats, {} frames", manifest.splats, manifest.timeline.frames)
    }

    /// Takes everything off the device.
    pub fn close(mut self, renderer: &mut Renderer) {
        self.scene.clear(renderer);
    }
}

/// Reads pages until nobody asks any more.
fn serve(manifest: &VideoManifest, pages: &ReadMoving, asked: &Receiver<(u32, SegmentPage)>, answer: &Sender<Reply>) {
    for (number, page) in asked {
        if answer.send((number, read(manifest, pages, &page))).is_err() {
            return;
        }
    }
}

fn read(manifest: &VideoManifest, pages: &ReadMoving, page: &SegmentPage) -> Result<Page, String> {
    let splats = pages(page)?;
    device_page(&splats, manifest).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renderer::{Picture, Style, View};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};
    use tessera_datasets::camera::{Camera, Pose};
    use tessera_datasets::format::Existing;
    use tessera_datasets::format::volumetric::{VideoFile, write_video};
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
            most[half] = most[half].max(playback.scene.resident_splats());
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
}
