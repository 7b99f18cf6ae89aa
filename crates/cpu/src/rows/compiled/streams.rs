//! How what rows read and write lies in memory, as far as compiled loops can follow it: points of a row in runs, rows at one
//! distance for as long as possible. Knows no instruction.
//!
//! ```text
//!   row 0  ▇▇▇▇ ...... ▇▇▇▇ ......     ├─ pitch ─┤ from row to row
//!   row 1  ...▇▇▇▇ ...... ▇▇▇▇ ...     ├─ apart ─┤ from run to run of one row
//! ```

use crate::plan::{RowRegion, Rows, View};

/// Whose memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Input(usize),
    Output(usize),
    /// Values of a row that a later loop reads: so many rows of points further on.
    Own(usize),
    /// Sums over rows, so many rows of points further on.
    Across(usize),
}

/// For what it has one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Along {
    Points,
    Runs,
    Rows,
}

/// A walk through memory, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) source: Source,
    pub(super) along: Along,
    pub(super) offset: usize,
    /// Strides of the outer dimensions.
    pub(super) outer: Vec<usize>,
    /// Between runs.
    pub(super) apart: usize,
}

/// Sizes that all streams of a step agree on.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) outer: Vec<usize>,
    /// Points of a row.
    pub(super) inner: usize,
    /// Points of a row that lie together everywhere.
    pub(super) run: usize,
}

/// Dimensions of more than one point, neighbours that are one walk as one.
fn merged(sizes: &[usize], strides: &[i64]) -> Vec<(usize, i64)> {
    let mut dims: Vec<(usize, i64)> = Vec::new();
    for (&n, &stride) in sizes.iter().zip(strides).filter(|&(&n, _)| n != 1) {
        match dims.last_mut() {
            Some((m, above)) if *above == n as i64 * stride => (*m, *above) = (*m * n, stride),
            _ => dims.push((n, stride)),
        }
    }
    dims
}

/// For what a view has one element, how long its runs are at most, and how far they are apart.
fn along(rows: &Rows, view: &View) -> Option<(Along, usize, usize)> {
    let strides = view.strides.get(rows.outer.len()..)?;
    let size = |stride: i64| usize::try_from(stride).ok();
    let inner: usize = rows.inner.iter().product();
    match merged(&rows.inner, strides)[..] {
        [] | [(_, 0)] => Some((Along::Rows, inner, 0)),
        [(_, 1)] => Some((Along::Points, inner, 0)),
        [(_, apart), (run, 1)] => Some((Along::Points, run, size(apart)?)),
        [(_, apart), (run, 0)] => Some((Along::Runs, run, size(apart)?)),
        _ => None,
    }
}

impl Sizes {
    /// Of rows whose views over points and whose outputs these are.
    pub(super) fn of<'v>(
        rows: &Rows,
        views: impl Iterator<Item = &'v View>,
        regions: impl Iterator<Item = RowRegion>,
    ) -> Option<Sizes> {
        let inner: usize = rows.inner.iter().product();
        let mut run = inner;
        for view in views {
            run = run.min(along(rows, view)?.1);
        }
        for region in regions {
            run = run.min(region.run);
        }
        (run > 0 && inner.is_multiple_of(run)).then(|| Sizes {
            outer: rows.outer.clone(),
            inner,
            run,
        })
    }

    pub(super) fn runs(&self) -> usize {
        self.inner / self.run
    }

    /// The walk of an input along the points of a row, or along rows where the view has no other dimensions.
    pub(super) fn input(&self, rows: &Rows, input: usize, view: &View) -> Option<Stream> {
        let dims = rows.outer.len();
        let (along, run, apart) = match view.strides.len() == dims {
            true => (Along::Rows, self.inner, 0),
            false => along(rows, view)?,
        };
        let whole = run == self.inner;
        (whole || run == self.run).then_some(())?;
        let outer = view.strides[..dims]
            .iter()
            .map(|&s| usize::try_from(s).ok());
        Some(Stream {
            source: Source::Input(input),
            along,
            offset: usize::try_from(view.offset).ok()?,
            outer: outer.collect::<Option<_>>()?,
            apart: if whole { self.run } else { apart },
        })
    }

    /// The walk of an output that has a value for each point.
    pub(super) fn region(&self, output: usize, to: RowRegion) -> Option<Stream> {
        let whole = to.run == self.inner;
        (whole || to.run == self.run).then_some(())?;
        Some(Stream {
            source: Source::Output(output),
            along: Along::Points,
            offset: to.offset,
            outer: self.rows_apart(to.pitch),
            apart: if whole { self.run } else { to.apart },
        })
    }

    /// The walk of an output that has a value for each row.
    pub(super) fn by_row(&self, output: usize) -> Stream {
        Stream {
            source: Source::Output(output),
            along: Along::Rows,
            offset: 0,
            outer: self.rows_apart(1),
            apart: 0,
        }
    }

    /// The walk of what is the same memory for each row.
    pub(super) fn own(&self, source: Source) -> Stream {
        Stream {
            source,
            along: Along::Points,
            offset: 0,
            outer: vec![0; self.outer.len()],
            apart: self.run,
        }
    }

    fn rows_apart(&self, pitch: usize) -> Vec<usize> {
        let strides = View::contiguous(&self.outer).strides;
        strides.iter().map(|&s| s as usize * pitch).collect()
    }

    /// How many rows are at one distance in all streams, and that distance for each.
    pub(super) fn together(&self, streams: &[Stream]) -> (usize, Vec<usize>) {
        let mut pitches = vec![0; streams.len()];
        let mut together = 1;
        for (d, &n) in self
            .outer
            .iter()
            .enumerate()
            .rev()
            .filter(|&(_, &n)| n != 1)
        {
            if together == 1 {
                pitches = streams.iter().map(|s| s.outer[d]).collect();
            } else {
                let mut same = streams.iter().zip(&pitches);
                if !same.all(|(s, pitch)| s.outer[d] == together * pitch) {
                    break;
                }
            }
            together *= n;
        }
        (together, pitches)
    }
}

impl Stream {
    /// The first word of a row.
    pub(super) fn row(&self, sizes: &[usize], row: usize) -> usize {
        let mut rest = row;
        let mut at = self.offset;
        for (&n, &stride) in sizes.iter().zip(&self.outer).rev() {
            at += rest % n * stride;
            rest /= n;
        }
        at
    }

    /// How many words its source has at least.
    pub(super) fn end(&self, sizes: &Sizes) -> usize {
        let outer = sizes.outer.iter().zip(&self.outer);
        let last: usize = outer.map(|(&n, &s)| n.saturating_sub(1) * s).sum();
        let within = match self.along {
            Along::Points => (sizes.runs() - 1) * self.apart + sizes.run,
            Along::Runs => (sizes.runs() - 1) * self.apart + 1,
            Along::Rows => 1,
        };
        self.offset + last + within
    }
}
