//! The Map family: element-wise programs stored densely or to a strided region.

use crate::call::Context;
use crate::dtype::{Class, DType};
use crate::plan::{Expr, Function, Held, Inst, Map};
use crate::program::store::Stored;
use crate::program::walk::Walk;
use crate::program::worker::Worker;
use crate::program::{Around, LANES, Program};
use crate::{caches, simd};
use half::{bf16, f16};

/// Whether results of so many elements are written past the caches: those that the last-level cache does not hold. See "Large
/// results through the caches" in `docs/rejected.md`.
pub(crate) fn passes_caches(len: usize) -> bool {
    4 * len > caches::last_level_cache()
}

/// `map`, whose output has elements of `dtype`, made ready; `None` where there is nothing to do.
pub(crate) fn prepare(map: &Map, dtype: DType, held: &[Held]) -> Option<Program> {
    if map.shape.contains(&0) {
        return None;
    }
    let order: Vec<usize> = (0..map.shape.len()).collect();
    let tiles = dtype.size() == 4;
    let store = [&map.store];
    let around = Around {
        each: &|_| false,
        held,
    };
    let tiles = tiles && held.is_empty();
    let unrounded = without_rounding(&map.expr, dtype);
    Some(Program::within(
        unrounded.as_ref().unwrap_or(&map.expr),
        &map.shape,
        &order,
        &store,
        (tiles, around),
    ))
}

/// `expr` without a last step that rounds what its store rounds all the same.
fn without_rounding(expr: &Expr, dtype: DType) -> Option<Expr> {
    let (last, before) = expr.insts.split_last()?;
    let Inst::Apply {
        op, args, input, ..
    } = last
    else {
        return None;
    };
    let rounds = matches!(
        (op.function, dtype),
        (Function::ToF16, DType::F16) | (Function::ToBf16, DType::BF16)
    );
    let of_last = args[..] == [before.len().checked_sub(1)?];
    (rounds && of_last && input.class() == Class::F32).then(|| Expr {
        insts: before.to_vec(),
        ..expr.clone()
    })
}

/// Runs a prepared map; `out` holds elements of `dtype`.
pub(crate) fn run(program: &Program, context: Context<'_>, out: &mut [u8], dtype: DType) {
    match dtype {
        DType::U8 => dense::<u8>(program, context, out),
        DType::F16 => dense::<f16>(program, context, bytemuck::cast_slice_mut(out)),
        DType::BF16 => dense::<bf16>(program, context, bytemuck::cast_slice_mut(out)),
        _ if program.last_walk().flat => {
            dense::<u32>(program, context, bytemuck::cast_slice_mut(out))
        }
        _ => strided(program, context, bytemuck::cast_slice_mut(out)),
    }
}

fn dense<T: Stored>(program: &Program, context: Context<'_>, out: &mut [T]) {
    let nest = &program.nest;
    let at = program.last_walk().offset as usize;
    let out = &mut out[at..at + nest.len];
    let par = context.par.for_work(nest.len * program.cost);
    // Whole rows where rows are short, so that blocks begin where rows do.
    let unit = if nest.shape.len() > 1 && nest.row() * 2 <= LANES {
        nest.row()
    } else {
        LANES
    };
    let size = nest.len.div_ceil(par.pieces()).next_multiple_of(unit);
    let held = program.before().next().is_some();
    let stream = passes_caches(nest.len) && !held;
    par.chunks(out, size, |first, piece| {
        let mut worker = Worker::new(program, context);
        let end = first + piece.len();
        let mut start = first;
        while start < end {
            let stop = nest.block_end(start, end, LANES);
            let block = &mut piece[start - first..stop - first];
            T::eval_into(&mut worker, start, block, (stream, held));
            start = stop;
        }
        if stream {
            simd::stream_end();
        }
    });
}

fn strided(program: &Program, context: Context<'_>, out: &mut [u32]) {
    let (nest, store) = (&program.nest, program.last_walk());
    let par = context.par.for_work(nest.len * program.cost);
    let rows = nest.shape[0];
    let inner = nest.len / rows;
    if !separable(&nest.shape, store) || par.threads() == 1 {
        store_range(
            program,
            &mut Worker::new(program, context),
            0..nest.len,
            out,
            0,
        );
        return;
    }
    let step = store.strides[0] as usize;
    let size = rows.div_ceil(par.pieces());
    let base = store.offset as usize;
    let end = out.len().min(base + rows * step);
    par.chunks(&mut out[base..end], size * step, |first, piece| {
        let row = first / step;
        let range = row * inner..(row + size).min(rows) * inner;
        store_range(
            program,
            &mut Worker::new(program, context),
            range,
            piece,
            base + first,
        );
    });
}

/// Whether different outermost indices store to disjoint, ascending ranges.
fn separable(shape: &[usize], store: &Walk) -> bool {
    let reach: i64 = shape
        .iter()
        .zip(&store.strides)
        .skip(1)
        .map(|(&n, &s)| (n as i64 - 1) * s)
        .sum();
    store.strides.iter().all(|&s| s >= 0) && store.strides[0] > reach
}

/// Stores the linear positions `range`; `out` begins at element `base` of the output.
fn store_range(
    program: &Program,
    worker: &mut Worker<'_, '_>,
    range: std::ops::Range<usize>,
    out: &mut [u32],
    base: usize,
) {
    let (nest, store) = (&program.nest, program.last_walk());
    let step = store.step();
    let mut index = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let stop = nest.block_end(start, range.end, LANES);
        nest.index_of(start, &mut index);
        if step == 1 && index[index.len() - 1] + (stop - start) <= nest.row() {
            let at = store.offset_at(&index) as usize - base;
            worker.eval_into(start, &mut out[at..at + (stop - start)]);
        } else {
            let lanes = worker.eval(start, stop - start);
            store.stretches(nest, &mut index, lanes.len(), |lane, n, at| {
                let mut at = at - base as i64;
                for &word in &lanes[lane..lane + n] {
                    out[at as usize] = word;
                    at += step;
                }
            });
        }
        start = stop;
    }
}
