//! Where the stages of Rows leave their values, which several threads write, each its own rows. It must not know what they are.

use crate::plan::{RowRegion, Rows, Stage, StageKind};
use crate::program::load::copy_short;
use crate::program::worker::Worker;
use std::marker::PhantomData;
use std::ops::Range;

/// Where a stage's values go: a part of an output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) output: usize,
    pub(super) to: RowRegion,
    /// Rows lie together, so that they are computed in place.
    pub(super) dense: bool,
    /// They are written past the caches, as no later stage reads them.
    pub(super) stream: bool,
    /// Blocks of them go where they belong as soon as they are computed, as no later stage reads them.
    pub(super) scattered: bool,
}

/// What the step writes.
pub(crate) type Outputs<'o> = [&'o mut [u32]; Rows::MAX_OUTPUTS];

/// The outputs while several threads write them, each its own rows.
pub(super) struct Shared<'o> {
    pub(super) outs: [(*mut u32, usize); Rows::MAX_OUTPUTS],
    of: PhantomData<&'o mut [u32]>,
}

// SAFETY: `words` asks its callers to take different words.
unsafe impl Sync for Shared<'_> {}

impl<'o> Shared<'o> {
    pub(super) fn new(outs: Outputs<'o>) -> Shared<'o> {
        Shared {
            outs: outs.map(|out| (out.as_mut_ptr(), out.len())),
            of: PhantomData,
        }
    }

    /// The words `from..from + len` of an output.
    ///
    /// # Safety
    /// Nobody else holds any of them.
    pub(super) unsafe fn words(&self, out: usize, from: usize, len: usize) -> &'o mut [u32] {
        let (start, end) = self.outs[out];
        assert!(from + len <= end, "rows do not fit their output");
        // SAFETY: the output holds the words for as long as `'o`, and nobody else has them, says the caller.
        unsafe { std::slice::from_raw_parts_mut(start.add(from), len) }
    }
}

impl Shared<'_> {
    /// Writes values of a row, from a point on, to where they belong.
    ///
    /// # Safety
    /// Nobody else holds any of these words.
    pub(super) unsafe fn place(&self, to: Target, row: usize, point: usize, values: &[u32]) {
        let RowRegion {
            offset,
            pitch,
            run,
            apart,
        } = to.to;
        let mut point = point;
        let mut rest = values;
        while !rest.is_empty() {
            let (now, later) = rest.split_at((run - point % run).min(rest.len()));
            let at = offset + row * pitch + point / run * apart + point % run;
            // SAFETY: the caller's.
            copy_short(now, unsafe { self.words(to.output, at, now.len()) });
            (point, rest) = (point + now.len(), later);
        }
    }

    /// Computes a stage of some rows block by block, each of which goes where it belongs.
    ///
    /// # Safety
    /// Nobody else writes these rows.
    pub(super) unsafe fn scatter(
        &self,
        to: Target,
        worker: &mut Worker<'_, '_>,
        (inner, rows): (usize, Range<usize>),
    ) {
        let (mut start, end) = (rows.start * inner, rows.end * inner);
        while start < end {
            let stop = worker.block_end(start, end);
            let mut values = worker.eval(start, stop - start);
            let mut at = start;
            while !values.is_empty() {
                let (row, point) = (at / inner, at % inner);
                let (now, later) = values.split_at((inner - point).min(values.len()));
                // SAFETY: the caller's.
                unsafe { self.place(to, row, point, now) };
                (at, values) = (at + now.len(), later);
            }
            start = stop;
        }
    }
}

/// Where the values of a stage with an output go: `last` if no later stage reads them, `stream` if they are too many for the caches.
pub(super) fn target(
    rows: &Rows,
    stage: &Stage,
    output: usize,
    (stream, last): (bool, bool),
) -> Target {
    let inner: usize = rows.inner.iter().product();
    let width = if stage.kind == StageKind::Each {
        inner
    } else {
        1
    };
    let together = RowRegion::together(0, width, width);
    let to = stage.region.unwrap_or(together);
    let dense = to.pitch == width && to.run == width;
    Target {
        output,
        to,
        dense,
        stream: stream && dense,
        scattered: last && to.run < width,
    }
}
