//! Large scenes from a user's side: planned, trained in blocks, stopped, resumed, measured and looked at.

use crate::{tessera, text};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tessera_datasets::format::open_splats;

/// A flight over a small terrain, made once.
fn terrain() -> &'static Path {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("terrain");
        let synth = ["synth", "terrain", "-o", text(&path), "--extent", "36", "--views", "36", "--size", "64x48"];
        tessera().run(&[&synth[..], &["--points", "800", "--samples", "1", "--quiet"]].concat()).success();
        folder
    });
    static PATH: LazyLock<std::path::PathBuf> = LazyLock::new(|| FOLDER.path().join("terrain"));
    &PATH
}

fn training<'a>(run: &'a Path, method: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["reconstruct", text(terrain()), "--method", method, "-o", text(run), "--steps", "60"];
    arguments.extend(["--max-splats", "800", "--test-every", "6", "--set", "preview_every=0"]);
    arguments
}

#[test]
fn a_plan_says_what_training_will_take_and_draws_a_map() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let map = root.path().join("map.png");
    let plan = ["plan", text(terrain()), "--blocks", "3", "--steps", "50", "--max-splats", "900", "--map", text(&map)];
    let report = tessera().run(&[&plan[..], &["--json", "--quiet"]].concat()).json();
    let blocks = report["plan"]["blocks"].as_array().expect("blocks");
    assert_eq!(blocks.len(), 3);
    assert!(blocks.iter().all(|block| block["photos"].as_array().is_some_and(|photos| !photos.is_empty())), "{report}");
    for number in ["seconds", "disk", "block_disk"] {
        assert!(report["estimate"][number].as_f64().is_some_and(|value| value > 0.0), "{number}: {report}");
    }
    assert!(map.is_file(), "there is no map");
    let again = tessera().run(&[&plan[..], &["--quick", "--quiet"]].concat());
    again.failure(&["map.png", "--force"]);
    let table = tessera().run(&[&plan[..], &["--quick", "--force"]].concat());
    table.success();
    for part in ["held out", "splats, at most", "memory, at most", "disk, at most"] {
        assert!(table.stdout.contains(part), "{part} is missing:\n{}", table.stdout);
    }
}

#[test]
fn plans_that_cannot_be_carried_out_are_refused_before_anything_is_written() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let plan = ["plan", text(terrain()), "--quick", "--max-splats", "60000000"];
    tessera().run(&[&plan[..], &["--blocks", "2", "--quiet"]].concat()).failure(&["this run needs", "--blocks"]);
    let many = [&training(&run, "blocks")[..], &["--blocks", "5000", "--quiet"]].concat();
    tessera().run(&many).failure(&["no photo sees block", "--blocks"]);
    assert!(!run.exists(), "a refused run left a folder");
    let wrong = [&training(&run, "splats")[..], &["--blocks", "2"]].concat();
    tessera().run(&wrong).wrong_usage(&["there is no setting 'blocks'"]);
}

#[test]
fn processes_share_the_blocks_and_one_that_dies_is_replaced() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [alone, shared, joined] = ["alone", "shared", "joined"].map(|name| root.path().join(name));
    let blocks = |run| [&training(run, "blocks")[..], &["--blocks", "3", "--set", "checkpoint_every=10"]].concat();
    tessera().run(&[&blocks(&alone)[..], &["--quiet"]].concat()).success();
    let two = [&blocks(&shared)[..], &["--workers", "2", "--quiet"]].concat();
    tessera().run(&two).success();
    let scene = |run: &Path| std::fs::read(run.join("scene.ply")).expect("a scene");
    assert!(scene(&alone) == scene(&shared), "two processes make another scene than one");

    // The process that leads is killed; one that joins completes all blocks, and the run is joined when it is resumed.
    let begun = |event: &serde_json::Value| event["event"] == "checkpointed";
    let mut leader = tessera().run_until(&[&blocks(&joined)[..], &["--json"]].concat(), begun);
    leader.kill().expect("it runs");
    leader.wait().expect("it ends");
    tessera().run(&["reconstruct", "--join", "-o", text(&joined), "--quiet"]).success();
    assert!(!joined.join("scene.ply").exists(), "only the process that leads joins the blocks");
    let info = tessera().run(&["info", text(&joined), "--json"]).json();
    assert_eq!(info["blocks"]["finished"].as_u64(), Some(3), "{info}");
    tessera().run(&["reconstruct", "--resume", "-o", text(&joined), "--quiet"]).success();
    assert!(scene(&alone) == scene(&joined), "the run that changed hands ends in another scene");

    let nothing = root.path().join("nothing");
    tessera().run(&["reconstruct", "--join", "-o", text(&nothing), "--quiet"]).failure(&["nothing", "no run"]);
}

