//! The system's allocator, where long trainings need it to be set up otherwise than it is.

/// Has blocks of the size of small pictures given back to the system as soon as they are free. By itself glibc raises that size when it
/// frees large blocks; photos that come and go between others that stay then leave holes, which become three times as large as
/// the photos that are kept.
pub fn give_back_pictures() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const BYTES: libc::c_int = 32 << 10;
        // SAFETY: it changes a setting of the allocator under the allocator's own lock. Where it is refused nothing changes.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, BYTES) };
    }
}
