//! Devices that run our CUDA kernels: buffers, streams, launches, memory.
//!
//! A [`Device`] is an NVIDIA GPU or, in tests, the emulator of the crate `tessera-emulator`, which runs the same `.cu`
//! files on the CPU. What is written on top of it does not know which.
//!
//! ```ignore
//! let stream = device.stream()?;
//! let kernel = device.kernel(&SELF_TEST, "add_arrays")?;           // compiled at first use
//! let (a, b) = (device.upload(&x, "x")?, device.upload(&y, "y")?);
//! let mut sum = device.buffer::<f32>(n, "sums")?;
//! kernel.launch(&stream, Launch::linear(n, 256), (&a, &b, &mut sum, n as u32))?;
//! let result = sum.read(&stream)?;
//! ```
//!
//! To add a kernel: write `operation/name.cu` beside the CPU's code, beginning with `#include "device/cuda.cuh"`, declare
//! it as `extern "C" __global__ void`, and list the file in `device/source.rs`. Arguments are compared with the
//! kernel's signature, which is read from the text: `&Buffer<f32>` fits `const float*`, `&mut Buffer<f32>` fits
//! `float*`, `u32` fits `u32` or `unsigned`; structures need [`device_struct!`](crate::device_struct).

mod backend;
mod buffer;
mod choice;
pub mod cuda;
mod error;
mod launch;
mod memory_plan;
mod pool;
mod precision;
mod source;
mod stream;
mod timing;
mod traffic;

pub use backend::{Address, Backend, Handle, Kind, Properties};
pub use buffer::{Buffer, Pinned};
pub use choice::{Choice, Reason, Request, choose};
pub use error::DeviceError;
pub use launch::{Argument, ArgumentList, At, AtMut, Element, Joined, Kernel, Launch};
pub use memory_plan::{Fit, MemoryPlan};
pub use precision::Precision;
pub use source::{HEADERS, Parameter, SOURCES, Signature, Source};
pub use stream::{Event, Stream};
pub use timing::{Timer, Total};
pub use traffic::Traffic;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Kernels by which the device layer itself is tested.
pub static SELF_TEST: Source = Source::new("device/self_test.cu", include_str!("self_test.cu"));

/// Something that runs kernels. Clones are the same device.
#[derive(Clone)]
pub struct Device(Arc<Inner>, Option<Arc<pool::Pool>>);

struct Inner {
    backend: Box<dyn Backend>,
    /// Kernels that were asked for, by source and name.
    kernels: Mutex<HashMap<(&'static str, String), Loaded>>,
    /// Bytes in buffers, and the most there were.
    used: AtomicU64,
    most_used: AtomicU64,
    traffic: traffic::Counters,
}

#[derive(Clone)]
struct Loaded {
    handle: Handle,
    signature: Arc<Signature>,
}

impl Device {
    /// A device with this backend.
    pub fn new(backend: Box<dyn Backend>) -> Self {
        let (used, most_used) = (AtomicU64::new(0), AtomicU64::new(0));
        let traffic = traffic::Counters::default();
        Self(Arc::new(Inner { backend, kernels: Mutex::default(), used, most_used, traffic }), None)
    }

    /// The same device, whose buffers come from memory that is used again in the order of a stream: making one neither asks the driver nor waits.
    /// All work on these buffers must be that stream's.
    pub fn with_memory_of(&self, stream: &Stream) -> Self {
        Self(Arc::clone(&self.0), Some(Arc::new(pool::Pool::new(stream.clone()))))
    }

    /// The stream on which new buffers are filled.
    fn filling(&self) -> Result<Stream, DeviceError> {
        self.1.as_ref().map_or_else(|| self.stream(), |pool| Ok(pool.stream.clone()))
    }

    /// Which kind of device it is.
    pub fn kind(&self) -> Kind {
        self.0.backend.kind()
    }

    /// What the device is.
    pub fn properties(&self) -> &Properties {
        self.0.backend.properties()
    }

    /// What tells this device from every other one, in whatever process and on whatever machine.
    ///
    /// # Errors
    /// When the device cannot say.
    pub fn identity(&self) -> Result<String, DeviceError> {
        self.backend().identity()
    }

    fn backend(&self) -> &dyn Backend {
        &*self.0.backend
    }

    /// A new stream.
    ///
    /// # Errors
    /// When the device fails.
    pub fn stream(&self) -> Result<Stream, DeviceError> {
        Stream::create(self)
    }

    /// A new event.
    ///
    /// # Errors
    /// When the device fails.
    pub fn event(&self) -> Result<Event, DeviceError> {
        Event::create(self)
    }

