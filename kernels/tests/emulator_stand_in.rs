//! The code that drives real GPUs, on stand-ins for NVIDIA's driver and compiler that run the emulated kernels, and fail
//! when they are told to. Each test runs a part of this program again with the stand-ins in place.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tessera_emulator::STAND_IN;
use tessera_kernels::device::cuda::{self, Communicator, UniqueId};
use tessera_kernels::device::{Choice, Device, Launch, MemoryPlan, Request, SELF_TEST, Timer, choose};

/// What the part `name` says, with these variables set, and the folder of its cache.
fn run(name: &str, variables: &[(&str, &str)], cache: &std::path::Path) -> String {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "--nocapture", "--test-threads=1", "the_part_that_is_asked_for_runs"])
        .env(PART, name)
        .env("LD_LIBRARY_PATH", STAND_IN)
        .env("TESSERA_NVRTC", STAND_IN)
        .env("TESSERA_NCCL", STAND_IN)
        .env("STAND_IN_KERNELS", STAND_IN)
        .env("TESSERA_CACHE", cache)
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

fn run_once(name: &str, variables: &[(&str, &str)]) -> String {
    run(name, variables, tempfile::tempdir().expect("a folder").path())
}

/// With this variable this program does only what [`the_part_that_is_asked_for_runs`] does for it.
const PART: &str = "TESSERA_STAND_IN_PART";

/// The other tests start this one, in a process of its own with the stand-ins in place. By itself it has nothing to do.
#[test]
fn the_part_that_is_asked_for_runs() {
    let Ok(name) = std::env::var(PART) else { return };
    match name.as_str() {
        "adds" => part::adds(),
        "is_refused" => part::is_refused(),
        "fails_at_a_kernel" => part::fails_at_a_kernel(),
        "fills_the_memory" => part::fills_the_memory(),
        "gathers" => part::gathers(),
        unknown => panic!("there is no part {unknown}"),
    }
}

/// What programs do with a GPU.
mod part {
    use super::*;

    fn adds_on(device: &Device) {
        let stream = device.stream().expect("a stream");
        let n = 5000;
        let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let (a, mut sum) = (device.upload(&x, "x").expect("memory"), device.buffer(n, "sums").expect("memory"));
        let kernel = device.kernel(&SELF_TEST, "add_arrays").expect("the kernel");
        let mut timer = Timer::default();
        for _ in 0..3 {
            let launch = || kernel.launch(&stream, Launch::linear(n, 256), (&a, &a, &mut sum, n as u32));
            timer.span("adding", &stream, launch).expect("a launch");
        }
        let expected: Vec<f32> = x.iter().map(|x| 2.0 * x).collect();
        assert_eq!(sum.read(&stream).expect("the sums"), expected);
        let total = timer.totals().expect("times")["adding"];
        assert!(total.count == 3 && total.seconds > 0.0);

        let mut staged = device.pinned::<f32>(n).expect("memory");
        staged.values().expect("values").copy_from_slice(&expected);
        let mut copy = device.zeros::<f32>(n, "a copy").expect("memory");
        copy.write_from(&mut staged, &stream).expect("a copy");
        copy.copy_from(0, &sum, 1, 2, &stream).expect("a copy");
        staged.values().expect("values").fill(0.0);
        copy.read_into(&mut staged, &stream).expect("a copy");
        assert_eq!(staged.values().expect("values")[..4], [2.0, 4.0, 4.0, 6.0]);
    }

    pub fn adds() {
        let Ok(Choice::Gpu { device, found }) = choose(Request::Auto) else { panic!("no GPU") };
        println!("found {found}");
        adds_on(&device);
        // Blocks may have more than 48 KiB of shared memory.
        assert_eq!(device.properties().shared_memory_per_block, 96 << 10);
        let mut values = device.zeros::<u32>(32, "values").expect("memory");
        let kernel = device.kernel(&SELF_TEST, "reverse_blocks").expect("the kernel");
        let shape = Launch::blocks(1, 32).with_shared(80 << 10);
        kernel.launch(&device.stream().expect("a stream"), shape, (&mut values,)).expect("a launch");
    }

