//! NCCL: arrays that the GPUs of several processes gather from each other, without going through the host's memory.
//!
//! Loaded by code of our own, as NVRTC is: `cudarc` does not look for `libnccl.so.2`, which is what the package of PyPI holds, takes no
//! path, and panics when it is not there. Only what is used is declared, as `nccl.h` of NCCL 2 does. NCCL is for Linux.

use super::compiler::reason;
use crate::device::{Address, Buffer, Device, DeviceError, Element, Event, Handle, Kind, Stream};
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::sync::Arc;

/// What all ranks of one communicator know. One of them makes it and tells the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct UniqueId([u8; Self::BYTES]);

impl UniqueId {
    /// As many as `nccl.h` says.
    pub const BYTES: usize = 128;

    /// From what [`UniqueId::bytes`] gave, if there are as many.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// To be sent to others.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a [`Communicator`] is made of: NCCL, or a stand-in for it in tests. Errors are what the library says.
///
/// # Safety
/// [`Self::all_gather`] accesses no other memory than it is told of, and after [`Self::abort`] or [`Self::destroy`] none at all.
pub unsafe trait Collectives: Send + Sync {
    /// Its version, such as `2.27.3`.
    fn version(&self) -> &str;
    /// Where it was found.
    fn path(&self) -> &str;
    /// Whether it works with devices of this kind.
    fn serves(&self, kind: Kind) -> bool;
    /// Makes what the ranks of a new communicator need to find each other.
    ///
    /// # Errors
    /// When it fails.
    fn unique_id(&self) -> Result<UniqueId, String>;
    /// Joins a communicator of `size` ranks as the one with the number `rank`, on the device that is current. Waits until all have come.
    ///
    /// # Errors
    /// When it fails.
    fn join(&self, id: &UniqueId, rank: usize, size: usize) -> Result<Handle, String>;
    /// Gathers `bytes` bytes at `from` of each rank, in the order of ranks, at `to` of all, in the order of the stream.
    ///
    /// # Errors
    /// When it fails.
    ///
    /// # Safety
    /// The communicator must not have ended. The ranges, of `bytes` bytes and as many times that as there are ranks, must be
    /// allocated, and stay so until the stream has come there or the communicator has ended.
    unsafe fn all_gather(
        &self,
        from: Address,
        to: Address,
        bytes: usize,
        communicator: Handle,
        stream: Handle,
    ) -> Result<(), String>;
    /// Whether what was begun is done, apart from what streams say: for stand-ins whose streams have no order.
    fn is_complete(&self, communicator: Handle) -> bool;
    /// What has gone wrong meanwhile.
    fn failure(&self, communicator: Handle) -> Option<String>;
    /// Ends a communicator when all that was begun is done. Called once, instead of [`Self::abort`].
    ///
    /// # Errors
    /// When it fails.
    fn destroy(&self, communicator: Handle) -> Result<(), String>;
    /// Ends a communicator, and what was begun ends undone. Called once, instead of [`Self::destroy`].
    fn abort(&self, communicator: Handle);
}

type Status = c_int;
type Opaque = *mut c_void;

const SUCCESS: Status = 0;
const IN_PROGRESS: Status = 7;
/// `ncclUint8`.
const BYTE: c_int = 1;

/// NCCL's functions, as `nccl.h` declares them.
struct Functions {
    version: unsafe extern "C" fn(*mut c_int) -> Status,
    unique_id: unsafe extern "C" fn(*mut UniqueId) -> Status,
    join: unsafe extern "C" fn(*mut Opaque, c_int, UniqueId, c_int) -> Status,
    all_gather: unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, Opaque, Opaque) -> Status,
    failure: unsafe extern "C" fn(Opaque, *mut Status) -> Status,
    destroy: unsafe extern "C" fn(Opaque) -> Status,
    abort: unsafe extern "C" fn(Opaque) -> Status,
    explain: unsafe extern "C" fn(Status) -> *const c_char,
    /// What went wrong in more words; since NCCL 2.13.
    last_error: Option<unsafe extern "C" fn(Opaque) -> *const c_char>,
}

/// NCCL, loaded.
pub struct Nccl {
    path: String,
    version: String,
    functions: Functions,
    #[allow(dead_code, reason = "keeps the functions loaded")]
    library: Library,
}

