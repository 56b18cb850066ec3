//! Videos through ffmpeg, which reads raw frames from a pipe.

use crate::{Error, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::{NamedTempFile, TempPath};
use tessera_datasets::DataError;
use tessera_datasets::image::Image8;

/// A video that is being written. It takes its name when it is complete; dropped before, nothing of it is left.
#[derive(Debug)]
pub struct VideoWriter {
    path: PathBuf,
    /// Taken away when it gets its name.
    unfinished: Option<Unfinished>,
    size: (u32, u32),
    ffmpeg: Child,
    messages: File,
}

/// What ffmpeg writes into.
#[derive(Debug)]
enum Unfinished {
    /// A file without a name, which the system takes away when nobody holds it any more, however the program ends.
    Nameless(File),
    /// A file beside the final name, where systems cannot open a file without a name a second time, as ffmpeg does.
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "of other systems"))]
    Hidden(TempPath),
}

impl VideoWriter {
    /// Starts an H.264 video of `size` (width, height) with `fps` pictures per second; `.mp4` files play everywhere.
    ///
    /// # Errors
    /// When ffmpeg is not installed or the folder of `path` cannot be written.
    pub fn create(path: impl AsRef<Path>, size: (u32, u32), fps: u32) -> Result<Self> {
        Self::create_with("ffmpeg", path.as_ref(), size, fps)
    }

    fn create_with(program: &str, path: &Path, size: (u32, u32), fps: u32) -> Result<Self> {
        let (unfinished, out, name) = begin(folder_of(path)).map_err(|e| Error::write(path, &e))?;
        let messages = tempfile::tempfile().map_err(|e| Error::write(std::env::temp_dir(), &e))?;
        let for_ffmpeg = messages.try_clone().map_err(|e| Error::write(path, &e))?;
        let ffmpeg = Command::new(program)
            .args(["-nostdin", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s"])
            .arg(format!("{}x{}", size.0, size.1))
            .args(["-r", &fps.to_string(), "-i", "-", "-an"])
            // Players want colours at half resolution, which needs even sizes.
            .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18"])
            .args(["-movflags", "+faststart", "-f", "mp4"])
            .arg(name)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(for_ffmpeg)
            .spawn()
            .map_err(|e| not_started(program, &e))?;
        Ok(Self { path: path.to_owned(), unfinished: Some(unfinished), size, ffmpeg, messages })
    }

    /// Adds a picture of three channels.
    ///
    /// # Errors
    /// When it has another size than the video, or ffmpeg fails.
    pub fn add(&mut self, image: &Image8) -> Result<()> {
        if (image.width, image.height, image.channels) != (self.size.0, self.size.1, 3) {
            let (w, h) = self.size;
            let found = format!("{}x{}", image.width, image.height);
            return Err(Error::setting(format!(
                "a video of {w}x{h} pixels cannot have a picture of {found}; write PNG files instead: name a folder"
            )));
        }
        let Some(pipe) = &mut self.ffmpeg.stdin else { return Err(self.failed("it takes no more pictures")) };
        match pipe.write_all(&image.data) {
            Ok(()) => Ok(()),
            Err(e) => Err(self.failed(&e.to_string())),
        }
    }

    /// Completes the video.
    ///
    /// # Errors
    /// When ffmpeg fails or the file cannot take its name.
    pub fn finish(mut self) -> Result<()> {
        drop(self.ffmpeg.stdin.take());
        match self.ffmpeg.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(self.failed(&status.to_string())),
            Err(e) => return Err(self.failed(&e.to_string())),
        }
        let Some(unfinished) = self.unfinished.take() else { return Ok(()) };
        unfinished.take_name(&self.path).map_err(|e| Error::write(&self.path, &e))
    }

    /// An error with the last thing that ffmpeg said.
    fn failed(&mut self, otherwise: &str) -> Error {
        drop(self.ffmpeg.stdin.take());
        let _ = self.ffmpeg.wait();
        let mut said = String::new();
        let read = self.messages.seek(SeekFrom::Start(0)).and_then(|_| self.messages.read_to_string(&mut said));
        let last = said.lines().rev().find(|l| !l.trim().is_empty()).filter(|_| read.is_ok());
        let reason = format!("ffmpeg could not write it ({})", last.unwrap_or(otherwise).trim());
        DataError::new(&self.path, reason).into()
    }
}

impl Drop for VideoWriter {
    fn drop(&mut self) {
        // Does nothing when it has ended already.
        let _ = self.ffmpeg.kill();
        let _ = self.ffmpeg.wait();
    }
}

/// A file in `folder` for ffmpeg, its output, and what it is to be called there.
#[cfg(target_os = "linux")]
fn begin(folder: &Path) -> io::Result<(Unfinished, Stdio, PathBuf)> {
    let file = tempfile::tempfile_in(folder)?;
    let out = file.try_clone()?.into();
    Ok((Unfinished::Nameless(file), out, PathBuf::from("/dev/stdout")))
}

/// A file in `folder` for ffmpeg, its output, and what it is to be called there.
#[cfg(not(target_os = "linux"))]
fn begin(folder: &Path) -> io::Result<(Unfinished, Stdio, PathBuf)> {
    let hidden = named(folder)?.into_temp_path();
    let name = hidden.to_path_buf();
    Ok((Unfinished::Hidden(hidden), Stdio::null(), name))
}

impl Unfinished {
    /// Makes it an ordinary file with a name.
    fn take_name(self, path: &Path) -> io::Result<()> {
        let hidden = match self {
            Self::Hidden(hidden) => hidden,
            Self::Nameless(mut video) => {
                let mut hidden = named(folder_of(path))?;
                video.seek(SeekFrom::Start(0))?;
                io::copy(&mut video, hidden.as_file_mut())?;
                hidden.into_temp_path()
            }
        };
        make_readable(&hidden);
        hidden.persist(path).map_err(|e| e.error)
    }
}

fn named(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".tessera-").suffix(".mp4").tempfile_in(folder)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn not_started(program: &str, error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::Program(
            "videos are written by ffmpeg, which is not installed; get it from https://ffmpeg.org or your package manager \
             (apt install ffmpeg, brew install ffmpeg, winget install ffmpeg), or write PNG files: name a folder"
                .to_owned(),
        );
    }
    Error::Program(format!("{program} cannot be started ({error})"))
}

