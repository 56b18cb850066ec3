//! One small look at every frame of a video.

use super::{EVERY_FRAME, FFMPEG, VideoInfo, decoding, not_installed, read_picture};
use crate::program::{Failure, Streaming};
use crate::{DataError, Result};
use std::ops::Range;
use std::path::Path;

/// Frames are looked at in this many pixels across and down.
const SIDE: usize = 64;

/// What a look at every frame of a video found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Mean sRGB colour of each frame in [0, 1]; `None` where it cannot be decoded.
    pub means: Vec<Option<[f32; 3]>>,
    /// Frames that look exactly as the one before: cameras repeat a frame when they miss one.
    pub repeated: Vec<u32>,
    /// Stretches that cannot be decoded, up to the next frame that can be by itself.
    pub broken: Vec<Range<u32>>,
}

impl Survey {
    /// Decodes a whole video, small.
    ///
    /// # Errors
    /// When ffmpeg is not installed or nothing of the video can be decoded.
    pub fn of(video: impl AsRef<Path>, info: &VideoInfo) -> Result<Self> {
        let video = video.as_ref();
        let frames = info.len() as u32;
        let mut survey = Self::default();
        let mut last = None;
        let mut words = String::new();
        while (survey.means.len() as u32) < frames {
            let from = survey.means.len() as u32;
            let Some(failure) = survey.decode(video, info, &mut last)? else { continue };
            words = failure;
            let at = survey.means.len() as u32;
            let next = info.keyframes.iter().copied().find(|&key| key > at && key > from).unwrap_or(frames);
            survey.broken.push(at..next);
            survey.means.resize(next as usize, None);
            last = None;
        }
        if survey.means.iter().all(Option::is_none) {
            return Err(DataError::new(video, format!("cannot be decoded at all ({words})"))
                .remedy("copy it again from its source"));
        }
        Ok(survey)
    }

    /// Decodes from where the means end to the end or to the first damage, whose words it returns.
    fn decode(&mut self, video: &Path, info: &VideoInfo, last: &mut Option<Vec<u8>>) -> Result<Option<String>> {
        let mut arguments = decoding(info, self.means.len(), video);
        let filter = format!("scale={SIDE}:{SIDE}:flags=area,format=rgb24,{EVERY_FRAME}");
        arguments.extend(["-vf", &filter, "-r", "25", "-f", "image2pipe", "-c:v", "ppm", "-"].map(String::from));
        let mut streaming = match Streaming::start(FFMPEG.as_ref(), &arguments) {
            Err(Failure::NotInstalled) => return Err(not_installed(FFMPEG, video)),
            Err(failure) => {
                return Err(DataError::new(video, format!("cannot be decoded: ffmpeg {}", failure.reason())));
            }
            Ok(streaming) => streaming,
        };
        while self.means.len() < info.len()
            && let Ok(Some(picture)) = read_picture(&mut streaming.output, SIDE)
        {
            if last.as_ref() == Some(&picture.data) {
                self.repeated.push(self.means.len() as u32);
            }
            self.means.push(Some(mean(&picture.data)));
            *last = Some(picture.data);
        }
        if self.means.len() == info.len() {
            return Ok(None);
        }
        Ok(Some(match streaming.finish() {
            Err(Failure::Failed(_, last)) => last,
            Err(failure) => failure.reason(),
            Ok(()) => "it ends early".to_owned(),
        }))
    }
}

/// Of `SIDE` times `SIDE` pixels.
fn mean(pixels: &[u8]) -> [f32; 3] {
    let mut sums = [0u64; 3];
    for pixel in pixels.chunks_exact(3) {
        (0..3).for_each(|c| sums[c] += u64::from(pixel[c]));
    }
    sums.map(|sum| sum as f32 / (255 * SIDE * SIDE) as f32)
}
