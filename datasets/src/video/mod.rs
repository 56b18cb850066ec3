//! Frames of videos, decoded by ffmpeg when they are asked for.
//!
//! - [`VideoInfo`]: when every frame is shown, found by ffprobe without decoding.
//! - [`FrameReader`]: any frame of one video; neighbours come from one running ffmpeg, others by a seek.
//! - [`Survey`]: one small look at every frame: mean colours, repeated frames, stretches that cannot be decoded.
//!
//! Frames are numbered from 0 in the order in which they are shown. Their times are those of the container, so rates may vary.

mod netpbm;
mod probe;
mod reader;
mod survey;

pub(crate) use netpbm::{Picture, read_picture};
pub use probe::VideoInfo;
pub use reader::FrameReader;
pub(crate) use reader::ReaderPool;
pub use survey::Survey;

use crate::DataError;
use crate::program::Failure;
use std::path::Path;

const FFMPEG: &str = "ffmpeg";
const FFPROBE: &str = "ffprobe";
/// Endings of video files, in lower case.
const ENDINGS: [&str; 11] = ["mp4", "mov", "m4v", "mkv", "webm", "avi", "mpg", "mpeg", "mts", "m2ts", "3gp"];
/// One picture for each frame that is decoded, however long it is shown; to be written at 25 per second.
const EVERY_FRAME: &str = "settb=1/25,setpts=N";

/// Whether a name ends as videos do.
pub(crate) fn is_video_name(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// Decoding from a keyframe on that stops at the first damage instead of guessing. One thread for each video: many are decoded
/// at once, and where it stops does not depend on the machine.
fn decoding(info: &VideoInfo, from: usize, video: &Path) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["-nostdin", "-hide_banner", "-v", "error", "-xerror", "-threads", "1"].map(String::from).into();
    if let Some(time) = info.times.get(from).filter(|_| from > 0) {
        // Microseconds, in which ffmpeg counts: it gives the first frame that is not before.
        arguments.extend(["-ss".to_owned(), format!("{:.6}", time - info.clock_start)]);
    }
    arguments.extend(["-i".to_owned(), video.to_string_lossy().into_owned()]);
    arguments.extend(["-map", "0:v:0", "-an", "-sn"].map(String::from));
    arguments
}

/// What it means to the user that a program did not do its work on a video.
fn failed(program: &str, video: &Path, failure: &Failure) -> DataError {
    match failure {
        Failure::NotInstalled => not_installed(program, video),
        other => DataError::new(video, format!("cannot be decoded: {program} {}", other.reason()))
            .remedy("check that it plays, or copy it again from its source"),
    }
}

fn not_installed(program: &str, video: &Path) -> DataError {
    DataError::new(video, format!("is a video, and the program '{program}' that decodes it is not installed"))
        .remedy("get it with `apt install ffmpeg`, `brew install ffmpeg` or `conda install -c conda-forge ffmpeg`")
}

#[cfg(test)]
mod tests;