    pub fn is_refused() {
        let error = choose(Request::Cuda(0)).expect_err("it cannot be used");
        println!("refused: {error}");
        let Ok(Choice::Cpu { because: Some(reason) }) = choose(Request::Auto) else { panic!("not the CPU") };
        println!("auto: warning {}, {}", reason.is_warning, reason.error);
    }

    pub fn fails_at_a_kernel() {
        let device = cuda::open(0).expect("a GPU");
        let stream = device.stream().expect("a stream");
        let mut values = device.zeros::<u32>(32, "values").expect("memory");
        let failure = device.kernel(&SELF_TEST, "reverse_blocks").and_then(|kernel| {
            kernel.launch(&stream, Launch::blocks(1, 32).with_shared(128), (&mut values,))?;
            values.read(&stream)
        });
        println!("failed: {}", failure.expect_err("a failure"));
    }

    pub fn fills_the_memory() {
        let device = cuda::open(0).expect("a GPU");
        let first = device.buffer::<u8>(600 << 20, "the scene").expect("it fits");
        let error = device.buffer::<u8>(600 << 20, "the photos").err().expect("it does not fit");
        println!("full: {error}");
        assert_eq!(
            device.buffer::<u64>(usize::MAX, "everything").err().map(|e| e.to_string().contains("full")),
            Some(true)
        );
        // 1 GB, less the buffer and what is kept free: 124 MB for things of 1 MB.
        let fit = MemoryPlan::default().each("things", 1 << 20).fit_on(200, &device).expect("a plan");
        assert!(!fit.fits() && fit.most == 124, "{fit:?}");
        drop(first);
        device.buffer::<u8>(600 << 20, "the photos").expect("now it fits");
    }