#[test]
fn a_run_in_blocks_survives_a_kill_and_is_measured_and_shown_like_any_other() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [whole, killed] = ["whole", "killed"].map(|name| root.path().join(name));
    let blocks = |run| [&training(run, "blocks")[..], &["--blocks", "2", "--set", "checkpoint_every=10"]].concat();
    tessera().run(&[&blocks(&whole)[..], &["--quiet"]].concat()).success();

    let at_second = |event: &serde_json::Value| event["event"] == "block" && event["block"] == 2;
    let mut child = tessera().run_until(&[&blocks(&killed)[..], &["--json"]].concat(), at_second);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    tessera().run(&["reconstruct", "--resume", "-o", text(&killed), "--quiet"]).success();
    let scene = |run: &Path| std::fs::read(run.join("scene.ply")).expect("a scene");
    assert!(scene(&whole) == scene(&killed), "the resumed run ends in another scene");

    let report = tessera().run(&["eval", text(&whole), "--json", "--quiet"]).json();
    assert!(report["psnr"].as_f64().is_some_and(|psnr| psnr > 12.0), "{report}");
    assert!(report["borders"]["near_psnr"].as_f64().is_some_and(|psnr| psnr > 10.0), "{report}");
    let info = tessera().run(&["info", text(&whole), "--json"]).json();
    assert_eq!((info["blocks"]["finished"].as_u64(), info["config"]["method"].as_str()), (Some(2), Some("blocks")));
    let splats = open_splats(whole.join("scene.ply")).expect("a scene").header().count;
    assert_eq!(open_splats(whole.join("scene.tiles")).expect("levels of detail").header().count, splats);
    let pictures = root.path().join("pictures");
    tessera()
        .run(&["render", text(&whole), "--orbit", "2", "--size", "32x24", "-o", text(&pictures), "--quiet"])
        .success();
    let page = root.path().join("page.html");
    tessera().run(&["export", text(&whole), "-o", text(&page), "--pictures", "1", "--quiet"]).success();
}

#[test]
fn anchors_share_a_decoder_and_become_splats_that_other_commands_take() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [run, other] = ["run", "other"].map(|name| root.path().join(name));
    let training = |run| {
        let train = ["reconstruct", text(terrain()), "--method", "anchors", "-o", text(run), "--blocks", "2"];
        [&train[..], &["--steps", "30", "--test-every", "6", "--set", "max_anchors=400", "--set", "preview_every=0"]]
            .concat()
    };
    let trained = tessera().run(&training(&run));
    trained.success();
    for part in ["held out", "as splats", "scene.ply", "scene.tiles"] {
        assert!(trained.stdout.contains(part), "{part} is missing:\n{}", trained.stdout);
    }
    assert!(open_splats(run.join("scene.ply")).expect("a scene").header().count > 0);
    let report = tessera().run(&["eval", text(&run), "--json", "--quiet"]).json();
    assert!(report["psnr"].as_f64().is_some_and(|psnr| psnr > 8.0), "{report}");
    let about = tessera().run(&["info", text(&run)]);
    about.success();
    assert!(about.stdout.contains("anchors") && about.stdout.contains("30 of each block"), "{}", about.stdout);
    // There are not so many GPUs, if any.
    let refused = tessera().run(&[&training(&other)[..], &["--device", "cuda:9999"]].concat());
    let message = refused.failure(&[]);
    assert!(message.contains("--device cpu") || message.contains("no GPU 9999"), "{message}");
}

