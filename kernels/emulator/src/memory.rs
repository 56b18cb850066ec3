//! Memory of the emulated device: between redzones, with a limit.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use tessera_kernels::device::Address;

/// Bytes before and after each allocation that nobody may write.
const REDZONE: usize = 1024;
const ZONE_BYTE: u8 = 0xa5;
/// What new memory is filled with: as floats NaN.
const POISON: u8 = 0xff;
const ALIGNMENT: usize = 256;

/// As `emulator::Shadow` in `cpp/runtime.h`: who accessed a granule of a buffer.
type Shadow = [u64; 3];

/// As `emulator::Range` in `cpp/runtime.h`.
#[repr(C)]
pub struct Range {
    start: usize,
    end: usize,
    granule: usize,
    shadow: *mut Shadow,
}

// SAFETY: the shadow is accessed with atomic operations only, and lives until the buffer is freed.
unsafe impl Send for Range {}
// SAFETY: as above.
unsafe impl Sync for Range {}

struct Allocation {
    bytes: usize,
    /// Bytes that share a shadow.
    granule: usize,
    /// Made when the buffer is first used by a launch whose accesses are checked.
    shadow: Vec<Shadow>,
}

/// What is allocated.
pub struct Memory {
    limit: u64,
    used: u64,
    allocations: BTreeMap<Address, Allocation>,
}

impl Memory {
    /// Nothing, of so many bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, used: 0, allocations: BTreeMap::new() }
    }

    pub fn free_bytes(&self) -> u64 {
        self.limit - self.used
    }

    /// Memory that holds poison; `None` when it exceeds the limit.
    pub fn allocate(&mut self, bytes: usize, granule: usize) -> Option<Address> {
        if bytes as u64 > self.free_bytes() {
            return None;
        }
        // SAFETY: the layout is not empty; the ranges lie within it.
        let address = unsafe {
            let base = alloc(layout(bytes));
            if base.is_null() {
                return None;
            }
            base.write_bytes(ZONE_BYTE, bytes + 2 * REDZONE);
            let start = base.add(REDZONE);
            start.write_bytes(POISON, bytes);
            start as Address
        };
        self.used += bytes as u64;
        let granule = granule.clamp(1, 4);
        self.allocations.insert(address, Allocation { bytes, granule, shadow: Vec::new() });
        Some(address)
    }

    /// Frees what [`Self::allocate`] gave.
    pub fn free(&mut self, address: Address) {
        if let Some(allocation) = self.allocations.remove(&address) {
            self.used -= allocation.bytes as u64;
            // SAFETY: the allocation was made with this layout, `REDZONE` bytes before the address.
            unsafe { dealloc((address as *mut u8).sub(REDZONE), layout(allocation.bytes)) };
        }
    }

    /// All buffers with their shadows, by address; `forget` clears what the shadows know.
    pub fn ranges(&mut self, forget: bool) -> Vec<Range> {
        let describe = |(&address, allocation): (&Address, &mut Allocation)| {
            if forget || allocation.shadow.is_empty() {
                allocation.shadow = vec![[0; 3]; allocation.bytes.div_ceil(allocation.granule)];
            }
            let (start, shadow) = (address as usize, allocation.shadow.as_mut_ptr());
            Range { start, end: start + allocation.bytes, granule: allocation.granule, shadow }
        };
        self.allocations.iter_mut().map(describe).collect()
    }

    /// Looks at all redzones; the error says which buffer was overrun.
    pub fn check(&self) -> Result<(), String> {
        for (&address, &Allocation { bytes, .. }) in &self.allocations {
            // SAFETY: the redzones belong to the allocation.
            let (before, after) = unsafe {
                let start = address as *const u8;
                let zone = |at: *const u8| std::slice::from_raw_parts(at, REDZONE);
                (zone(start.sub(REDZONE)), zone(start.add(bytes)))
            };
            if let Some(at) = after.iter().position(|&byte| byte != ZONE_BYTE) {
                return Err(format!("it wrote {at} bytes behind the end of a buffer of {bytes} bytes"));
            }
            if let Some(at) = before.iter().rposition(|&byte| byte != ZONE_BYTE) {
                return Err(format!("it wrote {} bytes before the start of a buffer of {bytes} bytes", REDZONE - at));
            }
        }
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for address in self.allocations.keys().copied().collect::<Vec<_>>() {
            self.free(address);
        }
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes + 2 * REDZONE, ALIGNMENT).expect("a size that was checked against the limit")
}

fn host_layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, ALIGNMENT).expect("a size of host memory")
}

/// Zeroed memory of the host.
pub fn allocate_host(bytes: usize) -> *mut u8 {
    let layout = host_layout(bytes.max(1));
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        std::alloc::handle_alloc_error(layout);
    }
    memory
}

/// Frees what [`allocate_host`] gave.
///
/// # Safety
/// It must have been allocated with the same size.
pub unsafe fn free_host(memory: *mut u8, bytes: usize) {
    // SAFETY: the caller says so.
    unsafe { dealloc(memory, host_layout(bytes.max(1))) };
}
