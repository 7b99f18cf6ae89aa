//! The Reduce family. Operands are computed in blocks; blocks run along the reduced dimensions (rows) or across
//! the kept ones (columns), whichever the loads prefer. Where a reduction is cut into parts depends on shapes
//! alone, so results do not depend on the number of threads.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod combine;

use crate::call::Context;
use crate::dtype::{Class, DType};
use crate::plan::{Inst, Reduce, ReduceKind};
use crate::program::store::Stored;
use crate::program::worker::Worker;
use crate::program::{LANES, Program};
use crate::reduce::combine::{ArgMax, BATCH, Combine, Max, SumF32, SumInt};
use crate::sort::keys::{KeyF32, KeyI32, KeyU32};
use crate::threads::scratch::Scratch;
use half::{bf16, f16};
use std::ops::Range;

/// Elements of one part of a long reduction.
const PART: usize = 1 << 16;

/// With this many independent reductions none is cut into parts.
const ENOUGH: usize = 64;

/// A reduction made ready.
#[derive(Debug)]
pub(crate) struct Ready {
    kind: ReduceKind,
    class: Class,
    /// Results, and operands of each.
    outer: usize,
    inner: usize,
    /// The operand's program; none where there is nothing to reduce.
    program: Option<Program>,
    /// The size of the last kept dimension, where blocks run across it.
    width: Option<usize>,
}

/// Prepares `reduce`.
pub(crate) fn prepare(reduce: &Reduce) -> Ready {
    let outer: usize = reduce.outer.iter().product();
    let inner: usize = reduce.inner.iter().product();
    let shape = [&reduce.outer[..], &reduce.inner].concat();
    let some = outer > 0 && inner > 0;
    let across = some && prefers_columns(reduce, inner);
    let kept = reduce.outer.iter().rposition(|&n| n > 1).unwrap_or(0);
    let order: Vec<usize> = if across {
        // Kept dimensions before the last, the reduced ones, the last kept one.
        let reduced = reduce.outer.len()..shape.len();
        (0..kept).chain(reduced).chain([kept]).collect()
    } else {
        (0..shape.len()).collect()
    };
    Ready {
        kind: reduce.kind,
        class: reduce.expr.dtype(reduce.expr.result()).class(),
        outer,
        inner,
        program: some.then(|| Program::new(&reduce.expr, &shape, &order, &[], false)),
        width: across.then(|| reduce.outer[kept]),
    }
}

impl Ready {
    /// What it takes, in about tenths of nanoseconds.
    pub(crate) fn work(&self) -> usize {
        let cost = self.program.as_ref().map_or(0, |p| p.cost);
        self.outer * self.inner * cost
    }
}

/// Runs a prepared reduction; `out` holds elements of `dtype`.
pub(crate) fn run(ready: &Ready, context: Context<'_>, out: &mut [u8], dtype: DType) {
    match dtype {
        DType::U8 => narrowed::<u8>(ready, context, out),
        DType::F16 => narrowed::<f16>(ready, context, out),
        DType::BF16 => narrowed::<bf16>(ready, context, out),
        DType::Bool | DType::I32 | DType::F32 | DType::U32 => {
            into_words(ready, context, bytemuck::cast_slice_mut(out));
        }
    }
}

fn narrowed<T: Stored>(ready: &Ready, context: Context<'_>, out: &mut [u8]) {
    let mut words = Scratch::filled(ready.outer, 0);
    into_words(ready, context, &mut words);
    T::narrow(&words, bytemuck::cast_slice_mut(out));
}

fn into_words(ready: &Ready, context: Context<'_>, out: &mut [u32]) {
    dispatch(
        ready.kind,
        ready.class,
        All {
            ready,
            context,
            out,
        },
    );
}

/// Something to do for one way to combine.
pub(crate) trait Job {
    /// Does it.
    fn run<C: Combine>(self);
}

/// Does `job` for what `kind` means for operands of `class`.
pub(crate) fn dispatch(kind: ReduceKind, class: Class, job: impl Job) {
    match (kind, class) {
        (ReduceKind::Sum, Class::F32) => job.run::<SumF32>(),
        (ReduceKind::Sum, _) => job.run::<SumInt>(),
        (ReduceKind::Max, Class::F32) => job.run::<Max<KeyF32>>(),
        (ReduceKind::Max, Class::I32) => job.run::<Max<KeyI32>>(),
        (ReduceKind::Max, Class::U32 | Class::Bool) => job.run::<Max<KeyU32>>(),
        (ReduceKind::ArgMax, Class::F32) => job.run::<ArgMax<KeyF32>>(),
        (ReduceKind::ArgMax, Class::I32) => job.run::<ArgMax<KeyI32>>(),
        (ReduceKind::ArgMax, Class::U32 | Class::Bool) => job.run::<ArgMax<KeyU32>>(),
    }
}

