//! Blocks of exponentials, which softmaxes and sigmoids spend their time in: with AVX-512 one instruction scales by a
//! power of two where the portable function takes seven. The bits are those of [`math::exp_fused`].

use super::block2;
use crate::math;
use crate::plan::BlockFn;

/// `exp(a)`.
pub const EXP: BlockFn = exp;
/// `exp(a + b)`.
pub const EXP_OF_SUM: BlockFn = exp_of_sum;
/// `exp(a - b)`.
pub const EXP_OF_DIFFERENCE: BlockFn = exp_of_difference;

super::block1!(portable_exp, |x: f32| -> f32 {
    math::exp_fused::<FUSED>(x)
});
block2!(portable_exp_of_sum, |a: f32, b: f32| -> f32 {
    math::exp_fused::<FUSED>(a + b)
});
block2!(portable_exp_of_difference, |a: f32, b: f32| -> f32 {
    math::exp_fused::<FUSED>(a - b)
});

or_avx512!(exp, portable_exp);
or_avx512!(exp_of_sum, portable_exp_of_sum);
or_avx512!(exp_of_difference, portable_exp_of_difference);

/// With AVX-512.
#[cfg(target_arch = "x86_64")]
pub mod x86 {
    use crate::simd::avx512::block;
    pub use crate::simd::avx512::usable;
    use std::arch::x86_64::*;

    /// As [`crate::math::exp_fused`], lane by lane.
    ///
    /// # Safety
    /// The processor has it: see [`usable`].
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub fn exponential(x: __m512) -> __m512 {
        // The second operand is the result where one is NaN.
        let least = _mm512_set1_ps(-105.0);
        let c = _mm512_max_ps(least, _mm512_min_ps(_mm512_set1_ps(90.0), x));
        exponential_less(c, _mm512_setzero_ps())
    }

    /// `e^(x − d)` for x from −105 to 90 and tiny `d`.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(in crate::simd) fn exponential_less(c: __m512, d: __m512) -> __m512 {
        use crate::math::{EXPM1, LN2_HI, LN2_LO, MAGIC};
        use std::f32::consts::LOG2_E;
        let all = |c: f32| _mm512_set1_ps(c);
        let n = _mm512_sub_ps(_mm512_fmadd_ps(c, all(LOG2_E), all(MAGIC)), all(MAGIC));
        let r = _mm512_fnmadd_ps(n, all(LN2_HI), c);
        let r = _mm512_sub_ps(_mm512_fnmadd_ps(n, all(LN2_LO), r), d);
        let mut p = all(EXPM1[EXPM1.len() - 1]);
        for &c in EXPM1[..EXPM1.len() - 1].iter().rev() {
            p = _mm512_fmadd_ps(p, r, all(c));
        }
        let near = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r);
        _mm512_scalef_ps(_mm512_add_ps(all(1.0), near), n)
    }

    block!(exp, |a, _b| exponential(a));
    block!(exp_of_sum, |a, b| exponential(_mm512_add_ps(a, b)));
    block!(exp_of_difference, |a, b| exponential(_mm512_sub_ps(a, b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_bits_of_the_portable_function() {
        let special = [
            f32::NAN,
            f32::INFINITY,
            -f32::INFINITY,
            0.0,
            -0.0,
            88.8,
            -104.0,
            1e-30,
        ];
        let sweep = (0..4000).map(|i| i as f32 * 0.061 - 122.0);
        let x: Vec<u32> = special.into_iter().chain(sweep).map(f32::to_bits).collect();
        let y: Vec<u32> = x.iter().rev().map(|&w| w ^ 0x0040_0000).collect();
        for n in [1, 2, 15, 16, 17, 64, x.len()] {
            for (fast, portable, args) in [
                (EXP, portable_exp as BlockFn, vec![&x[..n]]),
                (EXP_OF_SUM, portable_exp_of_sum, vec![&x[..n], &y[..n]]),
                (EXP_OF_SUM, portable_exp_of_sum, vec![&x[..n], &y[7..8]]),
                (
                    EXP_OF_DIFFERENCE,
                    portable_exp_of_difference,
                    vec![&x[..n], &y[..n]],
                ),
                (
                    EXP_OF_DIFFERENCE,
                    portable_exp_of_difference,
                    vec![&x[3..4], &y[..n]],
                ),
            ] {
                let (mut a, mut b) = (vec![7; n], vec![8; n]);
                fast(&mut a, &args);
                portable(&mut b, &args);
                let same = |(&a, &b): (&u32, &u32)| {
                    a == b || (f32::from_bits(a).is_nan() && f32::from_bits(b).is_nan())
                };
                assert!(a.iter().zip(&b).all(same), "{n}");
            }
        }
    }
}