/// Two blocks and more of anchors, trained by ranks together.
fn together<'a>(run: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut train = vec!["reconstruct", text(terrain()), "--method", "anchors", "-o", text(run), "--blocks", "4"];
    train.extend(["--test-every", "6", "--set", "together=4", "--set", "max_anchors=300", "--set", "preview_every=0"]);
    train.extend(["--set", "checkpoint_every=10", "--threads", "1"]);
    train.extend(more);
    train
}

#[test]
fn anchors_are_trained_by_several_processes_and_one_that_is_killed_costs_what_was_not_checkpointed() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [alone, two, killed] = ["alone", "two", "killed"].map(|name| root.path().join(name));
    tessera().run(&together(&alone, &["--steps", "30", "--quiet"])).success();
    let of_two = tessera().run(&together(&two, &["--steps", "30", "--workers", "2"]));
    for part in ["exchange", "gradients", "over the link", "2 processes", "waited", "held out", "as splats"] {
        assert!(of_two.success().contains(part), "{part} is missing:\n{}", of_two.stdout);
    }
    let scene = |run: &Path| std::fs::read(run.join("scene.ply")).expect("a scene");
    assert!(scene(&alone) == scene(&two), "two processes make another scene than one");

    // Four that find each other by the run folder, as mpirun starts them; one is killed.
    let start = |rank: usize| {
        let mut command = tessera().command(&together(&killed, &["--steps", "30", "--quiet"]));
        command.env("OMPI_COMM_WORLD_RANK", rank.to_string()).env("OMPI_COMM_WORLD_SIZE", "4");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program can be started")
    };
    let mut ranks: Vec<Child> = (0..4).map(start).collect();
    let checkpoint = killed.join("checkpoint/step-000010.safetensors");
    let begin = Instant::now();
    while !checkpoint.is_file() {
        assert!(begin.elapsed() < Duration::from_secs(60), "there is no checkpoint after a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    ranks[2].kill().expect("it runs");
    let ended: Vec<_> = ranks.into_iter().map(|rank| rank.wait_with_output().expect("it ends")).collect();
    let said = |rank: usize| String::from_utf8_lossy(&ended[rank].stderr).into_owned();
    let seconds = begin.elapsed().as_secs();
    assert!(seconds < 25, "{seconds} s until all had noticed");
    for word in ["error: rank 2 (process", "has ended before", "--resume"] {
        assert!(said(0).contains(word), "{word} is missing: {}", said(0));
    }
    assert_eq!([1, 3].map(said), ["", ""], "only rank 0 speaks");
    assert!([0, 1, 3].iter().all(|&rank| ended[rank].status.code() == Some(1)), "{ended:?}");
    // With one process fewer, from the checkpoint.
    tessera().run(&["reconstruct", "--resume", "-o", text(&killed), "--workers", "3", "--quiet"]).success();
    assert!(scene(&alone) == scene(&killed), "the resumed run ends in another scene");
}

#[test]
fn processes_that_do_not_fit_together_are_refused_in_one_sentence() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let many = tessera().run(&together(&run, &["--steps", "30", "--workers", "5", "--quiet"]));
    many.failure(&["5 processes are too many"]);
    assert!(!many.stderr.contains("rank 0"), "more than one has spoken: {}", many.stderr);
    let other = |rank: usize| {
        let steps = if rank == 1 { "31" } else { "30" };
        let mut command = tessera().command(&together(&run, &["--steps", steps, "--quiet"]));
        command.env("SLURM_PROCID", rank.to_string()).env("SLURM_NTASKS", "2");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program can be started")
    };
    let ended = [0, 1].map(other).map(|rank| rank.wait_with_output().expect("it ends"));
    let said = ended.each_ref().map(|rank| String::from_utf8_lossy(&rank.stderr).into_owned());
    assert!(said[0].contains("rank 1 (process") && said[0].contains("settings of its own"), "{said:?}");
    assert_eq!((said[0].lines().count(), said[1].as_str()), (1, ""), "{said:?}");
    assert_eq!(ended.each_ref().map(|rank| rank.status.code()), [Some(1); 2]);
    let surface = ["reconstruct", text(terrain()), "--method", "surface", "-o", text(&run), "--workers", "2"];
    tessera().run(&surface).wrong_usage(&["--workers is for --method blocks and anchors"]);
}