/// A whole reduction.
struct All<'r, 'a> {
    ready: &'r Ready,
    context: Context<'a>,
    out: &'r mut [u32],
}

impl Job for All<'_, '_> {
    fn run<C: Combine>(self) {
        with::<C>(self.ready, self.context, self.out);
    }
}

fn with<C: Combine>(ready: &Ready, context: Context<'_>, out: &mut [u32]) {
    match (&ready.program, ready.width) {
        (None, _) => out.fill(C::finish(C::EMPTY)),
        (Some(program), Some(width)) => columns::<C>(ready, program, width, context, out),
        (Some(program), None) => rows::<C>(ready, program, context, out),
    }
}

/// Whether the loads are rather contiguous along the last kept dimension than along the last reduced one.
fn prefers_columns(reduce: &Reduce, inner: usize) -> bool {
    let last = |sizes: &[usize]| sizes.iter().rposition(|&n| n > 1);
    let Some(kept) = last(&reduce.outer) else {
        return false;
    };
    let Some(reduced) = last(&reduce.inner) else {
        return true;
    };
    let reduced = reduced + reduce.outer.len();
    let mut score = 0i32;
    for inst in &reduce.expr.insts {
        if let Inst::Load { view, .. } | Inst::Gather { view, .. } | Inst::Random { view, .. } =
            inst
        {
            score += i32::from(view.strides[kept] == 1) - i32::from(view.strides[reduced] == 1);
        }
    }
    score > 0 || (score == 0 && inner < 8 && reduce.outer[kept] > 64)
}

fn rows<C: Combine>(ready: &Ready, program: &Program, context: Context<'_>, out: &mut [u32]) {
    let (outer, inner) = (ready.outer, ready.inner);
    let par = context.par.for_work(outer * inner * program.cost);
    if outer < ENOUGH && inner > PART {
        return long_rows::<C>(ready, program, context, out);
    }
    let size = outer.div_ceil(par.pieces());
    par.chunks(out, size, |first, out| {
        whole_rows::<C>(&mut Worker::new(program, context), inner, first, out);
    });
}

/// One result for each of the rows of `inner` elements from row `first` on.
pub(crate) fn whole_rows<C: Combine>(
    worker: &mut Worker<'_, '_>,
    inner: usize,
    first: usize,
    out: &mut [u32],
) {
    if inner * 2 > LANES {
        for (i, out) in out.iter_mut().enumerate() {
            let row = (first + i) * inner;
            *out = C::finish(run_of::<C>(worker, row, 0..inner));
        }
        return;
    }
    let per_block = LANES / inner;
    for (i, block) in out.chunks_mut(per_block).enumerate() {
        let lanes = worker.eval((first + i * per_block) * inner, block.len() * inner);
        C::finish_rows(lanes, inner, block);
    }
}

/// Lanes of a short stretch.
const SHORT: usize = 256;

/// The positions `range` of the reduction that starts at linear position `row`.
fn run_of<C: Combine>(worker: &mut Worker<'_, '_>, row: usize, range: Range<usize>) -> C::Acc {
    let mut acc = C::EMPTY;
    // What lies together is found once.
    let is_product = C::ADD_PRODUCTS.is_some() && worker.is_product();
    if !is_product && let Some(lanes) = worker.line(row + range.start, range.len()) {
        for (block, lanes) in lanes.chunks(LANES).enumerate() {
            C::add_row(&mut acc, lanes, range.start + block * LANES);
        }
        return acc;
    }
    let mut start = range.start;
    while start < range.end {
        let stop = (start + LANES).min(range.end);
        let (at, len) = (row + start, stop - start);
        match C::ADD_PRODUCTS.filter(|_| worker.is_product() && len > 16) {
            Some(add) => add(&mut acc, worker.eval_factors(at, len)),
            None => {
                // Short stretches are first added to each other.
                let (mut short, mut used) = ([0.0; SHORT], 0);
                let add = |lanes: &[u32], first| match C::ADD_LANES {
                    Some(add) if lanes.len() <= SHORT => {
                        add(&mut short[..lanes.len()], bytemuck::cast_slice(lanes));
                        used = used.max(lanes.len());
                    }
                    _ => C::add_row(&mut acc, lanes, start + first),
                };
                if !worker.each_stretch(at, len, add) {
                    C::add_row(&mut acc, worker.eval(at, len), start);
                } else if used > 0 {
                    C::add_row(&mut acc, bytemuck::cast_slice(&short[..used]), start);
                }
            }
        }
        start = stop;
    }
    acc
}

