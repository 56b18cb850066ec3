//! The run folder: what `reconstruct` leaves.
//!
//! ```text
//! config.toml      everything needed to repeat the run
//! metrics.jsonl    loss, PSNR, counts and evaluations over the steps
//! checkpoint/      the two newest checkpoints
//! preview/         pictures on the way
//! scene.ply, ...   the result
//! ```

use super::checkpoint::{CheckpointReader, CheckpointStore};
use super::durable;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use tessera_datasets::DataError;

const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINTS: &str = "checkpoint";
const PREVIEWS: &str = "preview";
/// Held by the program that writes the folder; the system lets go of it when that program ends in any way.
const LOCK: &str = ".lock";
/// Results that methods export; `--force` removes those of the run that it replaces.
const RESULTS: [&str; 9] = [
    "scene.ply",
    "scene.t4d",
    "scene.rbf",
    "surface.safetensors",
    "mesh.ply",
    "mesh.glb",
    "mesh.obj",
    "plan.json",
    "plan.png",
];
/// The same as folders.
const RESULT_FOLDERS: [&str; 2] = ["blocks", "scene.tiles"];

/// What becomes of a run that is in the output folder already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The user is asked to decide.
    Refuse,
    /// It is replaced (`--force`).
    Replace,
    /// It is continued (`--resume`).
    Resume,
}

/// What `config.toml` says: everything needed to repeat a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The version of tessera that wrote it.
    pub tessera_version: String,
    /// The method's name.
    pub method: String,
    /// The capture, as an absolute path.
    pub capture: PathBuf,
    /// Whether what is damaged in the capture is left out.
    #[serde(default)]
    pub skip_bad: bool,
    /// The method's settings.
    #[serde(default)]
    pub settings: toml::Table,
}

impl RunConfig {
    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// When it is missing or not the configuration of a run.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|e| Error::read(path, &e))?;
        toml::from_str(&text).map_err(|e| {
            let why = e.message().lines().next().unwrap_or_default().to_owned();
            Error::Data(DataError::new(path, format!("is not the configuration of a run ({why})")))
        })
    }

    /// The text of a `config.toml`; `settings` is TOML, with the comments that explain it.
    fn write(path: &Path, method: &str, capture: &Path, skip_bad: bool, settings: &str) -> Result<()> {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let capture = std::path::absolute(capture).unwrap_or_else(|_| capture.to_owned());
        let Some(capture) = capture.to_str() else {
            return Err(DataError::new(&capture, "has a name that is not Unicode text").remedy("rename it").into());
        };
        let text = format!(
            "# Everything needed to repeat this run: tessera reconstruct CAPTURE --config config.toml\n\
             tessera_version = {}\nmethod = {}\ncapture = {}\nskip_bad = {skip_bad}\n\n[settings]\n{settings}",
            quoted(env!("CARGO_PKG_VERSION")),
            quoted(method),
            quoted(capture),
        );
        durable::write(path, |out| out.write_all(text.as_bytes()))
    }
}

