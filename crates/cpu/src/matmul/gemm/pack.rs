//! Copies a block of a matrix into the order in which tiles read it: panels of some rows (or columns), step by step of
//! the sum. Knows no threads and no blocking.

use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::scratch::with_scratch;
use std::ops::Range;

/// Floats that may be written behind a panel, into what is packed later or into slack.
pub(crate) const SLACK: usize = 16;

/// A block to pack: element `(p, l)`, `p` across the panel and `l` along the sum, at `at + p * across + l * along`.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) data: Floats<'a>,
    pub(crate) at: usize,
    pub(crate) across: usize,
    pub(crate) along: usize,
}

impl<'a> Block<'a> {
    /// The block without its first `p` places across and `l` along.
    pub(crate) fn from(self, p: usize, l: usize) -> Block<'a> {
        Block {
            at: self.at + p * self.across + l * self.along,
            ..self
        }
    }

    /// The same in other elements.
    fn single(self, data: &[f32]) -> Single<'_> {
        Single {
            data,
            at: self.at,
            across: self.across,
            along: self.along,
        }
    }
}

/// A block of f32.
#[derive(Clone, Copy)]
struct Single<'a> {
    data: &'a [f32],
    at: usize,
    across: usize,
    along: usize,
}

/// `out[l * stride + p] = block(p, l)` for `p < width` and `l < k`, zeros for `p` from `width` to `stride`. `out` has
/// [`SLACK`] floats more than `k * stride`; they may be overwritten where `stride` is no whole number of vectors.
pub(crate) fn pack(block: Block<'_>, width: usize, k: usize, stride: usize, out: &mut [f32]) {
    if width == 0 || k == 0 {
        return;
    }
    let last = block.at + (width - 1) * block.across + (k - 1) * block.along;
    assert!(width <= stride && last < block.data.len() && k * stride + SLACK <= out.len());
    match block.data.single() {
        Some(data) => pack_single(block.single(data), width, k, stride, out),
        None => widen(block, width, k, stride, out),
    }
}

fn pack_single(block: Single<'_>, width: usize, k: usize, stride: usize, out: &mut [f32]) {
    if block.across == 1 {
        copy(block, width, k, stride, out);
    } else if block.along == 1 {
        transpose(block, width, k, stride, out);
    } else {
        gather(block, width, 0..k, stride, out);
    }
}

/// [`pack`] of elements that are not f32.
fn widen(block: Block<'_>, width: usize, k: usize, stride: usize, out: &mut [f32]) {
    /// Steps that are widened before they are transposed.
    const STEPS: usize = 64;
    let Block { data, across, .. } = block;
    if across == 1 {
        let from = (block.at, block.along);
        return data.lines(from, &mut out[..k * stride], (stride, width));
    }
    if block.along == 1 {
        return with_scratch(width * STEPS, |lines| {
            for l in (0..k).step_by(STEPS) {
                let steps = (k - l).min(STEPS);
                let lines = &mut lines[..width * steps];
                data.lines((block.at + l, across), lines, (steps, steps));
                let wide = Single {
                    data: lines,
                    at: 0,
                    across: steps,
                    along: 1,
                };
                transpose(wide, width, steps, stride, &mut out[l * stride..]);
            }
        });
    }
    for (l, out) in out[..k * stride].chunks_exact_mut(stride).enumerate() {
        let at = block.at + l * block.along;
        for (p, out) in out[..width].iter_mut().enumerate() {
            *out = data.get(at + p * across);
        }
        out[width..].fill(0.0);
    }
}

/// Where the elements of a step lie one after the other.
fn copy(block: Single<'_>, width: usize, k: usize, stride: usize, out: &mut [f32]) {
    // Copies of known length are a few vector instructions.
    match (width, stride) {
        (32, 32) => copy_exact::<32>(block, k, 32, out),
        (16, 16) => copy_exact::<16>(block, k, 16, out),
        // What is written beyond a step is written again by the next, so the last one is exact.
        (9..=16, _) if width == stride => {
            let safe = wide_steps(block, 16).min(k - 1);
            copy_exact::<16>(block, safe, stride, out);
            copy_any(block, width, safe..k, stride, out);
        }
        (4..=8, _) if width == stride => {
            let safe = wide_steps(block, 8).min(k - 1);
            copy_exact::<8>(block, safe, stride, out);
            copy_any(block, width, safe..k, stride, out);
        }
        _ => copy_any(block, width, 0..k, stride, out),
    }
}

/// For how many steps `n` floats lie in the data.
fn wide_steps(block: Single<'_>, n: usize) -> usize {
    match block.data.len().checked_sub(block.at + n) {
        Some(room) => (room / block.along.max(1)).saturating_add(1),
        None => 0,
    }
}

fn copy_exact<const N: usize>(block: Single<'_>, k: usize, stride: usize, out: &mut [f32]) {
    for l in 0..k {
        out[l * stride..][..N].copy_from_slice(&block.data[block.at + l * block.along..][..N]);
    }
}

fn copy_any(block: Single<'_>, width: usize, steps: Range<usize>, stride: usize, out: &mut [f32]) {
    for l in steps {
        let out = &mut out[l * stride..][..stride];
        out[..width].copy_from_slice(&block.data[block.at + l * block.along..][..width]);
        out[width..].fill(0.0);
    }
}

