//! Functions compiled for several instruction sets and chosen at run time: [`simd_fn!`] for any function,
//! [`block1!`], [`block2!`] and [`block3!`] for the block functions of element-wise operations.
//! Knows no operation. Rust never contracts or reorders float arithmetic, so every level gives the same bits, unless
//! a body asks `FUSED`, which is true where the level has fused multiply-adds.

/// A block function of one or two operands with a form of its own for AVX-512, of the same name in `x86`, and the same bits.
macro_rules! or_avx512 {
    ($name:ident, $portable:ident) => {
        fn $name(out: &mut [u32], args: &[&[u32]]) {
            #[cfg(target_arch = "x86_64")]
            if x86::usable() {
                // SAFETY: the processor has AVX-512.
                return unsafe { x86::$name(out, args[0], args[args.len() - 1]) };
            }
            $portable(out, args);
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod error_function;
pub mod exponential;
pub mod half_precision;

#[cfg(target_arch = "x86_64")]
use std::sync::atomic::{AtomicU8, Ordering};

/// A value held in a 32-bit lane.
pub trait Lane: Copy {
    /// The value whose lane holds `bits`.
    fn from_bits(bits: u32) -> Self;
    /// The lane that holds the value.
    fn to_bits(self) -> u32;
}

impl Lane for f32 {
    #[inline(always)]
    fn from_bits(bits: u32) -> f32 {
        f32::from_bits(bits)
    }
    #[inline(always)]
    fn to_bits(self) -> u32 {
        f32::to_bits(self)
    }
}

impl Lane for i32 {
    #[inline(always)]
    fn from_bits(bits: u32) -> i32 {
        bits as i32
    }
    #[inline(always)]
    fn to_bits(self) -> u32 {
        self as u32
    }
}

impl Lane for u32 {
    #[inline(always)]
    fn from_bits(bits: u32) -> u32 {
        bits
    }
    #[inline(always)]
    fn to_bits(self) -> u32 {
        self
    }
}

impl Lane for bool {
    #[inline(always)]
    fn from_bits(bits: u32) -> bool {
        bits != 0
    }
    #[inline(always)]
    fn to_bits(self) -> u32 {
        u32::from(self)
    }
}

/// What the processor can run.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What the target guarantees.
    Base = 1,
    /// AVX2, FMA and F16C.
    Avx2 = 2,
    /// AVX-512 F, VL, DQ and BW.
    Avx512 = 3,
}

#[cfg(target_arch = "x86_64")]
static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The best level of this processor, or the lower one that `WGRAD_SIMD` names; detected once.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn level() -> Level {
    #[cfg(test)]
    if let Some(level) = tests::FORCED.get() {
        return level;
    }
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Base,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => {
            let level = detect();
            LEVEL.store(level as u8, Ordering::Relaxed);
            level
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    let best = match (avx2, avx512) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Base,
    };
    let Ok(most) = std::env::var("WGRAD_SIMD") else {
        return best;
    };
    match most.as_str() {
        "portable" => Level::Base,
        "avx2" => best.min(Level::Avx2),
        "avx512" => best,
        _ => {
            tracing::warn!("WGRAD_SIMD is ignored: {most} is none of portable, avx2, avx512");
            best
        }
    }
}

/// Copies lanes past the caches where the processor can: for results larger than a cache holds, which would only be
/// read first to be overwritten. [`stream_end`] must follow before another thread reads.
pub fn stream(out: &mut [u32], lanes: &[u32]) {
    #[cfg(target_arch = "x86_64")]
    {
        let n = out.len().min(lanes.len());
        if out.as_ptr().align_offset(64) == 0 && n.is_multiple_of(16) && level() == Level::Avx512 {
            #[target_feature(enable = "avx512f")]
            fn lines(out: &mut [u32], lanes: &[u32]) {
                use std::arch::x86_64::{_mm512_loadu_si512, _mm512_stream_si512};
                for (out, lanes) in out.chunks_exact_mut(16).zip(lanes.chunks_exact(16)) {
                    // SAFETY: both are 16 words, and `out` is aligned to 64 bytes as the first chunk is.
                    unsafe {
                        _mm512_stream_si512(
                            out.as_mut_ptr().cast(),
                            _mm512_loadu_si512(lanes.as_ptr().cast()),
                        );
                    }
                }
            }
            // SAFETY: `level` returns only what the processor was found to support.
            return unsafe { lines(&mut out[..n], &lanes[..n]) };
        }
    }
    out.copy_from_slice(lanes);
}

/// Tells the processor that `len` words from `at` on will be read: its own prefetching ends with each page of memory.
/// Beyond the end nothing happens.
#[inline(always)]
pub fn prefetch(words: &[u32], at: usize, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(words) = words.get(at..at + len) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in words.chunks_exact(16) {
            // SAFETY: a prefetch has no effect that a program can see; SSE is part of the target.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (words, at, len);
}

/// A place in memory that will be read.
#[derive(Clone, Copy, Debug)]
pub struct Upcoming(*const u32);

impl Upcoming {
    /// Word `at` of what begins at `words`, be it there or not.
    pub fn new(words: *const u32, at: usize) -> Upcoming {
        Upcoming(words.wrapping_add(at))
    }

    /// Byte `at` of these.
    pub fn bytes(bytes: &[u8], at: usize) -> Upcoming {
        Upcoming(bytes.as_ptr().wrapping_add(at).cast())
    }

    /// Fetches the next `len` words into the caches.
    pub fn fetch(&mut self, len: usize) {
        #[cfg(target_arch = "x86_64")]
        for line in (0..len).step_by(16) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a prefetch has no effect that a program can see, wherever it points; SSE is part of the target.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.0.wrapping_add(line).cast()) };
        }
        self.0 = self.0.wrapping_add(len);
    }
}

