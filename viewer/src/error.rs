//! What can go wrong when looking at a scene, in words for people.

use thiserror::Error;

/// Why nothing can be shown.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ViewerError {
    /// No driver that wgpu can use.
    #[error(
        "no graphics adapter was found; install a Vulkan driver (on Debian and Ubuntu: apt install mesa-vulkan-drivers, \
         which also draws without a graphics card)"
    )]
    NoAdapter,
    /// There is an adapter, but it cannot be used.
    #[error(
        "the graphics adapter {adapter} cannot be used: {reason}; update its driver or choose another adapter (WGPU_ADAPTER_NAME)"
    )]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// What the driver says.
        reason: String,
    },
    /// The driver reset, or the card was taken away.
    #[error("the graphics device was lost ({0}); the scene has to be loaded again")]
    DeviceLost(String),
    /// Memory for splats is used up.
    #[error(
        "the graphics adapter has no room for more splats: {wanted} MB more are needed, {used} MB are in use; reduce the \
         scene (tessera convert --max-splats) or allow more memory"
    )]
    OutOfMemory {
        /// Megabytes that were asked for.
        wanted: u64,
        /// Megabytes in use before.
        used: u64,
    },
    /// What was handed over contradicts itself.
    #[error("the scene cannot be shown: {0}")]
    BadScene(String),
    /// The picture that was asked for cannot be made.
    #[error("a picture of {width}x{height} pixels cannot be made: this adapter draws 1 to {limit} pixels on a side")]
    BadSize {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The adapter's limit.
        limit: u32,
    },
    /// A picture could not be copied back.
    #[error("the picture could not be read back from the graphics adapter: {0}")]
    Readback(String),
    /// No screen, or no window on it.
    #[error("no window can be opened: {0}; use --screenshot OUT.png where there is no display, or tessera serve")]
    NoWindow(String),
}
