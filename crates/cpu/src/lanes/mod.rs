//! Vectors of floats, one type for each instruction set, behind the few operations that products need. Knows no
//! matrices. Everything here is inlined into functions that are compiled for the instruction set.

#[cfg(test)]
mod tests;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use crate::math;
use half::{bf16, f16};

/// The vectors of what the target guarantees.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(crate) type Guaranteed = Plain;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) type Guaranteed = wasm::V128;

/// A vector of `LEN` floats. Implementations for an instruction set may only be used on a processor that has it;
/// pointers must be valid for what is read or written through them.
pub(crate) trait Lanes: Copy {
    /// Number of floats.
    const LEN: usize;
    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self;
    /// The `LEN` floats at `p`, at any alignment.
    unsafe fn load(p: *const f32) -> Self;
    /// The first `n` floats at `p`, zero in the other lanes.
    unsafe fn load_first(p: *const f32, n: usize) -> Self;
    /// Writes `LEN` floats.
    unsafe fn store(self, p: *mut f32);
    /// Writes the first `n` lanes.
    unsafe fn store_first(self, p: *mut f32, n: usize);
    /// `self + a * b`.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// `self + a`.
    unsafe fn add(self, a: Self) -> Self;
    /// `self - a`.
    unsafe fn sub(self, a: Self) -> Self;
    /// All lanes added up, in halves.
    unsafe fn sum(self) -> f32;
    /// The lanes of `self` and `a` in turns: those from the first halves, then those from the second.
    unsafe fn interleave(self, a: Self) -> (Self, Self);
    /// What [`Lanes::interleave`] made from two vectors taken apart again: the even lanes, then the odd ones.
    unsafe fn deinterleave(self, a: Self) -> (Self, Self);
    /// Asks for the line at `p`, which need not be valid.
    unsafe fn prefetch(p: *const f32);
    /// The first `n` halves at `p`, at any alignment, zero in the other lanes.
    unsafe fn load_f16(p: *const f16, n: usize) -> Self;
    /// The same of upper halves.
    unsafe fn load_bf16(p: *const bf16, n: usize) -> Self;
    /// Writes the first `n` lanes, rounded to nearest even.
    unsafe fn store_f16(self, p: *mut f16, n: usize);
    /// The same as upper halves.
    unsafe fn store_bf16(self, p: *mut bf16, n: usize);
}

/// An element that lanes are loaded from.
pub(crate) trait Element: Copy {
    /// The first `n` at `p` as floats, zero in the other lanes.
    ///
    /// # Safety
    /// There are as many, and the processor has what `V` needs.
    unsafe fn load<V: Lanes>(p: *const Self, n: usize) -> V;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(p: *const f32, n: usize) -> V {
        // SAFETY: the caller's.
        unsafe { read(p, n) }
    }
}

impl Element for f16 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(p: *const f16, n: usize) -> V {
        // SAFETY: the caller's.
        unsafe { V::load_f16(p, n) }
    }
}

impl Element for bf16 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(p: *const bf16, n: usize) -> V {
        // SAFETY: the caller's.
        unsafe { V::load_bf16(p, n) }
    }
}

/// Defines a function that runs a generic one with the best vectors this processor has.
macro_rules! best {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident : $ty:ty),* $(,)?) = $generic:ident) => {
        $(#[$meta])*
        pub(crate) fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::lanes::x86::{Avx2, Avx512};
                use $crate::simd::{Level, level};
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $ty),*) {
                    // SAFETY: the processor has AVX2.
                    unsafe { $generic::<Avx2>($($arg),*) }
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c")]
                fn avx512($($arg: $ty),*) {
                    // SAFETY: the processor has AVX-512.
                    unsafe { $generic::<Avx512>($($arg),*) }
                }
                match level() {
                    // SAFETY: `level` returns only what the processor was found to support.
                    Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    Level::Avx2 => return unsafe { avx2($($arg),*) },
                    Level::Base => {}
                }
            }
            // SAFETY: every processor can.
            unsafe { $generic::<$crate::lanes::Guaranteed>($($arg),*) }
        }
    };
}

pub(crate) use best;

/// The first `n` floats at `p`, zero in the other lanes: all of them, most of the time.
///
/// # Safety
/// As for [`Lanes::load_first`].
#[inline(always)]
pub(crate) unsafe fn read<V: Lanes>(p: *const f32, n: usize) -> V {
    // SAFETY: the caller's.
    unsafe {
        if n == V::LEN {
            V::load(p)
        } else {
            V::load_first(p, n)
        }
    }
}

/// Four floats in what every processor can do; compilers turn its loops into vector instructions.
#[derive(Clone, Copy)]
pub(crate) struct Plain([f32; 4]);

impl Lanes for Plain {
    const LEN: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Plain([x; 4])
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's.
        Plain(unsafe { p.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        let mut lanes = [0.0; 4];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's.
            *lane = unsafe { *p.add(i) };
        }
        Plain(lanes)
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        for (i, &lane) in self.0.iter().enumerate().take(n) {
            // SAFETY: the caller's.
            unsafe { *p.add(i) = lane };
        }
    }

    #[inline(always)]
    unsafe fn fma(mut self, a: Self, b: Self) -> Self {
        for i in 0..4 {
            // Where a fused instruction is part of the target; a call into the C library elsewhere.
            self.0[i] = if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
                a.0[i].mul_add(b.0[i], self.0[i])
            } else {
                self.0[i] + a.0[i] * b.0[i]
            };
        }
        self
    }

    #[inline(always)]
    unsafe fn add(mut self, a: Self) -> Self {
        for i in 0..4 {
            self.0[i] += a.0[i];
        }
        self
    }

    #[inline(always)]
    unsafe fn sub(mut self, a: Self) -> Self {
        for i in 0..4 {
            self.0[i] -= a.0[i];
        }
        self
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let x = self.0;
        (x[0] + x[2]) + (x[1] + x[3])
    }

    #[inline(always)]
    unsafe fn interleave(self, a: Self) -> (Self, Self) {
        let (x, y) = (self.0, a.0);
        (
            Plain([x[0], y[0], x[1], y[1]]),
            Plain([x[2], y[2], x[3], y[3]]),
        )
    }

    #[inline(always)]
    unsafe fn deinterleave(self, a: Self) -> (Self, Self) {
        let (x, y) = (self.0, a.0);
        (
            Plain([x[0], x[2], y[0], y[2]]),
            Plain([x[1], x[3], y[1], y[3]]),
        )
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}

    #[inline(always)]
    unsafe fn load_f16(p: *const f16, n: usize) -> Self {
        let mut lanes = [0.0; 4];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's.
            *lane = math::f16_to_f32(unsafe { *p.add(i) }.to_bits());
        }
        Plain(lanes)
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16, n: usize) -> Self {
        let mut lanes = [0.0; 4];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's.
            *lane = math::bf16_to_f32(unsafe { *p.add(i) }.to_bits());
        }
        Plain(lanes)
    }

    #[inline(always)]
    unsafe fn store_f16(self, p: *mut f16, n: usize) {
        for (i, &lane) in self.0.iter().enumerate().take(n) {
            // SAFETY: the caller's.
            unsafe { *p.add(i) = f16::from_bits(math::f16_from_f32(lane)) };
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, n: usize) {
        for (i, &lane) in self.0.iter().enumerate().take(n) {
            // SAFETY: the caller's.
            unsafe { *p.add(i) = bf16::from_bits(math::bf16_from_f32(lane)) };
        }
    }
}
