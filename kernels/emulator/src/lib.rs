//! The emulator: runs the CUDA kernels of `tessera-kernels` on the CPU, for tests only.
//!
//! The same `.cu` files are compiled as C++ (`build.rs`), each CUDA thread is a fiber (`cpp/fiber.cpp`), and the blocks of a
//! launch spread over this machine's threads. It is a [`Backend`], so launches and all that is above them are the code
//! that drives a GPU.
//!
//! It is there to find mistakes, not to be fast:
//!
//! - Blocks, warps and lanes run in an order that a seed decides: `TESSERA_TEST_SEED`, or a new one that is printed.
//! - A barrier that only a part of a block reaches and a warp operation with absent lanes end in a message that names the
//!   line and who waits where.
//! - Every access to memory is checked: that it lies within a buffer or shared memory, and that no other thread accessed
//!   the same bytes without a barrier between (`cpp/checks.cpp` says what is found and what is not). The message names
//!   the line. [`fast_device`] does without, for large cases: there buffers lie between redzones that are looked at
//!   after every launch.
//! - New buffers and shared memory hold NaN, so what is read before it is written shows in results.
//!
//! What it cannot do: blocks that wait for other blocks of the same launch. Approximate intrinsics are exact here.

mod gathering;
mod library;
mod memory;

pub use gathering::Gathering;

use library::{Common, Entry, Library};
use memory::Memory;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tessera_kernels::device::{Address, Backend, Device, DeviceError, Handle, Kind, Launch, Properties, Source};
use tessera_test_seed::test_seed;

/// A device that emulates a GPU with 4 GB of memory, and checks every access to memory.
pub fn device() -> Device {
    open(4 << 30, true)
}

/// A device that emulates a GPU with so many bytes of memory, and checks every access to it.
pub fn device_with_memory(bytes: u64) -> Device {
    open(bytes, true)
}

/// A device that emulates a GPU with 4 GB of memory, and looks at the redzones around buffers only.
pub fn fast_device() -> Device {
    open(4 << 30, false)
}

/// The GPU that tests run on when they are asked for by `--ignored gpu`: the one with the number TESSERA_GPU, 0 by default.
///
/// # Panics
/// When it cannot be used: whoever asks for these tests wants to know.
pub fn gpu() -> Device {
    let number = std::env::var("TESSERA_GPU").ok().and_then(|number| number.parse().ok()).unwrap_or(0);
    tessera_kernels::device::cuda::open(number).unwrap_or_else(|error| panic!("{error}"))
}

/// Makes tests of functions that are told how to open a device: each runs on the emulator, opened by the function of this crate that is named first, and
/// on a GPU where there is one.
#[macro_export]
macro_rules! on_devices {
    ($emulated:ident: $($test:ident)*) => {
        mod emulator {$(
            #[test]
            fn $test() {
                super::$test(&$crate::$emulated);
            }
        )*}

        mod gpu {$(
            #[test]
            #[ignore = "needs an NVIDIA GPU"]
            fn $test() {
                super::$test(&$crate::gpu);
            }
        )*}
    };
}

fn open(bytes: u64, checked: bool) -> Device {
    let properties = Properties {
        name: "the emulator".to_owned(),
        compute_capability: (8, 0),
        multiprocessors: 8,
        shared_memory_per_block: 48 << 10,
        memory: bytes,
    };
    let state = State {
        random: Pcg64::seed_from_u64(test_seed()),
        libraries: HashMap::new(),
        entries: Vec::new(),
        events: HashMap::new(),
        next: 1,
        launches: 0,
    };
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Device::new(Box::new(Emulator {
        number: NEXT.fetch_add(1, Ordering::Relaxed),
        checked,
        properties,
        memory: Mutex::new(Memory::new(bytes)),
        state: Mutex::new(state),
    }))
}

/// Launches are numbered from 1 to this, then anew: 12 bits.
const LAUNCH_NUMBERS: u32 = 4095;

/// The folder with stand-ins for NVIDIA's libraries, `libcuda.so.1`, `libnvrtc.so.12` and `libnccl.so.2` (`stand_in/`): with it in
/// LD_LIBRARY_PATH, TESSERA_NVRTC and STAND_IN_KERNELS, a program that uses a GPU runs the emulated kernels by the very
/// code that drives real ones. Linux only.
pub const STAND_IN: &str = env!("OUT_DIR");

struct Emulator {
    /// Among those of this process.
    number: u64,
    /// Whether accesses to memory are checked.
    checked: bool,
    properties: Properties,
    memory: Mutex<Memory>,
    state: Mutex<State>,
}

struct State {
    random: Pcg64,
    libraries: HashMap<&'static str, Library>,
    /// Kernels by handle.
    entries: Vec<Entry>,
    /// When events were recorded; everything is done at once.
    events: HashMap<Handle, Option<Instant>>,
    next: Handle,
    launches: u32,
}

impl Emulator {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: all work is done when a call returns, and memory is freed in `free` only.
unsafe impl Backend for Emulator {
    fn kind(&self) -> Kind {
        Kind::Emulator
    }

    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn identity(&self) -> Result<String, DeviceError> {
        Ok(format!("emulator {} of process {}", self.number, std::process::id()))
    }

