//! What the rows of a group are, and what a step computes for them. It must not know how steps become one kernel.

use super::Limits;
use crate::dtype::DType;
use crate::plan::{
    Expr, Inst, Kernel, Map, Plan, Reduce, ReduceKind, Rows, Stage, StageKind, Step, View,
};
use std::borrow::Cow;

/// The most points of a row on the cpu: 4 MiB, of which a last-level cache keeps one for each core.
const LONGEST_ON_HOST: usize = 1 << 20;

/// Sizes of the rows of a group, and where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Number of rows.
    pub(super) outer: usize,
    /// Points of a row.
    pub(super) inner: usize,
    /// Points of a row that lie together: all, or those of one image where a row is a channel of a batch.
    pub(super) run: usize,
}

impl Extent {
    /// Rows that lie together.
    fn together(outer: usize, inner: usize) -> Extent {
        Extent {
            outer,
            inner,
            run: inner,
        }
    }

    /// The rows of a reduction, if it runs along memory rather than across it and there are enough of them: as they lie together,
    /// and in runs where they do.
    pub(super) fn of(step: &Step, limits: &Limits) -> (Option<Extent>, Option<Extent>) {
        let Kernel::Reduce(r) = &step.kernel else {
            return (None, None);
        };
        let outer: usize = r.outer.iter().product();
        let inner: usize = r.inner.iter().product();
        let longest = match limits.host {
            true => LONGEST_ON_HOST,
            false => 1 << 16,
        };
        let shape_fits = (4..=longest).contains(&inner) && outer > 0;
        let shared_well = outer >= 16 || outer * inner <= 1 << 15;
        if !shape_fits || !shared_well {
            return (None, None);
        }
        let run = limits.host.then(|| run_of(r, outer, inner)).flatten();
        let in_runs = run.map(|run| Extent { outer, inner, run });
        (Some(Extent::together(outer, inner)), in_runs)
    }

    /// Whether a reduction has these rows.
    pub(super) fn has(&self, step: &Step, limits: &Limits) -> bool {
        let (together, in_runs) = Extent::of(step, limits);
        let same = |extent: Option<Extent>| extent.as_ref() == Some(self);
        same(together) || same(in_runs)
    }

    /// Whether a group of these rows is worth it. Where rows lie in runs, steps that go from element to element would do as well,
    /// or better, image by image; but a value for each point that waits for a sum of its row is had while the row is in the cache.
    pub(super) fn is_worth(&self, rows: &Rows) -> bool {
        let waits = |(stage, level): (&Stage, usize)| stage.kind == StageKind::Each && level > 0;
        self.run == self.inner || rows.stages.iter().zip(rows.levels()).any(waits)
    }

    /// How the loops of a map may be taken for rows, if it has points enough: its last loop, or, where it has only one,
    /// a part of it.
    pub(super) fn of_map(step: &Step) -> Option<Extent> {
        /// Points of a row that is cut out of a loop, at most.
        const CUT: usize = 1024;
        let Kernel::Map(m) = &step.kernel else {
            return None;
        };
        let len: usize = m.shape.iter().product();
        let inner = match m.shape[..] {
            [n] => (16..=CUT.min(n)).rev().find(|&c| n.is_multiple_of(c))?,
            [.., n] => n,
            [] => return None,
        };
        let fits = (16..=1 << 16).contains(&inner);
        fits.then(|| Extent::together(len / inner, inner))
    }

    /// Whether `step` sums these rows' points over the rows: a reduction whose loads run along its kept dimensions.
    pub(super) fn is_across(&self, step: &Step, limits: &Limits) -> bool {
        if !limits.host || self.run != self.inner {
            return false;
        }
        let Kernel::Reduce(r) = &step.kernel else {
            return false;
        };
        let float = r.expr.dtype(r.expr.result()) == DType::F32;
        let kept: usize = r.outer.iter().product();
        let reduced: usize = r.inner.iter().product();
        let along = |inst: &Inst| match inst {
            Inst::Load { view, .. } => view.strides.last().is_none_or(|&s| s == 0 || s.abs() >= 4),
            _ => true,
        };
        r.kind == ReduceKind::Sum
            && float
            && (kept, reduced) == (self.inner, self.outer)
            && r.expr.insts.iter().all(along)
    }

