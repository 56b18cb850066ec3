//! The same sort on a device: `radix.cu`.

use crate::device::{AtMut, Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};

/// The kernels of the sort.
pub static RADIX: Source = Source::new("sort/radix.cu", include_str!("radix.cu"));
/// Prefix sums.
pub static SCAN: Source = Source::new("sort/scan.cu", include_str!("scan.cu"));

/// Pairs that a block takes.
const PART: usize = 4096;
const DIGITS: u32 = 256;
const DIGIT_BITS: u32 = 8;

/// Kernels and buffers of the sort. Keep one and use it again.
pub struct RadixSort {
    device: Device,
    count: Kernel,
    scan: Kernel,
    scatter: Kernel,
    keys: Buffer<u32>,
    values: Buffer<u32>,
    /// `[256, parts]`
    table: Buffer<u32>,
    /// `[256]`
    totals: Buffer<u32>,
}

impl RadixSort {
    /// A sorter with room for nothing yet.
    ///
    /// # Errors
    /// When its kernels cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&RADIX, name);
        Ok(Self {
            device: device.clone(),
            count: kernel("radix_count")?,
            scan: kernel("radix_scan")?,
            scatter: kernel("radix_scatter")?,
            keys: device.buffer(0, PURPOSE)?,
            values: device.buffer(0, PURPOSE)?,
            table: device.buffer(0, PURPOSE)?,
            totals: device.buffer(DIGITS as usize, PURPOSE)?,
        })
    }

    /// Bytes of buffers for `pairs` pairs.
    pub fn bytes(pairs: usize) -> usize {
        8 * pairs + 4 * DIGITS as usize * (pairs.div_ceil(PART) + 1)
    }

    /// Makes room for `pairs` pairs.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn reserve(&mut self, pairs: usize) -> Result<(), DeviceError> {
        if self.keys.len() < pairs {
            self.keys = self.device.buffer(pairs, PURPOSE)?;
            self.values = self.device.buffer(pairs, PURPOSE)?;
            self.table = self.device.buffer(DIGITS as usize * pairs.div_ceil(PART), PURPOSE)?;
        }
        Ok(())
    }

    /// Sorts pairs by the lowest `key_bits` bits of their keys; pairs with equal ones keep their order. How many there
    /// are (at most as many as the buffers hold) is read on the device, at a place in a buffer.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// If there is not room for a value with each key.
    pub fn sort_pairs(
        &mut self,
        stream: &Stream,
        keys: &mut Buffer<u32>,
        values: &mut Buffer<u32>,
        count: (&Buffer<u32>, usize),
        key_bits: u32,
    ) -> Result<(), DeviceError> {
        assert_eq!(keys.len(), values.len(), "there must be a value for each key");
        let capacity = keys.len();
        self.reserve(capacity)?;
        let parts = capacity.div_ceil(PART) as u32;
        // An even number of passes ends in the caller's buffers; one more over a digit of zeros changes nothing.
        let passes = key_bits.div_ceil(DIGIT_BITS).next_multiple_of(2);
        let grid = Launch::blocks(parts, 256);
        for pass in 0..passes {
            let (from, to) = if pass % 2 == 0 {
                ((&mut *keys, &mut *values), (&mut self.keys, &mut self.values))
            } else {
                ((&mut self.keys, &mut self.values), (&mut *keys, &mut *values))
            };
            let shift = DIGIT_BITS * pass;
            self.count.launch(stream, grid, (&*from.0, count.0.at(count.1), shift, &mut self.table))?;
            self.scan.launch(stream, Launch::blocks(DIGITS, 256), (&mut self.table, parts, &mut self.totals))?;
            let places = (&*from.0, &*from.1, to.0, to.1, count.0.at(count.1), shift, &self.table, &self.totals);
            self.scatter.launch(stream, grid, places)?;
        }
        Ok(())
    }
}

const PURPOSE: &str = "sorting";

/// Replaces numbers by the sums of those before them.
pub struct Scan {
    kernel: Kernel,
}

impl Scan {
    /// Prepares the kernel.
    ///
    /// # Errors
    /// When it cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        Ok(Self { kernel: device.kernel(&SCAN, "exclusive_sum")? })
    }

    /// Scans the first `len` of `values`; the sum of all goes to `total`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn exclusive_sum(
        &self,
        stream: &Stream,
        values: &mut Buffer<u32>,
        len: usize,
        total: AtMut<'_, u32>,
    ) -> Result<(), DeviceError> {
        assert!(len <= values.len(), "{len} numbers are to be summed and there are {}", values.len());
        self.kernel.launch(stream, Launch::blocks(1, 1024), (values, len as u32, total))
    }
}