fn gather(block: Single<'_>, width: usize, steps: Range<usize>, stride: usize, out: &mut [f32]) {
    for l in steps {
        let out = &mut out[l * stride..(l + 1) * stride];
        let at = block.at + l * block.along;
        for (p, out) in out[..width].iter_mut().enumerate() {
            *out = block.data[at + p * block.across];
        }
        out[width..].fill(0.0);
    }
}

/// Where the elements of a row of the panel lie one after the other.
fn transpose(block: Single<'_>, width: usize, k: usize, stride: usize, out: &mut [f32]) {
    let whole = k / 8 * 8;
    #[cfg(target_arch = "x86_64")]
    if crate::simd::level() != crate::simd::Level::Base {
        // SAFETY: the processor has AVX2; `pack` has checked the bounds.
        unsafe { x86::transpose(block, width, whole, stride, out) };
        return gather(block, width, whole..k, stride, out);
    }
    for l in (0..whole).step_by(8) {
        for p in 0..width {
            let from = &block.data[block.at + p * block.across + l..][..8];
            for (i, &x) in from.iter().enumerate() {
                out[(l + i) * stride + p] = x;
            }
        }
        for i in l..l + 8 {
            out[i * stride + width..(i + 1) * stride].fill(0.0);
        }
    }
    gather(block, width, whole..k, stride, out);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Single;
    use std::arch::x86_64::*;

    /// Squares of eight by eight. What a row of `out` lacks to a multiple of eight is written too, beyond the row:
    /// squares come in an order in which the right values come last.
    #[target_feature(enable = "avx2")]
    pub(crate) unsafe fn transpose(
        block: Single<'_>,
        width: usize,
        k: usize,
        stride: usize,
        out: &mut [f32],
    ) {
        let squares = stride.div_ceil(8);
        let (from, to) = (block.data.as_ptr(), out.as_mut_ptr());
        for l in (0..k).step_by(8) {
            for p in (0..squares).rev() {
                let rows = width.saturating_sub(p * 8).min(8);
                // SAFETY: rows below `width` and steps below `k` lie in the block; the furthest float written is
                // before `(k - 1) * stride + squares * 8 <= k * stride + 7`.
                unsafe {
                    let from = from.add(block.at + p * 8 * block.across + l);
                    square(from, block.across, rows, to.add(l * stride + p * 8), stride);
                }
            }
        }
    }

    /// `to[l * stride + r] = from[r * across + l]` for `r` and `l` below 8, zero for `r >= rows`.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn square(from: *const f32, across: usize, rows: usize, to: *mut f32, stride: usize) {
        // SAFETY: the caller's.
        unsafe {
            // Rows r and r + 4 side by side, for four columns at a time.
            let half = |r: usize, c: usize| {
                if r < rows {
                    _mm_loadu_ps(from.add(r * across + c))
                } else {
                    _mm_setzero_ps()
                }
            };
            for c in [0, 4] {
                let pair = |r: usize| _mm256_set_m128(half(r + 4, c), half(r, c));
                let (a, b, d, e) = (pair(0), pair(1), pair(2), pair(3));
                let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (de_low, de_high) = (_mm256_unpacklo_ps(d, e), _mm256_unpackhi_ps(d, e));
                let to = to.add(c * stride);
                _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(ab_low, de_low));
                _mm256_storeu_ps(to.add(stride), _mm256_shuffle_ps::<0xEE>(ab_low, de_low));
                _mm256_storeu_ps(
                    to.add(2 * stride),
                    _mm256_shuffle_ps::<0x44>(ab_high, de_high),
                );
                _mm256_storeu_ps(
                    to.add(3 * stride),
                    _mm256_shuffle_ps::<0xEE>(ab_high, de_high),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::held;

    #[test]
    fn every_order_of_elements_is_packed() {
        let data: Vec<f32> = (0..4000).map(|i| i as f32).collect();
        for width in 1..=33usize {
            for k in [1, 7, 8, 9, 16, 29] {
                for stride in [width, width.next_multiple_of(16)] {
                    for (across, along) in
                        [(1, 40), (31, 1), (3, 100), (1, 1), (0, 1), (1, 0), (2, 0)]
                    {
                        let used = 3 + (width - 1) * across + (k - 1) * along + 1;
                        // As little room behind the elements as there may be.
                        let data = held(&data[..used]);
                        let block = Block {
                            data: Floats::Single(bytemuck::cast_slice(data.bytes())),
                            at: 3,
                            across,
                            along,
                        };
                        let mut out = held(&vec![-1.0; k * stride + SLACK]);
                        let out = out.slice_mut();
                        pack(block, width, k, stride, out);
                        if across == 1 || stride % 16 == 0 {
                            let behind = &out[k * stride..];
                            assert!(behind.iter().all(|&x| x == -1.0), "{width} {k} {stride}");
                        }
                        for l in 0..k {
                            for p in 0..stride {
                                let want = if p < width {
                                    (3 + p * across + l * along) as f32
                                } else {
                                    0.0
                                };
                                assert_eq!(
                                    out[l * stride + p],
                                    want,
                                    "{width} {k} {stride} {across} {along}: {l} {p}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