    /// What `step` computes for these rows, its program, and its loops: those over points last.
    pub(super) fn role<'s>(
        &self,
        plan: &Plan,
        step: &'s Step,
        limits: &Limits,
    ) -> Option<Role<'s>> {
        match &step.kernel {
            Kernel::Reduce(r) if self.is_across(step, limits) => {
                let mut expr = r.expr.clone();
                for view in super::expression::views(&mut expr) {
                    view.strides.rotate_left(r.outer.len());
                }
                let shape = [&r.inner[..], &r.outer].concat();
                Some(Role::new(StageKind::Across, Cow::Owned(expr), shape))
            }
            Kernel::Reduce(r) => {
                let same = r.outer.iter().product::<usize>() == self.outer
                    && r.inner.iter().product::<usize>() == self.inner;
                let shape = [&r.outer[..], &r.inner].concat();
                let kind = StageKind::Reduce(r.kind);
                same.then(|| Role::new(kind, Cow::Borrowed(&r.expr), shape))
            }
            Kernel::Map(m) => {
                let slot = &plan.slots[step.output];
                let len: usize = m.shape.iter().product();
                let whole = is_whole(plan, step);
                let kind = match len {
                    _ if !may_store(slot.dtype, limits) => return None,
                    _ if len == self.outer * self.inner && (whole || limits.host) => {
                        StageKind::Each
                    }
                    _ if len == self.outer && whole => StageKind::Once,
                    _ => return None,
                };
                if kind == StageKind::Each && self.run != self.inner {
                    return if whole { self.in_runs(m) } else { None };
                }
                let store = (!whole).then(|| m.store.clone());
                let role = Role::new(kind, Cow::Borrowed(&m.expr), m.shape.clone());
                Some(Role { store, ..role })
            }
            _ => None,
        }
    }
}

impl Extent {
    /// A map that writes all of its output in order, with its loops in the order of the rows: those over rows first, then those
    /// over the runs of a row, then those over a run.
    fn in_runs<'s>(&self, map: &Map) -> Option<Role<'s>> {
        let cuts = [self.run, self.run * self.outer, self.inner * self.outer];
        // Loops as they are cut, innermost first: their sizes, the points below, which loop of the map, and how many of its rounds
        // make one.
        let mut loops: Vec<(usize, usize, usize, usize)> = Vec::new();
        let mut points = 1;
        for (d, &n) in map.shape.iter().enumerate().rev() {
            let (mut rounds, mut left) = (1, n);
            while left > 1 {
                let next = cuts.into_iter().find(|&c| c > points)?;
                let size = match points * left <= next {
                    true => left,
                    false => next / points,
                };
                if size == 0 || !next.is_multiple_of(points) || !left.is_multiple_of(size) {
                    return None;
                }
                loops.push((size, points, d, rounds));
                (points, rounds, left) = (points * size, rounds * size, left / size);
            }
        }
        let place = |points: usize| match points {
            p if p < cuts[0] => 2,
            p if p < cuts[1] => 0,
            _ => 1,
        };
        loops.reverse();
        loops.sort_by_key(|&(_, points, ..)| place(points));
        let moved = |view: &View| View {
            offset: view.offset,
            strides: loops
                .iter()
                .map(|&(_, _, d, rounds)| view.strides[d] * rounds as i64)
                .collect(),
        };
        let mut expr = map.expr.clone();
        for view in super::expression::views(&mut expr) {
            *view = moved(view);
        }
        let shape = loops.iter().map(|l| l.0).collect();
        let role = Role::new(StageKind::Each, Cow::Owned(expr), shape);
        let store = Some(moved(&map.store));
        Some(Role { store, ..role })
    }
}

/// Points that lie together in what a reduction reads first, where its rows lie in runs that are worth a part of a vector.
fn run_of(reduce: &Reduce, outer: usize, inner: usize) -> Option<usize> {
    const SHORTEST: usize = 4;
    let view = reduce.expr.insts.iter().find_map(|inst| match inst {
        Inst::Load { view, .. } => Some(view),
        _ => None,
    })?;
    let (rows, points) = view.strides.split_at(reduce.outer.len());
    let mut run = 1;
    let mut loops = reduce.inner.iter().zip(points).rev().peekable();
    while let Some((n, _)) = loops.next_if(|&(&n, &s)| n == 1 || s == run as i64) {
        run *= n;
    }
    let natural = |shape: &[usize], strides: &[i64], mut at: usize| {
        shape.iter().zip(strides).rev().all(|(&n, &s)| {
            let fits = n == 1 || s == at as i64;
            at *= n;
            fits
        })
    };
    let left = loops.len();
    let fits = natural(&reduce.outer, rows, run)
        && natural(&reduce.inner[..left], &points[..left], run * outer);
    (fits && (SHORTEST..inner).contains(&run)).then_some(run)
}

/// Whether steps over rows may have results of this dtype.
pub(super) fn may_store(dtype: DType, limits: &Limits) -> bool {
    dtype.size() == 4 || dtype.is_half() && !limits.host
}

/// Whether a map writes all of its output in order, not a region.
pub(super) fn is_whole(plan: &Plan, step: &Step) -> bool {
    match &step.kernel {
        Kernel::Map(m) => {
            let len: usize = m.shape.iter().product();
            len == plan.slots[step.output].len && m.store.is_contiguous(&m.shape)
        }
        _ => true,
    }
}

/// What a step computes for the rows of a group: its program, and its loops, those over points last.
pub(super) struct Role<'s> {
    pub(super) kind: StageKind,
    pub(super) expr: Cow<'s, Expr>,
    pub(super) shape: Vec<usize>,
    /// Where a map stores, if its rows do not lie together in an output of their own.
    pub(super) store: Option<View>,
}

impl<'s> Role<'s> {
    fn new(kind: StageKind, expr: Cow<'s, Expr>, shape: Vec<usize>) -> Role<'s> {
        Role {
            kind,
            expr,
            shape,
            store: None,
        }
    }
}