/// As many lanes of [`gather`] as fill vectors, and whether one of their indices is out of range.
#[cfg(target_arch = "x86_64")]
fn gather_vectors(row: &[u32], index: &[u32], outside: u32, out: &mut [u32]) -> (usize, bool) {
    if level() != Level::Avx512 || i32::try_from(row.len()).is_err() {
        return (0, false);
    }
    #[target_feature(enable = "avx512f")]
    fn vectors(row: &[u32], index: &[u32], outside: u32, out: &mut [u32]) -> bool {
        use std::arch::x86_64::{
            _mm512_cmplt_epu32_mask, _mm512_loadu_si512, _mm512_mask_i32gather_epi32,
            _mm512_set1_epi32, _mm512_storeu_si512,
        };
        let (size, outside) = (
            _mm512_set1_epi32(row.len() as i32),
            _mm512_set1_epi32(outside as i32),
        );
        let mut good = 0xFFFF;
        for (out, index) in out.chunks_exact_mut(16).zip(index.chunks_exact(16)) {
            // SAFETY: both are 16 words, and what is read lies in `row`: the mask leaves out the other lanes.
            unsafe {
                let index = _mm512_loadu_si512(index.as_ptr().cast());
                let inside = _mm512_cmplt_epu32_mask(index, size);
                let words = row.as_ptr().cast();
                let words = _mm512_mask_i32gather_epi32::<4>(outside, inside, index, words);
                _mm512_storeu_si512(out.as_mut_ptr().cast(), words);
                good &= inside;
            }
        }
        good != 0xFFFF
    }
    let done = out.len().min(index.len()) / 16 * 16;
    // SAFETY: `level` returns only what the processor was found to support.
    (done, unsafe { vectors(row, index, outside, out) })
}

/// `out[i] = row[index[i]]`, or `outside` where the index is out of range; tells whether one is.
pub fn gather(row: &[u32], index: &[u32], outside: u32, out: &mut [u32]) -> bool {
    #[cfg(target_arch = "x86_64")]
    let (done, mut bad) = gather_vectors(row, index, outside, out);
    #[cfg(not(target_arch = "x86_64"))]
    let (done, mut bad) = (0, false);
    for (out, &i) in out[done..].iter_mut().zip(&index[done..]) {
        let found = row.get(i as usize);
        bad |= found.is_none();
        *out = found.copied().unwrap_or(outside);
    }
    bad
}

/// Ends a series of [`stream`]s.
pub fn stream_end() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a fence has no precondition; SSE is part of the target.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Defines a function whose body is compiled once for each [`Level`]: `simd_fn! { fn name(a: &[f32]) -> f32 {…} }`.
/// The body may ask the constant `FUSED`. Functions it calls must be `#[inline(always)]` (or small) to profit. Arguments are plain names.
#[macro_export]
macro_rules! simd_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn portable<const FUSED: bool>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    portable::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    portable::<true>($($arg),*)
                }
                match $crate::simd::level() {
                    // SAFETY: `level` returns only what the processor was found to support.
                    $crate::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::simd::Level::Base => {}
                }
            }
            portable::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    };
}

