//! What a device must be able to do. CUDA is one implementation; the emulator, in its own crate, another.

use super::{DeviceError, Launch, Source};
use std::ffi::c_void;

/// Address of memory on a device.
pub type Address = u64;

/// A backend's own number for a stream, an event, a pinned allocation or a kernel.
pub type Handle = u64;

/// Which backend a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An NVIDIA GPU.
    Cuda,
    /// Kernels compiled as C++, on the CPU. For tests.
    Emulator,
}

/// What a device is.
#[derive(Clone, Debug, PartialEq)]
pub struct Properties {
    /// Its name, such as `NVIDIA GeForce RTX 4090`.
    pub name: String,
    /// Major and minor compute capability.
    pub compute_capability: (u32, u32),
    /// How many streaming multiprocessors it has.
    pub multiprocessors: u32,
    /// Bytes of shared memory that one block may have.
    pub shared_memory_per_block: u32,
    /// Bytes of memory.
    pub memory: u64,
}

/// The operations that [`Device`](super::Device) is made of. Streams order them; all return before they are done, except
/// where it says otherwise. Handles and addresses come from the same backend.
///
/// # Safety
/// Memory that is allocated must be there until it is freed, also for operations that have not run yet.
pub unsafe trait Backend: Send + Sync {
    /// Which it is.
    fn kind(&self) -> Kind;
    /// What the device is.
    fn properties(&self) -> &Properties;
    /// What tells this device from every other one, in whatever process and on whatever machine.
    ///
    /// # Errors
    /// When the device cannot say.
    fn identity(&self) -> Result<String, DeviceError>;
    /// Makes it the device that libraries of others work with when this thread calls them.
    ///
    /// # Errors
    /// When the device fails.
    fn make_current(&self) -> Result<(), DeviceError>;
    /// Bytes that are free on the device.
    ///
    /// # Errors
    /// When the device cannot say.
    fn free_memory(&self) -> Result<u64, DeviceError>;

    /// Allocates `bytes` bytes, a multiple of 256 in address. `granule` is the size of the smallest part that kernels access.
    /// `None` when they do not fit.
    ///
    /// # Errors
    /// When the device fails otherwise.
    fn allocate(&self, bytes: usize, granule: usize) -> Result<Option<Address>, DeviceError>;
    /// Frees what [`Self::allocate`] gave, when all work that was begun is done.
    ///
    /// # Safety
    /// Nothing uses the memory any more.
    unsafe fn free(&self, address: Address);
    /// Sets bytes.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Safety
    /// The range must be allocated.
    unsafe fn fill(&self, address: Address, byte: u8, bytes: usize, stream: Handle) -> Result<(), DeviceError>;
    /// Copies to the device.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Safety
    /// The ranges must be allocated and stay so, and the source unchanged, until the copy is done.
    unsafe fn copy_in(&self, to: Address, from: *const u8, bytes: usize, stream: Handle) -> Result<(), DeviceError>;
    /// Copies from the device.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Safety
    /// The ranges must be allocated and stay so, and the target untouched, until the copy is done.
    unsafe fn copy_out(&self, to: *mut u8, from: Address, bytes: usize, stream: Handle) -> Result<(), DeviceError>;
    /// Copies within the device; the ranges do not overlap.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Safety
    /// The ranges must be allocated.
    unsafe fn copy_within(&self, to: Address, from: Address, bytes: usize, stream: Handle) -> Result<(), DeviceError>;

    /// Allocates memory of the host that the device can copy from and to by itself. Zeroed.
    ///
    /// # Errors
    /// When there is not enough.
    fn allocate_pinned(&self, bytes: usize) -> Result<*mut u8, DeviceError>;
    /// Frees what [`Self::allocate_pinned`] gave.
    ///
    /// # Safety
    /// No copy uses the memory any more.
    unsafe fn free_pinned(&self, memory: *mut u8, bytes: usize);

    /// Makes a stream.
    ///
    /// # Errors
    /// When the device fails.
    fn create_stream(&self) -> Result<Handle, DeviceError>;
    /// Gives a stream back; its work continues.
    fn destroy_stream(&self, stream: Handle);
    /// Waits until the stream's work is done. Faults of kernels show here.
    ///
    /// # Errors
    /// When some work of the device failed.
    fn synchronize(&self, stream: Handle) -> Result<(), DeviceError>;

    /// Makes an event.
    ///
    /// # Errors
    /// When the device fails.
    fn create_event(&self) -> Result<Handle, DeviceError>;
    /// Gives an event back.
    fn destroy_event(&self, event: Handle);
    /// Marks this place of the stream.
    ///
    /// # Errors
    /// When the device fails.
    fn record(&self, event: Handle, stream: Handle) -> Result<(), DeviceError>;
    /// Lets later work of the stream wait for the event.
    ///
    /// # Errors
    /// When the device fails.
    fn wait(&self, stream: Handle, event: Handle) -> Result<(), DeviceError>;
    /// Whether the work before the event is done.
    ///
    /// # Errors
    /// When some work of the device failed.
    fn is_done(&self, event: Handle) -> Result<bool, DeviceError>;
    /// Waits until the work before the event is done.
    ///
    /// # Errors
    /// When some work of the device failed.
    fn wait_for_event(&self, event: Handle) -> Result<(), DeviceError>;
    /// Seconds between two events that are done.
    ///
    /// # Errors
    /// When they are not, or the device fails.
    fn seconds_between(&self, start: Handle, end: Handle) -> Result<f64, DeviceError>;

    /// A kernel, compiled if need be; [`Device`](super::Device) asks once for each.
    ///
    /// # Errors
    /// When it cannot be compiled or loaded.
    fn kernel(&self, source: &'static Source, name: &str) -> Result<Handle, DeviceError>;
    /// Launches a kernel. `arguments` are pointers to the values of its parameters.
    ///
    /// # Errors
    /// When the launch is refused; the emulator also says here what went wrong in the kernel.
    ///
    /// # Safety
    /// The arguments must be of the types that the kernel has, and pointers among them allocated on this device.
    unsafe fn launch(
        &self,
        kernel: Handle,
        launch: &Launch,
        arguments: &mut [*mut c_void],
        stream: Handle,
    ) -> Result<(), DeviceError>;
}
