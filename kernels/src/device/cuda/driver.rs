//! The driver's side of a GPU: everything that [`Backend`] asks for, through `cudarc`'s bindings.

use super::compiler::{Compile, Compiler, best_architecture, compile_source, options};
use super::{Architecture, Cache, Driver, Gpu, Version};
use crate::device::{Address, Backend, DeviceError, HEADERS, Handle, Kind, Launch, Properties, Source};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{
    self, CUcontext, CUdevice, CUdevice_attribute as Attribute, CUevent, CUfunction, CUfunction_attribute, CUmodule,
    CUresult, CUstream,
};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Looks for the driver and counts GPUs.
pub fn look() -> Result<Driver, DeviceError> {
    // SAFETY: loading the driver's library has no demands.
    if !unsafe { sys::is_culib_present() } {
        let name = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
        return Err(DeviceError::NoDriver(format!("{name} is not found")));
    }
    match result::init() {
        Ok(()) => {}
        Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => return Err(DeviceError::NoGpu("it says so".to_owned())),
        Err(DriverError(CUresult::CUDA_ERROR_STUB_LIBRARY)) => {
            return Err(DeviceError::NoDriver("libcuda.so.1 is the toolkit's stub".to_owned()));
        }
        Err(error) => return Err(DeviceError::NoGpu(explain(error))),
    }
    let mut version = 0;
    // SAFETY: the pointer is to an integer.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(|e| failure("asking its version", e))?;
    let version = Version {
        major: u32::try_from(version / 1000).unwrap_or(0),
        minor: u32::try_from(version % 1000 / 10).unwrap_or(0),
    };
    let count = result::device::get_count().map_err(|error| failure("counting GPUs", error))?;
    let gpus = (0..count).map(describe).collect::<Result<_, _>>().map_err(|error| failure("describing GPUs", error))?;
    Ok(Driver { version, gpus })
}