    /// As one of two processes, which share a folder.
    pub fn gathers() {
        let variable = |name| std::env::var(name).expect("it is set");
        let (rank, id) = (variable("RANK").parse().expect("a number"), Path::new(&variable("TMPDIR")).join("id"));
        let library = cuda::find_nccl().expect("the stand-in");
        if rank == 0 {
            let made = library.unique_id().expect("an id");
            std::fs::write(id.with_extension("part"), made.bytes()).expect("a file");
            std::fs::rename(id.with_extension("part"), &id).expect("a file");
        }
        let id = loop {
            match std::fs::read(&id) {
                Ok(bytes) => break UniqueId::from_bytes(&bytes).expect("an id"),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let device = cuda::open(rank).expect("a GPU");
        println!("{} has NCCL {}", device.identity().expect("it has one"), library.version());
        let stream = device.stream().expect("a stream");
        let mut communicator = Communicator::join(&library, &id, (rank, 2), &device).expect("the other comes");
        let from = device.upload(&[rank as f32, 0.5], "numbers").expect("memory");
        let mut to = device.zeros::<f32>(4, "numbers").expect("memory");
        for _ in 0..2 {
            communicator.all_gather(&from, &mut to, &stream).expect("begun");
            assert!(communicator.is_done().expect("nothing fails"));
            assert_eq!(to.read(&stream).expect("a copy"), [0.0, 0.5, 1.0, 0.5]);
        }
        communicator.leave().expect("all is done");
    }
}

#[test]
fn kernels_run_and_are_compiled_once_for_all_programs() {
    let cache = tempfile::tempdir().expect("a folder");
    let said = run("adds", &[], cache.path());
    assert!(said.contains("found Stand-in 0 (compute capability 8.0, 1.0 GB)"), "{said}");
    assert_eq!(said.matches("stand-in compiles device/self_test.cu").count(), 1, "{said}");
    assert!(!run("adds", &[], cache.path()).contains("stand-in compiles"));
    // Another architecture, or a damaged entry, is compiled anew.
    assert!(run("adds", &[("STAND_IN_CAPABILITY", "90")], cache.path()).contains("stand-in compiles"));
    for entry in std::fs::read_dir(cache.path().join("kernels")).expect("the cache").flatten() {
        let length = entry.metadata().expect("a file").len();
        std::fs::File::options().write(true).open(entry.path()).expect("a file").set_len(length / 2).expect("shorter");
    }
    assert!(run("adds", &[], cache.path()).contains("stand-in compiles"));
    assert!(!run("adds", &[], cache.path()).contains("stand-in compiles"));
}

#[test]
fn an_unknown_generation_gets_ptx_of_an_older_one() {
    run_once("adds", &[("STAND_IN_CAPABILITY", "89")]);
}

#[test]
fn whatever_is_missing_or_does_not_fit_is_said() {
    let refusals = [
        (
            ("STAND_IN_VERSION", "11080"),
            "the NVIDIA driver is too old (it offers CUDA 11.8, at least 12.0 is needed)",
            true,
        ),
        (("STAND_IN_GPUS", "0"), "the NVIDIA driver finds no GPU", false),
        (("STAND_IN_INIT", "100"), "the NVIDIA driver finds no GPU", false),
        (("STAND_IN_INIT", "34"), "libcuda.so.1 is the toolkit's stub", false),
        (("STAND_IN_CAPABILITY", "61"), "Stand-in 0 is too old: it has compute capability 6.1", true),
        (("STAND_IN_NVRTC", "13000"), "pip install nvidia-cuda-nvrtc-cu12", true),
        (("TESSERA_NVRTC", "/no/such/folder"), "pip install nvidia-cuda-nvrtc`", true),
        (("LD_LIBRARY_PATH", ""), "no NVIDIA driver is installed", false),
    ];
    for (variable, sentence, warns) in refusals {
        let said = run_once("is_refused", &[variable]);
        assert!(said.contains("refused: ") && said.contains(sentence), "{variable:?}: {said}");
        assert!(said.contains(&format!("auto: warning {warns}")), "{variable:?}: {said}");
    }
}

#[test]
fn failures_of_kernels_are_said() {
    let failures = [
        (("STAND_IN_SYNCHRONIZE", "700"), "the kernel reverse_blocks, or one shortly before it, failed on the device"),
        (("STAND_IN_LAUNCH", "701"), "the kernel reverse_blocks cannot be launched: CUDA_ERROR_701"),
        (("STAND_IN_LAUNCH", "719"), "the kernel reverse_blocks, or one shortly before it, failed on the device"),
        (("STAND_IN_LOAD", "200"), "NVRTC 12.8 does not fit: the driver cannot load its code (CUDA_ERROR_200"),
        (("STAND_IN_REFUSE", "x.cu(1): error: no"), "cannot be compiled by NVRTC 12.8: x.cu(1): error: no"),
    ];
    for (variable, sentence) in failures {
        let said = run_once("fails_at_a_kernel", &[variable]);
        assert!(said.contains(sentence), "{variable:?}: {said}");
    }
}

#[test]
fn two_processes_with_a_gpu_each_gather_by_nccl() {
    let folder = tempfile::tempdir().expect("a folder");
    let shared = folder.path().to_str().expect("a name");
    let run_rank =
        |rank: &str| run("gathers", &[("RANK", rank), ("TMPDIR", shared), ("STAND_IN_GPUS", "2")], folder.path());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| run_rank("1"));
        let said = [run_rank("0"), other.join().expect("no panic")];
        for (rank, said) in said.iter().enumerate() {
            let sentence = format!("GPU-{:032x} has NCCL 2.27.3", rank);
            assert!(said.contains(&sentence), "{sentence} is missing in: {said}");
        }
    });
}

#[test]
fn full_memory_is_said_with_what_it_was_for() {
    let said = run_once("fills_the_memory", &[]);
    let sentence = "full: the GPU's memory is full: 600.0 MiB are needed for the photos, 424.0 MiB are free and 600.0 MiB are ours";
    assert!(said.contains(sentence), "{said}");
}
