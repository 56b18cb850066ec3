//! A small terrain in blocks: what the plan says, and that a run ends the same however it was interrupted.

use super::sky::Sky;
use super::*;
use crate::splats::SplatsConfig;
use crate::splats::appearance::AppearanceModel;
use crate::train::{Event, Existing, Outcome, RunFolder, RunOptions};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use tessera_datasets::capture::Capture;
use tessera_datasets::format::tiles::open_manifest;
use tessera_datasets::format::{open_splats, read_splats};
use tessera_datasets::scene::SplatCloud;
use tessera_datasets::synthetic::{self, Options, SceneKind};
use tessera_kernels::splat::spherical_harmonics::Y0;

/// A flight over a small terrain, made once.
pub(crate) fn terrain() -> Capture {
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

pub(super) fn config(blocks: usize) -> BlocksConfig {
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

/// Trains to the end.
fn train_all(folder: &Path, capture: &Capture, config: &BlocksConfig, existing: Existing) -> Ledger {
    let options = RunOptions { capture: "terrain".into(), ..RunOptions::default() };
    let job = BlocksJob { capture, config, device: None, options: &options };
    let run = BlocksRun::prepare(job, folder, existing).expect("a plan");
    let run_folder = RunFolder::create(folder, existing).expect("the folder is usable");
    run.run(&run_folder, &mut |_| {}, &AtomicBool::new(false)).expect("nothing disturbs it");
    Ledger::new(folder, run.plan().blocks.len())
}

#[test]
fn the_sky_is_in_the_scene_once_and_each_direction_belongs_to_one_block() {
    let capture = terrain();
    let root = tempfile::tempdir().expect("a temporary folder");
    let mut config = config(3);
    config.splats.sky = true;
    let ledger = train_all(&root.path().join("run"), &capture, &config, Existing::Refuse);
    let sky = Sky::of(&capture, &Plan::of(&capture, &config).expect("a plan"));
    let mut far = 0;
    for block in 0..3 {
        let cloud = read_splats(ledger.folder(block).join("scene.ply")).expect("a block");
        let owners: Vec<usize> = cloud.means.iter().filter_map(|mean| sky.owner(mean.map(f64::from))).collect();
        far += owners.len();
        assert!(owners.iter().all(|owner| *owner == block), "block {block} holds a part of another one's sky");
    }
    assert!(far > 20, "only {far} splats of the sky");
    let joined = read_splats(root.path().join("run/scene.ply")).expect("a scene");
    let of_sky = joined.means.iter().filter(|mean| sky.owner(mean.map(f64::from)).is_some()).count();
    assert_eq!(of_sky, far, "joining changed the sky");
    let start =
        open_manifest(&root.path().join("run/scene.tiles")).expect("levels of detail").camera.expect("a camera");
    let (_, within) = sky.shell.near();
    let eye = capture.frames[0].camera_from_world.inverse().translation.vector;
    let off = (0..3).map(|c| (f64::from(start.position[c]) - eye[c]).abs()).fold(0.0, f64::max);
    assert!(off < 1e-4 * within, "{start:?} is not where the first photo was taken, inside of the sky");
}

#[test]
fn blocks_are_joined_as_bright_as_the_photos_say_that_they_share() {
    let capture = terrain();
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let mut config = config(2);
    config.splats.appearance = AppearanceModel::Exposure;
    let ledger = train_all(&run, &capture, &config, Existing::Refuse);
    let plan = Plan::of(&capture, &config).expect("a plan");
    // As if photos were darker in the first block than in the second.
    for (block, darker) in [(0, -0.2f64), (1, 0.2)] {
        let mut record = ledger.record(block).expect("a record");
        let finished = record.finished.as_mut().expect("complete");
        assert_eq!(finished.gains.len(), plan.blocks[block].photos.len(), "a gain for each photo");
        assert!(finished.gains.iter().flatten().all(|gain| (0.5..2.0).contains(gain)), "{finished:?}");
        finished.gains.fill([darker.exp(); 3]);
        ledger.write(block, &record).expect("writable");
    }
    train_all(&run, &capture, &config, Existing::Resume);

    let joined = read_splats(run.join("scene.ply")).expect("a scene");
    let parts = [0, 1].map(|block| read_splats(ledger.folder(block).join("scene.ply")).expect("a block"));
    let colour = |cloud: &SplatCloud, i: usize| 0.5 + Y0 * f64::from(cloud.sh0[i][1]);
    let gains =
        [(&parts[0], 0), (&parts[1], parts[0].len())].map(|(part, begin)| colour(&joined, begin) / colour(part, 0));
    assert!(((gains[0] / gains[1]).ln() + 0.4).abs() < 0.01, "{gains:?}");
    let rest = [&joined, &parts[0]].map(|cloud| f64::from(cloud.sh_rest[1]));
    assert!((rest[0] - gains[0] * rest[1]).abs() < 1e-5, "{rest:?} with {gains:?}");
}

#[test]
fn points_are_found_where_a_capture_has_none_and_are_the_same_each_time() {
    let whole = terrain();
    let found = || {
        let mut capture = Capture { points: Vec::new(), ..whole.clone() };
        let count = find_points(&mut capture, 6).expect("photos agree on some").expect("it had none");
        assert_eq!(count, capture.points.len());
        capture
    };
    let capture = found();
    assert_eq!(capture.points, found().points);
    assert!(Plan::of(&capture, &config(3)).expect("a plan").blocks.iter().all(|block| block.points > 0));
    assert_eq!(find_points(&mut terrain(), 6).expect("nothing to do"), None);
}