/// A run folder that this program is writing; no other program can at the same time.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Says whether [`RunFolder::create`] would refuse, and changes nothing.
    ///
    /// # Errors
    /// As [`RunFolder::create`].
    pub fn check(path: impl AsRef<Path>, existing: Existing) -> Result<()> {
        let path = path.as_ref();
        let holds_run = path.join(CONFIG).is_file();
        match existing {
            Existing::Resume if !holds_run => {
                return Err(Error::file(path, "holds no run that could be resumed", "leave out --resume"));
            }
            Existing::Refuse if holds_run => {
                let remedy = "continue it with --resume, replace it with --force, or choose another folder with -o";
                return Err(Error::file(path, "holds a run already", remedy));
            }
            _ => {}
        }
        if path.exists() && !path.is_dir() {
            return Err(Error::file(path, "is a file, not a folder", "choose another folder with -o"));
        }
        // Not even --force replaces what is not ours.
        if !holds_run && has_visible_files(path)? {
            let reason = "holds files that are not of a run";
            return Err(Error::file(path, reason, "choose a new or an empty folder with -o"));
        }
        Ok(())
    }

    /// Opens `path` for a run, making it when it is not there.
    ///
    /// # Errors
    /// When it holds a run and `existing` does not say what to do with it, holds anything else, holds no run to resume,
    /// is being written by another program, or cannot be written.
    pub fn create(path: impl AsRef<Path>, existing: Existing) -> Result<Self> {
        let path = path.as_ref();
        let remedy = "wait for it, or choose another folder with -o";
        let in_use = || Error::file(path, "is being written by another tessera", remedy);
        Self::try_create(path, existing)?.ok_or_else(in_use)
    }

    /// [`RunFolder::create`], or `None` when another program is writing the folder.
    ///
    /// # Errors
    /// For any other reason.
    pub fn try_create(path: impl AsRef<Path>, existing: Existing) -> Result<Option<Self>> {
        let path = path.as_ref();
        Self::check(path, existing)?;
        for folder in [path, &path.join(CHECKPOINTS), &path.join(PREVIEWS)] {
            fs::create_dir_all(folder).map_err(|e| Error::write(folder, &e))?;
        }
        let Some(lock) = lock(path)? else { return Ok(None) };
        let folder = Self { path: path.to_owned(), _lock: lock };
        durable::remove_leftovers(path);
        if existing == Existing::Replace {
            folder.clear()?;
        }
        Ok(Some(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a run folder lies at `path`.
    pub fn is_at(path: impl AsRef<Path>) -> bool {
        path.as_ref().join(CONFIG).is_file()
    }

    /// What the run in the folder `path` was started with.
    ///
    /// # Errors
    /// When there is no run, or its `config.toml` is damaged.
    pub fn read_config(path: impl AsRef<Path>) -> Result<RunConfig> {
        RunConfig::read(path.as_ref().join(CONFIG))
    }

    /// The newest checkpoint of the run in the folder `path` that is whole, if there is any.
    ///
    /// # Errors
    /// When there are checkpoints but none is whole.
    pub fn newest_checkpoint(path: impl AsRef<Path>) -> Result<Option<CheckpointReader>> {
        let folder = path.as_ref().join(CHECKPOINTS);
        if !folder.is_dir() {
            return Ok(None);
        }
        Ok(CheckpointStore::new(folder).newest()?.0)
    }

    /// The checkpoints of the run in the folder `path`.
    pub(crate) fn checkpoints_at(path: impl AsRef<Path>) -> CheckpointStore {
        CheckpointStore::new(path.as_ref().join(CHECKPOINTS))
    }

    /// Steps of the run in the folder `path` that are in its newest checkpoint, whole or not; `None` without any.
    pub(crate) fn newest_step(path: impl AsRef<Path>) -> Option<u64> {
        CheckpointStore::new(path.as_ref().join(CHECKPOINTS)).newest_step()
    }

    /// Whether another program, or this one, is writing the run in the folder `path` at the moment.
    pub(crate) fn is_in_use(path: impl AsRef<Path>) -> bool {
        let lock = File::open(path.as_ref().join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    pub(crate) fn write_config(&self, method: &str, capture: &Path, skip_bad: bool, settings: &str) -> Result<()> {
        RunConfig::write(&self.path.join(CONFIG), method, capture, skip_bad, settings)
    }

    pub(super) fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::new(self.path.join(CHECKPOINTS))
    }

    pub(crate) fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    pub(super) fn preview_path(&self, step: u64) -> PathBuf {
        self.path.join(PREVIEWS).join(format!("step-{step:06}.png"))
    }

    /// Removes the run that is there, the configuration first: from then on nothing takes the rest for a run.
    fn clear(&self) -> Result<()> {
        for name in [CONFIG, METRICS].iter().chain(&RESULTS) {
            let file = self.path.join(name);
            match fs::remove_file(&file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::write(&file, &e)),
                _ => {}
            }
        }
        for folder in RESULT_FOLDERS.map(|name| self.path.join(name)) {
            match fs::remove_dir_all(&folder) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::write(&folder, &e)),
                _ => {}
            }
        }
        for (name, extension) in [(CHECKPOINTS, "safetensors"), (PREVIEWS, "png")] {
            let folder = self.path.join(name);
            for entry in fs::read_dir(&folder).map_err(|e| Error::read(&folder, &e))? {
                let file = entry.map_err(|e| Error::read(&folder, &e))?.path();
                if file.extension().is_some_and(|e| e == extension) {
                    fs::remove_file(&file).map_err(|e| Error::write(&file, &e))?;
                }
            }
        }
        Ok(())
    }
}