impl Nccl {
    /// Loads NCCL from a file, or by a name that the system's loader finds. Needs no GPU.
    ///
    /// # Errors
    /// A reason: it is not there, or it is not NCCL.
    pub fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: loading NCCL runs its constructors, which have no demands.
        let library = unsafe { Library::new(path) }.map_err(|error| reason(&error))?;
        // SAFETY: the functions have these types in `nccl.h` of all versions 2 that have them.
        let functions = unsafe {
            Functions {
                version: symbol(&library, "ncclGetVersion")?,
                unique_id: symbol(&library, "ncclGetUniqueId")?,
                join: symbol(&library, "ncclCommInitRank")?,
                all_gather: symbol(&library, "ncclAllGather")?,
                failure: symbol(&library, "ncclCommGetAsyncError")?,
                destroy: symbol(&library, "ncclCommDestroy")?,
                abort: symbol(&library, "ncclCommAbort")?,
                explain: symbol(&library, "ncclGetErrorString")?,
                last_error: symbol(&library, "ncclGetLastError").ok(),
            }
        };
        let mut code = 0;
        // SAFETY: the pointer is to an integer.
        if unsafe { (functions.version)(&mut code) } != SUCCESS {
            return Err("it does not say its version".to_owned());
        }
        Ok(Self { path: path.to_string_lossy().into_owned(), version: version_of(code), functions, library })
    }

    fn check(&self, status: Status) -> Result<(), String> {
        if status == SUCCESS {
            return Ok(());
        }
        // SAFETY: NCCL returns a string constant for any status.
        let text = unsafe { CStr::from_ptr((self.functions.explain)(status)) }.to_string_lossy().into_owned();
        let Some(last_error) = self.functions.last_error else { return Err(text) };
        // SAFETY: no communicator is a communicator here, and the text stays until the next error of this thread.
        let more = unsafe {
            let more = last_error(std::ptr::null_mut());
            if more.is_null() { String::new() } else { CStr::from_ptr(more).to_string_lossy().trim().to_owned() }
        };
        Err(if more.is_empty() { text } else { format!("{text} ({more})") })
    }
}

/// As `NCCL_VERSION` packs it: before 2.9 with two digits less.
fn version_of(code: c_int) -> String {
    let scale = if code < 10_000 { 1000 } else { 10_000 };
    format!("{}.{}.{}", code / scale, code % scale / 100, code % 100)
}

/// A function of the library.
///
/// # Safety
/// It must have the type `F`.
unsafe fn symbol<F: Copy>(library: &Library, name: &str) -> Result<F, String> {
    // SAFETY: the caller says so.
    let found = unsafe { library.get::<F>(name) };
    found.map(|symbol| *symbol).map_err(|_| format!("it has no function {name}; NCCL 2.4 or newer is needed"))
}

