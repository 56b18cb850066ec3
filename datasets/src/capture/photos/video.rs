//! Sharp, well-spread frames of a video, through ffmpeg.
//!
//! The video is decoded twice: small and grey to judge frames, then only the chosen ones at full size. Frames are
//! counted, not timed, so that both passes mean the same ones.

use super::sharpness::{Candidate, Grey, choose};
use super::{Programs, Progress, Stage};
use crate::program::{Failure, run, stream};
use crate::video::{Picture, read_picture};
use crate::{DataError, Result};
use std::path::Path;

/// As many frames are taken from a video that is long enough.
const TARGET_FRAMES: u64 = 150;
/// As many frames are judged for each that is taken.
const CANDIDATES_PER_FRAME: u64 = 8;
/// The longer side of pictures that are judged, in pixels.
const JUDGED_SIDE: usize = 640;
/// Fewer frames make no scene.
const LEAST_FRAMES: usize = 3;

/// Writes the chosen frames to `images` as `frame_00001.jpg` and so on.
pub(super) fn extract_frames(
    programs: &Programs,
    video: &Path,
    images: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let frames = count_frames(programs, video)?;
    let slots = (frames / 2).clamp(1, TARGET_FRAMES);
    let stride = (frames / (slots * CANDIDATES_PER_FRAME)).max(1);
    let candidates = judge(programs, video, stride, frames.div_ceil(stride), progress)?;
    let chosen = choose(&candidates, frames, slots);
    if chosen.len() < LEAST_FRAMES {
        let reason = format!("has only {} of {frames} frames that differ from each other", chosen.len());
        return Err(DataError::new(video, reason).remedy("film while walking around the scene"));
    }
    let wanted: Vec<String> = chosen.iter().map(|n| format!("eq(n,{n})")).collect();
    let filter = format!("select='{}',settb=1/25,setpts=N", wanted.join("+"));
    let target = images.join("frame_%05d.jpg");
    let output = ["-r", "25", "-q:v", "2", &target.to_string_lossy()].map(String::from);
    let arguments = [ffmpeg_input(video, &filter), output.into()].concat();
    run(&programs.ffmpeg, &arguments, &mut None, &mut |_| {}).map_err(|e| failed("ffmpeg", video, &e))?;
    let written = std::fs::read_dir(images).map_or(0, Iterator::count);
    if written != chosen.len() {
        let reason = format!("gave {written} frames instead of {}", chosen.len());
        return Err(DataError::new(video, reason).remedy("extract frames into a folder yourself and give that"));
    }
    Ok(())
}

/// Everything up to the output. Audio and subtitles are left out.
fn ffmpeg_input(video: &Path, filter: &str) -> Vec<String> {
    let video = video.to_string_lossy();
    ["-nostdin", "-hide_banner", "-v", "error", "-i", &video, "-map", "0:v:0", "-an", "-sn", "-vf", filter]
        .map(String::from)
        .into()
}

fn count_frames(programs: &Programs, video: &Path) -> Result<u64> {
    let path = video.to_string_lossy();
    let arguments = ["-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries"];
    let output = ["stream=nb_read_packets", "-of", "csv=p=0", &path];
    let arguments: Vec<String> = arguments.into_iter().chain(output).map(String::from).collect();
    let mut count = None;
    let result = run(&programs.ffprobe, &arguments, &mut None, &mut |line| {
        count = count.or(line.trim_matches(',').parse::<u64>().ok());
    });
    result.map_err(|e| failed("ffprobe", video, &e))?;
    match count {
        Some(frames) if frames > 0 => Ok(frames),
        _ => Err(DataError::new(video, "holds no video frames").remedy("check that it plays")),
    }
}

/// Sharpness and thumbnail of every `stride`-th frame.
fn judge(
    programs: &Programs,
    video: &Path,
    stride: u64,
    total: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Candidate>> {
    let side = JUDGED_SIDE;
    let filter = format!(
        "select='not(mod(n,{stride}))',scale=w='min({side},iw)':h='min({side},ih)':\
         force_original_aspect_ratio=decrease:flags=area,format=gray,settb=1/25,setpts=N"
    );
    let output = ["-r", "25", "-f", "image2pipe", "-c:v", "pgm", "-"].map(String::from);
    let mut candidates = Vec::new();
    let result = stream(&programs.ffmpeg, &[ffmpeg_input(video, &filter), output.into()].concat(), &mut |pictures| {
        while let Some(Picture { width, height, data, .. }) = read_picture(pictures, 2 * JUDGED_SIDE)? {
            let grey = Grey { width, height, data };
            candidates.push(Candidate::new(candidates.len() as u64 * stride, &grey));
            progress(Progress { stage: Stage::ChooseFrames, done: candidates.len() as u64, total });
        }
        Ok(())
    });
    result.map_err(|e| failed("ffmpeg", video, &e))?;
    Ok(candidates)
}

fn failed(program: &str, video: &Path, failure: &Failure) -> DataError {
    match failure {
        Failure::NotInstalled => DataError::new(
            video,
            format!("needs ffmpeg to be taken apart, and the program '{program}' is not installed"),
        )
        .remedy("get it with `apt install ffmpeg`, `brew install ffmpeg` or `conda install -c conda-forge ffmpeg`"),
        other => DataError::new(video, format!("cannot be decoded: {program} {}", other.reason()))
            .remedy("check that it plays, or extract frames into a folder yourself and give that"),
    }
}
