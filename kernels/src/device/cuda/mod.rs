//! NVIDIA GPUs: the driver through `cudarc`, the compiler NVRTC, and a cache of compiled kernels.
//!
//! Nothing of CUDA is needed to build the program, and it starts where there is none: both libraries are looked for when a
//! device is wanted. `cudarc` binds the driver. NVRTC is loaded by code of our own (`compiler.rs`), because
//! `cudarc` finds it under a few names only, cannot be told a path, and panics when it is not there; here it may come
//! from a CUDA toolkit, from conda or from the PyPI package `nvidia-cuda-nvrtc`, and must fit the driver. NCCL, by which GPUs of
//! several processes gather from each other, is loaded in the same way and for the same reasons (`nccl.rs`).

mod cache;
mod compiler;
mod driver;
mod nccl;
mod search;

pub use cache::Cache;
pub use compiler::{Architecture, Compile, Compiler, compile_source};
pub use nccl::{Collectives, Communicator, Nccl, UniqueId};
pub use search::{find_compiler, find_nccl};

use super::{Device, DeviceError};
use std::fmt;

/// The oldest driver interface that we use: CUDA 12.0, driver 525.
const OLDEST_DRIVER: Version = Version { major: 12, minor: 0 };

/// The oldest GPUs that kernels are written for: Turing.
const OLDEST_GPU: (u32, u32) = (7, 5);

/// A version of CUDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the point.
    pub major: u32,
    /// Behind it.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A GPU that the driver found.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// Its number, from 0.
    pub ordinal: usize,
    /// Its name.
    pub name: String,
    /// Its compute capability.
    pub compute_capability: (u32, u32),
    /// Bytes of memory.
    pub memory: u64,
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.compute_capability;
        let gigabytes = self.memory as f64 / f64::from(1 << 30);
        write!(f, "{} (compute capability {major}.{minor}, {gigabytes:.1} GB)", self.name)
    }
}

/// What was found of an NVIDIA driver.
#[derive(Clone, Debug, PartialEq)]
pub struct Driver {
    /// The newest CUDA that it supports.
    pub version: Version,
    /// The GPUs, by number.
    pub gpus: Vec<Gpu>,
}

/// What this machine has for computing on GPUs. `tessera doctor` prints it.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// The driver, or why it cannot be used.
    pub driver: Result<Driver, DeviceError>,
    /// NVRTC's version and path, or why it cannot be used.
    pub compiler: Result<(Version, String), DeviceError>,
}

/// Looks for driver, GPUs and compiler.
pub fn look() -> Findings {
    let driver = driver::look();
    let newest = driver.as_ref().ok().map(|driver| driver.version);
    let compiler = find_compiler(newest).map(|compiler| (compiler.version(), compiler.path().to_owned()));
    Findings { driver, compiler }
}

impl Findings {
    /// The GPU with this number, if it and all that it needs is there.
    ///
    /// # Errors
    /// What is missing, or does not fit.
    pub fn usable(&self, ordinal: usize) -> Result<&Gpu, DeviceError> {
        let driver = self.driver.as_ref().map_err(Clone::clone)?;
        if driver.version < OLDEST_DRIVER {
            return Err(DeviceError::DriverTooOld {
                found: driver.version.to_string(),
                needed: OLDEST_DRIVER.to_string(),
            });
        }
        if driver.gpus.is_empty() {
            return Err(DeviceError::NoGpu("it counts none".to_owned()));
        }
        let found = driver.gpus.len();
        let gpu = driver.gpus.get(ordinal).ok_or(DeviceError::NoSuchGpu { wanted: ordinal, found })?;
        if gpu.compute_capability < OLDEST_GPU {
            let (major, minor) = gpu.compute_capability;
            return Err(DeviceError::GpuTooOld { name: gpu.name.clone(), found: format!("{major}.{minor}") });
        }
        self.compiler.as_ref().map_err(Clone::clone)?;
        Ok(gpu)
    }
}

/// Opens the GPU with this number.
///
/// # Errors
/// What is missing, or does not fit.
pub fn open(ordinal: usize) -> Result<Device, DeviceError> {
    open_found(ordinal, &look())
}

/// Opens one of the GPUs that were found.
///
/// # Errors
/// What is missing, or does not fit.
pub fn open_found(ordinal: usize, findings: &Findings) -> Result<Device, DeviceError> {
    let gpu = findings.usable(ordinal)?;
    let compiler = find_compiler(findings.driver.as_ref().ok().map(|driver| driver.version))?;
    let cache = Cache::default_folder().map(Cache::new);
    Ok(Device::new(Box::new(driver::Cuda::open(gpu, compiler, cache)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let gpu = Gpu { ordinal: 0, name: "A GPU".to_owned(), compute_capability: (8, 9), memory: 24 << 30 };
        let old = Gpu { ordinal: 1, name: "An old GPU".to_owned(), compute_capability: (6, 1), memory: 8 << 30 };
        Findings {
            driver: Ok(Driver { version: Version { major: 12, minor: 4 }, gpus: vec![gpu, old] }),
            compiler: Ok((Version { major: 12, minor: 4 }, "libnvrtc.so.12".to_owned())),
        }
    }

    fn refusal(findings: &Findings, ordinal: usize) -> String {
        findings.usable(ordinal).expect_err("something is missing").to_string()
    }

    #[test]
    fn whatever_is_missing_is_named_with_a_remedy() {
        assert_eq!(findings().usable(0).expect("all is there").name, "A GPU");
        assert!(refusal(&findings(), 2).contains("there is no GPU 2: this machine has 2"));
        assert!(refusal(&findings(), 1).contains("An old GPU is too old: it has compute capability 6.1"));

        let mut missing = findings();
        missing.driver = Err(DeviceError::NoDriver("libcuda.so.1 is not found".to_owned()));
        assert!(refusal(&missing, 0).contains("nvidia.com/drivers"));

        let mut old = findings();
        old.driver.as_mut().expect("a driver").version = Version { major: 11, minor: 8 };
        assert!(refusal(&old, 0).contains("offers CUDA 11.8, at least 12.0 is needed"));

        let mut empty = findings();
        empty.driver.as_mut().expect("a driver").gpus.clear();
        assert!(refusal(&empty, 0).contains("nvidia-smi"));

        let mut deaf = findings();
        deaf.compiler = Err(DeviceError::NoCompiler("looked for libnvrtc.so.13".to_owned()));
        assert!(refusal(&deaf, 0).contains("pip install nvidia-cuda-nvrtc"));
    }
}
