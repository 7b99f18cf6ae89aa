//! What stands between the products of an attention: weights from scores, and the gradients of scores, on blocks in the caches.
//! Knows no operands.

use crate::math;
use crate::simd::simd_fn;

/// Terms that are added one after the other.
const CHAIN: usize = 16;

/// The rows that scores belong to, one lane for each.
pub(super) struct Running<'a> {
    /// Greatest score so far.
    pub(super) most: &'a mut [f32],
    /// Sum of the exponentials of this block.
    pub(super) sum: &'a mut [f32],
    /// What earlier sums and results are multiplied by.
    pub(super) factor: &'a mut [f32],
}

/// Turns the scores of a block, one line for each key with a lane for each query, into exponentials below the greatest score.
pub(super) fn forward(scores: &mut [f32], running: &mut Running<'_>) {
    let width = running.most.len();
    assert!(running.sum.len() == width && running.factor.len() == width);
    assert!(width > 0 && scores.len().is_multiple_of(width));
    #[cfg(target_arch = "x86_64")]
    if width.is_multiple_of(16) && crate::simd::exponential::x86::usable() {
        // SAFETY: the processor has AVX-512.
        return unsafe { x86::forward(scores, running) };
    }
    greatest(scores, running.most, running.factor);
    exponentials(scores, running.most, running.sum);
}

/// What is subtracted from scores: 0 where all are −∞, so that their exponentials are 0 and not NaN.
#[inline(always)]
fn below(most: f32) -> f32 {
    if most == f32::NEG_INFINITY { 0.0 } else { most }
}

simd_fn! {
    fn greatest(scores: &[f32], most: &mut [f32], factor: &mut [f32]) {
        factor.copy_from_slice(most);
        for line in scores.chunks_exact(most.len()) {
            for (most, &score) in most.iter_mut().zip(line) {
                *most = if score > *most { score } else { *most };
            }
        }
        for (factor, &most) in factor.iter_mut().zip(&*most) {
            *factor = math::exp_fused::<FUSED>(*factor - below(most));
        }
    }
}

simd_fn! {
    fn exponentials(scores: &mut [f32], most: &[f32], sum: &mut [f32]) {
        sum.fill(0.0);
        let width = most.len();
        for lines in scores.chunks_mut(CHAIN * width) {
            for i in 0..width {
                let mut part = 0.0;
                let most = below(most[i]);
                for score in lines.iter_mut().skip(i).step_by(width) {
                    *score = math::exp_fused::<FUSED>(*score - most);
                    part += *score;
                }
                sum[i] += part;
            }
        }
    }
}

/// What the backward pass knows of a row.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// The greatest score; ∞ where nothing was seen.
    pub(super) most: f32,
    /// Logarithm of the sum of exponentials.
    pub(super) below: f32,
    /// The upstream gradient by the output.
    pub(super) delta: f32,
}

/// The scores of a row become its weights, and the products of upstream gradient and values, if they are needed, the gradients of
/// its scores.
pub(super) fn backward(scores: &mut [f32], products: Option<&mut [f32]>, row: Row) {
    match products {
        None => weights(scores, row.most, row.below),
        Some(products) => {
            assert_eq!(scores.len(), products.len());
            #[cfg(target_arch = "x86_64")]
            if crate::simd::exponential::x86::usable() {
                // SAFETY: the processor has AVX-512.
                return unsafe { x86::backward(scores, products, row) };
            }
            weights(scores, row.most, row.below);
            slopes(scores, products, row.delta);
        }
    }
}

simd_fn! {
    fn weights(scores: &mut [f32], most: f32, below: f32) {
        for score in scores {
            *score = math::exp_fused::<FUSED>(*score - most - below);
        }
    }
}

simd_fn! {
    fn slopes(weights: &[f32], products: &mut [f32], delta: f32) {
        for (product, &p) in products.iter_mut().zip(weights) {
            *product = p * (*product - delta);
        }
    }
}

simd_fn! {
    /// `line *= factor`.
    pub(super) fn scale(line: &mut [f32], factor: f32) {
        for x in line {
            *x *= factor;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAIN, Row, Running};
    use crate::simd::exponential::x86::exponential;
    use std::arch::x86_64::*;

    const N: usize = 16;

    /// As [`super::forward`], for whole vectors of queries.
    #[target_feature(enable = "avx512f")]
    pub(super) fn forward(scores: &mut [f32], running: &mut Running<'_>) {
        let width = running.most.len();
        let lines = scores.len() / width;
        let none = _mm512_set1_ps(f32::NEG_INFINITY);
        for c in (0..width).step_by(N) {
            // SAFETY: vector `c` of every line lies in the block, and in each of the rows' lanes.
            unsafe {
                let at = |j: usize| scores.as_ptr().wrapping_add(j * width + c);
                let before = _mm512_loadu_ps(running.most.as_ptr().add(c));
                // The second operand is the result where one is NaN: NaN is skipped, and found in the exponentials.
                let mut chains = [before, none, none, none];
                for j in (0..lines / 4 * 4).step_by(4) {
                    for (i, chain) in chains.iter_mut().enumerate() {
                        *chain = _mm512_max_ps(_mm512_loadu_ps(at(j + i)), *chain);
                    }
                }
                for j in lines / 4 * 4..lines {
                    chains[0] = _mm512_max_ps(_mm512_loadu_ps(at(j)), chains[0]);
                }
                let [a, b, c_, d] = chains;
                let most = _mm512_max_ps(_mm512_max_ps(a, b), _mm512_max_ps(c_, d));
                let nothing = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(most, none);
                let below = _mm512_mask_mov_ps(most, nothing, _mm512_setzero_ps());
                _mm512_storeu_ps(running.most.as_mut_ptr().add(c), most);
                let factor = exponential(_mm512_sub_ps(before, below));
                _mm512_storeu_ps(running.factor.as_mut_ptr().add(c), factor);
                let mut sum = _mm512_setzero_ps();
                let to = scores.as_mut_ptr();
                for first in (0..lines).step_by(CHAIN) {
                    let mut part = _mm512_setzero_ps();
                    for j in first..lines.min(first + CHAIN) {
                        let p = to.add(j * width + c);
                        let e = exponential(_mm512_sub_ps(_mm512_loadu_ps(p), below));
                        _mm512_storeu_ps(p, e);
                        part = _mm512_add_ps(part, e);
                    }
                    sum = _mm512_add_ps(sum, part);
                }
                _mm512_storeu_ps(running.sum.as_mut_ptr().add(c), sum);
            }
        }
    }

    /// As [`super::backward`].
    #[target_feature(enable = "avx512f")]
    pub(super) fn backward(scores: &mut [f32], products: &mut [f32], row: Row) {
        let [most, below, delta] = [row.most, row.below, row.delta].map(|x| _mm512_set1_ps(x));
        let len = scores.len();
        for at in (0..len).step_by(N) {
            let mask = if len - at >= N {
                !0
            } else {
                (1 << (len - at)) - 1
            };
            // SAFETY: the mask lets through what lies in both.
            unsafe {
                let (s, z) = (scores.as_mut_ptr().add(at), products.as_mut_ptr().add(at));
                let score = _mm512_maskz_loadu_ps(mask, s);
                let p = exponential(_mm512_sub_ps(_mm512_sub_ps(score, most), below));
                let slope = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, z), delta);
                _mm512_mask_storeu_ps(s, mask, p);
                _mm512_mask_storeu_ps(z, mask, _mm512_mul_ps(p, slope));
            }
        }
    }
}
