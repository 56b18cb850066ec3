//! What a program asked of a device beside launches, so that tests can say that steps ask for nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the device was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Allocations, of memory on the device and of the host's that it copies.
    pub allocations: u64,
    /// How often the program waited for all of a stream's work.
    pub waits: u64,
    /// Copies from the device to the host.
    pub copies_to_host: u64,
    /// Bytes of these.
    pub bytes_to_host: u64,
}

impl std::ops::Sub for Traffic {
    type Output = Self;

    /// What was added since an `earlier` look.
    fn sub(self, earlier: Self) -> Self {
        Self {
            allocations: self.allocations - earlier.allocations,
            waits: self.waits - earlier.waits,
            copies_to_host: self.copies_to_host - earlier.copies_to_host,
            bytes_to_host: self.bytes_to_host - earlier.bytes_to_host,
        }
    }
}

/// Counts that several threads add to.
#[derive(Default)]
pub(super) struct Counters {
    allocations: AtomicU64,
    waits: AtomicU64,
    copies_to_host: AtomicU64,
    bytes_to_host: AtomicU64,
}

impl Counters {
    pub fn allocated(&self) {
        self.allocations.fetch_add(1, Ordering::Relaxed);
    }

    pub fn waited(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    pub fn copied_to_host(&self, bytes: usize) {
        self.copies_to_host.fetch_add(1, Ordering::Relaxed);
        self.bytes_to_host.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn read(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            allocations: read(&self.allocations),
            waits: read(&self.waits),
            copies_to_host: read(&self.copies_to_host),
            bytes_to_host: read(&self.bytes_to_host),
        }
    }
}