    /// Memory for `len` elements, whose values are not defined. `purpose` is named if it does not fit.
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    pub fn buffer<T: Element>(&self, len: usize, purpose: &str) -> Result<Buffer<T>, DeviceError> {
        Buffer::allocate(self, len, purpose)
    }

    /// Memory for `len` elements, all zeros.
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    pub fn zeros<T: Element>(&self, len: usize, purpose: &str) -> Result<Buffer<T>, DeviceError> {
        let mut buffer = self.buffer(len, purpose)?;
        let stream = self.filling()?;
        buffer.clear(&stream)?;
        if self.1.is_none() {
            stream.synchronize()?;
        }
        Ok(buffer)
    }

    /// A copy of `values` on the device.
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    pub fn upload<T: Element>(&self, values: &[T], purpose: &str) -> Result<Buffer<T>, DeviceError> {
        let mut buffer = self.buffer(values.len(), purpose)?;
        buffer.write(0, values, &self.filling()?)?;
        Ok(buffer)
    }

    /// Memory of the host for `len` elements, zeros at first, that is copied without waiting.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn pinned<T: Element>(&self, len: usize) -> Result<Pinned<T>, DeviceError> {
        Pinned::allocate(self, len)
    }

    /// The kernel `name` of `source`, compiled if this is the first use on this machine.
    ///
    /// # Errors
    /// When there is no such kernel, or it cannot be compiled or loaded.
    pub fn kernel(&self, source: &'static Source, name: &str) -> Result<Kernel, DeviceError> {
        let mut known = self.0.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source.name, name.to_owned());
        let found = match known.get(&key) {
            Some(found) => found.clone(),
            None => {
                let signature = source.kernels().into_iter().find(|signature| signature.name == name);
                let signature = signature.ok_or_else(|| DeviceError::Launch {
                    kernel: name.to_owned(),
                    reason: format!("there is no such kernel in {}", source.name),
                })?;
                let loaded = Loaded { handle: self.backend().kernel(source, name)?, signature: Arc::new(signature) };
                known.insert(key, loaded.clone());
                loaded
            }
        };
        Ok(Kernel { device: self.clone(), handle: found.handle, signature: found.signature })
    }

    /// Bytes that this program's buffers hold on the device.
    pub fn used_memory(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most bytes that [`Self::used_memory`] has been since the device was opened or [`Self::reset_most_used`] called.
    pub fn most_used_memory(&self) -> u64 {
        self.0.most_used.load(Ordering::Relaxed)
    }

    /// Lets [`Self::most_used_memory`] begin anew.
    pub fn reset_most_used(&self) {
        self.0.most_used.store(self.used_memory(), Ordering::Relaxed);
    }

    /// What this program asked of the device so far beside launches.
    pub fn traffic(&self) -> Traffic {
        self.0.traffic.read()
    }

    fn counters(&self) -> &traffic::Counters {
        &self.0.traffic
    }

    /// Bytes that are free on the device, or kept to be used again.
    ///
    /// # Errors
    /// When the device cannot say.
    pub fn free_memory(&self) -> Result<u64, DeviceError> {
        Ok(self.backend().free_memory()? + self.1.as_ref().map_or(0, |pool| pool.idle()))
    }

    fn allocate(&self, bytes: usize, granule: usize, purpose: &str) -> Result<Address, DeviceError> {
        let address = match &self.1 {
            None => self.ask(bytes, granule)?,
            Some(pool) => {
                let rounded = pool::Pool::rounded(self.kind(), bytes);
                match pool.take(rounded, granule) {
                    Some(address) => Some(address),
                    None => match self.ask(rounded, granule)? {
                        Some(address) => Some(address),
                        None => {
                            pool.release(self.backend());
                            self.ask(rounded, granule)?
                        }
                    },
                }
            }
        };
        let Some(address) = address else {
            return Err(DeviceError::OutOfMemory {
                wanted: bytes as u64,
                purpose: purpose.to_owned(),
                free: self.free_memory().unwrap_or(0),
                used: self.used_memory(),
            });
        };
        let used = self.0.used.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        self.0.most_used.fetch_max(used, Ordering::Relaxed);
        Ok(address)
    }

    fn ask(&self, bytes: usize, granule: usize) -> Result<Option<Address>, DeviceError> {
        let address = self.backend().allocate(bytes, granule)?;
        if address.is_some() {
            self.0.traffic.allocated();
        }
        Ok(address)
    }

    fn free(&self, address: Address, bytes: usize, granule: usize) {
        match &self.1 {
            Some(pool) => pool.put(address, pool::Pool::rounded(self.kind(), bytes), granule),
            // SAFETY: called by the buffer that owns the memory, when it goes.
            None => unsafe { self.backend().free(address) },
        }
        self.0.used.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.properties().name)
    }
}