fn describe(ordinal: i32) -> Result<Gpu, DriverError> {
    let device = result::device::get(ordinal)?;
    let major = attribute(device, Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(device, Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    // SAFETY: the device is one of the driver's.
    let memory = unsafe { result::device::total_mem(device)? } as u64;
    let name = result::device::get_name(device)?;
    Ok(Gpu { ordinal: ordinal.unsigned_abs() as usize, name, compute_capability: (major, minor), memory })
}

fn attribute(device: CUdevice, attribute: Attribute) -> Result<u32, DriverError> {
    // SAFETY: the device is one of the driver's.
    let value = unsafe { result::device::get_attribute(device, attribute)? };
    Ok(value.unsigned_abs())
}

/// An open GPU.
pub struct Cuda {
    device: CUdevice,
    context: CUcontext,
    properties: Properties,
    compiler: Compiler,
    architecture: Architecture,
    cache: Option<Cache>,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    /// Modules by the names of their sources.
    modules: HashMap<&'static str, usize>,
    /// The names of kernels by handle.
    names: HashMap<Handle, String>,
    /// The kernel that was launched last.
    last: Option<Handle>,
}

// SAFETY: the driver's handles may be used by every thread that has made the context current, which every call does.
unsafe impl Send for Cuda {}
// SAFETY: as above; the driver locks where it must.
unsafe impl Sync for Cuda {}

impl Cuda {
    /// Opens a GPU that [`look`] found.
    pub fn open(gpu: &Gpu, compiler: Compiler, cache: Option<Cache>) -> Result<Self, DeviceError> {
        let architecture = best_architecture(&compiler, gpu.compute_capability)?;
        let ordinal = i32::try_from(gpu.ordinal).unwrap_or(i32::MAX);
        let device = result::device::get(ordinal).map_err(|error| failure("opening the GPU", error))?;
        let ask = |what| attribute(device, what).map_err(|error| failure("asking what the GPU is", error));
        let properties = Properties {
            name: gpu.name.clone(),
            compute_capability: gpu.compute_capability,
            multiprocessors: ask(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            shared_memory_per_block: ask(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
            memory: gpu.memory,
        };
        // SAFETY: the device is the driver's; the context is released when this goes.
        let context = unsafe { result::primary_ctx::retain(device) };
        let context = context.map_err(|error| match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                DeviceError::OutOfMemory { wanted: 0, purpose: "starting work on the GPU".to_owned(), free: 0, used: 0 }
            }
            _ => failure("starting work on the GPU", error),
        })?;
        let loaded = Mutex::default();
        Ok(Self { device, context, properties, compiler, architecture, cache, loaded })
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the context current on this thread, and says what failed.
    fn with<T>(&self, action: &'static str, work: impl FnOnce() -> Result<T, DriverError>) -> Result<T, DeviceError> {
        // SAFETY: the context is alive as long as this.
        let current = unsafe { result::ctx::set_current(self.context) };
        current.and_then(|()| work()).map_err(|error| self.translate(action, error))
    }

    fn translate(&self, action: &'static str, error: DriverError) -> DeviceError {
        if !is_fault(error.0) {
            return failure(action, error);
        }
        let loaded = self.loaded();
        let name = loaded.last.and_then(|last| loaded.names.get(&last));
        let kernel =
            name.map_or_else(|| "that ran last".to_owned(), |name| format!("{name}, or one shortly before it,"));
        DeviceError::Fault { kernel, reason: explain(error) }
    }

    /// A source's machine code: from the cache, or compiled.
    fn image(&self, source: &'static Source) -> Result<Vec<u8>, DeviceError> {
        image(&self.compiler, self.cache.as_ref(), self.architecture, source)
    }

    fn module(&self, source: &'static Source) -> Result<CUmodule, DeviceError> {
        if let Some(&module) = self.loaded().modules.get(source.name) {
            return Ok(module as CUmodule);
        }
        let image = self.image(source)?;
        // SAFETY: the image is what the compiler made, whole: machine code, which knows its length, or PTX with a zero
        // at its end.
        let module = self.with("loading kernels", || unsafe { result::module::load_data(image.as_ptr().cast()) });
        let module = module.map_err(|error| match error {
            DeviceError::Driver { reason, .. } => DeviceError::CompilerMismatch {
                version: self.compiler.version().to_string(),
                reason: format!("the driver cannot load its code ({reason}); update the driver"),
            },
            other => other,
        })?;
        self.loaded().modules.insert(source.name, module as usize);
        Ok(module)
    }
}

/// A source's code for an architecture: from the cache, or compiled and stored there.
pub(super) fn image(
    compiler: &dyn Compile,
    cache: Option<&Cache>,
    architecture: Architecture,
    source: &Source,
) -> Result<Vec<u8>, DeviceError> {
    let mut key = format!("NVRTC {}\n{}\n", compiler.version(), options(architecture).join(" "));
    for part in HEADERS.iter().chain([source]) {
        key += &format!("{} {}\n{}\n", part.name, part.text.len(), part.text);
    }
    if let Some(found) = cache.and_then(|cache| cache.load(&key)) {
        return Ok(found);
    }
    let compiled = compile_source(compiler, source, architecture)?.image;
    if let Some(cache) = cache {
        cache.store(&key, &compiled);
    }
    Ok(compiled)
}

impl Drop for Cuda {
    fn drop(&mut self) {
        let modules = std::mem::take(&mut self.loaded().modules);
        // SAFETY: buffers, streams and kernels hold the device, so none is left; nothing can be done about failures.
        let _ = self.with("closing the GPU", || unsafe {
            for module in modules.into_values() {
                let _ = result::module::unload(module as CUmodule);
            }
            result::primary_ctx::release(self.device)
        });
    }
}

fn explain(error: DriverError) -> String {
    let name = error.error_name().ok().map(|name| name.to_string_lossy().into_owned());
    let text = error.error_string().ok().map(|text| text.to_string_lossy().into_owned());
    match (name, text) {
        (Some(name), Some(text)) => format!("{name}: {text}"),
        _ => format!("{:?}", error.0),
    }
}

fn failure(action: &'static str, error: DriverError) -> DeviceError {
    DeviceError::Driver { action, reason: explain(error) }
}

/// Whether a kernel did something after which the context is of no use.
fn is_fault(code: CUresult) -> bool {
    use CUresult::*;
    matches!(
        code,
        CUDA_ERROR_ILLEGAL_ADDRESS
            | CUDA_ERROR_MISALIGNED_ADDRESS
            | CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUDA_ERROR_INVALID_PC
            | CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUDA_ERROR_LAUNCH_FAILED
            | CUDA_ERROR_LAUNCH_TIMEOUT
            | CUDA_ERROR_ASSERT
            | CUDA_ERROR_ECC_UNCORRECTABLE
            | CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUDA_ERROR_CONTAINED
    )
}

// SAFETY: `cuMemFree` waits for the work of the device that was begun.
unsafe impl Backend for Cuda {
    fn kind(&self) -> Kind {
        Kind::Cuda
    }

    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn identity(&self) -> Result<String, DeviceError> {
        let uuid = self.with("asking which GPU it is", || result::device::get_uuid(self.device))?;
        let digits = uuid.bytes.map(|byte| format!("{:02x}", byte as u8));
        Ok(format!("GPU-{}", digits.concat()))
    }

    fn make_current(&self) -> Result<(), DeviceError> {
        self.with("choosing the GPU", || Ok(()))
    }

    fn free_memory(&self) -> Result<u64, DeviceError> {
        self.with("asking how much memory is free", result::mem_get_info).map(|(free, _)| free as u64)
    }

    fn allocate(&self, bytes: usize, _granule: usize) -> Result<Option<Address>, DeviceError> {
        // SAFETY: the caller defines the memory before it is read.
        self.with("allocating memory", || match unsafe { result::malloc_sync(bytes) } {
            Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => Ok(None),
            // What exceeds all address space.
            Err(DriverError(CUresult::CUDA_ERROR_INVALID_VALUE)) => Ok(None),
            other => other.map(Some),
        })
    }

    unsafe fn free(&self, address: Address) {
        // SAFETY: the caller gives what `allocate` returned. After a fault the memory is gone already.
        let _ = self.with("freeing memory", || unsafe { result::free_sync(address) });
    }

    unsafe fn fill(&self, address: Address, byte: u8, bytes: usize, stream: Handle) -> Result<(), DeviceError> {
        // SAFETY: the caller gives an allocated range.
        self.with("setting memory", || unsafe { result::memset_d8_async(address, byte, bytes, stream as CUstream) })
    }

    unsafe fn copy_in(&self, to: Address, from: *const u8, bytes: usize, stream: Handle) -> Result<(), DeviceError> {
        // SAFETY: the caller gives ranges that stay until the copy is done.
        self.with("copying to the GPU", || unsafe {
            sys::cuMemcpyHtoDAsync_v2(to, from.cast(), bytes, stream as CUstream).result()
        })
    }

    unsafe fn copy_out(&self, to: *mut u8, from: Address, bytes: usize, stream: Handle) -> Result<(), DeviceError> {
        // SAFETY: the caller gives ranges that stay until the copy is done.
        self.with("copying from the GPU", || unsafe {
            sys::cuMemcpyDtoHAsync_v2(to.cast(), from, bytes, stream as CUstream).result()
        })
    }

    unsafe fn copy_within(&self, to: Address, from: Address, bytes: usize, stream: Handle) -> Result<(), DeviceError> {
        // SAFETY: the caller gives allocated ranges.
        self.with("copying on the GPU", || unsafe { result::memcpy_dtod_async(to, from, bytes, stream as CUstream) })
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<*mut u8, DeviceError> {
        // SAFETY: the memory is set right here.
        self.with("allocating memory for copies", || unsafe {
            let memory = result::malloc_host(bytes, 0)?.cast::<u8>();
            memory.write_bytes(0, bytes);
            Ok(memory)
        })
    }

    unsafe fn free_pinned(&self, memory: *mut u8, _bytes: usize) {
        // SAFETY: the caller gives what `allocate_pinned` returned.
        let _ = self.with("freeing memory for copies", || unsafe { result::free_host(memory.cast()) });
    }

    fn create_stream(&self) -> Result<Handle, DeviceError> {
        let create = || result::stream::create(result::stream::StreamKind::NonBlocking);
        self.with("making a stream", create).map(|stream| stream as Handle)
    }

    fn destroy_stream(&self, stream: Handle) {
        // SAFETY: the stream is alive; its owner goes.
        let _ = self.with("ending a stream", || unsafe { result::stream::destroy(stream as CUstream) });
    }

    fn synchronize(&self, stream: Handle) -> Result<(), DeviceError> {
        // SAFETY: the stream is alive.
        self.with("waiting for the GPU", || unsafe { result::stream::synchronize(stream as CUstream) })
    }

    fn create_event(&self) -> Result<Handle, DeviceError> {
        let create = || result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
        self.with("making an event", create).map(|event| event as Handle)
    }

    fn destroy_event(&self, event: Handle) {
        // SAFETY: the event is alive; its owner goes.
        let _ = self.with("ending an event", || unsafe { result::event::destroy(event as CUevent) });
    }

    fn record(&self, event: Handle, stream: Handle) -> Result<(), DeviceError> {
        // SAFETY: both are alive.
        self.with("recording an event", || unsafe { result::event::record(event as CUevent, stream as CUstream) })
    }

    fn wait(&self, stream: Handle, event: Handle) -> Result<(), DeviceError> {
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: both are alive.
        self.with("waiting for an event", || unsafe {
            result::stream::wait_event(stream as CUstream, event as CUevent, flags)
        })
    }

    fn is_done(&self, event: Handle) -> Result<bool, DeviceError> {
        // SAFETY: the event is alive.
        self.with("asking for an event", || match unsafe { result::event::query(event as CUevent) } {
            Err(DriverError(CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            other => other.map(|()| true),
        })
    }

    fn wait_for_event(&self, event: Handle) -> Result<(), DeviceError> {
        // SAFETY: the event is alive.
        self.with("waiting for an event", || unsafe { result::event::synchronize(event as CUevent) })
    }

    fn seconds_between(&self, start: Handle, end: Handle) -> Result<f64, DeviceError> {
        // SAFETY: both are alive.
        let elapsed = || unsafe { result::event::elapsed(start as CUevent, end as CUevent) };
        self.with("timing", elapsed).map(|milliseconds| f64::from(milliseconds) / 1000.0)
    }

    fn kernel(&self, source: &'static Source, name: &str) -> Result<Handle, DeviceError> {
        let module = self.module(source)?;
        let c_name = CString::new(name).map_err(|_| DeviceError::Launch {
            kernel: name.to_owned(),
            reason: "its name contains a zero byte".to_owned(),
        })?;
        // SAFETY: the module is loaded.
        let find = || unsafe { result::module::get_function(module, c_name) };
        let function = self.with("finding a kernel", find)?;
        let most = self.properties.shared_memory_per_block;
        // Beyond 48 KiB dynamic shared memory must be asked for, and static shared memory counts.
        // SAFETY: the function is of a loaded module.
        self.with("preparing a kernel", || unsafe {
            let taken = CUfunction_attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
            let dynamic = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let taken = result::function::get_function_attribute(function, taken)?.unsigned_abs();
            let left = i32::try_from(most.saturating_sub(taken)).unwrap_or(i32::MAX);
            result::function::set_function_attribute(function, dynamic, left)
        })?;
        self.loaded().names.insert(function as Handle, name.to_owned());
        Ok(function as Handle)
    }

    unsafe fn launch(
        &self,
        kernel: Handle,
        launch: &Launch,
        arguments: &mut [*mut c_void],
        stream: Handle,
    ) -> Result<(), DeviceError> {
        let [grid, block] = [launch.grid, launch.block].map(|[x, y, z]| (x, y, z));
        let (function, stream, shared) = (kernel as CUfunction, stream as CUstream, launch.shared_bytes);
        self.loaded().last = Some(kernel);
        // SAFETY: the caller gives the kernel's arguments; the function and the stream are alive.
        let launched = self.with("launching a kernel", || unsafe {
            result::launch_kernel(function, grid, block, shared, stream, arguments)
        });
        launched.map_err(|error| match error {
            DeviceError::Driver { reason, .. } => {
                let kernel = self.loaded().names.get(&kernel).cloned().unwrap_or_default();
                DeviceError::Launch { kernel, reason }
            }
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::compiler::Compiled;
    use super::*;
    use crate::device::SELF_TEST;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A compiler that returns its own architecture, and counts.
    #[derive(Default)]
    struct Counting(AtomicU32);

    impl Compile for Counting {
        fn version(&self) -> Version {
            Version { major: 13, minor: 5 }
        }

        fn architectures(&self) -> &[u32] {
            &[75, 80]
        }

        fn compile(&self, _: &Source, _: &[Source], options: &[String]) -> Result<Compiled, String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Compiled { image: options[0].clone().into_bytes(), log: String::new() })
        }
    }

    #[test]
    fn kernels_are_compiled_once_for_each_architecture() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path().to_owned());
        let compiler = Counting::default();
        let get = |major, minor| {
            let architecture = Architecture::Machine(major, minor);
            image(&compiler, Some(&cache), architecture, &SELF_TEST).expect("an image")
        };
        assert_eq!(get(8, 0), b"--gpu-architecture=sm_80");
        assert_eq!(get(8, 0), b"--gpu-architecture=sm_80");
        assert_eq!(get(7, 5), b"--gpu-architecture=sm_75");
        assert_eq!(compiler.0.load(Ordering::Relaxed), 2);
        for entry in std::fs::read_dir(folder.path()).expect("the folder").flatten() {
            std::fs::write(entry.path(), "damaged").expect("a file");
        }
        assert_eq!(get(8, 0), b"--gpu-architecture=sm_80");
        assert_eq!(compiler.0.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn what_ends_a_context_is_told_from_what_does_not() {
        assert!(is_fault(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS));
        assert!(!is_fault(CUresult::CUDA_ERROR_OUT_OF_MEMORY) && !is_fault(CUresult::CUDA_ERROR_INVALID_VALUE));
    }
}
