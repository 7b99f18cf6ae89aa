//! Blocks of error functions: with AVX-512 a coefficient of sixteen intervals is one register, which an instruction looks up for
//! sixteen lanes. The bits are those of [`math::erf_fused`].

use super::{block1, block2};
use crate::math;
use crate::plan::BlockFn;

/// `erf(a)`.
pub const ERF: BlockFn = erf;
/// `erf(a * b)`.
pub const ERF_OF_PRODUCT: BlockFn = erf_of_product;

/// `erfc(a)`.
pub const ERFC: BlockFn = erfc;
/// `erfc(a * b)`.
pub const ERFC_OF_PRODUCT: BlockFn = erfc_of_product;

/// `x Φ(x)`.
pub const GELU: BlockFn = gelu;
/// Its derivative.
pub const GELU_SLOPE: BlockFn = gelu_slope;
/// Its derivative, times another.
pub const GELU_SLOPE_TIMES: BlockFn = gelu_slope_times;

block1!(portable_erf, |x: f32| -> f32 {
    math::erf_fused::<FUSED>(x)
});
block2!(portable_erf_of_product, |a: f32, b: f32| -> f32 {
    math::erf_fused::<FUSED>(a * b)
});

block1!(portable_erfc, |x: f32| -> f32 {
    math::erfc_fused::<FUSED>(x)
});
block2!(portable_erfc_of_product, |a: f32, b: f32| -> f32 {
    math::erfc_fused::<FUSED>(a * b)
});

block1!(portable_gelu, |x: f32| -> f32 {
    math::gelu_fused::<FUSED>(x)
});
block1!(portable_gelu_slope, |x: f32| -> f32 {
    math::gelu_slope_fused::<FUSED>(x)
});
block2!(portable_gelu_slope_times, |x: f32, a: f32| -> f32 {
    math::gelu_slope_fused::<FUSED>(x) * a
});

