//! Asks the system to back large memory by large pages: what walks through it in steps of pages (transposed operands,
//! transformed filters) then misses the table of pages 512 times less often, and first touches fault as much less often. Where
//! the system can't, nothing changes. Owns no memory.

/// Asks for large pages for `bytes` bytes from `at` on, before they are touched.
#[cfg(target_os = "linux")]
pub(crate) fn ask(at: *mut u8, bytes: usize) {
    const LARGE: usize = 2 << 20;
    /// Bytes below which it does not matter: a few large pages.
    const LEAST: usize = 4 << 20;
    if bytes < LEAST || cfg!(miri) {
        return;
    }
    let start = (at as usize).next_multiple_of(LARGE);
    let end = (at as usize + bytes) / LARGE * LARGE;
    if start < end {
        // SAFETY: the range lies in memory of the caller, and the advice changes no content.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
    }
}

/// Elsewhere the system decides alone.
#[cfg(not(target_os = "linux"))]
pub(crate) fn ask(_: *mut u8, _: usize) {}
