//! Where NVRTC and NCCL may be.

use super::{Collectives, Compile, Compiler, Nccl, Version};
use crate::device::DeviceError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A library that is looked for.
struct Sought {
    /// Names its file or folder; nothing else is looked at then.
    variable: &'static str,
    /// What its file may be called, the best first.
    names: Vec<String>,
    /// Its folders in Python packages, below `nvidia`.
    packages: &'static [&'static str],
}

fn nvrtc() -> Sought {
    let majors = [13, 12];
    let names = if cfg!(windows) {
        majors.iter().map(|major| format!("nvrtc64_{major}0_0.dll")).collect()
    } else {
        majors.iter().map(|major| format!("libnvrtc.so.{major}")).chain(["libnvrtc.so".to_owned()]).collect()
    };
    Sought { variable: "TESSERA_NVRTC", names, packages: &["cu13/lib", "cuda_nvrtc/lib", "cuda_nvrtc/bin"] }
}

/// NCCL is for Linux only, so elsewhere these are never found.
fn nccl() -> Sought {
    let names = ["libnccl.so.2", "libnccl.so"].map(str::to_owned).to_vec();
    Sought { variable: "TESSERA_NCCL", names, packages: &["nccl/lib"] }
}

/// The newest NVRTC on this machine that a driver which supports `driver` can run the code of.
///
/// # Errors
/// When there is none, or none that fits.
pub fn find_compiler(driver: Option<Version>) -> Result<Compiler, DeviceError> {
    let sought = nvrtc();
    let (found, failure) = sought.all(Compiler::load);
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
        _ => Err(DeviceError::NoCompiler(sought.missing(failure))),
    }
}

/// The first NCCL that loads: what TESSERA_NCCL names, or what the system's loader finds, or that of a toolkit, conda or a Python package.
///
/// # Errors
/// When there is none.
pub fn find_nccl() -> Result<Arc<dyn Collectives>, DeviceError> {
    let sought = nccl();
    let (found, failure) = sought.first(Nccl::load);
    found.map(|nccl| Arc::new(nccl) as Arc<dyn Collectives>).ok_or_else(|| DeviceError::NoNccl(sought.missing(failure)))
}

impl Sought {
    /// All that load, and why the first one that is there does not.
    fn all<T>(&self, load: impl Fn(&Path) -> Result<T, String>) -> (Vec<T>, Option<String>) {
        let (mut found, mut failure) = (Vec::new(), None);
        for path in self.paths() {
            found.extend(tried(&path, &load, &mut failure));
        }
        (found, failure)
    }

    /// The first that loads, and why one before it does not.
    fn first<T>(&self, load: impl Fn(&Path) -> Result<T, String>) -> (Option<T>, Option<String>) {
        let mut failure = None;
        let found = self.paths().iter().find_map(|path| tried(path, &load, &mut failure));
        (found, failure)
    }

    fn paths(&self) -> Vec<PathBuf> {
        match std::env::var_os(self.variable) {
            Some(named) => self.named(Path::new(&named)),
            None => self.candidates(),
        }
    }

    /// Why none was found.
    fn missing(&self, failure: Option<String>) -> String {
        match (failure, std::env::var_os(self.variable)) {
            (Some(failure), _) => failure,
            (None, Some(named)) => format!("{} names {}, which has none", self.variable, named.display()),
            (None, None) => format!("looked for {} and in the usual folders", self.names.join(", ")),
        }
    }

    /// `named` is the library or a folder at or above it.
    fn named(&self, named: &Path) -> Vec<PathBuf> {
        if !named.is_dir() {
            return vec![named.to_owned()];
        }
        let mut folders = vec![named.to_owned()];
        folders.extend(["lib", "lib64", "bin"].map(|below| named.join(below)));
        folders.extend(self.packages.iter().map(|below| named.join("nvidia").join(below)));
        self.in_folders(&folders)
    }

    fn in_folders(&self, folders: &[PathBuf]) -> Vec<PathBuf> {
        let all = folders.iter().flat_map(|folder| self.names.iter().map(|name| folder.join(name)));
        all.filter(|path| path.is_file()).collect()
    }

    /// What the system's loader finds, then toolkits, conda and Python packages.
    fn candidates(&self) -> Vec<PathBuf> {
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
                    folders.extend(self.packages.iter().map(|below| nvidia.join(below)));
                }
            }
        }
        let mut seen = BTreeSet::new();
        let loader = self.names.iter().map(PathBuf::from);
        loader.chain(self.in_folders(&folders)).filter(|path| seen.insert(path.clone())).collect()
    }
}

/// What loads from a path. Names without a folder are tries; a file that is there and does not load is worth a word.
fn tried<T>(path: &Path, load: impl Fn(&Path) -> Result<T, String>, failure: &mut Option<String>) -> Option<T> {
    let loaded = load(path);
    if let Err(reason) = &loaded
        && path.exists()
    {
        failure.get_or_insert_with(|| format!("{}: {reason}", path.display()));
    }
    loaded.ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As Python packages put it, below the folder that is named.
    #[test]
    fn nccl_is_found_in_a_folder_that_is_named_and_in_python_packages_below_it() {
        let root = tempfile::tempdir().expect("a folder");
        let below = root.path().join("nvidia/nccl/lib");
        std::fs::create_dir_all(&below).expect("a folder");
        assert_eq!(nccl().named(root.path()), [] as [PathBuf; 0]);
        std::fs::write(below.join("libnccl.so.2"), "no library").expect("a file");
        assert_eq!(nccl().named(root.path()), [below.join("libnccl.so.2")]);
        assert_eq!(nccl().named(&below), [below.join("libnccl.so.2")]);
        let mut failure = None;
        assert!(tried(&below.join("libnccl.so.2"), Nccl::load, &mut failure).is_none());
        assert!(failure.is_some_and(|failure| failure.contains("libnccl.so.2: ")), "it is there and does not load");
    }
}
