//! Memory that is used again in the order of a stream, so that operations that make a buffer each neither ask the driver nor wait.

use super::{Address, Backend, Kind, Stream};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Memory that no buffer uses at the moment, by its size and granule. Work that used it was put into the stream before, and so is over
/// before whatever uses it next begins.
pub(super) struct Pool {
    pub stream: Stream,
    idle: Mutex<HashMap<(usize, usize), Vec<Address>>>,
}

impl Pool {
    pub fn new(stream: Stream) -> Self {
        Self { stream, idle: Mutex::default() }
    }

    /// How much is asked for in place of so many bytes: on GPUs a little more, so that sizes that are nearly the same use the same memory. The emulator
    /// watches the ends of buffers, so there they are where they are.
    pub fn rounded(kind: Kind, bytes: usize) -> usize {
        if kind == Kind::Emulator {
            return bytes;
        }
        let step = (bytes.next_power_of_two() / 16).max(256);
        bytes.next_multiple_of(step)
    }

    pub fn take(&self, bytes: usize, granule: usize) -> Option<Address> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&(bytes, granule))?.pop()
    }

    pub fn put(&self, address: Address, bytes: usize, granule: usize) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).entry((bytes, granule)).or_default().push(address);
    }

    /// Bytes that no buffer uses.
    pub fn idle(&self) -> u64 {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().map(|((bytes, _), all)| (bytes * all.len()) as u64).sum()
    }

    /// Gives all that is not used back to the driver, which waits for the work on it.
    pub fn release(&self, backend: &dyn Backend) {
        for address in self.idle.lock().unwrap_or_else(PoisonError::into_inner).drain().flat_map(|(_, all)| all) {
            // SAFETY: it was allocated there, and no buffer has it.
            unsafe { backend.free(address) };
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let device = self.stream.device().clone();
        self.release(device.backend());
    }
}
