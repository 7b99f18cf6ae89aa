//! Vectors of floats, one type for each instruction set, behind the few operations that products need. Knows no
//! matrices. Everything here is inlined into functions that are compiled for the instruction set.

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
}

/// Defines a function that runs a generic one with the best vectors this processor has.
macro_rules! best {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident : $ty:ty),* $(,)?) = $generic:ident) => {
        $(#[$meta])*
        pub(crate) fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::matmul::gemm::lanes::x86::{Avx2, Avx512};
                use $crate::simd::{Level, level};
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    // SAFETY: the processor has AVX2.
                    unsafe { $generic::<Avx2>($($arg),*) }
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
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
            unsafe { $generic::<$crate::matmul::gemm::lanes::Plain>($($arg),*) }
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
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    //! AVX2 with FMA, and AVX-512.
    use crate::matmul::gemm::lanes::Lanes;
    use std::arch::x86_64::*;

    /// Eight floats.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256);

    /// Sixteen floats.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    /// Lanes `i < n` have their sign bit set in the eight words from `MASKS[8 - n]` on.
    static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    #[inline(always)]
    unsafe fn mask(n: usize) -> __m256i {
        // SAFETY: `n <= 8`, so eight words lie in the table; the processor has AVX2.
        unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - n).cast()) }
    }

    // SAFETY of both: the callers guarantee pointers and processor, as the trait demands.
    impl Lanes for Avx2 {
        const LEN: usize = 8;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            Avx2(unsafe { _mm256_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            Avx2(unsafe { _mm256_loadu_ps(p) })
        }
        #[inline(always)]
        unsafe fn load_first(p: *const f32, n: usize) -> Self {
            Avx2(unsafe { _mm256_maskload_ps(p, mask(n)) })
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            unsafe { _mm256_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        unsafe fn store_first(self, p: *mut f32, n: usize) {
            unsafe { _mm256_maskstore_ps(p, mask(n), self.0) }
        }
        #[inline(always)]
        unsafe fn fma(self, a: Self, b: Self) -> Self {
            Avx2(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        unsafe fn add(self, a: Self) -> Self {
            Avx2(unsafe { _mm256_add_ps(self.0, a.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, a: Self) -> Self {
            Avx2(unsafe { _mm256_sub_ps(self.0, a.0) })
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            unsafe {
                let half = _mm_add_ps(
                    _mm256_castps256_ps128(self.0),
                    _mm256_extractf128_ps::<1>(self.0),
                );
                let two = _mm_add_ps(half, _mm_movehl_ps(half, half));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
            }
        }
        #[inline(always)]
        unsafe fn interleave(self, a: Self) -> (Self, Self) {
            unsafe {
                let (low, high) = (
                    _mm256_unpacklo_ps(self.0, a.0),
                    _mm256_unpackhi_ps(self.0, a.0),
                );
                (
                    Avx2(_mm256_permute2f128_ps::<0x20>(low, high)),
                    Avx2(_mm256_permute2f128_ps::<0x31>(low, high)),
                )
            }
        }
        #[inline(always)]
        unsafe fn deinterleave(self, a: Self) -> (Self, Self) {
            unsafe {
                let low = _mm256_permute2f128_ps::<0x20>(self.0, a.0);
                let high = _mm256_permute2f128_ps::<0x31>(self.0, a.0);
                (
                    Avx2(_mm256_shuffle_ps::<0x88>(low, high)),
                    Avx2(_mm256_shuffle_ps::<0xDD>(low, high)),
                )
            }
        }
        #[inline(always)]
        unsafe fn prefetch(p: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
    }

    impl Lanes for Avx512 {
        const LEN: usize = 16;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            Avx512(unsafe { _mm512_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            Avx512(unsafe { _mm512_loadu_ps(p) })
        }
        #[inline(always)]
        unsafe fn load_first(p: *const f32, n: usize) -> Self {
            Avx512(unsafe { _mm512_maskz_loadu_ps(0xFFFF_u16.unbounded_shr(16 - n as u32), p) })
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            unsafe { _mm512_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        unsafe fn store_first(self, p: *mut f32, n: usize) {
            unsafe {
                _mm512_mask_storeu_ps(p, 0xFFFF_u16.unbounded_shr(16 - n as u32), self.0);
            }
        }
        #[inline(always)]
        unsafe fn fma(self, a: Self, b: Self) -> Self {
            Avx512(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        unsafe fn add(self, a: Self) -> Self {
            Avx512(unsafe { _mm512_add_ps(self.0, a.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, a: Self) -> Self {
            Avx512(unsafe { _mm512_sub_ps(self.0, a.0) })
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            unsafe { _mm512_reduce_add_ps(self.0) }
        }
        #[inline(always)]
        unsafe fn interleave(self, a: Self) -> (Self, Self) {
            unsafe {
                let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
                (
                    Avx512(_mm512_permutex2var_ps(self.0, low, a.0)),
                    Avx512(_mm512_permutex2var_ps(self.0, high, a.0)),
                )
            }
        }
        #[inline(always)]
        unsafe fn deinterleave(self, a: Self) -> (Self, Self) {
            unsafe {
                let even =
                    _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
                (
                    Avx512(_mm512_permutex2var_ps(self.0, even, a.0)),
                    Avx512(_mm512_permutex2var_ps(self.0, odd, a.0)),
                )
            }
        }
        #[inline(always)]
        unsafe fn prefetch(p: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// # Safety
    /// The processor has what `V` needs.
    #[inline(always)]
    unsafe fn check<V: Lanes>() {
        let (a, b): (Vec<f32>, Vec<f32>) =
            (0..V::LEN).map(|i| (i as f32, 100.0 + i as f32)).unzip();
        let turns: Vec<f32> = a.iter().zip(&b).flat_map(|(&a, &b)| [a, b]).collect();
        let mut out = vec![0.0; 2 * V::LEN];
        // SAFETY: every slice holds whole vectors; the processor is the caller's promise.
        unsafe {
            let (x, y) = (V::load(a.as_ptr()), V::load(b.as_ptr()));
            let (low, high) = x.interleave(y);
            low.store(out.as_mut_ptr());
            high.store(out.as_mut_ptr().add(V::LEN));
            assert_eq!(out, turns);
            let (x, y) = low.deinterleave(high);
            x.store(out.as_mut_ptr());
            y.store(out.as_mut_ptr().add(V::LEN));
            assert_eq!(out, [&a[..], &b].concat());
            y.sub(x).store(out.as_mut_ptr());
            assert_eq!(out[..V::LEN], vec![100.0; V::LEN]);
        }
    }

    #[test]
    fn lanes_are_put_in_turns_and_taken_apart() {
        // SAFETY: every processor can.
        unsafe { check::<Plain>() };
        #[cfg(target_arch = "x86_64")]
        {
            use crate::simd::{Level, level};
            #[target_feature(enable = "avx2,fma")]
            fn avx2() {
                // SAFETY: the processor has AVX2.
                unsafe { check::<x86::Avx2>() }
            }
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512() {
                // SAFETY: the processor has AVX-512.
                unsafe { check::<x86::Avx512>() }
            }
            if level() != Level::Base {
                // SAFETY: `level` returns only what the processor was found to support.
                unsafe { avx2() };
            }
            if level() == Level::Avx512 {
                // SAFETY: as above.
                unsafe { avx512() };
            }
        }
    }
}
