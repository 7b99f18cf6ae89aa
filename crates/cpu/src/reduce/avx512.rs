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

/// Joins chains pairwise: lane `i` with lane `i + 8`, then with `i + 4`, `i + 2` and `i + 1`.
#[target_feature(enable = "avx512f")]
#[inline]
fn joined([a, b, c, d]: [__m512; 4]) -> f32 {
    let sixteen = _mm512_add_ps(_mm512_add_ps(a, c), _mm512_add_ps(b, d));
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
    for (row, out) in lanes.chunks_exact(inner).zip(out) {
        *out = sum(row.len(), |at| load(row, at, 0.0));
    }
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
    joined([a, b, c, d])
}
