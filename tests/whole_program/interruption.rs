//! Runs that are killed, stopped, continued, or use other numbers of threads end in the same bytes.

use crate::{small_training, tessera, text};
use std::path::Path;
use std::process::{Child, Command};
use tessera_tests::shared_small_capture;

const STEPS: &str = "600";

fn training(run: &Path) -> Vec<&str> {
    let mut arguments = small_training(shared_small_capture(), run, STEPS);
    arguments.extend(["--set", "checkpoint_every=50"]);
    arguments
}

fn scene(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("scene.ply")).expect("a scene")
}

/// What an undisturbed run with one thread makes.
fn undisturbed() -> Vec<u8> {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let mut arguments = training(&run);
    arguments.extend(["--threads", "1"]);
    tessera().run(&arguments).success();
    scene(&run)
}

/// A run with a checkpoint behind it, still going on.
fn running(run: &Path) -> Child {
    let mut arguments = training(run);
    arguments.push("--json");
    tessera().run_until(&arguments, |event| {
        event["event"] == "checkpointed" && event["step"].as_u64().is_some_and(|step| step >= 100)
    })
}

fn resume(run: &Path) {
    tessera().run(&["reconstruct", "--resume", "-o", text(run), "--quiet"]).success();
}

#[test]
fn a_killed_run_and_any_number_of_threads_give_the_same_bytes() {
    let expected = undisturbed();
    let root = tempfile::tempdir().expect("a temporary folder");

    let killed = root.path().join("killed");
    let mut child = running(&killed);
    child.kill().expect("it can be killed");
    assert_eq!(child.wait().expect("it has ended").code(), None, "it ended before it could be killed");
    assert!(!killed.join("scene.ply").exists(), "a killed run has no result");
    resume(&killed);
    assert!(scene(&killed) == expected, "the resumed run ended in other bytes");

    let threads = root.path().join("threads");
    let mut arguments = training(&threads);
    arguments.extend(["--threads", "3"]);
    tessera().run(&arguments).success();
    assert!(scene(&threads) == expected, "three threads gave other bytes than one");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_every_step_and_resuming_completes_them() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let mut child = running(&run);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(sent.success());
    assert_eq!(child.wait().expect("it has ended").code(), Some(130));
    assert!(!run.join("scene.ply").exists(), "a stopped run has no result");
    let checkpoints = std::fs::read_dir(run.join("checkpoint")).expect("a folder").count();
    assert!(checkpoints > 0, "there is no checkpoint");
    let info = tessera().run(&["info", text(&run)]);
    assert!(info.success().contains("--resume"), "{info:?}");
    tessera().run(&["eval", text(&run)]).failure(&["no scene.ply", "--resume"]);
    resume(&run);
    assert!(scene(&run) == undisturbed(), "the resumed run ended in other bytes");
}

#[test]
fn a_run_can_be_continued_with_changed_settings() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    tessera().run(&small_training(shared_small_capture(), &run, "30")).success();
    let continued = tessera().run(&["reconstruct", "--resume", "-o", text(&run), "--steps", "45"]);
    continued.success();
    assert!(continued.stderr.contains("changed setting: steps: 30 -> 45"), "{}", continued.stderr);
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).expect("a log");
    let last: serde_json::Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["step"].as_u64(), Some(45), "{log}");

    let fewer = tessera().run(&["reconstruct", "--resume", "-o", text(&run), "--steps", "50", "--max-splats", "300"]);
    fewer.success();
    let info = tessera().run(&["info", text(&run.join("scene.ply")), "--json"]);
    let info: serde_json::Value = serde_json::from_str(info.success()).expect("JSON");
    assert_eq!(info["splats"].as_u64(), Some(300), "a smaller target was asked for");
}

#[test]
fn a_folder_with_a_run_asks_what_to_do() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let arguments = small_training(shared_small_capture(), &run, "5");
    tessera().run(&arguments).success();
    let before = scene(&run);
    tessera().run(&arguments).failure(&[text(&run), "--force", "--resume"]);
    assert!(scene(&run) == before, "the refused run changed something");
    let mut replaced = arguments.clone();
    replaced.extend(["--force", "--seed", "3"]);
    tessera().run(&replaced).success();
    assert!(scene(&run) != before, "another seed gave the same scene");

    let foreign = root.path().join("thesis");
    std::fs::create_dir(&foreign).expect("writable");
    std::fs::write(foreign.join("thesis.tex"), "precious").expect("writable");
    let mut arguments = small_training(shared_small_capture(), &foreign, "5");
    arguments.push("--force");
    tessera().run(&arguments).failure(&[text(&foreign), "not of a run"]);
    assert_eq!(std::fs::read_dir(&foreign).expect("readable").count(), 1);
}
