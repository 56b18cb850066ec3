//! What trainings on a device have in common.

use tessera_kernels::device::DeviceError;

/// What comes of asking a device for something.
pub(crate) type OnDevice<T> = std::result::Result<T, DeviceError>;

/// Where the latest numbers are of what is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Latest {
    /// Those of the host are others than the device's.
    Host,
    /// The device has taken steps.
    Device,
    /// They are the same.
    Both,
}
