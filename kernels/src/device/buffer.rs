//! Arrays on a device, and memory of the host that a device copies by itself.

use super::{Address, At, AtMut, Device, DeviceError, Element, Event, Stream};
use std::marker::PhantomData;

/// An array on a device, in the order of elements that it has on the host. Freed when dropped, after all work on it.
pub struct Buffer<T: Element> {
    device: Device,
    address: Address,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Element> Buffer<T> {
    /// Memory for `len` elements, not set to anything. `purpose` is named if it does not fit.
    pub(super) fn allocate(device: &Device, len: usize, purpose: &str) -> Result<Self, DeviceError> {
        let bytes = len.saturating_mul(size_of::<T>());
        let address = if bytes == 0 { 0 } else { device.allocate(bytes, align_of::<T>(), purpose)? };
        Ok(Self { device: device.clone(), address, len, element: PhantomData })
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }

    /// Where it lies; 0 when empty.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The buffer from element `start` on, as an argument that a kernel reads.
    ///
    /// # Panics
    /// If there are fewer elements.
    pub fn at(&self, start: usize) -> At<'_, T> {
        At(self.address_of(start), PhantomData)
    }

    /// The buffer from element `start` on, as an argument that a kernel writes.
    ///
    /// # Panics
    /// If there are fewer elements.
    pub fn at_mut(&mut self, start: usize) -> AtMut<'_, T> {
        AtMut(self.address_of(start), PhantomData)
    }

    /// The bits of its elements, as an argument of kernels that move them without looking at them.
    ///
    /// # Panics
    /// If its elements do not have 32 bits.
    pub fn words(&self) -> At<'_, u32> {
        assert_eq!(size_of::<T>(), 4, "a word has 32 bits");
        At(self.address, PhantomData)
    }

    /// As [`Self::words`], for kernels that write.
    ///
    /// # Panics
    /// If its elements do not have 32 bits.
    pub fn words_mut(&mut self) -> AtMut<'_, u32> {
        assert_eq!(size_of::<T>(), 4, "a word has 32 bits");
        AtMut(self.address, PhantomData)
    }

    fn address_of(&self, start: usize) -> Address {
        assert!(start <= self.len, "element {start} is outside a buffer of {}", self.len);
        self.address + (start * size_of::<T>()) as Address
    }

    /// Sets all bytes to 0.
    ///
    /// # Errors
    /// When the device fails.
    pub fn clear(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        self.fill_bytes(0, stream)
    }

    /// Sets all bytes to `byte`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn fill_bytes(&mut self, byte: u8, stream: &Stream) -> Result<(), DeviceError> {
        if self.is_empty() {
            return Ok(());
        }
        // SAFETY: the range is this buffer.
        unsafe { self.device.backend().fill(self.address, byte, self.bytes(), stream.handle()) }
    }

    /// Copies `values` to the elements from `start` on, and waits until that is done.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn write(&mut self, start: usize, values: &[T], stream: &Stream) -> Result<(), DeviceError> {
        assert!(start + values.len() <= self.len, "{} elements do not fit at {start} of {}", values.len(), self.len);
        if values.is_empty() {
            return Ok(());
        }
        let (to, bytes) = (self.address_of(start), size_of_val(values));
        // SAFETY: the ranges are a part of this buffer and `values`, which is borrowed until the copy is done.
        unsafe { self.device.backend().copy_in(to, values.as_ptr().cast(), bytes, stream.handle())? };
        stream.synchronize()
    }

    /// Copies `values` to the beginning, in the order of the stream, without waiting.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn write_from(&mut self, values: &mut Pinned<T>, stream: &Stream) -> Result<(), DeviceError> {
        self.write_first_from(values, values.len, stream)
    }

    /// As [`Buffer::write_from`], the first `count` of `values`.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If they do not fit, or there are fewer.
    pub fn write_first_from(
        &mut self,
        values: &mut Pinned<T>,
        count: usize,
        stream: &Stream,
    ) -> Result<(), DeviceError> {
        assert!(
            count <= self.len && count <= values.len,
            "{count} elements of {} do not fit into {}",
            values.len,
            self.len
        );
        if count == 0 {
            return Ok(());
        }
        let bytes = count * size_of::<T>();
        // SAFETY: the ranges are parts of the two allocations; `values` waits for the event before it changes or goes.
        unsafe { self.device.backend().copy_in(self.address, values.memory.cast(), bytes, stream.handle())? };
        values.mark_used(stream)
    }

    /// The elements `start..start + len`, after the stream's work so far.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    ///
    /// # Panics
    /// If there are fewer elements.
    pub fn read_part(&self, start: usize, len: usize, stream: &Stream) -> Result<Vec<T>, DeviceError> {
        assert!(start + len <= self.len, "the elements {start}..{} are outside a buffer of {}", start + len, self.len);
        let mut values = vec![T::zeroed(); len];
        if len > 0 {
            let (from, bytes) = (self.address_of(start), len * size_of::<T>());
            self.device.counters().copied_to_host(bytes);
            // SAFETY: the ranges are a part of this buffer and `values`, which lives until the copy is done.
            let copied =
                unsafe { self.device.backend().copy_out(values.as_mut_ptr().cast(), from, bytes, stream.handle()) };
            // Also after a failure: the copy may be under way.
            let done = stream.synchronize();
            copied.and(done)?;
        }
        Ok(values)
    }

    /// All elements, after the stream's work so far.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read(&self, stream: &Stream) -> Result<Vec<T>, DeviceError> {
        self.read_part(0, self.len, stream)
    }

    /// Copies the first elements into `values`, in the order of the stream, without waiting.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn read_into(&self, values: &mut Pinned<T>, stream: &Stream) -> Result<(), DeviceError> {
        self.read_first_into(values, values.len, stream)
    }

    /// As [`Buffer::read_into`], only `count` elements.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If there are fewer, or `values` has no room for them.
    pub fn read_first_into(&self, values: &mut Pinned<T>, count: usize, stream: &Stream) -> Result<(), DeviceError> {
        assert!(
            count <= self.len && count <= values.len,
            "{count} elements of a buffer of {} do not fit into {}",
            self.len,
            values.len
        );
        if count == 0 {
            return Ok(());
        }
        let bytes = count * size_of::<T>();
        self.device.counters().copied_to_host(bytes);
        // SAFETY: the ranges are the two allocations; `values` waits for the event before it is looked at or goes.
        unsafe { self.device.backend().copy_out(values.memory.cast(), self.address, bytes, stream.handle())? };
        values.mark_used(stream)
    }

    /// Copies `len` elements of another buffer, from `from` on, to those from `to` on.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If there are fewer in one of them.
    pub fn copy_from(
        &mut self,
        to: usize,
        source: &Self,
        from: usize,
        len: usize,
        stream: &Stream,
    ) -> Result<(), DeviceError> {
        assert!(to + len <= self.len && from + len <= source.len, "{len} elements from {from} to {to} do not fit");
        if len == 0 {
            return Ok(());
        }
        let (to, from, bytes) = (self.address_of(to), source.address_of(from), len * size_of::<T>());
        // SAFETY: the ranges are parts of two buffers.
        unsafe { self.device.backend().copy_within(to, from, bytes, stream.handle()) }
    }
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.address != 0 {
            self.device.free(self.address, self.bytes(), align_of::<T>());
        }
    }
}

