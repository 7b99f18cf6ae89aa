//! The weight gradient of convolutions with three by three taps and few input channels: a sum over the positions of a plane
//! for each tap, positions side by side in vectors, no unfolded input and no product of matrices. Knows no other sum.

use crate::conv::chains::{CHAIN, LANES, add_up, blocks};
use crate::conv::unfold::Unfold;
use crate::lanes::{Lanes, best, read};
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::Conv;
use std::ops::Range;

const TAPS: usize = 9;

/// Output planes summed at once, where there are registers for them.
const TOGETHER: usize = 3;

/// A weight gradient that is computed so.
pub(crate) struct FewWeight<'c> {
    conv: &'c Conv,
    shape: Unfold,
    /// Width of a padded line, with what the last vector reads beyond it.
    width: usize,
}

impl<'c> FewWeight<'c> {
    /// The plan for `conv`, which [`choice`](super::choice) lets through.
    pub(crate) fn new(conv: &'c Conv, shape: &Unfold) -> Self {
        FewWeight {
            conv,
            shape: *shape,
            width: shape.output[2] + 2,
        }
    }

    /// The sum over some images, as the weight lies.
    pub(crate) fn part(
        &self,
        (x, y): (Floats<'_>, Floats<'_>),
        images: Range<usize>,
        out: &mut [f32],
    ) {
        let (groups, from, to) = (
            self.conv.groups,
            self.conv.in_channels,
            self.conv.out_channels,
        );
        let [_, lines, columns] = self.shape.output;
        let (plane, positions) = (self.shape.plane(), self.shape.positions());
        let padded = ((lines + 2) * self.width).next_multiple_of(LANES);
        let sums = groups * to * from * TAPS;
        let mut totals = vec![0.0f64; sums];
        // Vectors that sums are of since they were added up.
        let (mut chain, vectors) = (0, lines * columns.div_ceil(LANES));
        with_scratch(padded + sums * LANES, |scratch| {
            let (padded, sums) = scratch.split_at_mut(padded);
            padded.fill(0.0);
            sums.fill(0.0);
            for slab in images.start * groups..images.end * groups {
                if slab % groups == 0 {
                    if chain + vectors > CHAIN {
                        add_up(sums, &mut totals);
                        chain = 0;
                    }
                    chain += vectors;
                }
                y.slab(slab * to * positions, to * positions).with(|y| {
                    for c in 0..from {
                        x.slab((slab * from + c) * plane, plane)
                            .with(|x| self.pad(x, padded));
                        for first in (0..to).step_by(TOGETHER) {
                            // Sums of the filters of one channel lie together.
                            let at = (slab % groups * from + c) * to + first;
                            let count = (to - first).min(TOGETHER);
                            let sums = &mut sums[at * TAPS * LANES..][..count * TAPS * LANES];
                            let y = &y[first * positions..][..count * positions];
                            for [line, column, lines, width] in blocks([lines, columns]) {
                                let y = &y[line * columns + column..];
                                let padded = &padded[line * self.width + column..];
                                let sizes = [lines, width, positions];
                                tap_sums(padded, self.width, y, sizes, sums);
                                if vectors > CHAIN {
                                    add_up(sums, &mut totals[at * TAPS..][..count * TAPS]);
                                }
                            }
                        }
                    }
                });
            }
            add_up(sums, &mut totals);
            for (at, totals) in totals.chunks_exact(TAPS).enumerate() {
                let (slab, o) = (at / to, at % to);
                let at = ((slab / from * to + o) * from + slab % from) * TAPS;
                let taps = out[at..][..TAPS].iter_mut();
                taps.zip(totals)
                    .for_each(|(out, &total)| *out = total as f32);
            }
        });
    }

    /// The plane with zeros around it; what lies beyond the taps' reach is left out.
    fn pad(&self, x: &[f32], out: &mut [f32]) {
        let [_, height, width] = self.shape.input;
        let [up, left] = [1, 2].map(|d| self.shape.padding[d] as usize);
        let lines = out.chunks_exact_mut(self.width).skip(up);
        let count = (self.shape.output[1] + 2).saturating_sub(up);
        let len = width.min(self.width.saturating_sub(left));
        for (x, out) in x.chunks_exact(width).zip(lines).take(height.min(count)) {
            if len > 0 {
                out[left..][..len].copy_from_slice(&x[..len]);
            }
        }
    }
}

best! {
    /// Adds, for each plane of `y` and each tap, the products of `y` with the padded plane, to as many vectors of sums. Sizes are
    /// lines, columns, and how far planes are apart; lines of `y` lie together.
    fn tap_sums(padded: &[f32], width: usize, y: &[f32], sizes: [usize; 3], sums: &mut [f32]) = tap_sums_of
}

#[inline(always)]
unsafe fn tap_sums_of<V: Lanes>(
    padded: &[f32],
    width: usize,
    y: &[f32],
    [lines, columns, apart]: [usize; 3],
    sums: &mut [f32],
) {
    let planes = sums.len() / (TAPS * LANES);
    assert!(
        (lines + 1) * width + columns + 2 <= padded.len()
            && (planes - 1) * apart + lines * columns <= y.len()
            && sums.len() == planes * TAPS * LANES
    );
    // SAFETY: every line of every tap lies in the padded plane; the sums have a vector for each plane and tap.
    unsafe {
        if V::LEN == LANES && planes == TOGETHER {
            return planes_sums::<V, TOGETHER>(padded, width, y, [lines, columns, apart], sums);
        }
        for (plane, sums) in sums.chunks_exact_mut(TAPS * LANES).enumerate() {
            let y = &y[plane * apart..];
            planes_sums::<V, 1>(padded, width, y, [lines, columns, apart], sums);
        }
    }
}

/// The sums of `N` planes, in registers.
#[inline(always)]
unsafe fn planes_sums<V: Lanes, const N: usize>(
    padded: &[f32],
    width: usize,
    y: &[f32],
    [lines, columns, apart]: [usize; 3],
    sums: &mut [f32],
) {
    // SAFETY: the caller's; of vectors that reach beyond a line, the lanes inside alone are read.
    unsafe {
        let mut acc = [[V::splat(0.0); TAPS]; N];
        for (i, acc) in acc.iter_mut().enumerate() {
            for (t, acc) in acc.iter_mut().enumerate() {
                *acc = V::load(sums.as_ptr().add((i * TAPS + t) * LANES));
            }
        }
        for line in 0..lines {
            for column in (0..columns).step_by(V::LEN) {
                let n = (columns - column).min(V::LEN);
                let y = y.as_ptr().add(line * columns + column);
                let x = padded.as_ptr().add(line * width + column);
                let mut at_y = [V::splat(0.0); N];
                for (i, at_y) in at_y.iter_mut().enumerate() {
                    *at_y = read(y.add(i * apart), n);
                }
                for t in 0..TAPS {
                    let x = read(x.add(t / 3 * width + t % 3), n);
                    for i in 0..N {
                        acc[i][t] = acc[i][t].fma(at_y[i], x);
                    }
                }
            }
        }
        for (i, acc) in acc.into_iter().enumerate() {
            for (t, acc) in acc.into_iter().enumerate() {
                acc.store(sums.as_mut_ptr().add((i * TAPS + t) * LANES));
            }
        }
    }
}