or_avx512!(gelu, portable_gelu);
or_avx512!(gelu_slope, portable_gelu_slope);
or_avx512!(gelu_slope_times, portable_gelu_slope_times);
or_avx512!(erf, portable_erf);
or_avx512!(erf_of_product, portable_erf_of_product);
or_avx512!(erfc, portable_erfc);
or_avx512!(erfc_of_product, portable_erfc_of_product);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::math::{CENTRES, COMPLEMENT, COMPLEMENT_CENTRES, ERF, FARTHEST, FRAC_1_SQRT_PI};
    use crate::simd::avx512::block;
    pub use crate::simd::avx512::usable;
    use crate::simd::exponential::x86::exponential_less;
    use std::arch::x86_64::*;
    use std::f32::consts::FRAC_1_SQRT_2;

    /// As [`crate::math::erf_fused`], lane by lane.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn error_function(x: __m512) -> __m512 {
        // SAFETY: each table has sixteen floats.
        let table = |t: &[f32; 16]| unsafe { _mm512_loadu_ps(t.as_ptr()) };
        let a = _mm512_abs_ps(x);
        let quarters = _mm512_min_ps(_mm512_mul_ps(a, _mm512_set1_ps(4.0)), _mm512_set1_ps(15.0));
        // The second operand of a minimum with NaN is 15; what follows is NaN all the same.
        let i = _mm512_cvttps_epi32(quarters);
        let of = |t: &[f32; 16]| _mm512_permutexvar_ps(i, table(t));
        let t = _mm512_sub_ps(a, of(&CENTRES));
        let mut y = of(&ERF[6]);
        for k in (1..6).rev() {
            y = _mm512_fmadd_ps(y, t, of(&ERF[k]));
        }
        let near = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, _mm512_set1_ps(0.25));
        let first = _mm512_mask_blend_ps(near, of(&ERF[0]), t);
        let y = _mm512_fmadd_ps(y, t, first);
        let far = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, _mm512_set1_ps(4.0));
        let y = _mm512_mask_blend_ps(far, y, _mm512_set1_ps(1.0));
        let sign = _mm512_and_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(i32::MIN));
        let y = _mm512_andnot_epi32(_mm512_set1_epi32(i32::MIN), _mm512_castps_si512(y));
        _mm512_castsi512_ps(_mm512_or_epi32(y, sign))
    }

    /// `e^(−c²)` and `e^(c²) erfc c`, of which erfc is made, with c the size of x up to [`FARTHEST`], and c.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn decay_and_rest(x: __m512) -> (__m512, __m512, __m512) {
        // SAFETY: each table has sixteen floats.
        let table = |t: &[f32; 16]| unsafe { _mm512_loadu_ps(t.as_ptr()) };
        // The second operand is the result where one is NaN.
        let c = _mm512_min_ps(_mm512_set1_ps(FARTHEST), _mm512_abs_ps(x));
        let bits = _mm512_castps_si512(_mm512_add_ps(_mm512_set1_ps(1.0), c));
        let i = _mm512_srli_epi32::<21>(bits);
        let of = |t: &[f32; 16]| _mm512_permutexvar_ps(i, table(t));
        let t = _mm512_sub_ps(c, of(&COMPLEMENT_CENTRES));
        let mut y = of(&COMPLEMENT[6]);
        for k in (0..6).rev() {
            y = _mm512_fmadd_ps(y, t, of(&COMPLEMENT[k]));
        }
        let s = _mm512_mul_ps(c, c);
        let rest = _mm512_fmsub_ps(c, c, s);
        let minus = _mm512_sub_ps(_mm512_setzero_ps(), s);
        (exponential_less(minus, rest), y, c)
    }

    /// As [`crate::math::erfc_fused`], lane by lane.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn complement(x: __m512) -> __m512 {
        let (decay, rest, _) = decay_and_rest(x);
        let tail = _mm512_mul_ps(decay, rest);
        let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_setzero_ps());
        _mm512_mask_sub_ps(tail, below, _mm512_set1_ps(2.0), tail)
    }

    /// As [`crate::math::gelu_fused`], lane by lane.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn gated(x: __m512) -> __m512 {
        let scaled = _mm512_mul_ps(x, _mm512_set1_ps(-FRAC_1_SQRT_2));
        _mm512_mul_ps(complement(scaled), _mm512_mul_ps(x, _mm512_set1_ps(0.5)))
    }

    /// As [`crate::math::gelu_slope_fused`], lane by lane.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn slope(x: __m512) -> __m512 {
        let (decay, rest, c) = decay_and_rest(_mm512_mul_ps(x, _mm512_set1_ps(-FRAC_1_SQRT_2)));
        let half = _mm512_mul_ps(_mm512_set1_ps(0.5), rest);
        let side = _mm512_fmadd_ps(c, _mm512_set1_ps(-FRAC_1_SQRT_PI), half);
        let side = _mm512_mul_ps(decay, side);
        let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, _mm512_setzero_ps());
        let slope = _mm512_mask_sub_ps(side, above, _mm512_set1_ps(1.0), side);
        _mm512_add_ps(slope, _mm512_mul_ps(x, _mm512_setzero_ps()))
    }

    block!(gelu, |a, _b| gated(a));
    block!(gelu_slope, |a, _b| slope(a));
    block!(gelu_slope_times, |a, b| _mm512_mul_ps(slope(a), b));
    block!(erfc, |a, _b| complement(a));
    block!(erfc_of_product, |a, b| complement(_mm512_mul_ps(a, b)));
    block!(erf, |a, _b| error_function(a));
    block!(erf_of_product, |a, b| error_function(_mm512_mul_ps(a, b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &[u32], b: &[u32]) -> bool {
        let nan = |w: u32| f32::from_bits(w).is_nan();
        a.iter().zip(b).all(|(&a, &b)| a == b || nan(a) && nan(b))
    }

    #[test]
    fn blocks_have_the_bits_of_the_portable_function() {
        let special = [
            f32::NAN,
            f32::INFINITY,
            -f32::INFINITY,
            0.0,
            -0.0,
            1e-38,
            4.0,
            -3.999_999_8,
        ];
        let between = (0..26_001).map(|i| -13.0 + i as f32 * 1e-3);
        let x: Vec<u32> = special
            .into_iter()
            .chain(between)
            .map(f32::to_bits)
            .collect();
        let half = [0.5f32.to_bits()];
        let run = |fast: BlockFn, portable: BlockFn, args: &[&[u32]]| {
            let (mut a, mut b) = (vec![0; x.len()], vec![0; x.len()]);
            fast(&mut a, args);
            portable(&mut b, args);
            assert!(same(&a, &b));
            a.truncate(special.len());
            a.into_iter().map(f32::from_bits).collect::<Vec<f32>>()
        };
        let erf = run(ERF, portable_erf, &[&x]);
        assert!(erf[0].is_nan() && erf[1..5] == [1.0, -1.0, 0.0, -0.0]);
        assert!(erf[4].is_sign_negative());
        let erfc = run(ERFC, portable_erfc, &[&x]);
        assert!(erfc[0].is_nan() && erfc[1] < 1e-38 && erfc[2..5] == [2.0, 1.0, 1.0]);
        let gelu = run(GELU, portable_gelu, &[&x]);
        assert!(gelu[0].is_nan() && gelu[1] == f32::INFINITY && gelu[2].is_nan());
        assert_eq!(gelu[3..5], [0.0, -0.0]);
        let slope = run(GELU_SLOPE, portable_gelu_slope, &[&x]);
        assert!(slope[..3].iter().all(|s| s.is_nan()) && slope[3..5] == [0.5, 0.5]);
        run(GELU_SLOPE_TIMES, portable_gelu_slope_times, &[&x, &half]);
        run(ERF_OF_PRODUCT, portable_erf_of_product, &[&x, &half]);
        run(ERFC_OF_PRODUCT, portable_erfc_of_product, &[&x, &half]);
    }
}
