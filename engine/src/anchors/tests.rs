//! Anchors on a small terrain: what is learned, that a run ends the same however it was interrupted, and what it leaves.

use super::*;
pub(super) use crate::blocks::tests::terrain;
use crate::exchange::Patience;
use crate::exchange::meeting::{self, listen_here};
use crate::train::{Event, Existing, Outcome, RunFolder, RunOptions};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tessera_datasets::format::read_splats;

pub(crate) fn config(sharing: Sharing) -> AnchorsConfig {
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
        appearance: AppearanceModel::Exposure,
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
    assert!(scene(&whole) == scene(&halved), "the resumed run ends in another scene");
}

/// Trains on so many ranks, which are threads over real sockets, until there were so many checkpoints. Returns what all of them end with.
fn train_among(
    folder: &Path,
    existing: Existing,
    config: &AnchorsConfig,
    size: usize,
    stop_after: usize,
) -> Vec<Result<Outcome>> {
    train_on(None, folder, existing, config, size, stop_after)
}

/// The same on a device, if one is given.
pub(super) fn train_on(
    device: Option<&Device>,
    folder: &Path,
    existing: Existing,
    config: &AnchorsConfig,
    size: usize,
    stop_after: usize,
) -> Vec<Result<Outcome>> {
    let (config, run, device) = (config.clone(), folder.to_owned(), device.cloned());
    on_ranks(folder, size, move |ranks| train_as(ranks, device.as_ref(), &run, existing, &config, stop_after))
}

/// What comes of `work` on each rank of `size` that share the run folder `folder`.
pub(super) fn on_ranks<T: Send + 'static>(
    folder: &Path,
    size: usize,
    work: impl Fn(Ranks) -> Result<T> + Clone + Send + 'static,
) -> Vec<Result<T>> {
    let (listener, place) = listen_here().expect("a port is free");
    let patience = Patience { meeting: Duration::from_secs(20), ..Patience::default() };
    let mut others = Vec::new();
    for rank in 1..size {
        let (place, run, work) = (place.clone(), folder.to_owned(), work.clone());
        others.push(std::thread::spawn(move || work(meeting::follow(&place, rank, size, &run, patience)?)));
    }
    let first = meeting::lead(Some(listener), &place, size, folder, patience).and_then(work);
    std::iter::once(first).chain(others.into_iter().map(|other| other.join().expect("no panic"))).collect()
}

/// Trains as this one of `ranks`; who does not lead ends with step 1 if the run is complete.
pub(crate) fn train_as(
    ranks: Ranks,
    device: Option<&Device>,
    folder: &Path,
    existing: Existing,
    config: &AnchorsConfig,
    stop_after: usize,
) -> Result<Outcome> {
    let training = AnchorTraining::among(&terrain(), config, ranks, folder)?.on(device)?;
    to_the_end(training, folder, existing, stop_after)
}

/// The same with a training that is ready.
pub(super) fn to_the_end(
    mut training: AnchorTraining,
    folder: &Path,
    existing: Existing,
    stop_after: usize,
) -> Result<Outcome> {
    if !training.ranks.get_mut().leads() {
        let ending = training.follow(&AtomicBool::new(false))?;
        return Ok(Outcome::Interrupted { step: u64::from(ending == Ending::Complete) });
    }
    let folder = RunFolder::create(folder, existing)?;
    let options = RunOptions { checkpoint_every: 7, ..RunOptions::default() };
    let (stop, mut checkpoints) = (AtomicBool::new(false), 0);
    let mut listen = |event: Event| {
        checkpoints += usize::from(matches!(event, Event::Checkpointed { .. }));
        stop.store(checkpoints >= stop_after, Ordering::Relaxed);
    };
    let outcome = crate::train::run(&mut training, &options, &folder, &mut listen, &stop)
        .inspect_err(|error| training.give_up(error))?;
    let is_complete = matches!(outcome, Outcome::Finished { .. });
    training.dismiss(if is_complete { Ending::Complete } else { Ending::Stopped })?;
    Ok(outcome)
}

pub(crate) fn scene(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("scene.ply")).expect("a scene")
}

