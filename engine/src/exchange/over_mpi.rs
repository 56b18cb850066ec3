//! Ranks over MPI are those over TCP, to the bit. Each test starts itself again under mpirun, where it is one of the ranks; without mpirun tests say so.

use super::tests::sum;
use super::{Ranks, mpi};
use crate::anchors::tests::{config, scene, train_as};
use crate::anchors::{AnchorsConfig, Sharing};
use crate::train::{Existing, Outcome};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a test that mpirun has started leaves what comes of it.
const FOLDER: &str = "TESSERA_TEST_OF_MPI";
const RANKS: usize = 3;

/// The folder for what comes of it, if this is one of the ranks.
fn folder_of_ranks() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Runs the test `name` of this module on all ranks. Returns whether there is an mpirun.
fn run_on_ranks(name: &str, folder: &Path) -> bool {
    let program = std::env::current_exe().expect("this program");
    let test = format!("{}::{name}", module_path!().split_once("::").expect("a module of the crate").1);
    let mut command = Command::new("mpirun");
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1").env(FOLDER, folder);
    command.args(["--oversubscribe", "-n", &RANKS.to_string()]).arg(program).args(["--exact", &test]);
    match command.output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
            assert!(output.status.success() && said.matches("1 passed").count() == RANKS, "a rank has failed: {said}");
            true
        }
        Err(error) => {
            println!("skipped: mpirun cannot be started ({error}); it comes with `apt install openmpi-bin`");
            false
        }
    }
}

/// As large as a decoder's gradient, of very different sizes.
fn summands() -> Vec<Vec<f32>> {
    let value =
        |rank: usize, i: usize| ((i * 37 + rank * 101) % 991) as f32 * 10f32.powi((i % 9) as i32 - 4 + rank as i32);
    (0..RANKS).map(|rank| (0..7086).map(|i| value(rank, i)).collect()).collect()
}

#[test]
fn sums_are_the_bits_of_one_process_and_disagreement_ends_all() {
    if let Some(folder) = folder_of_ranks() {
        return sums_of_a_rank(&folder);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    if !run_on_ranks("sums_are_the_bits_of_one_process_and_disagreement_ends_all", folder.path()) {
        return;
    }
    let alone = sum(&mut Ranks::alone(), &summands());
    let expected: Vec<u8> = alone.iter().flat_map(|v| v.to_le_bytes()).collect();
    let read = |name: String| std::fs::read(folder.path().join(name)).expect("a rank has written it");
    for rank in 0..RANKS {
        assert!(read(format!("sum{rank}")) == expected, "rank {rank} has another sum");
        let said = String::from_utf8(read(format!("said{rank}"))).expect("text");
        assert!(said.contains("rank 2 (process") && said.contains("has the plan of its own"), "{said}");
    }
}

fn sums_of_a_rank(folder: &Path) {
    assert!(mpi::is_at_hand());
    let mut ranks = mpi::meet().expect("all come");
    let sums: Vec<Vec<f32>> = (0..4).map(|_| sum(&mut ranks, &summands())).collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]), "sums differ from time to time");
    let bytes: Vec<u8> = sums[0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join(format!("sum{}", ranks.rank())), bytes).expect("writable");
    // One has a plan of its own: rank 0 says whose it is, and all end.
    let said = ranks.agree(&[("the plan", if ranks.rank() == 2 { 8 } else { 7 })]);
    let said = if said.is_ok() { ranks.listen().map(drop) } else { said };
    let said = said.expect_err("they disagree").to_string();
    std::fs::write(folder.join(format!("said{}", ranks.rank())), said).expect("writable");
}

#[test]
fn anchors_are_those_of_one_process() {
    let config =
        AnchorsConfig { steps: 8, together: RANKS, max_anchors: 300, tiles: false, ..config(Sharing::Momentum) };
    let train = |ranks: Ranks, run: &Path| {
        train_as(ranks, None, run, Existing::Refuse, &config, usize::MAX).expect("nothing disturbs it")
    };
    if let Some(folder) = folder_of_ranks() {
        let ended = train(mpi::meet().expect("all come"), &folder.join("over-mpi"));
        assert!(matches!(ended, Outcome::Finished { .. } | Outcome::Interrupted { step: 1 }), "{ended:?}");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    if !run_on_ranks("anchors_are_those_of_one_process", folder.path()) {
        return;
    }
    let run = |name: &str| folder.path().join(name);
    train(Ranks::alone(), &run("alone"));
    assert!(
        scene(&run("over-mpi")) == scene(&run("alone")),
        "three ranks over MPI make another scene than one process"
    );
}
