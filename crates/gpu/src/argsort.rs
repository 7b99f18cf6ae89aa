//! ArgSort: a bitonic sort of (key, position) pairs, in workgroup memory for rows of up to 1024 elements, else in passes
//! over a buffer; or, on software adapters and where the pairs of a row would not fit a binding, a radix sort of
//! positions. Both are stable.

use super::call::{Arg, Call, Grid, Lowered, Work};
use super::halves;
use super::source::keys;
use super::step::StepView;
use super::target::Target;
use crate::dtype::{Class, DType};
use crate::plan::ArgSort;
use std::borrow::Cow;
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// Pairs that fit the workgroup memory of the kernels.
const BLOCK: usize = 1024;

/// Elements of a tile of the radix sort: so many that its 256 counters do not matter, so few that there are tiles for
/// several threads.
const TILES: [usize; 2] = [1 << 10, 1 << 13];
const BUSY: usize = 256;

pub(super) fn lower(view: &StepView<'_>, sort: &ArgSort) -> Result<Lowered, Error> {
    let class = view
        .input_dtypes
        .first()
        .unwrap_or(&view.output_dtype)
        .class();
    let mut lowered = passes(view.target, sort, class, [Arg::Input(0), Arg::Output])?;
    let dtype = view.input_dtypes.first().copied().unwrap_or(DType::I32);
    for work in &mut lowered.work {
        if let (Work::Call(call), true) = (work, dtype.is_half()) {
            call.wgsl = halves::with_loads(&call.wgsl, "x", dtype).into();
        }
    }
    halves::complete(&mut lowered)?;
    Ok(lowered)
}

/// What sorts the elements of the first buffer into the second; with scratch buffers from 1 on.
pub(super) fn passes(
    target: Target,
    sort: &ArgSort,
    class: Class,
    [x, order]: [Arg; 2],
) -> Result<Lowered, Error> {
    let padded = sort.length.next_power_of_two().max(2);
    if sort.length <= BLOCK {
        return Ok(Lowered {
            work: vec![short(sort, class, padded, [x, order]).into()],
            scratch: vec![0],
            ..Lowered::default()
        });
    }
    let fits = 8 * padded as u64 <= target.binding;
    if target.software || !fits {
        return Ok(radix(sort, class, [x, order]));
    }
    Ok(bitonic(target, sort, class, padded, [x, order]))
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

fn short(sort: &ArgSort, class: Class, padded: usize, [x, order]: [Arg; 2]) -> Call {
    let levels = padded.ilog2() as u64;
    Call {
        label: "argsort",
        wgsl: [keys(class), kernels::ARGSORT_SHORT].concat().into(),
        constants: Vec::new(),
        args: vec![x, order, Arg::Params],
        params: [sort.rows, sort.length, padded, usize::from(sort.descending)]
            .into_iter()
            .collect(),
        grid: Grid::Groups(sort.rows as u64),
        iterations: 8 + levels * (1 + levels * 3),
    }
}

/// Passes over pairs, for so many rows at a time as a binding holds.
fn bitonic(
    target: Target,
    sort: &ArgSort,
    class: Class,
    padded: usize,
    [x, order]: [Arg; 2],
) -> Lowered {
    let ArgSort { rows, length, .. } = *sort;
    let at_once = ((target.binding / 8) as usize / padded).clamp(1, rows);
    let blocks_text: Cow<'static, str> = [keys(class), kernels::ARGSORT_BLOCKS].concat().into();
    let blocks = |size: usize, first: usize, end: usize| {
        let constants = vec![
            ("FIRST", flag(size == BLOCK)),
            ("LAST", flag(size == padded)),
        ];
        let descending = usize::from(sort.descending);
        Work::from(Call {
            label: "argsort blocks",
            wgsl: blocks_text.clone(),
            constants,
            args: vec![x, order, Arg::Scratch(1), Arg::Params],
            params: [end - first, length, padded, descending, size, first]
                .into_iter()
                .collect(),
            grid: Grid::Groups(((end - first) * padded / BLOCK) as u64),
            // Up to ten stages of ten steps, each of two pairs for each thread.
            iterations: 8 + 10 * (1 + 10 * 3),
        })
    };
    let step = |size: usize, reach: usize, rows: usize| {
        Work::from(Call {
            label: "argsort step",
            wgsl: kernels::ARGSORT_STEP.into(),
            constants: Vec::new(),
            args: vec![Arg::Scratch(1), Arg::Params],
            params: [rows * padded / 2, padded, size, reach]
                .into_iter()
                .collect(),
            grid: Grid::Threads((rows * padded / 2) as u64),
            iterations: 0,
        })
    };
    let mut work = Vec::new();
    for first in (0..rows).step_by(at_once) {
        let end = rows.min(first + at_once);
        work.push(blocks(BLOCK, first, end));
        let mut size = 2 * BLOCK;
        while size <= padded {
            let mut reach = size / 2;
            while reach >= BLOCK {
                work.push(step(size, reach, end - first));
                reach /= 2;
            }
            work.push(blocks(size, first, end));
            size *= 2;
        }
    }
    Lowered {
        work,
        scratch: vec![0, 8 * (at_once * padded) as u64],
        ..Lowered::default()
    }
}

/// Four passes over positions. They go to and fro between the output and a buffer as large, and end in the output.
fn radix(sort: &ArgSort, class: Class, [x, order]: [Arg; 2]) -> Lowered {
    let ArgSort { rows, length, .. } = *sort;
    let tile = (rows * length / BUSY).clamp(TILES[0], TILES[1]);
    // As many tiles as a thread can go through.
    let tile = tile.max(length.div_ceil(1 << 14));
    let tiles = length.div_ceil(tile);
    let (other, counts, totals) = (Arg::Scratch(1), Arg::Scratch(2), Arg::Scratch(3));
    let mut work = Vec::new();
    for pass in 0..4 {
        let (from, to) = if pass % 2 == 0 {
            (order, other)
        } else {
            (other, order)
        };
        let numbers = [
            rows,
            length,
            tiles,
            tile,
            8 * pass,
            usize::from(sort.descending),
        ];
        let over_tiles = |label, core: &'static str, args: Vec<Arg>| Call {
            label,
            wgsl: [keys(class), core].concat().into(),
            constants: vec![("FIRST", flag(pass == 0))],
            args,
            params: numbers.into_iter().collect(),
            grid: Grid::Threads((rows * tiles) as u64),
            iterations: (tile + 2 * 256) as u64,
        };
        let over_digits = |label, core: &'static str| Call {
            label,
            wgsl: core.into(),
            constants: Vec::new(),
            args: vec![counts, totals, Arg::Params],
            params: [rows, tiles].into_iter().collect(),
            grid: Grid::Threads((rows * 256) as u64),
            iterations: (tiles + 256) as u64,
        };
        let count = over_tiles(
            "radix count",
            kernels::RADIX_COUNT,
            vec![x, from, counts, Arg::Params],
        );
        work.push(count.into());
        work.push(over_digits("radix totals", kernels::RADIX_TOTALS).into());
        work.push(over_digits("radix places", kernels::RADIX_PLACES).into());
        let args = vec![x, from, counts, to, Arg::Params];
        work.push(over_tiles("radix move", kernels::RADIX_MOVE, args).into());
    }
    let words = [0, rows * length, rows * 256 * tiles, rows * 256];
    Lowered {
        work,
        scratch: words.map(|n| 4 * n as u64).to_vec(),
        ..Lowered::default()
    }
}
