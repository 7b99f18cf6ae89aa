//! Blocks of functions that are written for AVX-512. Knows no function.

use super::{Level, level};
use std::arch::x86_64::*;

/// Floats in a vector.
pub(super) const N: usize = 16;

/// Whether the processor has it.
pub fn usable() -> bool {
    level() == Level::Avx512
}

/// The operands of a block, each with as many lanes as the block has or one that stands for all.
pub(super) struct Operand<'a> {
    lanes: &'a [u32],
    one: __m512,
}

impl<'a> Operand<'a> {
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn new(lanes: &'a [u32], len: usize) -> Operand<'a> {
        assert!(
            lanes.len() == 1 || lanes.len() >= len,
            "an operand is shorter than its block"
        );
        Operand {
            lanes,
            one: _mm512_set1_ps(lanes.first().map_or(0.0, |&w| f32::from_bits(w))),
        }
    }

    /// The lanes of `mask` from `at` on.
    ///
    /// # Safety
    /// The block has them.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) unsafe fn at(&self, at: usize, mask: __mmask16) -> __m512 {
        if self.lanes.len() == 1 {
            return self.one;
        }
        // SAFETY: the caller's, and an operand is as long as its block.
        unsafe { _mm512_maskz_loadu_ps(mask, self.lanes.as_ptr().add(at).cast()) }
    }
}

/// A block function of two operands, vector by vector.
macro_rules! block {
    ($name:ident, |$a:ident, $b:ident| $x:expr) => {
        #[target_feature(enable = "avx512f")]
        pub(super) fn $name(out: &mut [u32], a: &[u32], b: &[u32]) {
            use crate::simd::avx512::{N, Operand};
            let len = out.len();
            let (a, b) = (Operand::new(a, len), Operand::new(b, len));
            let mut one = |at: usize, mask: __mmask16| {
                // SAFETY: the mask lets through only lanes of the block.
                let ($a, $b) = unsafe { (a.at(at, mask), b.at(at, mask)) };
                // SAFETY: as above.
                unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr().add(at).cast(), mask, $x) };
            };
            for at in (0..len / N * N).step_by(N) {
                one(at, __mmask16::MAX);
            }
            if !len.is_multiple_of(N) {
                one(len / N * N, (1 << (len % N)) - 1);
            }
        }
    };
}

pub(super) use block;
