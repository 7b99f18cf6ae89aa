//! The Reduce family. Operands are computed in blocks; blocks run along the reduced dimensions (rows) or across
//! the kept ones (columns), whichever the loads prefer. Where a reduction is cut into parts depends on shapes
//! alone, so results do not depend on the number of threads.

use super::Context;
use super::combine::{ArgMax, Combine, Key, KeyF32, KeyI32, KeyU32, Max, SumF32, SumInt};
use super::load::Stored;
use super::program::{LANES, Program};
use super::worker::Worker;
use crate::dtype::{Class, DType};
use crate::plan::{Inst, Reduce, ReduceKind};
use half::f16;

/// Elements of one part of a long reduction.
const PART: usize = 1 << 16;

/// With this many independent reductions none is cut into parts.
const ENOUGH: usize = 64;

/// Runs `reduce`; `out` holds elements of `dtype`.
pub(super) fn run(reduce: &Reduce, context: Context<'_>, out: &mut [u8], dtype: DType) {
    let class = reduce.expr.dtype(reduce.expr.result()).class();
    match (reduce.kind, class) {
        (ReduceKind::Sum, Class::F32) => with::<SumF32>(reduce, context, out, dtype),
        (ReduceKind::Sum, _) => with::<SumInt>(reduce, context, out, dtype),
        (ReduceKind::Max, class) => keyed(
            class,
            Ordered {
                arg: false,
                reduce,
                context,
                out,
                dtype,
            },
        ),
        (ReduceKind::ArgMax, class) => keyed(
            class,
            Ordered {
                arg: true,
                reduce,
                context,
                out,
                dtype,
            },
        ),
    }
}

struct Ordered<'r> {
    arg: bool,
    reduce: &'r Reduce,
    context: Context<'r>,
    out: &'r mut [u8],
    dtype: DType,
}

fn keyed(class: Class, job: Ordered<'_>) {
    match class {
        Class::F32 => job.run::<KeyF32>(),
        Class::I32 => job.run::<KeyI32>(),
        Class::U32 | Class::Bool => job.run::<KeyU32>(),
    }
}

impl Ordered<'_> {
    fn run<K: Key>(self) {
        if self.arg {
            with::<ArgMax<K>>(self.reduce, self.context, self.out, self.dtype);
        } else {
            with::<Max<K>>(self.reduce, self.context, self.out, self.dtype);
        }
    }
}

