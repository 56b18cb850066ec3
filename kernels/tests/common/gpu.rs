//! The GPU that tests run on when they are asked for by `--ignored gpu`.

use tessera_kernels::device::{Device, cuda};

/// The GPU with the number TESSERA_GPU, 0 by default.
///
/// # Panics
/// When it cannot be used: whoever asks for these tests wants to know.
pub fn gpu() -> Device {
    let number = std::env::var("TESSERA_GPU").ok().and_then(|number| number.parse().ok()).unwrap_or(0);
    cuda::open(number).unwrap_or_else(|error| panic!("{error}"))
}
