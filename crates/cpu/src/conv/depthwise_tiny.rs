//! Depthwise convolutions of maps of a few positions, where a padded copy of each plane costs more than its sums: a multiplication
//! for each pair of positions that a tap joins, and nothing else. Knows no vectors.
//!
//! ```text
//!   2×2 under 3×3, padded by 1     pairs (input, output, tap)
//!     a b                            (a, A, 4) (b, A, 5) (c, A, 7) (d, A, 8)
//!     c d                            (a, B, 3) …                             16 in all, of 36 in the padded plane
//! ```

use crate::conv::choice::PAIRS;
use crate::conv::unfold::Unfold;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::results::Results;
use crate::threads::par::Par;

/// What a plane takes beside its pairs, in about tenths of nanoseconds.
const PLANE: usize = 60;

/// An input position, an output position, and the tap between them.
#[derive(Clone, Copy)]
struct Pair {
    from: usize,
    to: usize,
    tap: usize,
}

/// A depthwise convolution that is computed so.
pub(crate) struct Tiny {
    images: usize,
    groups: usize,
    /// Output planes of a group.
    planes: usize,
    pairs: Vec<Pair>,
    plane: usize,
    positions: usize,
    taps: usize,
}

impl Tiny {
    /// Of a convolution that has few enough pairs.
    pub(crate) fn of(shape: &Unfold, [images, groups]: [usize; 2], planes: usize) -> Option<Tiny> {
        let (positions, taps) = (shape.positions(), shape.taps());
        if positions > PAIRS || taps > 4 * PAIRS {
            return None;
        }
        let mut pairs = Vec::with_capacity(PAIRS);
        for to in 0..positions {
            for tap in 0..taps {
                if let Some(from) = input_position(shape, to, tap) {
                    if pairs.len() == PAIRS {
                        return None;
                    }
                    pairs.push(Pair { from, to, tap });
                }
            }
        }
        Some(Tiny {
            images,
            groups,
            planes,
            pairs,
            plane: shape.plane(),
            positions,
            taps,
        })
    }

    /// Planes of `each` sums in a piece.
    fn size<'t>(&self, planes: usize, each: usize, par: Par<'t>) -> (usize, Par<'t>) {
        let work = planes * (PLANE + each * self.pairs.len() * 5);
        let par = par.for_work(work);
        (planes.div_ceil(par.pieces()), par)
    }

    /// The taps of each output plane of a group.
    fn weights<'w>(&self, weight: &'w [f32], g: usize) -> std::slice::ChunksExact<'w, f32> {
        let len = self.planes * self.taps;
        weight[g * len..][..len].chunks_exact(self.taps)
    }

    pub(crate) fn forward(&self, x: Floats<'_>, weight: &[f32], out: Results<'_>, par: Par) {
        let (images, groups, to) = (self.images, self.groups, self.planes);
        let slab = to * self.positions;
        let (size, par) = self.size(images * groups, to, par);
        out.chunks(par, (size * slab, slab), |first, out| {
            let first = first / slab;
            x.slab(first * self.plane, out.len() / slab * self.plane)
                .with(|x| {
                    let slabs = x.chunks_exact(self.plane).zip(out.chunks_exact_mut(slab));
                    for (i, (x, out)) in slabs.enumerate() {
                        let weights = self.weights(weight, (first + i) % groups);
                        for (w, out) in weights.zip(out.chunks_exact_mut(self.positions)) {
                            out.fill(0.0);
                            for p in &self.pairs {
                                out[p.to] += w[p.tap] * x[p.from];
                            }
                        }
                    }
                });
        });
    }

    pub(crate) fn input_grad(&self, y: Floats<'_>, weight: &[f32], out: Results<'_>, par: Par) {
        let (images, groups, to) = (self.images, self.groups, self.planes);
        let slab = to * self.positions;
        let (size, par) = self.size(images * groups, to, par);
        out.chunks(par, (size * self.plane, self.plane), |first, out| {
            let first = first / self.plane;
            y.slab(first * slab, out.len() / self.plane * slab)
                .with(|y| {
                    let slabs = y.chunks_exact(slab).zip(out.chunks_exact_mut(self.plane));
                    for (i, (y, out)) in slabs.enumerate() {
                        out.fill(0.0);
                        let weights = self.weights(weight, (first + i) % groups);
                        for (w, y) in weights.zip(y.chunks_exact(self.positions)) {
                            for p in &self.pairs {
                                out[p.from] += w[p.tap] * y[p.to];
                            }
                        }
                    }
                });
        });
    }

    pub(crate) fn weight_grad(&self, x: Floats<'_>, y: Floats<'_>, out: &mut [f32], par: Par) {
        let (images, groups, to) = (self.images, self.groups, self.planes);
        let (slab, count) = (to * self.positions, to * self.taps);
        let (size, par) = self.size(groups, to * images, par);
        par.chunks(out, size * count, |first, out| {
            let (first, n) = (first / count, out.len() / count);
            let mut totals = vec![0.0f64; n * count];
            for image in 0..images {
                let at = image * groups + first;
                let x = x.slab(at * self.plane, n * self.plane);
                let y = y.slab(at * slab, n * slab);
                x.with(|x| {
                    y.with(|y| {
                        let planes = x.chunks_exact(self.plane).zip(y.chunks_exact(slab));
                        for ((x, y), totals) in planes.zip(totals.chunks_exact_mut(count)) {
                            let maps = y.chunks_exact(self.positions);
                            for (y, totals) in maps.zip(totals.chunks_exact_mut(self.taps)) {
                                for p in &self.pairs {
                                    totals[p.tap] += f64::from(y[p.to]) * f64::from(x[p.from]);
                                }
                            }
                        }
                    });
                });
            }
            let rounded = totals.iter().map(|&total| total as f32);
            out.iter_mut().zip(rounded).for_each(|(out, x)| *out = x);
        });
    }
}

/// Where output position `to` meets the input under a tap, if it does.
fn input_position(shape: &Unfold, to: usize, tap: usize) -> Option<usize> {
    let [_, _, columns] = shape.output;
    let [_, _, width] = shape.kernel;
    let place = |d: usize, to: usize, tap: usize| {
        let at = (to * shape.stride[d] + tap * shape.dilation[d]) as i64 - shape.padding[d];
        usize::try_from(at).ok().filter(|&at| at < shape.input[d])
    };
    let line = place(1, to / columns, tap / width)?;
    let column = place(2, to % columns, tap % width)?;
    Some(line * shape.input[2] + column)
}