fn with<C: Combine>(reduce: &Reduce, context: Context<'_>, out: &mut [u8], dtype: DType) {
    let outer: usize = reduce.outer.iter().product();
    let inner: usize = reduce.inner.iter().product();
    if outer == 0 {
        return;
    }
    let words: Vec<u32> = if inner == 0 {
        vec![C::finish(C::EMPTY); outer]
    } else if prefers_columns(reduce, inner) {
        columns::<C>(reduce, context, outer, inner)
    } else {
        rows::<C>(reduce, context, outer, inner)
    };
    match dtype {
        DType::U8 => u8::narrow(&words, out),
        DType::F16 => f16::narrow(&words, bytemuck::cast_slice_mut(out)),
        _ => bytemuck::cast_slice_mut(out).copy_from_slice(&words),
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

fn rows<C: Combine>(reduce: &Reduce, context: Context<'_>, outer: usize, inner: usize) -> Vec<u32> {
    let shape = [&reduce.outer[..], &reduce.inner].concat();
    let order: Vec<usize> = (0..shape.len()).collect();
    let program = Program::new(context, &reduce.expr, &shape, &order, &[], false);
    let par = context.par.for_work(outer * inner * program.cost);
    let parts = if outer < ENOUGH {
        inner.div_ceil(PART)
    } else {
        1
    };
    let part = inner.div_ceil(parts);
    let mut accs = vec![C::EMPTY; outer * parts];
    let size = accs.len().div_ceil(par.pieces());
    if inner * 2 <= LANES {
        let per_block = LANES / inner;
        par.chunks(&mut accs, size, |first, accs| {
            let mut worker = Worker::new(&program, accs.len() * inner);
            for (i, block) in accs.chunks_mut(per_block).enumerate() {
                let lanes = worker.eval((first + i * per_block) * inner, block.len() * inner);
                for (acc, row) in block.iter_mut().zip(lanes.chunks_exact(inner)) {
                    C::add_row(acc, row, 0);
                }
            }
        });
    } else {
        par.chunks(&mut accs, size, |first, accs| {
            let mut worker = Worker::new(&program, part);
            for (i, acc) in accs.iter_mut().enumerate() {
                let (row, p) = ((first + i) / parts, (first + i) % parts);
                let end = row * inner + ((p + 1) * part).min(inner);
                let mut start = row * inner + p * part;
                while start < end {
                    let stop = (start + LANES).min(end);
                    C::add_row(acc, worker.eval(start, stop - start), start - row * inner);
                    start = stop;
                }
            }
        });
    }
    merge::<C>(&accs, outer, parts, 1)
}

/// Merges `[groups, parts, width]` accumulators over the parts, in order.
fn merge<C: Combine>(accs: &[C::Acc], groups: usize, parts: usize, width: usize) -> Vec<u32> {
    let mut words = Vec::with_capacity(groups * width);
    for group in accs.chunks_exact(parts * width) {
        for c in 0..width {
            let total = (1..parts).fold(group[c], |total, p| C::merge(total, group[p * width + c]));
            words.push(C::finish(total));
        }
    }
    words
}

/// One run of vertical accumulation: reduced positions `from..to` for columns `first..` of a group.
struct Column<'t, A> {
    group: usize,
    first: usize,
    from: usize,
    to: usize,
    accs: &'t mut [A],
}

fn columns<C: Combine>(
    reduce: &Reduce,
    context: Context<'_>,
    outer: usize,
    inner: usize,
) -> Vec<u32> {
    let shape = [&reduce.outer[..], &reduce.inner].concat();
    let n_outer = reduce.outer.len();
    let kept = reduce.outer.iter().rposition(|&n| n > 1).unwrap_or(0);
    // Kept dimensions before the last, the reduced ones, the last kept one.
    let order: Vec<usize> = (0..kept)
        .chain(n_outer..shape.len())
        .chain([kept])
        .collect();
    let program = Program::new(context, &reduce.expr, &shape, &order, &[], false);
    let par = context.par.for_work(outer * inner * program.cost);
    let width = reduce.outer[kept];
    let groups = outer / width;
    // Several rows at once where they are short.
    let together = (LANES / width).clamp(1, inner);
    let pieces = groups * width.div_ceil(LANES);
    let part = if pieces >= ENOUGH {
        inner
    } else {
        (PART / width.min(LANES)).next_multiple_of(together)
    };
    let parts = inner.div_ceil(part);
    let mut accs = vec![C::EMPTY; groups * parts * width];
    let tasks: Vec<Column<'_, C::Acc>> = accs
        .chunks_mut(width)
        .enumerate()
        .flat_map(|(i, row)| {
            let (group, p) = (i / parts, i % parts);
            row.chunks_mut(LANES).enumerate().map(move |(c, accs)| {
                let (from, to) = (p * part, ((p + 1) * part).min(inner));
                Column {
                    group,
                    first: c * LANES,
                    from,
                    to,
                    accs,
                }
            })
        })
        .collect();
    let mut tasks = tasks;
    let size = tasks.len().div_ceil(par.pieces());
    par.chunks(&mut tasks, size, |_, tasks| {
        let mut worker = Worker::new(&program, LANES);
        for task in tasks {
            let lanes = task.accs.len() * together;
            let mut state = C::columns(lanes);
            let mut row = task.from;
            while row < task.to {
                let n = together.min(task.to - row);
                let start = (task.group * inner + row) * width + task.first;
                C::add_column(
                    &mut state,
                    worker.eval(start, n * task.accs.len()),
                    row,
                    together == 1,
                );
                row += n;
            }
            C::fold_columns(state, task.accs);
        }
    });
    merge::<C>(&accs, groups, parts, width)
}
