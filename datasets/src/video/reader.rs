//! Any frame of a video, and of many videos with a bounded number of running programs.

use super::{EVERY_FRAME, FFMPEG, VideoInfo, decoding, not_installed, read_picture};
use crate::image::Image8;
use crate::program::{Failure, Streaming};
use crate::{DataError, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// So many frames are decoded for nothing rather than starting the program anew.
const NEAR: u32 = 12;
/// At most so many frames before the wanted one are handed out on the way.
const WINDOW: u32 = 64;
/// Programs that are kept running: each holds a few decoded pictures.
const MOST_RUNNING: usize = 24;
const LONGEST_SIDE: usize = 65_535;

/// Decodes frames of one video. A program runs from the last wanted frame on; it waits while nobody asks.
#[derive(Debug)]
pub struct FrameReader {
    video: PathBuf,
    info: Arc<VideoInfo>,
    /// With the number of the frame that it writes next.
    running: Option<(Streaming, u32)>,
}

impl FrameReader {
    /// A reader of the video with this description. Nothing is started yet.
    pub fn new(video: impl AsRef<Path>, info: Arc<VideoInfo>) -> Self {
        Self { video: video.as_ref().to_owned(), info, running: None }
    }

    /// Decodes a frame.
    ///
    /// # Errors
    /// When ffmpeg is not installed, there is no such frame, or the video is broken there.
    pub fn read(&mut self, index: u32) -> Result<Image8> {
        self.read_past(index, None)
    }

    /// Decodes a frame. The frames that are decoded on the way, at most 64 of them, go to `passed` with their numbers.
    pub(crate) fn read_past(&mut self, index: u32, mut passed: Option<&mut dyn FnMut(u32, Image8)>) -> Result<Image8> {
        if index as usize >= self.info.len() {
            let reason = format!("has {} frames, not one with the number {index}", self.info.len());
            return Err(DataError::new(&self.video, reason).remedy("copy it again from its source"));
        }
        let key = self.info.keyframe_before(index);
        let is_near = |next: u32| next <= index && (key <= next || index - next <= NEAR);
        if let Some((_, next)) = &self.running
            && is_near(*next)
        {
            // What is broken on the way there need not matter after a seek.
            if let Ok(image) = self.advance(index, &mut passed) {
                return Ok(image);
            }
        }
        let from = if passed.is_some() { key.max(index.saturating_sub(WINDOW)) } else { index };
        self.start(from)?;
        self.advance(index, &mut passed)
    }

    fn start(&mut self, from: u32) -> Result<()> {
        self.running = None;
        // Files are sought by the order of decoding, so only the times of keyframes lead where they should.
        let key = self.info.keyframe_before(from);
        let mut arguments = decoding(&self.info, key as usize, &self.video);
        let filter = format!("select='gte(n,{})',{EVERY_FRAME}", from - key);
        arguments.extend(["-vf", &filter, "-r", "25", "-f", "image2pipe", "-c:v", "ppm", "-"].map(String::from));
        let started = Streaming::start(FFMPEG.as_ref(), &arguments).map_err(|e| self.broken(from, &e))?;
        self.running = Some((started, from));
        Ok(())
    }

    /// Reads on until frame `index`, which lies ahead. The program is gone after an error.
    fn advance(&mut self, index: u32, passed: &mut Option<&mut dyn FnMut(u32, Image8)>) -> Result<Image8> {
        while let Some((streaming, next)) = &mut self.running {
            match read_picture(&mut streaming.output, LONGEST_SIDE) {
                Ok(Some(picture)) => {
                    let (width, height) = (picture.width as u32, picture.height as u32);
                    let image = Image8 { width, height, channels: picture.channels as u8, data: picture.data };
                    let number = *next;
                    *next += 1;
                    if number == index {
                        return Ok(image);
                    }
                    if let Some(passed) = passed {
                        passed(number, image);
                    }
                }
                Ok(None) | Err(_) => {
                    let at = *next;
                    let Some((streaming, _)) = self.running.take() else { break };
                    let failure = streaming.finish().err();
                    return Err(
                        self.broken(at, &failure.unwrap_or(Failure::Io(std::io::ErrorKind::UnexpectedEof.into())))
                    );
                }
            }
        }
        Err(self.broken(index, &Failure::Io(std::io::ErrorKind::BrokenPipe.into())))
    }

    fn broken(&self, index: u32, failure: &Failure) -> DataError {
        let why = match failure {
            Failure::NotInstalled => return not_installed(FFMPEG, &self.video),
            Failure::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => "it ends there".to_owned(),
            Failure::Io(e) => e.to_string(),
            Failure::Failed(_, last) => format!("ffmpeg says: {last}"),
        };
        let seconds = self.info.times.get(index as usize).copied().unwrap_or_default();
        DataError::new(&self.video, format!("cannot be decoded at {seconds:.3} s (frame {index}): {why}"))
            .remedy("copy it again from its source, or leave the broken part out with --skip-bad")
    }
}

/// Readers of many videos, of which those that were used last keep their program.
#[derive(Debug, Default)]
pub(crate) struct ReaderPool(Mutex<Vec<(PathBuf, Arc<Mutex<FrameReader>>)>>);

impl ReaderPool {
    /// Does something with the reader of a video, which nobody else then uses.
    pub(crate) fn with<T>(&self, video: &Path, info: &Arc<VideoInfo>, work: impl FnOnce(&mut FrameReader) -> T) -> T {
        let reader = {
            let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = readers.iter().position(|(path, _)| path == video).map(|at| readers.remove(at).1);
            let reader = known.unwrap_or_else(|| Arc::new(Mutex::new(FrameReader::new(video, info.clone()))));
            readers.push((video.to_owned(), reader.clone()));
            if readers.len() > MOST_RUNNING {
                readers.remove(0);
            }
            reader
        };
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut reader)
    }
}
