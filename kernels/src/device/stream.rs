//! Streams and events: the order of work on a device.

use super::{Device, DeviceError, Handle};
use std::sync::Arc;

/// Work that the device does in order. Work on different streams may overlap; events order it where it must not.
#[derive(Clone)]
pub struct Stream(Arc<Owned>);

struct Owned {
    device: Device,
    handle: Handle,
}

impl Stream {
    pub(super) fn create(device: &Device) -> Result<Self, DeviceError> {
        let handle = device.backend().create_stream()?;
        Ok(Self(Arc::new(Owned { device: device.clone(), handle })))
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.handle
    }

    /// The device on which it runs.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// Waits until all of the stream's work is done.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn synchronize(&self) -> Result<(), DeviceError> {
        self.0.device.counters().waited();
        self.0.device.backend().synchronize(self.0.handle)
    }

    /// Lets the work that follows wait for the event.
    ///
    /// # Errors
    /// When the device fails.
    pub fn wait_for(&self, event: &Event) -> Result<(), DeviceError> {
        self.0.device.backend().wait(self.0.handle, event.handle)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.device.backend().destroy_stream(self.handle);
    }
}

/// A place in a stream's work.
pub struct Event {
    device: Device,
    handle: Handle,
}

impl Event {
    pub(super) fn create(device: &Device) -> Result<Self, DeviceError> {
        Ok(Self { device: device.clone(), handle: device.backend().create_event()? })
    }

    /// Marks this place of the stream, instead of the one that it marked before.
    ///
    /// # Errors
    /// When the device fails.
    pub fn record(&self, stream: &Stream) -> Result<(), DeviceError> {
        self.device.backend().record(self.handle, stream.handle())
    }

    /// Whether the work before it is done.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn is_done(&self) -> Result<bool, DeviceError> {
        self.device.backend().is_done(self.handle)
    }

    /// Waits until the work before it is done.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn wait(&self) -> Result<(), DeviceError> {
        self.device.backend().wait_for_event(self.handle)
    }

    /// Seconds from this event to a later one; both must be done.
    ///
    /// # Errors
    /// When they are not, or the device fails.
    pub fn seconds_until(&self, end: &Self) -> Result<f64, DeviceError> {
        self.device.backend().seconds_between(self.handle, end.handle)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        self.device.backend().destroy_event(self.handle);
    }
}