#[test]
fn ranks_make_the_same_scene_as_one_process_however_many_there_are() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let of = |sharing, sync_every| AnchorsConfig { blocks: 5, steps: 12, together: 3, sync_every, ..config(sharing) };
    for (name, config) in [
        ("momentum", of(Sharing::Momentum, 1)),
        ("apart", of(Sharing::Momentum, 5)),
        ("independent", of(Sharing::Independent, 1)),
    ] {
        let run = |size: usize| root.path().join(format!("{name}{size}"));
        for size in [1, 2, 3] {
            let ended = train_among(&run(size), Existing::Refuse, &config, size, usize::MAX);
            let Some(Ok(Outcome::Finished { steps, report, facts, .. })) = ended.first() else { panic!("{ended:?}") };
            // Five blocks in groups of three and two.
            assert_eq!((*steps, ended.len()), (24, size));
            assert!(report.as_ref().is_some_and(|report| report.psnr > 5.0), "{report:?}");
            let told: Vec<&str> = facts.iter().map(|(fact, _)| *fact).filter(|fact| *fact == "waited").collect();
            assert_eq!(told.len(), usize::from(size > 1), "{facts:?}");
            assert!(ended[1..].iter().all(|other| matches!(other, Ok(Outcome::Interrupted { step: 1 }))), "{ended:?}");
            assert!(scene(&run(1)) == scene(&run(size)), "{name}: {size} ranks make another scene than one");
        }
        // Stopped with three, resumed with two and then with one.
        let changing = root.path().join(format!("{name}-changing"));
        let ended = train_among(&changing, Existing::Refuse, &config, 3, 1);
        assert!(matches!(ended[0], Ok(Outcome::Interrupted { step: 7 })), "{ended:?}");
        let ended = train_among(&changing, Existing::Resume, &config, 2, 1);
        assert!(matches!(ended[0], Ok(Outcome::Interrupted { step: 14 })), "{ended:?}");
        let ended = train_among(&changing, Existing::Resume, &config, 1, usize::MAX);
        assert!(matches!(ended[0], Ok(Outcome::Finished { .. })), "{ended:?}");
        assert!(scene(&run(1)) == scene(&changing), "{name}: the run that changed hands ends in another scene");
    }
}

#[test]
fn ranks_that_cannot_train_together_end_with_one_sentence_of_rank_0() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let few = AnchorsConfig { together: 2, ..config(Sharing::Shared) };
    let ended = train_among(&root.path().join("few"), Existing::Refuse, &few, 3, usize::MAX);
    let said = |outcome: &Result<Outcome>| outcome.as_ref().map_or_else(ToString::to_string, |_| "nothing".to_owned());
    assert!(said(&ended[0]).contains("3 processes are too many"), "{ended:?}");
    assert!(ended[1..].iter().all(|other| matches!(other, Err(Error::SaidByLead(_)))), "{ended:?}");

    let (listener, place) = listen_here().expect("a port is free");
    let run = root.path().join("other");
    let (there, at) = (run.clone(), place.clone());
    let other = std::thread::spawn(move || {
        let ranks = meeting::follow(&at, 1, 2, &there, Patience::default())?;
        let config = AnchorsConfig { steps: 31, blocks: 2, ..config(Sharing::Shared) };
        AnchorTraining::among(&terrain(), &config, ranks, &there).map(drop)
    });
    let ranks = meeting::lead(Some(listener), &place, 2, &run, Patience::default()).expect("it comes");
    let ours = AnchorTraining::among(&terrain(), &config(Sharing::Shared), ranks, &run).map(drop);
    let ours = ours.expect_err("they disagree").to_string();
    assert!(ours.starts_with("rank 1 (process") && ours.contains("settings and a plan of its own"), "{ours}");
    let theirs = other.join().expect("no panic").expect_err("they disagree");
    assert!(matches!(theirs, Error::SaidByLead(_)), "{theirs}");
    assert!(!run.exists(), "a run that was refused left a folder");
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
fn the_sky_has_anchors_of_which_each_direction_belongs_to_one_block() {
    let capture = terrain();
    let config = AnchorsConfig { sky: true, steps: 10, ..config(Sharing::Shared) };
    let mut training = AnchorTraining::new(&capture, &config).expect("a plan");
    let before: Vec<usize> = training.blocks.iter().map(|block| block.model.len()).collect();
    for round in 0..training.total_steps() {
        training.step(round).expect("a step");
    }
    let sky = training.sky.clone().expect("there is one");
    let world_from_scene = capture.scene_from_world.inverse();
    let mut kept = 0;
    for (part, before) in training.parts().iter().zip(before) {
        let places: Vec<[f32; 3]> = (0..part.model.len()).map(|anchor| part.model.position(anchor)).collect();
        let far = places.iter().filter(|place| sky.far.has(**place)).count();
        assert!(far > 5 && far <= config.max_anchors / 10 && far < before, "{far} anchors are the sky's");
        let owner = |anchor: &u32| {
            let world = world_from_scene * nalgebra::Point3::from(places[*anchor as usize].map(f64::from));
            sky.owner(world.coords.into())
        };
        let owners: Vec<usize> = part.inside.iter().filter_map(owner).collect();
        assert!(owners.iter().all(|owner| *owner == part.number), "a block has a part of another one's sky");
        kept += owners.len();
    }
    assert!(kept > 10, "only {kept} anchors of the sky are in the scene");
    training.settle().expect("splats");
    let of_sky = |cloud: &SplatCloud| cloud.means.iter().any(|mean| sky.owner(mean.map(f64::from)).is_some());
    assert!(training.baked.iter().any(of_sky), "the sky is not in what is written");
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
