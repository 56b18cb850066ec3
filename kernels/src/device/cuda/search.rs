//! Where NVRTC may be.

use super::{Compile, Compiler, Version};
use crate::device::DeviceError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names the file or folder of NVRTC; nothing else is looked at then.
const VARIABLE: &str = "TESSERA_NVRTC";

/// The newest NVRTC on this machine that a driver which supports `driver` can run the code of.
///
/// # Errors
/// When there is none, or none that fits.
pub fn find_compiler(driver: Option<Version>) -> Result<Compiler, DeviceError> {
    let candidates = match std::env::var_os(VARIABLE) {
        Some(named) => named_candidates(Path::new(&named)),
        None => candidates(),
    };
    let mut failures = Vec::new();
    let mut found = Vec::new();
    for path in candidates {
        match Compiler::load(&path) {
            Ok(compiler) => found.push(compiler),
            // Names without a folder are tries; a file that is there and does not load is worth a word.
            Err(reason) if path.exists() => failures.push(format!("{}: {reason}", path.display())),
            Err(_) => {}
        }
    }
    let newest = found.iter().map(Compile::version).max();
    let fits = |compiler: &Compiler| driver.is_none_or(|driver| compiler.version().major <= driver.major);
    if let Some(best) = found.into_iter().filter(fits).max_by_key(Compile::version) {
        return Ok(best);
    }
    match (newest, driver) {
        (Some(newest), Some(driver)) => Err(DeviceError::CompilerMismatch {
            version: newest.to_string(),
            reason: format!(
                "the driver runs code for CUDA {driver} only; update the driver, or get an older compiler with \
                 `pip install nvidia-cuda-nvrtc-cu{}`",
                driver.major
            ),
        }),
        _ => Err(DeviceError::NoCompiler(match (failures.first(), std::env::var_os(VARIABLE)) {
            (Some(failure), _) => failure.clone(),
            (None, Some(named)) => format!("{VARIABLE} names {}, which has none", named.display()),
            (None, None) => format!("looked for {} and in the usual folders", names().join(", ")),
        })),
    }
}

/// The library's names, newest first.
fn names() -> Vec<String> {
    let majors = [13, 12];
    if cfg!(windows) {
        majors.iter().map(|major| format!("nvrtc64_{major}0_0.dll")).collect()
    } else {
        majors.iter().map(|major| format!("libnvrtc.so.{major}")).chain(["libnvrtc.so".to_owned()]).collect()
    }
}

/// `named` is the library or a folder at or above it.
fn named_candidates(named: &Path) -> Vec<PathBuf> {
    if !named.is_dir() {
        return vec![named.to_owned()];
    }
    let mut folders = vec![named.to_owned()];
    folders.extend(["lib", "lib64", "bin", "nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"].map(|below| named.join(below)));
    in_folders(&folders)
}

fn in_folders(folders: &[PathBuf]) -> Vec<PathBuf> {
    let all = folders.iter().flat_map(|folder| names().into_iter().map(|name| folder.join(name)));
    all.filter(|path| path.is_file()).collect()
}

/// What the system's loader finds, then toolkits, conda and Python packages.
fn candidates() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let toolkits = ["CUDA_PATH", "CUDA_HOME"].into_iter().filter_map(variable);
    for toolkit in toolkits.chain([PathBuf::from("/usr/local/cuda"), PathBuf::from("/opt/cuda")]) {
        folders.extend(["lib64", "bin", "bin/x64"].map(|below| toolkit.join(below)));
    }
    folders.extend(children(Path::new("/usr/local"), "cuda-").into_iter().map(|toolkit| toolkit.join("lib64")));
    let mut pythons: Vec<PathBuf> = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable).collect();
    folders.extend(variable("CONDA_PREFIX").map(|conda| conda.join("lib")));
    pythons.extend(std::env::home_dir().map(|home| home.join(".local")));
    pythons.extend(["/usr/local", "/usr"].map(PathBuf::from));
    for python in pythons {
        for version in children(&python.join("lib"), "python3").into_iter().chain([python.join("Lib")]) {
            for packages in ["site-packages", "dist-packages"] {
                let nvidia = version.join(packages).join("nvidia");
                folders.extend(["cu13/lib", "cuda_nvrtc/lib", "cuda_nvrtc/bin"].map(|below| nvidia.join(below)));
            }
        }
    }
    let mut seen = BTreeSet::new();
    let loader = names().into_iter().map(PathBuf::from);
    loader.chain(in_folders(&folders)).filter(|path| seen.insert(path.clone())).collect()
}

/// Folders within `folder` whose names begin so.
fn children(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}
