//! The processor's multiply-add peak: independent sums held in registers, on every thread. Must touch no memory.

#[cfg(target_arch = "x86_64")]
use crate::processor::simd;
use std::hint::black_box;

/// Multiply-adds that a call to [`rounds`] does for each round, counted as two operations.
const LANES: usize = 256;

/// Operations of `rounds` rounds.
pub fn operations(rounds: usize) -> f64 {
    2.0 * (LANES * rounds) as f64
}

/// Does the work on this thread.
pub fn rounds(n: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        match simd() {
            // SAFETY: the level says that the processor has these instructions.
            "AVX-512" => unsafe { black_box(avx512(n)) },
            // SAFETY: as above.
            "AVX2" => unsafe { black_box(avx2(n)) },
            _ => black_box(portable(n)),
        };
    }
    #[cfg(not(target_arch = "x86_64"))]
    black_box(portable(n));
}

/// 16 sums of 16 lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(n: usize) -> f32 {
    use std::arch::x86_64::{_mm512_add_ps, _mm512_fmadd_ps, _mm512_reduce_add_ps, _mm512_set1_ps};
    let (a, b) = (
        _mm512_set1_ps(black_box(0.999)),
        _mm512_set1_ps(black_box(0.001)),
    );
    let mut sums = [b; 16];
    for _ in 0..n {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, a, b);
        }
    }
    _mm512_reduce_add_ps(sums.into_iter().fold(b, |x, y| _mm512_add_ps(x, y)))
}

/// 8 sums of 8 lanes, four times over: as many operations as in the others, and as many sums as hide the latency.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(n: usize) -> f32 {
    use std::arch::x86_64::{_mm256_add_ps, _mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps};
    let (a, b) = (
        _mm256_set1_ps(black_box(0.999)),
        _mm256_set1_ps(black_box(0.001)),
    );
    let mut sums = [b; 8];
    for _ in 0..4 * n {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, a, b);
        }
    }
    _mm256_cvtss_f32(sums.into_iter().fold(b, |x, y| _mm256_add_ps(x, y)))
}

/// Sums that the compiler vectorises; fused only where the target has it without asking.
fn portable(n: usize) -> f32 {
    let (a, b) = (black_box(0.999f32), black_box(0.001f32));
    let mut sums = [b; 32];
    for _ in 0..LANES / 32 * n {
        for sum in &mut sums {
            *sum = if cfg!(target_arch = "aarch64") {
                sum.mul_add(a, b)
            } else {
                *sum * a + b
            };
        }
    }
    sums.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each sum tends to 1 = 0.001 / (1 − 0.999) from below, in all variants.
    #[test]
    fn the_variants_do_the_same_work() {
        let per_sum = portable(40) / 32.0;
        assert!((0.01..1.0).contains(&per_sum), "{per_sum}");
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: detected above.
            let sum = unsafe { avx512(40) } / 16.0 / 16.0;
            let expected = 1.0 - 0.999f32.powi(41);
            assert!((sum - expected).abs() < 1e-3, "{sum} {expected}");
        }
    }
}
