//! Vectors of WebAssembly's 128 bits. Which instructions there are is settled when a module is compiled: where it may have
//! relaxed ones, a multiply-add is one instruction, rounded once or twice as the processor has it.

use super::{Lanes, Plain};
use core::arch::wasm32::*;
use half::{bf16, f16};

/// Four floats.
#[derive(Clone, Copy)]
pub(crate) struct V128(v128);

impl V128 {
    #[inline(always)]
    fn plain(self) -> Plain {
        let lane = [
            f32x4_extract_lane::<0>(self.0),
            f32x4_extract_lane::<1>(self.0),
            f32x4_extract_lane::<2>(self.0),
            f32x4_extract_lane::<3>(self.0),
        ];
        Plain(lane)
    }

    #[inline(always)]
    fn of(Plain([a, b, c, d]): Plain) -> Self {
        V128(f32x4(a, b, c, d))
    }
}

impl Lanes for V128 {
    const LEN: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        V128(f32x4_splat(x))
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's; any alignment will do.
        V128(unsafe { v128_load(p.cast()) })
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller's: there are `n`.
        unsafe {
            V128(match n {
                0 => f32x4_splat(0.0),
                1 => v128_load32_zero(p.cast()),
                2 => v128_load64_zero(p.cast()),
                3 => v128_load32_lane::<2>(v128_load64_zero(p.cast()), p.add(2).cast()),
                _ => v128_load(p.cast()),
            })
        }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's; any alignment will do.
        unsafe { v128_store(p.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: the caller's: there is room for `n`.
        unsafe {
            match n {
                0 => {}
                1 => v128_store32_lane::<0>(self.0, p.cast()),
                2 => v128_store64_lane::<0>(self.0, p.cast()),
                3 => {
                    v128_store64_lane::<0>(self.0, p.cast());
                    v128_store32_lane::<2>(self.0, p.add(2).cast());
                }
                _ => v128_store(p.cast(), self.0),
            }
        }
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        let sum = f32x4_relaxed_madd(a.0, b.0, self.0);
        #[cfg(not(target_feature = "relaxed-simd"))]
        let sum = f32x4_add(self.0, f32x4_mul(a.0, b.0));
        V128(sum)
    }

    #[inline(always)]
    unsafe fn add(self, a: Self) -> Self {
        V128(f32x4_add(self.0, a.0))
    }

    #[inline(always)]
    unsafe fn sub(self, a: Self) -> Self {
        V128(f32x4_sub(self.0, a.0))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let halves = f32x4_add(self.0, i32x4_shuffle::<2, 3, 0, 1>(self.0, self.0));
        f32x4_extract_lane::<0>(halves) + f32x4_extract_lane::<1>(halves)
    }

    #[inline(always)]
    unsafe fn interleave(self, a: Self) -> (Self, Self) {
        (
            V128(i32x4_shuffle::<0, 4, 1, 5>(self.0, a.0)),
            V128(i32x4_shuffle::<2, 6, 3, 7>(self.0, a.0)),
        )
    }

    #[inline(always)]
    unsafe fn deinterleave(self, a: Self) -> (Self, Self) {
        (
            V128(i32x4_shuffle::<0, 2, 4, 6>(self.0, a.0)),
            V128(i32x4_shuffle::<1, 3, 5, 7>(self.0, a.0)),
        )
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}

    #[inline(always)]
    unsafe fn load_f16(p: *const f16, n: usize) -> Self {
        // SAFETY: the caller's.
        V128::of(unsafe { Plain::load_f16(p, n) })
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16, n: usize) -> Self {
        if n == Self::LEN {
            // SAFETY: the caller's: there are four.
            let upper = unsafe { u32x4_load_extend_u16x4(p.cast()) };
            return V128(u32x4_shl(upper, 16));
        }
        // SAFETY: the caller's.
        V128::of(unsafe { Plain::load_bf16(p, n) })
    }

    #[inline(always)]
    unsafe fn store_f16(self, p: *mut f16, n: usize) {
        // SAFETY: the caller's.
        unsafe { self.plain().store_f16(p, n) }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, n: usize) {
        // SAFETY: the caller's.
        unsafe { self.plain().store_bf16(p, n) }
    }
}
