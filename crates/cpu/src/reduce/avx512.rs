//! Rows of f32 by AVX-512: what sums and softmaxes of rows have in common. Knows no program.

use std::arch::x86_64::*;

/// Floats in a vector.
pub(crate) const N: usize = 16;

/// The lanes that are left.
#[inline(always)]
pub(crate) fn mask(left: usize) -> __mmask16 {
    if left >= N {
        __mmask16::MAX
    } else {
        (1 << left) - 1
    }
}

/// A vector from `at` on, with `beyond` behind the end.
#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn load(from: &[f32], at: usize, beyond: f32) -> __m512 {
    assert!(at < from.len());
    if at + N <= from.len() {
        // SAFETY: a whole vector lies in the slice.
        return unsafe { _mm512_loadu_ps(from.as_ptr().add(at)) };
    }
    let mask = mask(from.len() - at);
    // SAFETY: the mask lets through what lies in the slice.
    unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(beyond), mask, from.as_ptr().add(at)) }
}

/// Joins lanes pairwise: lane `i` with lane `i + 8`, then with `i + 4`, `i + 2` and `i + 1`.
#[target_feature(enable = "avx512f")]
#[inline]
fn joined(sixteen: __m512) -> f32 {
    let sixteen = _mm512_castps_pd(sixteen);
    let low = _mm256_castpd_ps(_mm512_castpd512_pd256(sixteen));
    let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(sixteen));
    let eight = _mm256_add_ps(low, high);
    let four = _mm_add_ps(
        _mm256_castps256_ps128(eight),
        _mm256_extractf128_ps::<1>(eight),
    );
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    let one = _mm_add_ss(two, _mm_shuffle_ps::<1>(two, two));
    _mm_cvtss_f32(one)
}

/// The sum of each row of `inner` lanes, more than 16: by 64 chains, joined in pairs, as [`super::combine`]'s `sum`.
#[target_feature(enable = "avx512f")]
pub(crate) fn sum_rows(lanes: &[f32], inner: usize, out: &mut [f32]) {
    let (groups, rest) = out.as_chunks_mut::<N>();
    let (first, last) = lanes.split_at(groups.len() * N * inner);
    // Of a row, what no 64 lanes take; chains that get nothing add zero.
    let tail = inner % (4 * N);
    let masks = [0, 1, 2, 3].map(|k| mask(tail.saturating_sub(k * N)));
    for (rows, out) in first.chunks_exact(N * inner).zip(groups) {
        let mut sums = [_mm512_setzero_ps(); N];
        for (row, sum) in rows.chunks_exact(inner).zip(&mut sums) {
            let [mut a, mut b, mut c, mut d] = [_mm512_setzero_ps(); 4];
            let (whole, tail) = row.as_chunks::<{ 4 * N }>();
            // SAFETY: four vectors lie in a group, and the masks let through what lies in the tail.
            unsafe {
                for group in whole {
                    let at = |k: usize| _mm512_loadu_ps(group.as_ptr().add(k * N));
                    (a, b) = (_mm512_add_ps(a, at(0)), _mm512_add_ps(b, at(1)));
                    (c, d) = (_mm512_add_ps(c, at(2)), _mm512_add_ps(d, at(3)));
                }
                if !tail.is_empty() {
                    let at = |k: usize| {
                        let from = tail.as_ptr().wrapping_add(k * N);
                        _mm512_maskz_loadu_ps(masks[k], from)
                    };
                    (a, b) = (_mm512_add_ps(a, at(0)), _mm512_add_ps(b, at(1)));
                    (c, d) = (_mm512_add_ps(c, at(2)), _mm512_add_ps(d, at(3)));
                }
            }
            *sum = _mm512_add_ps(_mm512_add_ps(a, c), _mm512_add_ps(b, d));
        }
        // SAFETY: sixteen floats.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), together(sums)) };
    }
    for (row, out) in last.chunks_exact(inner).zip(rest) {
        *out = sum(row.len(), |at| load(row, at, 0.0));
    }
}

