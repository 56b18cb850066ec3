//! Wrong usage, help, and the commands that only say something.

use crate::{small_training, tessera, text};
use tessera_tests::{Program, files_below, shared_small_capture};

#[test]
fn wrong_usage_ends_with_status_2() {
    tessera().run(&["reconstrukt"]).wrong_usage(&["reconstruct"]);
    tessera().run(&["reconstruct"]).wrong_usage(&["CAPTURE"]);
    tessera().run(&["reconstruct", "x", "--no-such-flag"]).wrong_usage(&["--no-such-flag"]);
    tessera().run(&["reconstruct", "x", "--resume", "--force", "-o", "y"]).wrong_usage(&["--force"]);
    tessera().run(&["render", "x", "-o", "y"]).wrong_usage(&["--orbit"]);
    tessera().run(&["synth", "room", "-o", "y", "--size", "3x3"]).wrong_usage(&["800x600"]);

    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let mut arguments = small_training(shared_small_capture(), &run, "5");
    arguments.extend(["--set", "max_splat=7"]);
    tessera().run(&arguments).wrong_usage(&["max_splat", "max_splats"]);
    assert!(!run.exists(), "a refused command left something behind");
}

#[test]
fn help_names_every_command_and_setting() {
    let help = tessera().run(&["--help"]).success().to_owned();
    for command in ["demo", "reconstruct", "eval", "render", "convert", "synth", "info", "doctor", "bench"] {
        assert!(help.contains(command), "{command} is not in\n{help}");
        tessera().run(&[command, "--help"]).success();
    }
    let settings = tessera().run(&["reconstruct", "--set", "help"]).success().to_owned();
    assert!(settings.contains("max_splats") && settings.contains("checkpoint_every"), "{settings}");
}

#[test]
fn doctor_knows_the_machine() {
    let report = tessera().run(&["doctor", "--json"]).json();
    assert!(report["threads"].as_u64().is_some_and(|n| n > 0) && report["simd"].is_string(), "{report}");
    let gpu = &report["gpu"];
    assert!(gpu["driver_problem"].is_string() != gpu["driver_cuda"].is_string(), "{report}");
    assert!(gpu["nvrtc_problem"].is_string() != gpu["nvrtc"].is_string(), "{report}");
    assert!(gpu["nccl_problem"].is_string() != gpu["nccl"].is_string(), "{report}");
    let said = tessera().run(&["doctor"]).success().to_owned();
    assert!(said.contains("colmap") && said.contains("ffmpeg") && said.contains("CPU"), "{said}");
    let mut command = tessera().command(&["doctor"]);
    command
        .env("PATH", "")
        .env("TESSERA_NVRTC", "/no/such/folder")
        .env("TESSERA_NCCL", "/no/nccl")
        .env("TESSERA_CACHE", "/some/cache");
    let said = Program::finish(command).success().to_owned();
    assert!(said.contains("colmap        not found") && said.contains("apt install colmap"), "{said}");
    assert!(said.contains("TESSERA_NVRTC names /no/such/folder, which has none"), "{said}");
    assert!(said.contains("pip install nvidia-cuda-nvrtc"), "{said}");
    assert!(said.contains("TESSERA_NCCL names /no/nccl, which has none"), "{said}");
    assert!(said.contains("pip install nvidia-nccl-cu12"), "{said}");
    assert!(said.contains("kernel cache  /some/cache/kernels"), "{said}");
}

#[test]
fn a_made_capture_is_what_info_says_it_is() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().join("terrain");
    let arguments = ["synth", "terrain", "-o", text(&folder), "--size", "32x24", "--views", "4", "--samples", "1"];
    let size_and_lens = ["--extent", "60", "--lens", "fisheye", "--points", "50", "--quiet"];
    let arguments: Vec<_> = arguments.into_iter().chain(size_and_lens).collect();
    tessera().run(&arguments).success();
    let report = tessera().run(&["info", text(&folder), "--json"]).json();
    assert_eq!(report["kind"], "capture", "{report}");
    assert_eq!((report["photos"].as_u64(), report["points"].as_u64()), (Some(4), Some(50)), "{report}");
    assert_eq!(report["depth_images"].as_u64(), Some(4), "{report}");
    assert!(report["cameras"][0]["camera"].as_str().is_some_and(|c| c.contains("32x24 OPENCV_FISHEYE")), "{report}");
    tessera().run(&["info", text(&folder)]).success();

    let before = files_below(&folder);
    tessera().run(&arguments).failure(&[text(&folder), "--force"]);
    assert_eq!(files_below(&folder), before);
}

#[test]
fn info_describes_runs() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    tessera().run(&small_training(shared_small_capture(), &run, "20")).success();
    let report = tessera().run(&["info", text(&run), "--json"]).json();
    assert_eq!((report["kind"].as_str(), report["last_step"]["step"].as_u64()), (Some("run"), Some(20)), "{report}");
    assert!(report["last_evaluation"]["eval"]["psnr"].is_number(), "{report}");
    let said = tessera().run(&["info", text(&run)]).success().to_owned();
    assert!(said.contains("20 of 20") && said.contains("max_splats"), "{said}");
}

#[test]
fn bench_measures_training() {
    let capture = shared_small_capture();
    let report = tessera()
        .run(&["bench", "--capture", text(capture), "--steps", "5", "--set", "max_splats=500", "--json", "--quiet"])
        .json();
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("no number '{key}' in {report}"));
    assert!(number("steps_per_second") > 0.0 && number("pairs_per_second") > 0.0, "{report}");
    assert_eq!((report["device"].as_str(), number("state_bytes_per_splat")), (Some("cpu"), 716.0), "{report}");
}

#[test]
fn bench_trains_at_the_sizes_and_on_the_device_that_are_asked_for() {
    let bench = ["bench", "--capture", text(shared_small_capture()), "--device", "cpu", "--steps", "2", "--quiet"];
    let sizes = |sizes| [&bench[..], &["--set", "compact_state=true", "--splats", sizes]].concat();
    let table = tessera().run(&sizes("120,200")).success().to_owned();
    let rows: Vec<&str> = table.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
    assert_eq!(rows, ["splats", "120", "200"], "{table}");
    assert!(table.contains("390 B"), "the training state on a CPU is not 390 bytes:\n{table}");
    tessera().run(&sizes("200,60000000")).failure(&["too few for 60,000,000 splats"]);
    let refused = tessera().run(&["bench", "--device", "cuda:9999", "--steps", "1"]);
    let message = refused.failure(&[]);
    assert!(message.contains("--device cpu") || message.contains("no GPU 9999"), "{message}");
    tessera().run(&["bench", "--view", "--device", "cpu"]).wrong_usage(&["--device"]);
}
