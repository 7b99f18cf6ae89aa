//! Weight gradients as partial sums over runs of images, which are then added in order: which way each is computed, and how
//! the images are cut. That follows from the convolution alone, so no bit depends on the number of threads.

use crate::conv::choice;
use crate::conv::cost::Sizes;
use crate::conv::unfold::Unfold;
use crate::conv::way::WeightGrad;
use crate::conv::weight_few_channels::FewWeight;
use crate::conv::weight_implicit::FlatWeight;
use crate::conv::winograd::WinogradWeight;
use crate::matmul::axpy;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::Conv;
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use std::ops::Range;

/// Most partial sums.
pub(crate) const PARTS: usize = 16;

/// Most elements of all partial sums together.
const PARTIALS: usize = 1 << 24;

/// A weight gradient in partial sums.
pub(crate) struct Sums<'c> {
    conv: &'c Conv,
    way: Way<'c>,
}

enum Way<'c> {
    Winograd(WinogradWeight<'c>),
    Flat(FlatWeight<'c>),
    Few(FewWeight<'c>),
}

impl<'c> Sums<'c> {
    /// The plan for `conv`; none where another way is needed.
    pub(crate) fn new(conv: &'c Conv, shape: &Unfold) -> Option<Self> {
        let way = match choice::weight_grad(&Sizes::of(conv, shape)) {
            WeightGrad::Winograd => Way::Winograd(WinogradWeight::new(conv, shape)),
            WeightGrad::Implicit => Way::Flat(FlatWeight::new(conv, shape)),
            WeightGrad::FewChannels => Way::Few(FewWeight::new(conv, shape)),
            WeightGrad::Depthwise
            | WeightGrad::Batched
            | WeightGrad::Rows
            | WeightGrad::Interleaved
            | WeightGrad::Phases => return None,
        };
        Some(Sums { conv, way })
    }

    /// Parts of an image that are summed one after another.
    fn bands(&self) -> usize {
        match &self.way {
            Way::Winograd(w) => w.bands(),
            Way::Flat(w) => w.bands(),
            Way::Few(_) => 1,
        }
    }

    /// Channels with which a row of a partial sum begins again for the next tap; those of a weight if none.
    fn channels(&self) -> Option<usize> {
        match &self.way {
            Way::Winograd(w) => Some(w.channels()),
            Way::Flat(w) => Some(w.channels()),
            Way::Few(_) => None,
        }
    }

    fn taps(&self) -> usize {
        self.conv.kernel.iter().product()
    }

    /// Floats of a partial sum.
    pub(crate) fn len(&self) -> usize {
        let channels = self.channels().unwrap_or(self.conv.in_channels);
        self.conv.groups * self.conv.out_channels * self.taps() * channels
    }

    /// Number of partial sums.
    fn parts(&self) -> usize {
        let items = self.conv.batch * self.bands();
        PARTS.min(PARTIALS / self.len()).clamp(1, items)
    }

    /// Bytes that [`Sums::run`] takes while it runs.
    pub(crate) fn step_bytes(&self) -> usize {
        4 * self.parts() * self.len()
    }

    /// Whether each of the partial sums is that of one of `parts` equal parts of the batch.
    pub(crate) fn has_parts(&self, parts: usize) -> bool {
        self.parts() == parts && self.conv.batch.is_multiple_of(parts)
    }

    /// The partial sum of all images.
    pub(crate) fn whole(&self, x: Floats<'_>, y: Floats<'_>, partial: &mut [f32]) {
        self.part((x, y), 0..self.conv.batch * self.bands(), partial);
    }

    fn part(&self, operands: (Floats<'_>, Floats<'_>), items: Range<usize>, partial: &mut [f32]) {
        match &self.way {
            Way::Winograd(w) => w.part(operands, items, partial),
            Way::Flat(w) => w.part(operands, items, partial),
            Way::Few(w) => w.part(operands, items, partial),
        }
    }

    /// `out[g, o, c, t] = Σ over images and positions p of y[g, o, p] * x[g, c, p * stride + t * dilation - padding]`.
    pub(crate) fn run(&self, x: Floats<'_>, y: Floats<'_>, out: &mut [f32], par: Par) {
        let (items, parts) = (self.conv.batch * self.bands(), self.parts());
        let mut partials = HostBufferMut::within_step(parts * self.len() * 4);
        let partials = partials.slice_mut::<f32>();
        par.chunks(partials, self.len(), |at, partial| {
            let part = at / self.len();
            let items = part * items / parts..(part + 1) * items / parts;
            self.part((x, y), items, partial);
        });
        self.add_up(partials, out, par);
    }

    /// Adds the partial sums in order and brings taps and channels into the order of the weight.
    pub(crate) fn add_up(&self, partials: &mut [f32], out: &mut [f32], par: Par) {
        let (taps, from) = (self.taps(), self.conv.in_channels);
        let (row, len) = (self.len() / (out.len() / (from * taps)), self.len());
        let partials = &*partials;
        let par = par.for_work(partials.len());
        let rows = (out.len() / (from * taps)).div_ceil(par.pieces());
        par.chunks(out, rows * from * taps, |first, out| {
            let first = first / (from * taps) * row;
            with_scratch(row, |sum| {
                for (i, out) in out.chunks_exact_mut(from * taps).enumerate() {
                    let at = first + i * row;
                    sum.copy_from_slice(&partials[at..][..row]);
                    for partial in partials.chunks_exact(len).skip(1) {
                        axpy(1.0, &partial[at..][..row], sum);
                    }
                    let Some(channels) = self.channels() else {
                        out.copy_from_slice(sum);
                        continue;
                    };
                    for (c, out) in out.chunks_exact_mut(taps).enumerate() {
                        let of_tap = |(t, out): (usize, &mut f32)| *out = sum[t * channels + c];
                        out.iter_mut().enumerate().for_each(of_tap);
                    }
                }
            });
        });
    }
}