/// Few long reductions, each cut into parts.
fn long_rows<C: Combine>(ready: &Ready, program: &Program, context: Context<'_>, out: &mut [u32]) {
    let (outer, inner) = (ready.outer, ready.inner);
    let par = context.par.for_work(outer * inner * program.cost);
    let parts = inner.div_ceil(PART);
    let part = inner.div_ceil(parts);
    let mut accs = Scratch::filled(outer * parts, C::EMPTY);
    let size = accs.len().div_ceil(par.pieces());
    par.chunks(&mut accs, size, |first, accs| {
        let mut worker = Worker::new(program, context);
        for (i, acc) in accs.iter_mut().enumerate() {
            let (row, p) = ((first + i) / parts, (first + i) % parts);
            let range = p * part..((p + 1) * part).min(inner);
            *acc = run_of::<C>(&mut worker, row * inner, range);
        }
    });
    merge::<C>(&accs, parts, 1, 1, out);
}

/// Joins `[groups, parts, stride]` accumulators over the parts, in order; the first columns of a row count.
fn merge<C: Combine>(accs: &[C::Acc], parts: usize, stride: usize, width: usize, out: &mut [u32]) {
    let groups = accs.chunks_exact(parts * stride);
    for (group, out) in groups.zip(out.chunks_exact_mut(width)) {
        for (c, out) in out.iter_mut().enumerate() {
            let later = (1..parts).map(|p| group[p * stride + c]);
            *out = C::finish(later.fold(group[c], C::merge));
        }
    }
}

/// How blocks across the kept dimension are cut: `[groups, parts, strips]` tasks. Depends on shapes alone.
struct Cut {
    width: usize,
    /// Columns of a strip, and strips beside each other.
    columns: usize,
    strips: usize,
    /// Rows of a part, and parts below each other.
    rows: usize,
    parts: usize,
    /// Rows evaluated at once, where they are short.
    together: usize,
}

impl Cut {
    fn new(width: usize, outer: usize, inner: usize) -> Cut {
        let columns = width.min(LANES);
        let strips = width.div_ceil(columns);
        let together = (LANES / width).clamp(1, inner);
        // Parts enough for all threads, but none so short that joining them shows.
        let tasks = outer / width * strips;
        let fair = inner.div_ceil(ENOUGH.div_ceil(2).div_ceil(tasks));
        let rows = fair.max(PART / columns).next_multiple_of(together);
        Cut {
            width,
            columns,
            strips,
            rows,
            parts: inner.div_ceil(rows),
            together,
        }
    }
}

fn columns<C: Combine>(
    ready: &Ready,
    program: &Program,
    width: usize,
    context: Context<'_>,
    out: &mut [u32],
) {
    let (outer, inner) = (ready.outer, ready.inner);
    let par = context.par.for_work(outer * inner * program.cost);
    let cut = Cut::new(width, outer, inner);
    let stride = cut.strips * cut.columns;
    let mut accs = Scratch::filled(outer / width * cut.parts * stride, C::EMPTY);
    let tasks = accs.len() / cut.columns;
    let size = tasks.div_ceil(par.pieces()) * cut.columns;
    par.chunks(&mut accs, size, |first, accs| {
        let mut worker = Worker::new(program, context);
        for (i, accs) in accs.chunks_exact_mut(cut.columns).enumerate() {
            let task = first / cut.columns + i;
            let (row, strip) = (task / cut.strips, task % cut.strips);
            let (group, part) = (row / cut.parts, row % cut.parts);
            let from = part * cut.rows;
            let rows = from..(from + cut.rows).min(inner);
            let column = strip * cut.columns;
            let n = cut.columns.min(width - column);
            let start = group * inner * width + column;
            accumulate::<C>(&mut worker, &cut, start, rows, &mut accs[..n]);
        }
    });
    merge::<C>(&accs, cut.parts, stride, width, out);
}

/// Reduced positions `rows` of as many columns as there are accumulators; `start` is the first one's position 0.
fn accumulate<C: Combine>(
    worker: &mut Worker<'_, '_>,
    cut: &Cut,
    start: usize,
    rows: Range<usize>,
    accs: &mut [C::Acc],
) {
    let n = accs.len();
    let mut state = C::columns(n * cut.together);
    let mut row = rows.start;
    while cut.together == 1
        && row + BATCH <= rows.end
        && let Some(lines) = lines(worker, start + row * cut.width, cut.width, n)
    {
        C::add_batch(&mut state, row, &lines);
        row += BATCH;
    }
    while row < rows.end {
        let together = cut.together.min(rows.end - row);
        let lanes = worker.eval(start + row * cut.width, together * n);
        C::add_column(&mut state, lanes, row, cut.together == 1);
        row += together;
    }
    C::fold_columns(state, accs);
}

/// The next rows of an operand that is an input as it stands.
fn lines<'a>(
    worker: &mut Worker<'_, 'a>,
    start: usize,
    width: usize,
    n: usize,
) -> Option<[&'a [u32]; BATCH]> {
    let mut lines = [&[][..]; BATCH];
    for (i, line) in lines.iter_mut().enumerate() {
        *line = worker.line(start + i * width, n)?;
    }
    Some(lines)
}
