//! Flushing denormal numbers to zero: they are a hundred times slower and carry nothing here.

/// Runs `work` with denormals treated as zero on this thread, and restores the previous mode after it.
#[inline]
pub fn flush_denormals<T>(work: impl FnOnce() -> T) -> T {
    let _guard = Guard::new();
    work()
}

#[cfg(target_arch = "x86_64")]
struct Guard(u32);

#[cfg(target_arch = "x86_64")]
impl Guard {
    fn new() -> Self {
        const FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO: u32 = 0x8040;
        let mut saved: u32 = 0;
        // SAFETY: stores the control register to a valid, aligned address.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut saved, options(nostack, preserves_flags)) };
        Self::set(saved | FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO);
        Self(saved)
    }

    fn set(value: u32) {
        // SAFETY: loads a control word that differs from the current one only in the two denormal bits.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Guard {
    fn drop(&mut self) {
        Self::set(self.0);
    }
}

#[cfg(not(target_arch = "x86_64"))]
struct Guard;

#[cfg(not(target_arch = "x86_64"))]
impl Guard {
    fn new() -> Self {
        Self
    }
}