// SAFETY: NCCL keeps to the ranges that it is given, and has no kernels any more after both ends.
unsafe impl Collectives for Nccl {
    fn version(&self) -> &str {
        &self.version
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn serves(&self, kind: Kind) -> bool {
        kind == Kind::Cuda
    }

    fn unique_id(&self) -> Result<UniqueId, String> {
        let mut id = UniqueId([0; UniqueId::BYTES]);
        // SAFETY: the pointer is to as many bytes as NCCL writes.
        self.check(unsafe { (self.functions.unique_id)(&mut id) })?;
        Ok(id)
    }

    fn join(&self, id: &UniqueId, rank: usize, size: usize) -> Result<Handle, String> {
        let number = |of: usize| c_int::try_from(of).map_err(|_| "there are too many ranks".to_owned());
        let mut communicator: Opaque = std::ptr::null_mut();
        // SAFETY: the pointer is to a handle.
        self.check(unsafe { (self.functions.join)(&mut communicator, number(size)?, *id, number(rank)?) })?;
        Ok(communicator as Handle)
    }

    unsafe fn all_gather(
        &self,
        from: Address,
        to: Address,
        bytes: usize,
        communicator: Handle,
        stream: Handle,
    ) -> Result<(), String> {
        let (communicator, stream) = (communicator as Opaque, stream as Opaque);
        // SAFETY: the caller gives ranges and a communicator that are there; a stream of the driver is one of NCCL's.
        self.check(unsafe {
            (self.functions.all_gather)(from as *const c_void, to as *mut c_void, bytes, BYTE, communicator, stream)
        })
    }

    fn is_complete(&self, _: Handle) -> bool {
        true
    }

    fn failure(&self, communicator: Handle) -> Option<String> {
        let mut found = SUCCESS;
        // SAFETY: the communicator has not ended, and the pointer is to a status.
        let asked = unsafe { (self.functions.failure)(communicator as Opaque, &mut found) };
        let found = if found == IN_PROGRESS { SUCCESS } else { found };
        self.check(asked).and_then(|()| self.check(found)).err()
    }

    fn destroy(&self, communicator: Handle) -> Result<(), String> {
        // SAFETY: the communicator has not ended; it is not used again.
        self.check(unsafe { (self.functions.destroy)(communicator as Opaque) })
    }

    fn abort(&self, communicator: Handle) {
        // SAFETY: as in `destroy`. Nothing can be done about a failure to give up.
        let _ = unsafe { (self.functions.abort)(communicator as Opaque) };
    }
}

/// One of several ranks whose devices gather from each other. Dropped, it ends whatever it was doing.
pub struct Communicator {
    library: Arc<dyn Collectives>,
    device: Device,
    /// None once it has ended.
    handle: Option<Handle>,
    size: usize,
    /// Marks the end of what was begun last.
    gathered: Event,
}

impl Communicator {
    /// Joins as rank `rank` of `size`, with this device, those that have the same `id`. Waits until all have come, however long that takes.
    ///
    /// # Errors
    /// When the library does not work with such a device, or fails.
    pub fn join(
        library: &Arc<dyn Collectives>,
        id: &UniqueId,
        (rank, size): (usize, usize),
        device: &Device,
    ) -> Result<Self, DeviceError> {
        if !library.serves(device.kind()) {
            return Err(failed("joining", format!("{} is no NVIDIA GPU", device.properties().name)));
        }
        let gathered = device.event()?;
        device.backend().make_current()?;
        let handle = library.join(id, rank, size).map_err(|reason| failed("joining", reason))?;
        Ok(Self { library: Arc::clone(library), device: device.clone(), handle: Some(handle), size, gathered })
    }

    fn handle(&self) -> Result<Handle, DeviceError> {
        self.handle.ok_or_else(|| failed("gathering", "it was given up before".to_owned()))
    }

    /// Gathers `from` `[N]` of each rank at `to` `[ranks, N]` of all, in the order of the stream and without waiting. All ranks do so with the
    /// same N. Until [`Self::is_done`], or this has ended, neither changes, and nothing may wait for all of the device: it waits for all ranks.
    ///
    /// # Errors
    /// When the library or the device fails.
    ///
    /// # Panics
    /// If `to` does not have N elements for each rank.
    pub fn all_gather<T: Element>(
        &mut self,
        from: &Buffer<T>,
        to: &mut Buffer<T>,
        stream: &Stream,
    ) -> Result<(), DeviceError> {
        assert_eq!(to.len(), self.size * from.len(), "{} ranks gather {} elements each", self.size, from.len());
        let handle = self.handle()?;
        self.device.backend().make_current()?;
        let bytes = from.bytes();
        // SAFETY: the ranges are the two buffers, whose memory is freed after all work on it has ended.
        let begun = unsafe { self.library.all_gather(from.address(), to.address(), bytes, handle, stream.handle()) };
        begun.map_err(|reason| failed("gathering", reason))?;
        self.gathered.record(stream)
    }

    /// Whether all that was begun is done.
    ///
    /// # Errors
    /// When the library or the device has failed meanwhile, another rank's included where the library knows.
    pub fn is_done(&self) -> Result<bool, DeviceError> {
        let handle = self.handle()?;
        match self.library.failure(handle) {
            Some(reason) => Err(failed("gathering", reason)),
            None => Ok(self.library.is_complete(handle) && self.gathered.is_done()?),
        }
    }

    /// Ends whatever it is doing, so that the device's work is done and memory can be freed.
    pub fn abort(&mut self) {
        if let Some(handle) = self.handle.take() {
            // A device that cannot be made current has failed altogether.
            let _ = self.device.backend().make_current();
            self.library.abort(handle);
        }
    }

    /// Goes, when all that was begun is done. All ranks do so; it may wait for them.
    ///
    /// # Errors
    /// When the library fails.
    pub fn leave(mut self) -> Result<(), DeviceError> {
        let Some(handle) = self.handle.take() else { return Ok(()) };
        self.device.backend().make_current()?;
        self.library.destroy(handle).map_err(|reason| failed("leaving", reason))
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        self.abort();
    }
}

fn failed(action: &'static str, reason: String) -> DeviceError {
    DeviceError::Nccl { action, reason }
}

#[cfg(test)]
mod tests;
