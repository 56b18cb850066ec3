//! Anchors on a small terrain: what is learned, that a run ends the same however it was interrupted, and what it leaves.

use super::*;
use crate::train::{Event, Existing, Outcome, RunFolder, RunOptions};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use tessera_datasets::format::read_splats;
use tessera_datasets::synthetic::{self, Options, SceneKind};

/// A flight over a small terrain, made once.
fn terrain() -> Capture {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options {
            width: 64,
            height: 48,
            views: Some(36),
            points: 800,
            samples_per_pixel: 1,
            extent: 36.0,
            ..Options::default()
        };
        let path = folder.path().join("terrain");
        synthetic::write(SceneKind::Terrain, &options, &path, false, &|_, _| {}).expect("a capture can be made");
        folder
    });
    Capture::open(FOLDER.path().join("terrain")).expect("the made capture")
}

fn config(sharing: Sharing) -> AnchorsConfig {
    AnchorsConfig {
        steps: 30,
        blocks: 3,
        sharing,
        visit: 4,
        max_anchors: 500,
        features: 8,
        offsets: 4,
        refine_every: 5,
        test_every: 6,
        preview_every: 0,
        ..AnchorsConfig::default()
    }
}

/// Trains in `folder` until there were so many checkpoints.
fn train(folder: &Path, existing: Existing, sharing: Sharing, stop_after: usize) -> Outcome {
    let mut training = AnchorTraining::new(&terrain(), &config(sharing)).expect("a plan");
    let folder = RunFolder::create(folder, existing).expect("the folder is usable");
    let options = RunOptions { checkpoint_every: 35, ..RunOptions::default() };
    let (stop, mut checkpoints) = (AtomicBool::new(false), 0);
    let mut listen = |event: Event| {
        checkpoints += usize::from(matches!(event, Event::Checkpointed { .. }));
        stop.store(checkpoints >= stop_after, Ordering::Relaxed);
    };
    crate::train::run(&mut training, &options, &folder, &mut listen, &stop).expect("nothing disturbs it")
}

#[test]
fn a_run_that_was_stopped_ends_in_the_same_scene() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [whole, halved] = ["whole", "halved"].map(|name| root.path().join(name));
    let outcome = train(&whole, Existing::Refuse, Sharing::Momentum, usize::MAX);
    let Outcome::Finished { outputs, report, facts, .. } = outcome else { panic!("not finished: {outcome:?}") };
    assert_eq!(outputs, [whole.join("scene.ply"), whole.join(TILES_FOLDER)]);
    assert!(report.expect("photos are held out").psnr > 10.0);
    assert!(facts.iter().any(|(name, value)| *name == "as splats" && value.contains("PSNR")), "{facts:?}");
    assert!(!read_splats(whole.join("scene.ply")).expect("a scene").is_empty());
    let plan = Plan::read(&whole.join(PLAN_FILE)).expect("a plan");
    assert_eq!(plan.blocks.len(), 3);

    assert!(matches!(train(&halved, Existing::Refuse, Sharing::Momentum, 1), Outcome::Interrupted { step: 35 }));
    assert!(matches!(train(&halved, Existing::Resume, Sharing::Momentum, usize::MAX), Outcome::Finished { .. }));
    let scene = |run: &Path| std::fs::read(run.join("scene.ply")).expect("a scene");
    assert!(scene(&whole) == scene(&halved), "the resumed run ends in another scene");
}

#[test]
fn blocks_share_one_decoder_or_have_their_own() {
    let capture = terrain();
    for (sharing, decoders) in [(Sharing::Momentum, 1), (Sharing::Shared, 1), (Sharing::Independent, 3)] {
        let mut training = AnchorTraining::new(&capture, &config(sharing)).expect("a plan");
        assert_eq!(training.students.len(), decoders, "{sharing:?}");
        let before: Vec<Vec<f32>> = training.students.iter().map(|student| student.parameters.clone()).collect();
        for step in 0..4 {
            training.step(step).expect("a step");
        }
        let has_changed: Vec<bool> =
            training.students.iter().zip(&before).map(|(student, before)| student.parameters != *before).collect();
        assert!(has_changed[0] && has_changed[1..].iter().all(|changed| !changed), "{has_changed:?} after one visit");
        let student = &training.students[0];
        assert!(student.teacher != student.parameters && student.teacher != before[0], "the teacher follows slowly");
    }
}

#[test]
fn a_run_of_another_division_is_not_resumed() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    train(&run, Existing::Refuse, Sharing::Shared, 1);
    let other = AnchorsConfig { blocks: 2, ..config(Sharing::Shared) };
    let mut training = AnchorTraining::new(&terrain(), &other).expect("a plan");
    let folder = RunFolder::create(&run, Existing::Resume).expect("the folder is usable");
    let stop = AtomicBool::new(false);
    let outcome = crate::train::run(&mut training, &RunOptions::default(), &folder, &mut |_| {}, &stop);
    let said = outcome.expect_err("three blocks are not two").to_string();
    assert!(said.contains("divided in another way") && said.contains("--force"), "{said}");
}
