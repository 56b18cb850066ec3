//! Ranks over MPI are those over TCP, to the bit. Needs the feature `mpi`; without `mpirun` the tests say so.
#![cfg(feature = "mpi")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tempfile::TempDir;
use tessera_datasets::capture::Capture;
use tessera_datasets::synthetic::{self, Options, SceneKind};
use tessera_engine::anchors::{AnchorTraining, AnchorsConfig, Ending};
use tessera_engine::exchange::{Contents, Parcel, Ranks, TreeSum, mpi};
use tessera_engine::train::{self, Existing, Outcome, RunFolder, RunOptions};

/// Where a program that mpirun has started finds what it is to do, and leaves what came of it.
const FOLDER: &str = "TESSERA_TEST_OF_MPI";
const RANKS: usize = 3;

/// Runs the ignored test `name` of this program on all ranks. None if there is no mpirun.
fn under_mpirun(name: &str, folder: &Path) -> Option<bool> {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("mpirun");
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1").env(FOLDER, folder);
    command.args(["--oversubscribe", "-n", &RANKS.to_string()]).arg(program);
    match command.args(["--ignored", "--exact", name]).output() {
        Ok(output) => {
            print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            Some(output.status.success())
        }
        Err(error) => {
            println!("skipped: mpirun cannot be started ({error}); it comes with `apt install openmpi-bin`");
            None
        }
    }
}

fn folder() -> std::path::PathBuf {
    std::env::var_os(FOLDER).expect("started by another test").into()
}

/// Of each rank a summand, which is as large as a decoder's gradient, of very different sizes.
fn summand(rank: usize) -> Vec<f32> {
    (0..7086).map(|i| ((i * 37 + rank * 101) % 991) as f32 * 10f32.powi((i % 9) as i32 - 4 + rank as i32)).collect()
}

fn sum(ranks: &mut Ranks) -> Vec<f32> {
    let mut sum = TreeSum::new(RANKS);
    sum.add(ranks.rank(), summand(ranks.rank()));
    if !ranks.leads() {
        let mut parcel = Parcel::default();
        sum.parts().iter().for_each(|part| parcel.part(part));
        ranks.report(&parcel.finish()).expect("rank 0 is there");
        return Contents::new(&ranks.listen().expect("an answer")).f32s().expect("the sum");
    }
    for message in ranks.collect(Instant::now()).expect("all are there") {
        sum.merge(Contents::new(&message).part().expect("a part"));
    }
    let sum = sum.finish().expect("all summands");
    let mut parcel = Parcel::default();
    parcel.f32s(&sum);
    ranks.tell(&parcel.finish()).expect("all are there");
    sum
}

#[test]
#[ignore = "is run by another test, under mpirun"]
fn sums_of_a_rank() {
    assert!(mpi::is_at_hand());
    let mut ranks = mpi::meet().expect("all come");
    let sums: Vec<Vec<f32>> = (0..4).map(|_| sum(&mut ranks)).collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]), "sums differ from time to time");
    let bytes: Vec<u8> = sums[0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder().join(format!("sum{}", ranks.rank())), bytes).expect("writable");
    // One has a plan of its own: rank 0 says whose it is, and all end.
    let said = ranks.agree(&[("the plan", if ranks.rank() == 2 { 8 } else { 7 })]);
    let said = if said.is_ok() { ranks.listen().map(drop) } else { said };
    std::fs::write(folder().join(format!("said{}", ranks.rank())), said.expect_err("they disagree").to_string())
        .expect("writable");
}

#[test]
fn sums_are_the_bits_of_one_process_and_disagreement_ends_all() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(success) = under_mpirun("sums_of_a_rank", folder.path()) else { return };
    assert!(success, "a rank has failed");
    let mut alone = TreeSum::new(RANKS);
    (0..RANKS).for_each(|rank| alone.add(rank, summand(rank)));
    let expected: Vec<u8> = alone.finish().expect("all").iter().flat_map(|v| v.to_le_bytes()).collect();
    let read = |name: String| std::fs::read(folder.path().join(name)).expect("a rank has written it");
    for rank in 0..RANKS {
        assert!(read(format!("sum{rank}")) == expected, "rank {rank} has another sum");
        let said = String::from_utf8(read(format!("said{rank}"))).expect("text");
        assert!(said.contains("rank 2 (process") && said.contains("has the plan of its own"), "{said}");
    }
}

fn capture(folder: &Path) -> Capture {
    Capture::open(folder.join("terrain")).expect("the made capture")
}

fn config() -> AnchorsConfig {
    AnchorsConfig {
        steps: 8,
        blocks: 3,
        together: RANKS,
        max_anchors: 300,
        features: 8,
        offsets: 4,
        test_every: 6,
        tiles: false,
        ..AnchorsConfig::default()
    }
}

/// Trains as this one of `ranks`.
fn train(ranks: Ranks, folder: &Path, run: &Path) {
    let leads = ranks.leads();
    let mut training = AnchorTraining::among(&capture(folder), &config(), ranks, run).expect("a plan");
    if !leads {
        assert_eq!(training.follow(&AtomicBool::new(false)).expect("orders"), Ending::Complete);
        return;
    }
    let (options, stop) = (RunOptions { preview_every: 0, ..RunOptions::default() }, AtomicBool::new(false));
    let into = RunFolder::create(run, Existing::Refuse).expect("the folder is usable");
    let outcome = train::run(&mut training, &options, &into, &mut |_| {}, &stop).expect("nothing disturbs it");
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    training.dismiss(Ending::Complete).expect("all are there");
}

#[test]
#[ignore = "is run by another test, under mpirun"]
fn training_of_a_rank() {
    let folder = folder();
    train(mpi::meet().expect("all come"), &folder, &folder.join("over-mpi"));
}

#[test]
fn anchors_are_those_of_one_process() {
    let folder: TempDir = tempfile::tempdir().expect("a temporary folder");
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
    let Some(success) = under_mpirun("training_of_a_rank", folder.path()) else { return };
    assert!(success, "a rank has failed");
    train(Ranks::alone(), folder.path(), &folder.path().join("alone"));
    let scene = |run: &str| std::fs::read(folder.path().join(run).join("scene.ply")).expect("a scene");
    assert!(scene("over-mpi") == scene("alone"), "three ranks over MPI make another scene than one process");
}
