//! What tests of the renderer share.

use super::Gpu;

/// A device, or none with a remark where there is no adapter; `.ci/run` installs a software one.
pub fn gpu() -> Option<Gpu> {
    match Gpu::headless() {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}