    fn make_current(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn free_memory(&self) -> Result<u64, DeviceError> {
        Ok(self.memory().free_bytes())
    }

    fn allocate(&self, bytes: usize, granule: usize) -> Result<Option<Address>, DeviceError> {
        Ok(self.memory().allocate(bytes, granule))
    }

    unsafe fn free(&self, address: Address) {
        self.memory().free(address);
    }

    unsafe fn fill(&self, address: Address, byte: u8, bytes: usize, _: Handle) -> Result<(), DeviceError> {
        // SAFETY: the caller gives an allocated range, and addresses here are those of the host.
        unsafe { std::ptr::write_bytes(address as *mut u8, byte, bytes) };
        Ok(())
    }

    unsafe fn copy_in(&self, to: Address, from: *const u8, bytes: usize, _: Handle) -> Result<(), DeviceError> {
        // SAFETY: as in `fill`.
        unsafe { std::ptr::copy_nonoverlapping(from, to as *mut u8, bytes) };
        Ok(())
    }

    unsafe fn copy_out(&self, to: *mut u8, from: Address, bytes: usize, _: Handle) -> Result<(), DeviceError> {
        // SAFETY: as in `fill`.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to, bytes) };
        Ok(())
    }

    unsafe fn copy_within(&self, to: Address, from: Address, bytes: usize, _: Handle) -> Result<(), DeviceError> {
        // SAFETY: as in `fill`.
        unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<*mut u8, DeviceError> {
        Ok(memory::allocate_host(bytes))
    }

    unsafe fn free_pinned(&self, memory: *mut u8, bytes: usize) {
        // SAFETY: the caller gives what `allocate_pinned` returned.
        unsafe { memory::free_host(memory, bytes) };
    }

    fn create_stream(&self) -> Result<Handle, DeviceError> {
        Ok(0)
    }

    fn destroy_stream(&self, _: Handle) {}

    fn synchronize(&self, _: Handle) -> Result<(), DeviceError> {
        Ok(())
    }

    fn create_event(&self) -> Result<Handle, DeviceError> {
        let mut state = self.state();
        let handle = state.next;
        state.next += 1;
        state.events.insert(handle, None);
        Ok(handle)
    }

    fn destroy_event(&self, event: Handle) {
        self.state().events.remove(&event);
    }

    fn record(&self, event: Handle, _: Handle) -> Result<(), DeviceError> {
        self.state().events.insert(event, Some(Instant::now()));
        Ok(())
    }

    fn wait(&self, _: Handle, _: Handle) -> Result<(), DeviceError> {
        Ok(())
    }

    fn is_done(&self, _: Handle) -> Result<bool, DeviceError> {
        Ok(true)
    }

    fn wait_for_event(&self, _: Handle) -> Result<(), DeviceError> {
        Ok(())
    }

    fn seconds_between(&self, start: Handle, end: Handle) -> Result<f64, DeviceError> {
        let state = self.state();
        let time = |event| state.events.get(&event).copied().flatten();
        match (time(start), time(end)) {
            (Some(start), Some(end)) => Ok(end.saturating_duration_since(start).as_secs_f64()),
            _ => Err(DeviceError::Driver { action: "timing", reason: "an event was not recorded".to_owned() }),
        }
    }

    fn kernel(&self, source: &'static Source, name: &str) -> Result<Handle, DeviceError> {
        let mut state = self.state();
        if !state.libraries.contains_key(source.name) {
            state.libraries.insert(source.name, Library::open(source.name, self.checked)?);
        }
        let entry = state.libraries[source.name].entry(name)?;
        state.entries.push(entry);
        Ok(state.entries.len() as Handle - 1)
    }

    unsafe fn launch(
        &self,
        kernel: Handle,
        launch: &Launch,
        arguments: &mut [*mut c_void],
        _: Handle,
    ) -> Result<(), DeviceError> {
        let (entry, mut blocks, seed, number) = {
            let mut state = self.state();
            let count = launch.grid.iter().map(|&side| u64::from(side)).product::<u64>();
            let mut blocks: Vec<u64> = (0..count).collect();
            blocks.shuffle(&mut state.random);
            state.launches = state.launches % LAUNCH_NUMBERS + 1;
            (state.entries[kernel as usize].clone(), blocks, state.random.random::<u32>(), state.launches)
        };
        let ranges = if self.checked { self.memory().ranges(number == 1) } else { Vec::new() };
        let pointers: Vec<usize> = arguments.iter().map(|pointer| *pointer as usize).collect();
        let fenced = AtomicU32::new(0);
        let common = Common { launch, arguments: &pointers, ranges: &ranges, number, fenced: &fenced };
        let fault = |reason| DeviceError::Fault { kernel: entry.name.clone(), reason };
        let [width, height, _] = launch.grid.map(u64::from);
        blocks.par_drain(..).try_for_each(|block| {
            let index = [block % width, block / width % height, block / width / height].map(|at| at as u32);
            let place = |message| format!("{message} in block {index:?} of a grid of {:?}", launch.grid);
            entry.run(&common, index, seed ^ block as u32).map_err(|message| fault(place(message)))
        })?;
        self.memory().check().map_err(fault)
    }
}
