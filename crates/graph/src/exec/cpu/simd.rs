//! Functions compiled for several instruction sets and chosen at run time: [`simd_fn!`] for any function,
//! [`block1!`], [`block2!`] and [`block3!`] for the block functions of element-wise operations.
//! Knows no operation. Rust never contracts or reorders float arithmetic, so every level gives the same bits.

#[cfg(target_arch = "x86_64")]
use std::sync::atomic::{AtomicU8, Ordering};

/// A value held in a 32-bit lane.
pub(crate) trait Lane: Copy {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Level {
    /// What the target guarantees.
    Base = 1,
    /// AVX2, FMA and F16C.
    Avx2 = 2,
    /// AVX-512 F, VL, DQ and BW.
    Avx512 = 3,
}

#[cfg(target_arch = "x86_64")]
static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The best level of this processor; detected once.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn level() -> Level {
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
    match (avx2, avx512) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Base,
    }
}

/// Defines a function whose body is compiled once for each [`Level`]: `simd_fn! { fn name(a: &[f32]) -> f32 {…} }`.
/// Functions the body calls must be `#[inline(always)]` (or small) to profit. Arguments are plain names.
macro_rules! simd_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn portable($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    portable($($arg),*)
                }
                #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    portable($($arg),*)
                }
                match $crate::exec::cpu::simd::level() {
                    // SAFETY: `level` returns only what the processor was found to support.
                    $crate::exec::cpu::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::exec::cpu::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::exec::cpu::simd::Level::Base => {}
                }
            }
            portable($($arg),*)
        }
    };
}

/// A unary block function: `block1!(name, |x: f32| -> f32 { … })` defines it, without the name it is an
/// expression of type [`BlockFn`](crate::plan::BlockFn). Lane types: `f32`, `i32`, `u32`, `bool`.
macro_rules! block1 {
    (|$a:ident : $ta:ty| -> $r:ty $body:block) => {{
        $crate::exec::cpu::simd::block1!(block, |$a: $ta| -> $r $body);
        block as $crate::plan::BlockFn
    }};
    ($name:ident, |$a:ident : $ta:ty| -> $r:ty $body:block) => {
        fn $name(out: &mut [u32], args: &[&[u32]]) {
            #[inline(always)]
            fn lane($a: $ta) -> $r $body
            $crate::exec::cpu::simd::simd_fn! {
                fn lanes(out: &mut [u32], a: &[u32]) {
                    use $crate::exec::cpu::simd::Lane;
                    for (out, &a) in out.iter_mut().zip(a) {
                        *out = Lane::to_bits(lane(Lane::from_bits(a)));
                    }
                }
            }
            lanes(out, args[0]);
        }
    };
}

/// A binary block function; see [`block1!`].
macro_rules! block2 {
    (|$a:ident : $ta:ty, $b:ident : $tb:ty| -> $r:ty $body:block) => {{
        $crate::exec::cpu::simd::block2!(block, |$a: $ta, $b: $tb| -> $r $body);
        block as $crate::plan::BlockFn
    }};
    ($name:ident, |$a:ident : $ta:ty, $b:ident : $tb:ty| -> $r:ty $body:block) => {
        fn $name(out: &mut [u32], args: &[&[u32]]) {
            #[inline(always)]
            fn lane($a: $ta, $b: $tb) -> $r $body
            $crate::exec::cpu::simd::simd_fn! {
                fn lanes(out: &mut [u32], a: &[u32], b: &[u32]) {
                    use $crate::exec::cpu::simd::Lane;
                    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                        *out = Lane::to_bits(lane(Lane::from_bits(a), Lane::from_bits(b)));
                    }
                }
            }
            lanes(out, args[0], args[1]);
        }
    };
}

/// A ternary block function; see [`block1!`].
macro_rules! block3 {
    (|$a:ident : $ta:ty, $b:ident : $tb:ty, $c:ident : $tc:ty| -> $r:ty $body:block) => {{
        $crate::exec::cpu::simd::block3!(block, |$a: $ta, $b: $tb, $c: $tc| -> $r $body);
        block as $crate::plan::BlockFn
    }};
    ($name:ident, |$a:ident : $ta:ty, $b:ident : $tb:ty, $c:ident : $tc:ty| -> $r:ty $body:block) => {
        fn $name(out: &mut [u32], args: &[&[u32]]) {
            #[inline(always)]
            fn lane($a: $ta, $b: $tb, $c: $tc) -> $r $body
            $crate::exec::cpu::simd::simd_fn! {
                fn lanes(out: &mut [u32], a: &[u32], b: &[u32], c: &[u32]) {
                    use $crate::exec::cpu::simd::Lane;
                    for (((out, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
                        *out = Lane::to_bits(lane(Lane::from_bits(a), Lane::from_bits(b), Lane::from_bits(c)));
                    }
                }
            }
            lanes(out, args[0], args[1], args[2]);
        }
    };
}

pub(crate) use {block1, block2, block3, simd_fn};

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::plan::BlockFn;

    block2!(add, |a: f32, b: f32| -> f32 { a + b });
    block3!(select, |c: bool, a: u32, b: u32| -> u32 {
        if c { a } else { b }
    });

    fn at_level(level: Level, f: BlockFn, n: usize, args: &[&[u32]]) -> Vec<u32> {
        let best = super::level();
        // Other tests may run at the lower level meanwhile: the bits are the same.
        LEVEL.store((level as u8).min(best as u8), Ordering::Relaxed);
        let mut out = vec![0; n];
        f(&mut out, args);
        LEVEL.store(best as u8, Ordering::Relaxed);
        out
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
        let negate = block1!(|x: bool| -> bool { !x });
        negate(&mut out, &[&c]);
        assert_eq!(out[..4], [0, 1, 1, 0]);
    }
}