/// A unary block function: `block1!(name, |x: f32| -> f32 { … })` defines it, without the name it is an
/// expression of type [`BlockFn`](crate::plan::BlockFn). Lane types: `f32`, `i32`, `u32`, `bool`.
#[macro_export]
macro_rules! block1 {
    (|$a:ident : $ta:ty| -> $r:ty $body:block) => {{
        $crate::simd::block1!(block, |$a: $ta| -> $r $body);
        block as $crate::plan::BlockFn
    }};
    ($name:ident, |$a:ident : $ta:ty| -> $r:ty $body:block) => {
        fn $name(out: &mut [u32], args: &[&[u32]]) {
            #[inline(always)]
            fn lane<const FUSED: bool>($a: $ta) -> $r $body
            $crate::simd::simd_fn! {
                fn lanes(out: &mut [u32], a: &[u32]) {
                    use $crate::simd::Lane;
                    for (out, &a) in out.iter_mut().zip(a) {
                        *out = Lane::to_bits(lane::<FUSED>(Lane::from_bits(a)));
                    }
                }
            }
            lanes(out, args[0]);
        }
    };
}

/// A binary block function; see [`block1!`]. Either operand may be a single lane that stands for all.
#[macro_export]
macro_rules! block2 {
    (|$a:ident : $ta:ty, $b:ident : $tb:ty| -> $r:ty $body:block) => {{
        $crate::simd::block2!(block, |$a: $ta, $b: $tb| -> $r $body);
        block as $crate::plan::BlockFn
    }};
    ($name:ident, |$a:ident : $ta:ty, $b:ident : $tb:ty| -> $r:ty $body:block) => {
        fn $name(out: &mut [u32], args: &[&[u32]]) {
            #[inline(always)]
            fn lane<const FUSED: bool>($a: $ta, $b: $tb) -> $r $body
            $crate::simd::simd_fn! {
                fn lanes(out: &mut [u32], a: &[u32], b: &[u32]) {
                    use $crate::simd::Lane;
                    let n = out.len();
                    if a.len() == n && b.len() == n {
                        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                            *out = Lane::to_bits(lane::<FUSED>(Lane::from_bits(a), Lane::from_bits(b)));
                        }
                    } else if a.len() == n {
                        let b = Lane::from_bits(b[0]);
                        for (out, &a) in out.iter_mut().zip(a) {
                            *out = Lane::to_bits(lane::<FUSED>(Lane::from_bits(a), b));
                        }
                    } else {
                        let a = Lane::from_bits(a[0]);
                        for (out, &b) in out.iter_mut().zip(b) {
                            *out = Lane::to_bits(lane::<FUSED>(a, Lane::from_bits(b)));
                        }
                    }
                }
            }
            lanes(out, args[0], args[1]);
        }
    };
}