fn has_visible_files(path: &Path) -> Result<bool> {
    match fs::read_dir(path) {
        // Folders that a run made before it was killed are empty: they are no reason to refuse.
        Ok(entries) => Ok(entries.flatten().any(|e| {
            let name = e.file_name();
            let ours = [CHECKPOINTS, PREVIEWS].iter().any(|n| name == *n) && is_empty(&e.path());
            // Poses that were found, or begun to be, before the run itself began.
            let poses = name == "capture" && e.path().join("poses-from.txt").is_file();
            !ours && !poses && !name.to_string_lossy().starts_with('.')
        })),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::read(path, &e)),
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// The folder's lock; `None` when another program has it.
fn lock(path: &Path) -> Result<Option<File>> {
    let lock_path = path.join(LOCK);
    let file = File::create(&lock_path).map_err(|e| Error::write(&lock_path, &e))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        // Some network file systems know no locks; that is no reason not to run.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.expect_err("should have been refused").to_string()
    }

    fn with_run(root: &Path) -> PathBuf {
        let path = root.join("runs/fox");
        let folder = RunFolder::create(&path, Existing::Refuse).expect("a new folder");
        let capture = Path::new("captures/it's \"fox\"");
        folder.write_config("toy", capture, true, "# Steps.\nsteps = 3\n").expect("writable");
        fs::write(path.join("scene.ply"), b"old").expect("writable");
        fs::write(path.join("checkpoint/step-000001.safetensors"), b"old").expect("writable");
        fs::write(path.join("notes.txt"), b"mine").expect("writable");
        path
    }

    #[test]
    fn the_configuration_comes_back_with_an_absolute_capture() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = with_run(root.path());
        let config = RunFolder::read_config(&path).expect("readable");
        assert_eq!((config.method.as_str(), config.settings["steps"].as_integer()), ("toy", Some(3)));
        assert!(config.capture.is_absolute() && config.capture.ends_with("captures/it's \"fox\""), "{config:?}");
        assert!(config.skip_bad, "{config:?}");
        assert!(fs::read_to_string(path.join(CONFIG)).expect("readable").contains("# Steps."));
    }

    #[test]
    fn a_folder_with_a_run_asks_what_to_do() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = with_run(root.path());
        let said = message(RunFolder::create(&path, Existing::Refuse));
        assert!(said.contains("fox: holds a run already") && said.contains("--resume") && said.contains("--force"));
        RunFolder::create(&path, Existing::Resume).expect("resumed");
        assert!(path.join("scene.ply").exists(), "resuming removes nothing");
        RunFolder::create(&path, Existing::Replace).expect("replaced");
        assert!(!path.join(CONFIG).exists() && !path.join("scene.ply").exists() && path.join("notes.txt").exists());
        assert!(is_empty(&path.join(CHECKPOINTS)));
    }

    #[test]
    fn a_folder_with_anything_else_is_refused_even_by_force() {
        let root = tempfile::tempdir().expect("a temporary folder");
        fs::write(root.path().join("thesis.tex"), b"precious").expect("writable");
        for existing in [Existing::Refuse, Existing::Replace] {
            let said = message(RunFolder::create(root.path(), existing));
            assert!(said.contains("holds files that are not of a run"), "{said}");
        }
        let said = message(RunFolder::create(root.path().join("thesis.tex"), Existing::Refuse));
        assert!(said.contains("is a file, not a folder"), "{said}");
        assert!(message(RunFolder::create(root.path().join("new"), Existing::Resume)).contains("leave out --resume"));
        assert_eq!(fs::read_dir(root.path()).expect("readable").count(), 1, "something was written");
    }

    #[test]
    fn two_programs_cannot_write_one_folder() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let first = RunFolder::create(root.path(), Existing::Refuse).expect("an empty folder");
        assert!(message(RunFolder::create(root.path(), Existing::Refuse)).contains("another tessera"));
        drop(first);
        RunFolder::create(root.path(), Existing::Refuse).expect("the first has let go");
    }

    #[test]
    fn a_damaged_configuration_is_named() {
        let root = tempfile::tempdir().expect("a temporary folder");
        fs::write(root.path().join(CONFIG), "method = 3").expect("writable");
        assert!(
            message(RunFolder::read_config(root.path())).contains("config.toml: is not the configuration of a run")
        );
    }
}