/// The sums of sixteen vectors, each joined as by [`joined`]: two by two, so that a vector has the halves, then the quarters, of
/// more and more of them.
#[target_feature(enable = "avx512f")]
#[inline]
fn together(mut of: [__m512; N]) -> __m512 {
    // Lanes `i` and `i + 8` of two vectors, then `i + 4` of two such: quarters stay together, so a shuffle of quarters pairs them.
    for i in 0..8 {
        let (a, b) = (of[i], of[i + 8]);
        let low = _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b);
        let high = _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b);
        of[i] = _mm512_add_ps(low, high);
    }
    for i in 0..4 {
        let (a, b) = (of[i], of[i + 4]);
        let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
        let odd = _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b);
        of[i] = _mm512_add_ps(even, odd);
    }
    // A quarter is now of one vector; within quarters, lanes `i` and `i + 2` of two, then `i + 1`.
    for i in 0..2 {
        let (a, b) = (of[i], of[i + 2]);
        let low = _mm512_shuffle_ps::<0b01_00_01_00>(a, b);
        let high = _mm512_shuffle_ps::<0b11_10_11_10>(a, b);
        of[i] = _mm512_add_ps(low, high);
    }
    let even = _mm512_shuffle_ps::<0b10_00_10_00>(of[0], of[1]);
    let odd = _mm512_shuffle_ps::<0b11_01_11_01>(of[0], of[1]);
    let sums = _mm512_add_ps(even, odd);
    // Quarters are of vectors 0, 8, 4 and 12 on, each of those on it as 0, 2, 1 and 3.
    let order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
    _mm512_permutexvar_ps(order, sums)
}

/// The sum of all lanes, more than 16, as a row of [`sum_rows`].
#[target_feature(enable = "avx512f")]
pub(crate) fn line(lanes: &[f32]) -> f32 {
    sum(lanes.len(), |at| load(lanes, at, 0.0))
}

/// The sum of vectors that `value` gives for every sixteenth place below `len`, zero beyond it: by 64 chains, joined in pairs.
#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn sum(len: usize, mut value: impl FnMut(usize) -> __m512) -> f32 {
    // Chains by name stay in registers.
    let [mut a, mut b, mut c, mut d] = [_mm512_setzero_ps(); 4];
    let whole = len / (4 * N) * (4 * N);
    for at in (0..whole).step_by(4 * N) {
        a = _mm512_add_ps(a, value(at));
        b = _mm512_add_ps(b, value(at + N));
        c = _mm512_add_ps(c, value(at + 2 * N));
        d = _mm512_add_ps(d, value(at + 3 * N));
    }
    for (k, at) in (whole..len).step_by(N).enumerate() {
        let x = value(at);
        match k {
            0 => a = _mm512_add_ps(a, x),
            1 => b = _mm512_add_ps(b, x),
            2 => c = _mm512_add_ps(c, x),
            _ => d = _mm512_add_ps(d, x),
        }
    }
    joined(_mm512_add_ps(_mm512_add_ps(a, c), _mm512_add_ps(b, d)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, level};
    use crate::tests::Rng;

    #[test]
    fn sums_of_many_rows_have_the_bits_of_single_ones() {
        if level() != Level::Avx512 {
            println!("skipped: this processor has no AVX-512");
            return;
        }
        for inner in [17, 31, 32, 33, 56, 64, 65, 130] {
            for rows in [1, 15, 16, 17, 50] {
                let lanes = Rng(inner as u64).floats(rows * inner);
                let mut sums = vec![f32::NAN; rows];
                // SAFETY: the processor has AVX-512.
                unsafe { sum_rows(&lanes, inner, &mut sums) };
                for (row, got) in lanes.chunks_exact(inner).zip(sums) {
                    // SAFETY: as above.
                    assert_eq!(got.to_bits(), unsafe { line(row) }.to_bits(), "{inner}");
                }
            }
        }
    }
}
