//! `tessera doctor`: what this machine offers, and which programs that we use are installed.

use crate::args::Doctor;
use crate::console::Console;
use crate::report::{Facts, bytes};
use anyhow::{Context, Result};
use serde_json::json;
use std::process::{Command, Stdio};
use tessera_engine::train::available_memory;
use tessera_kernels::device::DeviceError;
use tessera_kernels::device::cuda::{self, Cache, Findings};
use tessera_kernels::simd::{Backend, best_backend};

/// A program that others wrote.
struct Helper {
    name: &'static str,
    /// What makes it say its version.
    version_argument: &'static str,
    purpose: &'static str,
    remedy: &'static str,
}

const HELPERS: [Helper; 2] = [
    Helper {
        name: "colmap",
        version_argument: "help",
        purpose: "finds camera poses for photos and videos",
        remedy: "apt install colmap, brew install colmap, or https://colmap.github.io/install.html",
    },
    Helper {
        name: "ffmpeg",
        version_argument: "-version",
        purpose: "reads and writes videos",
        remedy: "apt install ffmpeg, brew install ffmpeg, or https://ffmpeg.org/download.html",
    },
];

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Doctor, console: &Console) -> Result<()> {
    let memory = available_memory();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let helpers: Vec<_> = HELPERS.iter().map(|helper| (helper, version(helper))).collect();
    let findings = cuda::look();
    let nccl = cuda::find_nccl().map(|nccl| (nccl.version().to_owned(), nccl.path().to_owned()));
    if args.json {
        let versions: serde_json::Map<_, _> = helpers.iter().map(|(h, v)| (h.name.to_owned(), json!(v))).collect();
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "simd": backend_name(),
            "cpu_features": cpu_features(),
            "threads": threads,
            "memory_bytes": memory.map(|m| m.total),
            "memory_free_bytes": memory.map(|m| m.free),
            "device": if findings.usable(0).is_ok() { "cuda:0" } else { "cpu" },
            "gpu": gpu_report(&findings, &nccl),
            "programs": versions,
        });
        return console.result(serde_json::to_string_pretty(&report).context("the report is no JSON")?);
    }
    let mut facts = Facts::default();
    facts.add("tessera", env!("CARGO_PKG_VERSION"));
    facts.add("computing on", findings.usable(0).map_or_else(|_| "the CPU".to_owned(), ToString::to_string));
    facts.add("vector unit", backend_name());
    facts.add("CPU features", cpu_features().join(" "));
    facts.add("threads", threads.to_string());
    let free = memory.map(|m| format!("{}, {} of them free", bytes(m.total), bytes(m.free)));
    facts.add("memory", free.unwrap_or_else(|| "unknown on this system".to_owned()));
    for (name, text) in gpu_facts(&findings, &nccl) {
        facts.add(&name, text);
    }
    for (helper, version) in helpers {
        let missing = || format!("not found; it {}; get it with: {}", helper.purpose, helper.remedy);
        facts.add(helper.name, version.map_or_else(missing, |v| format!("{v}; it {}", helper.purpose)));
    }
    console.result(facts)
}

/// NCCL's version and path, or why it cannot be used.
type FoundNccl = std::result::Result<(String, String), DeviceError>;

/// Driver, GPUs, compiler, NCCL and cache: what is there, or what is missing and how to get it.
fn gpu_facts(findings: &Findings, nccl: &FoundNccl) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    match &findings.driver {
        Ok(driver) => {
            facts.push(("GPU driver".to_owned(), format!("NVIDIA, for CUDA up to {}", driver.version)));
            for gpu in &driver.gpus {
                let usable = findings.usable(gpu.ordinal);
                let text = usable.map_or_else(|error| format!("{gpu}; not usable: {error}"), |gpu| gpu.to_string());
                facts.push((format!("GPU {}", gpu.ordinal), text));
            }
            if driver.gpus.is_empty() {
                facts.push(("GPU".to_owned(), DeviceError::NoGpu("it counts none".to_owned()).to_string()));
            }
        }
        Err(error) => facts.push(("GPU".to_owned(), error.to_string())),
    }
    let compiler = match &findings.compiler {
        Ok((version, path)) => format!("{version} ({path}); it compiles kernels for the GPU"),
        Err(error) => error.to_string(),
    };
    facts.push(("NVRTC".to_owned(), compiler));
    let nccl = match nccl {
        Ok((version, path)) => format!("{version} ({path}); by it GPUs of several processes exchange gradients"),
        Err(error) => error.to_string(),
    };
    facts.push(("NCCL".to_owned(), nccl));
    let folder = Cache::default_folder().map(|folder| folder.display().to_string());
    facts.push(("kernel cache".to_owned(), folder.unwrap_or_else(|| "none: set TESSERA_CACHE to a folder".to_owned())));
    facts
}

/// The same for `--json`.
fn gpu_report(findings: &Findings, nccl: &FoundNccl) -> serde_json::Value {
    let gpus = findings.driver.as_ref().map_or(&[][..], |driver| &driver.gpus);
    let describe = |gpu: &cuda::Gpu| {
        let problem = findings.usable(gpu.ordinal).err().map(|error| error.to_string());
        let (major, minor) = gpu.compute_capability;
        json!({
            "name": gpu.name,
            "compute_capability": format!("{major}.{minor}"),
            "memory_bytes": gpu.memory,
            "problem": problem,
        })
    };
    json!({
        "gpus": gpus.iter().map(describe).collect::<Vec<_>>(),
        "driver_cuda": findings.driver.as_ref().ok().map(|driver| driver.version.to_string()),
        "driver_problem": findings.driver.as_ref().err().map(ToString::to_string),
        "nvrtc": findings.compiler.as_ref().ok().map(|(version, _)| version.to_string()),
        "nvrtc_path": findings.compiler.as_ref().ok().map(|(_, path)| path),
        "nvrtc_problem": findings.compiler.as_ref().err().map(ToString::to_string),
        "nccl": nccl.as_ref().ok().map(|(version, _)| version),
        "nccl_path": nccl.as_ref().ok().map(|(_, path)| path),
        "nccl_problem": nccl.as_ref().err().map(ToString::to_string),
        "kernel_cache": Cache::default_folder(),
    })
}

fn backend_name() -> &'static str {
    match best_backend() {
        Backend::Avx2 => "AVX2 and FMA",
        Backend::Portable => "portable (what the compiler's target has)",
    }
}

/// The features that decide how fast the kernels are.
fn cpu_features() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let features = [
            ("sse4.2", has!("sse4.2")),
            ("avx", has!("avx")),
            ("avx2", has!("avx2")),
            ("fma", has!("fma")),
            ("bmi2", has!("bmi2")),
            ("avx512f", has!("avx512f")),
        ];
        found.extend(features.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name));
    }
    #[cfg(target_arch = "aarch64")]
    found.push("neon");
    found
}

/// The line of its output that holds the version; `None` when the program is not there.
fn version(helper: &Helper) -> Option<String> {
    let output = Command::new(helper.name).arg(helper.version_argument).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()))?;
    let shown: String = line.split(" Copyright").next().unwrap_or(line).trim().chars().take(100).collect();
    Some(shown)
}
