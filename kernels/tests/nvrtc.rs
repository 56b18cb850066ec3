//! Every kernel through the real compiler, without a GPU: NVRTC for four generations, and what `ptxas` says of registers
//! and spills, against the budget in `tests/register_budget.json`.
//!
//! `.ci/run` installs both from PyPI and names them by TESSERA_NVRTC and TESSERA_PTXAS; without them the tests say so.
//! After a change that is meant, write the budget anew:
//! `TESSERA_UPDATE_BUDGET=1 cargo test --release -p tessera-kernels --test nvrtc`.

use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tessera_kernels::device::cuda::{Architecture, Compile, Compiler, compile_source, find_compiler};
use tessera_kernels::device::{SOURCES, Source};

/// Turing, Ampere, Hopper with its own instructions, Blackwell.
const ARCHITECTURES: [Architecture; 4] = [
    Architecture::Machine(7, 5),
    Architecture::Machine(8, 0),
    Architecture::MachineSpecific(9, 0),
    Architecture::Machine(12, 0),
];

fn compiler() -> Option<Compiler> {
    let found = find_compiler(None);
    if let Err(error) = &found {
        println!("skipped: {error}");
    }
    found.ok()
}

#[test]
fn every_kernel_compiles_without_warnings_for_every_generation() {
    let Some(compiler) = compiler() else { return };
    println!("NVRTC {} ({})", compiler.version(), compiler.path());
    let problems: Vec<String> = SOURCES
        .par_iter()
        .flat_map_iter(|source| ARCHITECTURES.iter().map(move |architecture| (*source, *architecture)))
        .filter_map(|(source, architecture)| {
            let name = format!("{} for {architecture}", source.name);
            match compile_source(&compiler, source, architecture) {
                Err(error) => Some(format!("{name}: {error}")),
                Ok(compiled) if !compiled.log.is_empty() => Some(format!("{name}: {}", compiled.log)),
                Ok(compiled) if !compiled.image.starts_with(b"\x7fELF") => Some(format!("{name}: no machine code")),
                Ok(_) => None,
            }
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What one kernel takes: registers for each thread, bytes spilled to memory, bytes of static shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Usage {
    registers: u32,
    spilled: u32,
    shared: u32,
}

type Budget = BTreeMap<String, BTreeMap<String, Usage>>;

#[test]
fn registers_and_spills_stay_within_the_budget() {
    let Some(compiler) = compiler() else { return };
    let Some(assembler) = assembler() else {
        println!(
            "skipped: ptxas is not found; it comes with `pip install nvidia-cuda-nvcc`, and TESSERA_PTXAS names it"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let jobs: Vec<(&Source, (u32, u32, &str))> = SOURCES
        .iter()
        .flat_map(|source| {
            [(7, 5, "sm_75"), (8, 0, "sm_80"), (9, 0, "sm_90a"), (12, 0, "sm_120")].map(|a| (*source, a))
        })
        .collect();
    let measured: Vec<(String, String, Usage)> = jobs
        .par_iter()
        .flat_map_iter(|(source, (major, minor, machine))| {
            let compiled = compile_source(&compiler, source, Architecture::Ptx(*major, *minor)).expect("PTX");
            let ptx = folder.path().join(format!("{}.{machine}.ptx", source.name.replace('/', "_")));
            std::fs::write(&ptx, compiled.image.strip_suffix(&[0]).unwrap_or(&compiled.image)).expect("a file");
            let usage = assemble(&assembler, &ptx, machine);
            usage.into_iter().map(|(kernel, usage)| ((*machine).to_owned(), kernel, usage))
        })
        .collect();
    let mut table = Budget::new();
    for (machine, kernel, usage) in measured {
        println!(
            "{machine:7} {kernel:32} {:4} registers {:5} B spilled {:6} B shared",
            usage.registers, usage.spilled, usage.shared
        );
        table.entry(kernel).or_default().insert(machine, usage);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/register_budget.json");
    if std::env::var_os("TESSERA_UPDATE_BUDGET").is_some() {
        let line = |(kernel, machines)| format!("  {kernel:?}: {}", serde_json::to_string(machines).expect("JSON"));
        let lines: Vec<String> = table.iter().map(line).collect();
        std::fs::write(&path, format!("{{\n{}\n}}\n", lines.join(",\n"))).expect("the budget");
    }
    let budget: Budget = serde_json::from_slice(&std::fs::read(&path).expect("the budget")).expect("JSON");
    let mut problems = Vec::new();
    for (kernel, machines) in &table {
        for (machine, usage) in machines {
            let Some(allowed) = budget.get(kernel).and_then(|machines| machines.get(machine)) else {
                problems.push(format!("{kernel} for {machine} is not in the budget"));
                continue;
            };
            // Another release of the compiler may need a few registers more.
            let within = usage.registers <= allowed.registers + 8
                && usage.spilled <= allowed.spilled
                && usage.shared <= allowed.shared;
            if !within {
                problems.push(format!("{kernel} for {machine}: {usage:?}, the budget is {allowed:?}"));
            }
        }
    }
    problems.extend(
        budget.keys().filter(|kernel| !table.contains_key(*kernel)).map(|k| format!("there is no {k} any more")),
    );
    assert!(
        problems.is_empty(),
        "see the head of this file for how to write the budget anew:\n{}",
        problems.join("\n")
    );
}

/// `ptxas`: named, in the path, or beside NVRTC from PyPI.
fn assembler() -> Option<PathBuf> {
    let named = std::env::var_os("TESSERA_PTXAS").map(PathBuf::from);
    let candidate = named.unwrap_or_else(|| PathBuf::from("ptxas"));
    Command::new(&candidate).arg("--version").output().ok().filter(|output| output.status.success()).map(|_| candidate)
}

/// What `ptxas` reports for the kernels of a file.
fn assemble(assembler: &Path, ptx: &Path, machine: &str) -> BTreeMap<String, Usage> {
    let output = Command::new(assembler)
        .args(["-v", "-arch", machine, "-o"])
        .arg(ptx.with_extension("cubin"))
        .arg(ptx)
        .output()
        .expect("ptxas runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ptxas refuses {}: {text}", ptx.display());
    let mut usages = BTreeMap::new();
    let (mut kernel, mut spilled) = (String::new(), 0);
    for line in text.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            kernel = rest.split('\'').next().unwrap_or("").to_owned();
        } else if line.contains("bytes spill stores") {
            spilled = number_before(line, "bytes spill stores").max(number_before(line, "bytes spill loads"));
        } else if line.contains("Used ") {
            let registers = number_before(line, "registers");
            usages.insert(kernel.clone(), Usage { registers, spilled, shared: number_before(line, "bytes smem") });
        }
    }
    usages
}

/// The number that stands before `what` in the line; 0 if it is not there.
fn number_before(line: &str, what: &str) -> u32 {
    let before = line.split(what).next().filter(|before| before.len() < line.len());
    before.and_then(|before| before.split_whitespace().next_back()?.parse().ok()).unwrap_or(0)
}