/// A ternary block function; see [`block1!`]. The second and the third operand may be single lanes.
#[macro_export]
macro_rules! block3 {
    (|$a:ident : $ta:ty, $b:ident : $tb:ty, $c:ident : $tc:ty| -> $r:ty $body:block) => {{
        $crate::simd::block3!(block, |$a: $ta, $b: $tb, $c: $tc| -> $r $body);
        block as $crate::plan::BlockFn
    }};
    ($name:ident, |$a:ident : $ta:ty, $b:ident : $tb:ty, $c:ident : $tc:ty| -> $r:ty $body:block) => {
        fn $name(out: &mut [u32], args: &[&[u32]]) {
            #[inline(always)]
            fn lane<const FUSED: bool>($a: $ta, $b: $tb, $c: $tc) -> $r $body
            $crate::simd::simd_fn! {
                fn lanes(out: &mut [u32], a: &[u32], b: &[u32], c: &[u32]) {
                    use $crate::simd::Lane;
                    let n = out.len();
                    match (b.len() == n, c.len() == n) {
                        (true, true) => {
                            for (((out, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
                                *out = Lane::to_bits(lane::<FUSED>(Lane::from_bits(a), Lane::from_bits(b), Lane::from_bits(c)));
                            }
                        }
                        (true, false) => {
                            let c = Lane::from_bits(c[0]);
                            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                                *out = Lane::to_bits(lane::<FUSED>(Lane::from_bits(a), Lane::from_bits(b), c));
                            }
                        }
                        (false, true) => {
                            let b = Lane::from_bits(b[0]);
                            for ((out, &a), &c) in out.iter_mut().zip(a).zip(c) {
                                *out = Lane::to_bits(lane::<FUSED>(Lane::from_bits(a), b, Lane::from_bits(c)));
                            }
                        }
                        (false, false) => {
                            let (b, c) = (Lane::from_bits(b[0]), Lane::from_bits(c[0]));
                            for (out, &a) in out.iter_mut().zip(a) {
                                *out = Lane::to_bits(lane::<FUSED>(Lane::from_bits(a), b, c));
                            }
                        }
                    }
                }
            }
            lanes(out, args[0], args[1], args[2]);
        }
    };
}

pub use crate::{block1, block2, block3, simd_fn};

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::plan::BlockFn;
    use std::cell::Cell;

    thread_local! {
        /// The level on this thread, in place of the processor's.
        pub static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
    }

    block2!(add, |a: f32, b: f32| -> f32 { a + b });
    block3!(select, |c: bool, a: u32, b: u32| -> u32 {
        if c { a } else { b }
    });

    fn at_level(level: Level, f: BlockFn, n: usize, args: &[&[u32]]) -> Vec<u32> {
        FORCED.set(Some(level.min(super::level())));
        let mut out = vec![0; n];
        f(&mut out, args);
        FORCED.set(None);
        out
    }

    #[test]
    fn gathers_stay_in_their_row() {
        let row: Vec<u32> = (100..137).collect();
        let index: Vec<u32> = (0..53).map(|i| i * 7 % 37).collect();
        let want: Vec<u32> = index.iter().map(|&i| 100 + i).collect();
        let mut out = vec![0; 53];
        assert!(!gather(&row, &index, 9, &mut out));
        assert_eq!(out, want);
        for (at, bad) in [(0, 37), (31, u32::MAX), (52, 1 << 31)] {
            let mut index = index.clone();
            index[at] = bad;
            assert!(gather(&row, &index, 9, &mut out));
            assert_eq!(out[at], 9);
            assert_eq!((&out[..at], &out[at + 1..]), (&want[..at], &want[at + 1..]));
        }
    }

    #[test]
    fn levels_agree() {
        let a: Vec<u32> = (0..77).map(|i| (i as f32 * 0.37 - 9.0).to_bits()).collect();
        let b: Vec<u32> = (0..77)
            .map(|i| (1.0 / (i as f32 + 0.1)).to_bits())
            .collect();
        let c: Vec<u32> = (0..77).map(|i| i % 3).map(|i| u32::from(i == 0)).collect();
        let wave = block1!(|x: f32| -> f32 { x.mul_add(x, 0.1) / (x + 0.3).abs().sqrt() });
        for (f, args) in [
            (add as BlockFn, vec![&a[..], &b]),
            (select, vec![&c[..], &a, &b]),
            (wave, vec![&a[..]]),
        ] {
            let base = at_level(Level::Base, f, 77, &args);
            assert_eq!(base, at_level(Level::Avx2, f, 77, &args));
            assert_eq!(base, at_level(Level::Avx512, f, 77, &args));
        }
        let mut out = vec![0; 77];
        add(&mut out, &[&a, &b]);
        assert_eq!(
            f32::from_bits(out[5]),
            f32::from_bits(a[5]) + f32::from_bits(b[5])
        );
        // A single lane stands for all.
        let all = |word: u32| vec![word; 77];
        for (f, few, many) in [
            (
                add as BlockFn,
                vec![&a[..], &b[3..4]],
                vec![a.clone(), all(b[3])],
            ),
            (add, vec![&a[3..4], &b], vec![all(a[3]), b.clone()]),
            (
                select,
                vec![&c[..], &a[5..6], &b],
                vec![c.clone(), all(a[5]), b.clone()],
            ),
            (
                select,
                vec![&c[..], &a, &b[5..6]],
                vec![c.clone(), a.clone(), all(b[5])],
            ),
            (
                select,
                vec![&c[..], &a[1..2], &b[5..6]],
                vec![c.clone(), all(a[1]), all(b[5])],
            ),
        ] {
            let many: Vec<&[u32]> = many.iter().map(Vec::as_slice).collect();
            let (mut short, mut long) = (vec![0; 77], vec![0; 77]);
            f(&mut short, &few);
            f(&mut long, &many);
            assert_eq!(short, long);
        }
        let negate = block1!(|x: bool| -> bool { !x });
        negate(&mut out, &[&c]);
        assert_eq!(out[..4], [0, 1, 1, 0]);
    }
}
