//! What the processor says of its caches.

/// Bytes of the last-level cache, as the processor says; 16 MiB where it does not. Detected once.
pub fn last_level_cache() -> usize {
    static BYTES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *BYTES.get_or_init(|| largest_cache().unwrap_or(1 << 24))
}

#[cfg(not(target_arch = "x86_64"))]
fn largest_cache() -> Option<usize> {
    None
}

/// The largest of the caches that a leaf lists: Intel's 4, or AMD's 0x8000_001d, which has the same form.
#[cfg(target_arch = "x86_64")]
fn largest_cache() -> Option<usize> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    /// More than any processor has.
    const MOST: u32 = 8;
    let lists = |leaf: u32| __cpuid(leaf & 0x8000_0000).eax >= leaf;
    let of = |leaf: u32| {
        let caches = (0..MOST).map(move |i| __cpuid_count(leaf, i));
        let caches = caches.take_while(|c| c.eax & 0x1f != 0);
        let bytes = |c: std::arch::x86_64::CpuidResult| {
            let [ways, parts, line] = [c.ebx >> 22, c.ebx >> 12, c.ebx].map(|n| n as usize);
            (ways + 1) * ((parts & 0x3ff) + 1) * ((line & 0xfff) + 1) * (c.ecx as usize + 1)
        };
        caches.map(bytes).max()
    };
    let found = [4, 0x8000_001d]
        .into_iter()
        .filter(|&leaf| lists(leaf))
        .filter_map(of);
    found.max()
}