/// Memory of the host that the device copies to and from by itself, while the program goes on.
///
/// A copy that is under way is waited for when the values are looked at, changed or dropped.
pub struct Pinned<T: Element> {
    device: Device,
    memory: *mut T,
    len: usize,
    /// Marks the end of the last copy.
    used: Event,
    pending: bool,
}

// SAFETY: it owns its memory, and `T` may be sent.
unsafe impl<T: Element> Send for Pinned<T> {}

impl<T: Element> Pinned<T> {
    pub(super) fn allocate(device: &Device, len: usize) -> Result<Self, DeviceError> {
        let bytes = len.saturating_mul(size_of::<T>());
        device.counters().allocated();
        let used = device.event()?;
        let memory = if bytes == 0 {
            std::ptr::NonNull::<T>::dangling().as_ptr()
        } else {
            device.backend().allocate_pinned(bytes)?.cast()
        };
        Ok(Self { device: device.clone(), memory, len, used, pending: false })
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the last copy is done, so that looking at the values does not wait.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn is_ready(&self) -> Result<bool, DeviceError> {
        if self.pending { self.used.is_done() } else { Ok(true) }
    }

    /// The values, after the last copy.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn values(&mut self) -> Result<&mut [T], DeviceError> {
        self.settle()?;
        // SAFETY: the allocation has `len` elements, initialised at first with zeros, and no copy is under way.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.memory, self.len) })
    }

    fn mark_used(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        self.pending = true;
        self.used.record(stream)
    }

    fn settle(&mut self) -> Result<(), DeviceError> {
        if std::mem::take(&mut self.pending) { self.used.wait() } else { Ok(()) }
    }
}

impl<T: Element> Drop for Pinned<T> {
    fn drop(&mut self) {
        // After a failure no copy is under way either.
        let _ = self.settle();
        if self.len * size_of::<T>() > 0 {
            // SAFETY: the memory came from `allocate_pinned` with so many bytes, and no copy uses it.
            unsafe { self.device.backend().free_pinned(self.memory.cast(), self.len * size_of::<T>()) };
        }
    }
}
