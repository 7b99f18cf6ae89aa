//! Memory for tests between pages that may not be touched: whoever reads or writes beyond a buffer ends the process. Buffers
//! and working memory of the cpu executor lie in it where `WGRAD_GUARD` is set, which the test processes of
//! `crates/cpu/src/tests/guarded.rs` are started with. It must not be part of anything but tests.

use std::ptr::NonNull;
use std::sync::OnceLock;

/// What of a buffer the pages lie at exactly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Its end, but for what is missing to whole words.
    Behind,
    /// Its beginning.
    Before,
}

fn side() -> Option<Side> {
    static SIDE: OnceLock<Option<Side>> = OnceLock::new();
    *SIDE.get_or_init(|| match std::env::var("WGRAD_GUARD").as_deref() {
        Ok("behind") => Some(Side::Behind),
        Ok("before") => Some(Side::Before),
        Ok(other) => panic!("WGRAD_GUARD is behind or before, not {other}"),
        Err(_) => None,
    })
}

/// Whether memory is to be guarded.
pub fn on() -> bool {
    side().is_some()
}

/// What the rest of the first or the last page holds.
const CANARY: u8 = 0xA5;

/// What a buffer holds before it is written: floats of it are NaN.
const POISON: u8 = 0xFF;

/// Some bytes between pages that may not be touched.
pub struct Guarded {
    map: NonNull<u8>,
    map_len: usize,
    at: usize,
    len: usize,
    page: usize,
}

// SAFETY: the memory is the value's own.
unsafe impl Send for Guarded {}
// SAFETY: as above.
unsafe impl Sync for Guarded {}

impl Guarded {
    /// `len` bytes, aligned to 4.
    pub fn new(len: usize) -> Guarded {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let inside = len.next_multiple_of(page).max(page);
        let map_len = inside + 2 * page;
        let (rw, private) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON,
        );
        // SAFETY: a new mapping anywhere.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), map_len, rw, private, -1, 0) };
        assert!(map != libc::MAP_FAILED, "no memory for {len} guarded bytes");
        let map = NonNull::new(map.cast::<u8>()).expect("not at 0");
        for at in [0, page + inside] {
            // SAFETY: a page of the mapping.
            let closed =
                unsafe { libc::mprotect(map.as_ptr().add(at).cast(), page, libc::PROT_NONE) };
            assert_eq!(closed, 0, "a page could not be closed");
        }
        let at = match side() {
            Some(Side::Before) => page,
            _ => page + inside - len.next_multiple_of(4),
        };
        let mut guarded = Guarded {
            map,
            map_len,
            at,
            len,
            page,
        };
        guarded.open().fill(CANARY);
        guarded.bytes_mut().fill(POISON);
        guarded
    }

    /// All between the closed pages.
    fn open(&mut self) -> &mut [u8] {
        let len = self.map_len - 2 * self.page;
        // SAFETY: the mapping's own pages, mapped and borrowed with the value.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_ptr().add(self.page), len) }
    }

    /// The contents.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: as in `open`.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(self.at), self.len) }
    }

    /// The contents, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `open`.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_ptr().add(self.at), self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let (at, len) = (self.at - self.page, self.len);
        let open = self.open();
        let beside = open[..at].iter().chain(&open[at + len..]);
        let whole = beside.fold(true, |whole, &b| whole & (b == CANARY));
        // SAFETY: nobody has the mapping any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.map_len) };
        if !whole && !std::thread::panicking() {
            panic!("something was written beside a buffer of {len} bytes");
        }
    }
}
