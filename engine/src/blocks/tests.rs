//! A small terrain in blocks: what the plan says, and that a run ends the same however it was interrupted.

use super::*;
use crate::splats::SplatsConfig;
use crate::train::{Event, Existing, Outcome, RunFolder, RunOptions};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use tessera_datasets::capture::Capture;
use tessera_datasets::format::{open_splats, read_splats};
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

fn config(blocks: usize) -> BlocksConfig {
    BlocksConfig {
        division: Division { blocks, ..Division::default() },
        splats: SplatsConfig {
            steps: 30,
            max_splats: 900,
            test_every: 6,
            checkpoint_every: 8,
            preview_every: 0,
            ..SplatsConfig::default()
        },
    }
}

/// Trains in `folder` until there were so many checkpoints.
fn train(folder: &Path, existing: Existing, capture: &Capture, stop_after: usize) -> (Outcome, Vec<Event>) {
    let config = config(3);
    let options = RunOptions { capture: "terrain".into(), checkpoint_every: 8, ..RunOptions::default() };
    let job = BlocksJob { capture, config: &config, device: None, options: &options };
    let run = BlocksRun::prepare(job, folder, existing).expect("a plan");
    let folder = RunFolder::create(folder, existing).expect("the folder is usable");
    let (stop, mut events, mut checkpoints) = (AtomicBool::new(false), Vec::new(), 0);
    let mut listen = |event: Event| {
        checkpoints += usize::from(matches!(event, Event::Checkpointed { .. }));
        stop.store(checkpoints >= stop_after, Ordering::Relaxed);
        events.push(event);
    };
    let outcome = run.run(&folder, &mut listen, &stop).expect("nothing disturbs it");
    (outcome.outcome, events)
}

#[test]
fn a_plan_is_the_same_each_time_and_every_photo_is_used() {
    let capture = terrain();
    let plan = Plan::of(&capture, &config(4)).expect("a plan");
    assert_eq!(plan, Plan::of(&capture, &config(4)).expect("a plan"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(PLAN_FILE);
    plan.write(&path).expect("writable");
    assert_eq!(Plan::read(&path).expect("readable"), plan);

    assert!(plan.ground.up()[2] > 0.99, "up is {:?} in a world where it is z", plan.ground.up());
    assert_eq!((plan.blocks.len(), plan.unused()), (4, 0));
    let (train, held_out) = capture.split_indices(Some(6));
    for block in &plan.blocks {
        assert!(!block.photos.is_empty() && block.photos.len() < train.len(), "{block:?}");
        assert!(block.points > 100, "{} of 800 points in a quarter of the scene", block.points);
    }
    for index in held_out {
        let name = &capture.frames[index].name;
        assert!(plan.blocks.iter().all(|block| !block.photos.contains(name)), "{name} is held out and trained on");
        assert!(plan.blocks.iter().any(|block| block.held_out.contains(name)), "{name} belongs to no block");
    }
    let map = draw_map(&plan, &capture);
    assert!(map.width.max(map.height) >= 1200, "a map of {}x{} pixels", map.width, map.height);
}

#[test]
fn what_cannot_be_divided_is_refused_with_a_way_out() {
    let refused =
        |capture: &Capture, blocks: usize| Plan::of(capture, &config(blocks)).expect_err("refused").to_string();
    let capture = terrain();
    let pointless = Capture { points: Vec::new(), ..capture.clone() };
    let said = refused(&pointless, 2);
    assert!(said.contains("has no sparse points") && said.contains("--method splats"), "{said}");
    let said = refused(&capture, 5000);
    assert!(said.contains("no photo sees block") && said.contains("--blocks"), "{said}");
}

#[test]
fn a_run_that_was_stopped_ends_in_the_same_scene_and_every_splat_lies_in_its_cell() {
    let capture = terrain();
    let root = tempfile::tempdir().expect("a temporary folder");
    let [whole, halved] = ["whole", "halved"].map(|name| root.path().join(name));
    let (outcome, events) = train(&whole, Existing::Refuse, &capture, usize::MAX);
    let Outcome::Finished { outputs, report, .. } = outcome else { panic!("not finished: {outcome:?}") };
    assert_eq!(outputs, [whole.join("scene.ply"), whole.join(TILES_FOLDER)]);
    assert!(report.expect("photos are held out").psnr > 10.0);
    let began = |events: &[Event]| {
        let number = |event: &Event| if let Event::Block { block, .. } = event { Some(*block) } else { None };
        events.iter().filter_map(number).collect::<Vec<_>>()
    };
    assert_eq!(began(&events), [1, 2, 3, 1, 2, 3], "all are compared before any is completed");
    let last_step = events
        .iter()
        .rev()
        .find_map(|e| if let Event::Step { step, total, .. } = e { Some((*step, *total)) } else { None });
    assert_eq!(last_step, Some((90, 90)), "weights move steps and make none");

    let plan = Plan::read(&whole.join(PLAN_FILE)).expect("a plan");
    let mut joined = 0;
    for block in 0..3 {
        let cloud = read_splats(Ledger::new(&whole, 3).folder(block).join("scene.ply")).expect("a block");
        joined += cloud.len() as u64;
        assert!(
            cloud.means.iter().all(|mean| plan.block_at(mean.map(f64::from)) == block),
            "block {block} reaches out"
        );
    }
    assert_eq!(open_splats(whole.join("scene.ply")).expect("a scene").header().count, joined);

    // Stopped while the second block is compared, and again while the last one is completed.
    assert!(matches!(train(&halved, Existing::Refuse, &capture, 3).0, Outcome::Interrupted { .. }));
    assert!(matches!(train(&halved, Existing::Resume, &capture, 9).0, Outcome::Interrupted { .. }));
    let (outcome, events) = train(&halved, Existing::Resume, &capture, usize::MAX);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert!(began(&events).len() <= 2, "complete blocks were trained again: {:?}", began(&events));
    let scene = |run: &Path| std::fs::read(run.join("scene.ply")).expect("a scene");
    assert!(scene(&whole) == scene(&halved), "the resumed run ends in another scene");
}

#[test]
fn another_plan_is_not_mixed_into_a_run() {
    let capture = terrain();
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    assert!(matches!(train(&run, Existing::Refuse, &capture, 1).0, Outcome::Interrupted { .. }));
    let (config, options) = (config(2), RunOptions::default());
    let job = BlocksJob { capture: &capture, config: &config, device: None, options: &options };
    let said = BlocksRun::prepare(job, &run, Existing::Resume).expect_err("three blocks are not two").to_string();
    assert!(said.contains("plan.json: is another plan") && said.contains("--force"), "{said}");
}
