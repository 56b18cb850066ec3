//! What can go wrong with a device, in sentences for users.

/// Why a device cannot be used, or what it failed at.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// The driver's library is not there.
    #[error("no NVIDIA driver is installed ({0}); install it from https://www.nvidia.com/drivers, or use --device cpu")]
    NoDriver(String),
    /// The driver is there and finds no GPU.
    #[error("the NVIDIA driver finds no GPU ({0}); look at what nvidia-smi says, or use --device cpu")]
    NoGpu(String),
    /// The driver does not know what we need.
    #[error(
        "the NVIDIA driver is too old (it offers CUDA {found}, at least {needed} is needed); \
         update it from https://www.nvidia.com/drivers, or use --device cpu"
    )]
    DriverTooOld {
        /// What it offers, as `12.0`.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// `cuda:N` with an N that is not there.
    #[error("there is no GPU {wanted}: this machine has {found}, numbered from 0")]
    NoSuchGpu {
        /// Number that was asked for.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// The GPU is older than what kernels are written for.
    #[error("{name} is too old: it has compute capability {found}, kernels need at least 7.5; use --device cpu")]
    GpuTooOld {
        /// The GPU's name.
        name: String,
        /// Its compute capability, as `6.1`.
        found: String,
    },
    /// The compiler's library is not there.
    #[error(
        "NVRTC, the compiler for GPU kernels, is not found ({0}); it comes with the CUDA toolkit, or get it with \
         `pip install nvidia-cuda-nvrtc`, and name its folder in TESSERA_NVRTC if it is not found by itself"
    )]
    NoCompiler(String),
    /// The library by which GPUs gather from each other is not there.
    #[error(
        "NCCL, by which GPUs of several processes exchange gradients, is not found ({0}); get it with `pip install nvidia-nccl-cu12` \
         (nvidia-nccl-cu13 for drivers of CUDA 13) or as libnccl2 from NVIDIA's packages, and name its file or folder in TESSERA_NCCL if it is not found by itself"
    )]
    NoNccl(String),
    /// NCCL is there and does not do what it was asked for.
    #[error("NCCL failed at {action}: {reason}")]
    Nccl {
        /// What was asked of it.
        action: &'static str,
        /// What it says, or what is wrong.
        reason: String,
    },
    /// NVRTC makes machine code that the driver or the GPU does not understand.
    #[error("NVRTC {version} does not fit: {reason}")]
    CompilerMismatch {
        /// NVRTC's version.
        version: String,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// A kernel does not compile: our mistake, or a strange compiler.
    #[error("the kernels in {source_name} cannot be compiled by NVRTC {version}: {log}")]
    Compilation {
        /// The `.cu` file.
        source_name: String,
        /// NVRTC's version.
        version: String,
        /// The first error of the compiler's messages.
        log: String,
    },
    /// An allocation does not fit.
    #[error(
        "the GPU's memory is full: {} are needed for {purpose}, {} are free and {} are ours; \
         make the scene or the photos smaller (--max-splats, --resolution), or use --device cpu",
        Size(*wanted), Size(*free), Size(*used)
    )]
    OutOfMemory {
        /// Bytes of the allocation.
        wanted: u64,
        /// What it is for.
        purpose: String,
        /// Bytes that the device says are free.
        free: u64,
        /// Bytes that this program holds on the device.
        used: u64,
    },
    /// A kernel accessed memory that is not its own, or the device failed: nothing on it can be used any more.
    #[error(
        "the kernel {kernel} failed on the device: {reason}; its results are lost, resume from the last checkpoint"
    )]
    Fault {
        /// The kernel that was launched last, or several if it is not known which.
        kernel: String,
        /// What the driver says.
        reason: String,
    },
    /// A launch that no device can do: too many threads, too much shared memory, arguments of other types.
    #[error("the kernel {kernel} cannot be launched: {reason}")]
    Launch {
        /// The kernel.
        kernel: String,
        /// What is wrong.
        reason: String,
    },
    /// Anything else that the driver reports.
    #[error("the NVIDIA driver failed at {action}: {reason}")]
    Driver {
        /// What was asked of it.
        action: &'static str,
        /// Its name for the error, and its explanation.
        reason: String,
    },
}

/// Bytes as people read them.
struct Size(u64);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mebibytes = self.0 as f64 / f64::from(1 << 20);
        if mebibytes < 1024.0 { write!(f, "{mebibytes:.1} MiB") } else { write!(f, "{:.2} GiB", mebibytes / 1024.0) }
    }
}
