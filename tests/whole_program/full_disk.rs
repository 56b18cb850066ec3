//! A disk without room: a small file system in memory, which only root can mount.

use crate::{small_training, tessera, text};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tessera_tests::{files_below, shared_small_capture};

/// A file system that is taken down with its folder.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn new(kilobytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = format!("size={kilobytes}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        eprintln!("skipped: no small file system can be mounted here (needs root on Linux)");
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

fn is_temporary(path: &Path) -> bool {
    path.to_string_lossy().contains(".tmp") || path.to_string_lossy().contains(".tessera-")
}

#[test]
fn a_full_disk_ends_training_with_one_sentence() {
    let Some(disk) = SmallDisk::new(64) else { return };
    let run = disk.path("run");
    tessera().run(&small_training(shared_small_capture(), &run, "5")).failure(&["disk is full"]);
    let left = files_below(&run);
    assert!(!left.iter().any(|path| is_temporary(path) || path.ends_with("scene.ply")), "{left:?}");
}

#[test]
fn a_full_disk_leaves_no_half_of_a_converted_scene() {
    let Some(disk) = SmallDisk::new(16) else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    tessera().run(&small_training(shared_small_capture(), &run, "5")).success();
    let out = disk.path("out.ply");
    tessera().run(&["convert", text(&run), text(&out)]).failure(&["out.ply", "disk is full"]);
    assert!(files_below(disk.folder.path()).is_empty());
    let out = disk.path("capture");
    tessera().run(&["synth", "still-life", "-o", text(&out), "--size", "64x48", "--quiet"]).failure(&["capture"]);
    assert!(files_below(disk.folder.path()).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let mut command = tessera().command(&["doctor"]);
    command.stdout(full);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("standard output"), "{said}");
}
