//! The shared libraries that `build.rs` made of the `.cu` files.

use crate::memory::Range;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tessera_kernels::device::{DeviceError, Launch};

/// By the name of their source: the plain library and the checked one.
const LIBRARIES: &[(&str, [&str; 2])] = &include!(concat!(env!("OUT_DIR"), "/libraries.rs"));

/// As `emulator::Entry` in `cpp/runtime.h`.
#[repr(C)]
struct RawEntry {
    name: *const c_char,
    invoke: *const c_void,
    argument_sizes: *const usize,
}

/// As `emulator::Launch` in `cpp/runtime.h`.
#[repr(C)]
struct RawLaunch {
    entry: *const RawEntry,
    arguments: *const usize,
    grid: [u32; 3],
    block: [u32; 3],
    block_index: [u32; 3],
    shared_bytes: u32,
    seed: u32,
    ranges: *const Range,
    range_count: usize,
    launch_number: u32,
    fenced: *const AtomicU32,
}

type RunBlock = unsafe extern "C" fn(*const RawLaunch, *mut c_char, usize) -> c_int;

/// Libraries stay loaded, because each keeps stacks for the threads that ran its kernels: loaded anew it would make others, and
/// processes may have 65,530 mappings of memory.
static OPENED: LazyLock<Mutex<HashMap<&str, Arc<libloading::Library>>>> = LazyLock::new(Mutex::default);

/// The kernels of one `.cu` file.
pub struct Library(Arc<libloading::Library>);

impl Library {
    /// The library of the source with this name, plain or checked.
    pub fn open(source: &str, checked: bool) -> Result<Self, DeviceError> {
        let found = LIBRARIES.iter().find(|(name, _)| *name == source);
        let (_, builds) = found.ok_or_else(|| failure(format!("it was built without {source}")))?;
        let path = builds[usize::from(checked)];
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = opened.get(path) {
            return Ok(Self(library.clone()));
        }
        // SAFETY: the library is ours and has no constructors that do anything.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| failure(error.to_string()))?;
        Ok(Self(opened.entry(path).or_insert(Arc::new(library)).clone()))
    }

    /// One of its kernels.
    pub fn entry(&self, name: &str) -> Result<Entry, DeviceError> {
        // SAFETY: the symbols have these types in `cpp/runtime.h`; the table ends with an entry without a name, whose
        // strings live as long as the library.
        unsafe {
            let table = self.0.get::<*const RawEntry>(b"emulator_entries\0").map_err(|e| failure(e.to_string()))?;
            let run = *self.0.get::<RunBlock>(b"emulator_run_block\0").map_err(|e| failure(e.to_string()))?;
            // The symbol is the table itself, not a pointer to it.
            let mut raw = table.try_as_raw_ptr().unwrap_or(std::ptr::null_mut()).cast::<RawEntry>().cast_const();
            while !raw.is_null() && !(*raw).name.is_null() {
                if CStr::from_ptr((*raw).name).to_bytes() == name.as_bytes() {
                    return Ok(Entry { name: name.to_owned(), raw: raw as usize, run, library: self.0.clone() });
                }
                raw = raw.add(1);
            }
        }
        Err(failure(format!("it has no kernel {name}")))
    }
}

fn failure(reason: String) -> DeviceError {
    DeviceError::Driver { action: "loading a kernel into the emulator", reason }
}

/// What the blocks of a launch have in common.
pub struct Common<'a> {
    pub launch: &'a Launch,
    /// Addresses of the arguments' values.
    pub arguments: &'a [usize],
    /// All buffers, by address.
    pub ranges: &'a [Range],
    /// From 1 to 4095.
    pub number: u32,
    /// Set to 1 by __threadfence.
    pub fenced: &'a AtomicU32,
}

/// A kernel.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    /// Address of its [`RawEntry`], which lives as long as the library.
    raw: usize,
    run: RunBlock,
    #[allow(dead_code, reason = "keeps the code loaded")]
    library: Arc<libloading::Library>,
}

impl Entry {
    /// Runs one block. The error says what the kernel did wrong.
    pub fn run(&self, common: &Common<'_>, index: [u32; 3], seed: u32) -> Result<(), String> {
        let raw = RawLaunch {
            entry: self.raw as *const RawEntry,
            arguments: common.arguments.as_ptr(),
            grid: common.launch.grid,
            block: common.launch.block,
            block_index: index,
            shared_bytes: common.launch.shared_bytes,
            seed,
            ranges: common.ranges.as_ptr(),
            range_count: common.ranges.len(),
            launch_number: common.number,
            fenced: common.fenced,
        };
        let mut message = [0u8; 1024];
        // SAFETY: the entry is of this library, and the arguments are of the kernel's types, as `Backend::launch` demands.
        let status = unsafe { (self.run)(&raw, message.as_mut_ptr().cast(), message.len()) };
        if status == 0 {
            return Ok(());
        }
        let text = CStr::from_bytes_until_nul(&message).map_or_else(|_| "?".into(), CStr::to_string_lossy);
        Err(text.into_owned())
    }
}