/// Temporary files are private to the user; a finished video is an ordinary file.
fn make_readable(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644));
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_ffmpeg_is_explained_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = VideoWriter::create_with("no-such-ffmpeg", &folder.path().join("a.mp4"), (4, 4), 30);
        let said = made.expect_err("it does not exist").to_string();
        assert!(said.contains("not installed") && said.contains("PNG"), "{said}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
    }

    #[test]
    fn a_failing_ffmpeg_is_reported_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.mp4");
        // `false` ends at once and reads nothing.
        let mut video = VideoWriter::create_with("false", &path, (640, 480), 30).expect("it starts");
        let mut outcome = Ok(());
        for _ in 0..20 {
            outcome = outcome.and_then(|()| video.add(&Image8::new(640, 480, 3)));
        }
        let said = outcome.and_then(|()| video.finish()).expect_err("it fails").to_string();
        assert!(said.contains("a.mp4: ffmpeg could not write it"), "{said}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
    }

    #[test]
    fn a_video_appears_when_it_is_complete() {
        if Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_err() {
            println!("skipped: ffmpeg is not installed");
            return;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.mp4");
        let mut video = VideoWriter::create(&path, (33, 17), 10).expect("ffmpeg starts");
        assert!(video.add(&Image8::new(32, 17, 3)).is_err(), "another size is refused");
        for _ in 0..5 {
            video.add(&Image8::new(33, 17, 3)).expect("ffmpeg takes it");
            assert!(!path.exists());
            // A program that is killed now leaves nothing.
            #[cfg(target_os = "linux")]
            assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
        }
        video.finish().expect("complete");
        assert!(path.metadata().expect("there").len() > 100);
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1);
    }
}
