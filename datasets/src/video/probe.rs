//! When the frames of a video are shown, without decoding them.

use super::reader::FrameReader;
use super::{FFPROBE, failed};
use crate::program::run;
use crate::{DataError, Result};
use std::path::Path;
use std::sync::Arc;

/// More frames are taken for a damaged file: a day at 100 frames per second.
const MAX_FRAMES: usize = 9_000_000;

/// What a video holds.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoInfo {
    /// Upright width and height in pixels.
    pub size: (u32, u32),
    /// When each frame is shown, in seconds, ascending.
    pub times: Vec<f64>,
    /// Numbers of the frames that can be decoded by themselves, ascending.
    pub keyframes: Vec<u32>,
    /// How many frames its header promises, where it says so; fewer are there when the file was cut off.
    pub promised: Option<usize>,
    /// At which time the clock ran backwards, if it did: the frames from there on are not to be trusted.
    pub backwards_at: Option<f64>,
    /// When the container's clock starts, from which ffmpeg counts when it seeks.
    pub(super) clock_start: f64,
}

impl VideoInfo {
    /// Looks into a video file.
    ///
    /// # Errors
    /// When ffprobe or ffmpeg is not installed, or the file is no video, or its first frame cannot be decoded.
    pub fn of(video: impl AsRef<Path>) -> Result<Self> {
        let video = video.as_ref();
        let mut info = Listing::read(video)?.info(video)?;
        // The picture itself says how large it is upright; headers state it in too many ways.
        let first = FrameReader::new(video, Arc::new(info.clone())).read(0)?;
        info.size = (first.width, first.height);
        Ok(info)
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are no frames; [`VideoInfo::of`] gives no such.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The usual time from one frame to the next in seconds, the median; 0 of a single frame.
    pub fn interval(&self) -> f64 {
        let mut gaps: Vec<f64> = self.times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let middle = gaps.len() / 2;
        if gaps.is_empty() { 0.0 } else { *gaps.select_nth_unstable_by(middle, f64::total_cmp).1 }
    }

    /// The frame from which `index` can be decoded.
    pub(super) fn keyframe_before(&self, index: u32) -> u32 {
        let after = self.keyframes.partition_point(|&key| key <= index);
        after.checked_sub(1).map_or(0, |at| self.keyframes[at])
    }
}

/// What ffprobe says, in the order of the file.
#[derive(Debug, Default)]
struct Listing {
    /// Time and whether it is a keyframe.
    packets: Vec<(f64, bool)>,
    untimed: usize,
    promised: Option<usize>,
    clock_start: f64,
}

impl Listing {
    fn read(video: &Path) -> Result<Self> {
        let entries = "packet=pts_time,dts_time,flags:stream=nb_frames:format=start_time";
        let arguments = ["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "compact"];
        let arguments: Vec<String> =
            arguments.into_iter().map(String::from).chain([video.to_string_lossy().into_owned()]).collect();
        let mut listing = Self::default();
        let result = run(FFPROBE.as_ref(), &arguments, &mut None, &mut |line| listing.take(line));
        result.map_err(|e| failed(FFPROBE, video, &e))?;
        Ok(listing)
    }

    /// Lines are `section|key=value|key=value`.
    fn take(&mut self, line: &str) {
        let mut fields = line.split('|');
        let section = fields.next();
        let value = |key: &str| line.split('|').find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
        match section {
            Some("packet") if self.packets.len() < MAX_FRAMES => {
                let flags = value("flags").unwrap_or("");
                // Marked as not to be shown: what an edit list cuts off.
                if flags.contains('D') {
                    return;
                }
                let seconds = |key| value(key).and_then(|text| text.parse::<f64>().ok()).filter(|t| t.is_finite());
                match seconds("pts_time").or_else(|| seconds("dts_time")) {
                    Some(time) => self.packets.push((time, flags.contains('K'))),
                    None => self.untimed += 1,
                }
            }
            Some("stream") => self.promised = value("nb_frames").and_then(|text| text.parse().ok()),
            Some("format") => self.clock_start = value("start_time").and_then(|t| t.parse().ok()).unwrap_or(0.0),
            _ => {}
        }
    }

    fn info(self, video: &Path) -> Result<VideoInfo> {
        let Self { mut packets, untimed, promised, clock_start } = self;
        if untimed > 0 {
            return Err(DataError::new(video, format!("has {untimed} frames without a time"))
                .remedy("write it again as mp4: ffmpeg -i VIDEO -c copy new.mp4"));
        }
        // Frames are stored in the order of decoding, in which only keyframes must ascend.
        let keys: Vec<f64> = packets.iter().filter(|(_, is_key)| *is_key).map(|(time, _)| *time).collect();
        let backwards_at = keys.windows(2).find(|pair| pair[1] <= pair[0]).map(|pair| pair[1]);
        packets.sort_by(|a, b| a.0.total_cmp(&b.0));
        packets.dedup_by(|later, earlier| later.0 == earlier.0);
        if packets.is_empty() {
            return Err(DataError::new(video, "holds no video frames").remedy("check that it plays"));
        }
        let keyframes = (0u32..).zip(&packets).filter(|(_, (_, is_key))| *is_key).map(|(index, _)| index).collect();
        let times = packets.iter().map(|(time, _)| *time).collect();
        Ok(VideoInfo { size: (0, 0), times, keyframes, promised, backwards_at, clock_start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(lines: &[&str]) -> Result<VideoInfo> {
        let mut listing = Listing::default();
        lines.iter().for_each(|line| listing.take(line));
        listing.info(Path::new("a.mp4"))
    }

    #[test]
    fn frames_are_put_into_the_order_in_which_they_are_shown() {
        let shown = info(&[
            "packet|pts_time=0.0|dts_time=-0.2|flags=K_",
            "packet|pts_time=0.3|dts_time=-0.1|flags=__",
            "packet|pts_time=0.1|dts_time=0.0|flags=__",
            "packet|pts_time=9.0|dts_time=9.0|flags=_D",
            "packet|pts_time=N/A|dts_time=0.4|flags=K_",
            "stream|nb_frames=7",
            "format|start_time=-0.1",
            "nonsense",
        ])
        .expect("a listing");
        assert_eq!((shown.times, shown.keyframes), (vec![0.0, 0.1, 0.3, 0.4], vec![0, 3]));
        assert_eq!((shown.promised, shown.backwards_at, shown.clock_start), (Some(7), None, -0.1));
    }

    #[test]
    fn a_clock_that_runs_backwards_is_noticed() {
        let lines = ["packet|pts_time=2.0|flags=K_", "packet|pts_time=2.1|flags=__", "packet|pts_time=0.5|flags=K_"];
        assert_eq!(info(&lines).expect("a listing").backwards_at, Some(0.5));
        let error = info(&["packet|pts_time=N/A|dts_time=N/A|flags=K_"]).expect_err("no time").to_string();
        assert!(error.contains("has 1 frames without a time"), "{error}");
        assert!(info(&[]).expect_err("nothing").to_string().contains("holds no video frames"));
    }
}
