//! One rectangle of a product on one thread: blocks of the operands that stay in the caches.

use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::pack::{Block, SLACK, pack};
use crate::matmul::gemm::packed::panel_len;
use crate::matmul::gemm::results::Target;
use crate::matmul::gemm::scratch::with_scratch;
use crate::matmul::gemm::{Out, Product};
use std::ops::Range;

/// Most steps of a sum before it is added to the output.
const DEPTH: usize = 512;

/// Floats of a block of the left operand: a quarter of a second-level cache.
const LEFT: usize = 1 << 16;

/// Most columns of a block of the right operand.
const WIDTH: usize = 1024;

/// With fewer rows, packing the right operand costs more than reading it where it is.
const FEW_ROWS: usize = 56;

/// How a rectangle is cut.
struct Cut {
    /// Steps of a run of the sum; follows from `k` alone.
    depth: usize,
    /// Rows of a block.
    height: usize,
    /// Whether whole vectors of the right operand are read where they are.
    direct: bool,
}

/// Where a rectangle's results go.
#[derive(Clone, Copy)]
enum To {
    Floats(Out),
    /// Rounded, rows so many elements apart, each tile from this memory. For sums of a single run.
    Rounded(Target, usize, Out),
}

impl Cut {
    fn new(p: &Product<'_>, kernels: &Kernels, rows: usize) -> Cut {
        let depth = run_len(p.k);
        Cut {
            depth,
            height: (LEFT / depth.max(1)).max(kernels.rows()),
            direct: p.packed.is_none()
                && p.b.data.single().is_some()
                && p.b.col == 1
                && rows <= FEW_ROWS
                && p.k > 0,
        }
    }
}

/// Steps of a run of a sum of `k`.
pub(crate) fn run_len(k: usize) -> usize {
    k.div_ceil(k.div_ceil(DEPTH).max(1))
        .next_multiple_of(8)
        .min(k)
}

/// Computes one rectangle of the output.
///
/// # Safety
/// The output holds the rectangle, nobody else touches it meanwhile, and the operands hold what it is computed from.
pub(crate) unsafe fn rectangle(
    p: &Product<'_>,
    kernels: &Kernels,
    rows: Range<usize>,
    cols: Range<usize>,
    out: Out,
) {
    let cut = Cut::new(p, kernels, rows.len());
    // SAFETY: the caller's.
    unsafe { cut_rectangle(p, kernels, &cut, (rows, cols), To::Floats(out)) }
}

/// The same, rounded; rows of `out` are `row` apart.
///
/// # Safety
/// As for [`rectangle`].
pub(crate) unsafe fn rounded(
    p: &Product<'_>,
    kernels: &Kernels,
    (rows, cols): (Range<usize>, Range<usize>),
    (out, row): (Target, usize),
) {
    let cut = Cut::new(p, kernels, rows.len());
    let part = |own: &mut [f32], row: usize| Out {
        at: own.as_mut_ptr(),
        row,
    };
    if cut.depth >= p.k {
        let width = kernels.cols();
        return with_scratch(kernels.rows() * width, |tile| {
            let to = To::Rounded(out, row, part(tile, width));
            // SAFETY: the caller's.
            unsafe { cut_rectangle(p, kernels, &cut, (rows, cols), to) }
        });
    }
    with_scratch(rows.len() * cols.len(), |wide| {
        let own = part(wide, cols.len());
        let first = own.before(rows.start * own.row + cols.start);
        let to = out.from(rows.start * row + cols.start);
        let width = cols.len();
        // SAFETY: the memory holds the rectangle; the output is the caller's.
        unsafe {
            cut_rectangle(p, kernels, &cut, (rows, cols), To::Floats(first));
            to.store_lines(wide, (width, width), row);
        }
    });
}

/// # Safety
/// As for [`rectangle`].
unsafe fn cut_rectangle(
    p: &Product<'_>,
    kernels: &Kernels,
    cut: &Cut,
    (rows, cols): (Range<usize>, Range<usize>),
    to: To,
) {
    let left = (rows.len().min(cut.height) * cut.depth + SLACK).next_multiple_of(16);
    let most = match p.packed {
        Some(_) => 0,
        None if cut.direct => kernels.cols(),
        None => WIDTH,
    };
    let right = cols.len().min(most).next_multiple_of(kernels.cols()) * cut.depth + SLACK;
    with_scratch(left + right, |scratch| {
        let (a, b) = scratch.split_at_mut(left);
        for from in cols.clone().step_by(WIDTH) {
            let cols = from..cols.end.min(from + WIDTH);
            let mut l = 0;
            loop {
                let steps = l..p.k.min(l + cut.depth);
                l = steps.end;
                if p.packed.is_none() {
                    pack_right(p, kernels, cut, cols.clone(), steps.clone(), b);
                }
                // SAFETY: the caller's.
                unsafe {
                    strip(
                        p,
                        kernels,
                        cut,
                        (rows.clone(), cols.clone(), steps),
                        (a, b),
                        to,
                    );
                }
                if l == p.k {
                    break;
                }
            }
        }
    });
}

/// The blocks of rows of one block of the right operand.
///
/// # Safety
/// As for [`rectangle`].
unsafe fn strip(
    p: &Product<'_>,
    kernels: &Kernels,
    cut: &Cut,
    (rows, cols, steps): (Range<usize>, Range<usize>, Range<usize>),
    (a, b): (&mut [f32], &[f32]),
    to: To,
) {
    let blocks = rows.len().div_ceil(cut.height);
    for i in 0..blocks {
        let rows =
            rows.start + part(rows.len(), i, blocks)..rows.start + part(rows.len(), i + 1, blocks);
        let panels = rows.len().div_ceil(kernels.rows());
        let left = Block {
            data: p.a.data,
            at: p.a.at,
            across: p.a.row,
            along: p.a.col,
        };
        pack_left(
            left.from(rows.start, steps.start),
            rows.len(),
            panels,
            steps.len(),
            a,
        );
        // SAFETY: the caller's.
        unsafe {
            block(
                p,
                kernels,
                cut,
                (rows, panels),
                cols.clone(),
                steps.clone(),
                (a, b),
                to,
            );
        }
    }
}

/// Where part `i` of `parts` about equal ones begins.
pub(crate) fn part(len: usize, i: usize, parts: usize) -> usize {
    i * len / parts
}

/// Packs `rows` rows in `panels` panels, panel `i` from `part(rows, i, panels) * k` on.
pub(crate) fn pack_left(a: Block<'_>, rows: usize, panels: usize, k: usize, out: &mut [f32]) {
    let together = steps_together(&a, k);
    for l in (0..k).step_by(together) {
        let steps = together.min(k - l);
        for i in 0..panels {
            let (from, to) = (part(rows, i, panels), part(rows, i + 1, panels));
            let width = to - from;
            let out = &mut out[from * k + l * width..];
            pack(a.from(from, l), width, steps, width, out);
        }
    }
}

/// How many steps of the sum to pack before the next panel's. Where the elements of a step lie one after the other, few: then
/// all panels of a line of memory are written while a cache holds it.
fn steps_together(block: &Block<'_>, k: usize) -> usize {
    const STEPS: usize = 32;
    if block.across == 1 { STEPS } else { k.max(1) }
}

/// Packs the columns, panel after panel of whole vectors, or only those that are not read where they are.
fn pack_right(
    p: &Product<'_>,
    kernels: &Kernels,
    cut: &Cut,
    cols: Range<usize>,
    steps: Range<usize>,
    out: &mut [f32],
) {
    let b = Block {
        data: p.b.data,
        at: p.b.at,
        across: p.b.col,
        along: p.b.row,
    };
    let k = steps.len();
    let together = steps_together(&b, k);
    for l in (0..k).step_by(together) {
        let part = together.min(k - l);
        let mut at = 0;
        for c in cols.clone().step_by(kernels.cols()) {
            let width = (cols.end - c).min(kernels.cols());
            let stride = width.next_multiple_of(kernels.lanes);
            if !cut.direct || width < stride {
                let out = &mut out[at + l * stride..];
                pack(b.from(c, steps.start + l), width, part, stride, out);
                at += stride * k;
            }
        }
    }
}

/// The tiles of one block of each operand.
///
/// # Safety
/// As for [`rectangle`].
#[allow(
    clippy::too_many_arguments,
    reason = "what two packed blocks are and where their product goes"
)]
unsafe fn block(
    p: &Product<'_>,
    kernels: &Kernels,
    cut: &Cut,
    (rows, panels): (Range<usize>, usize),
    cols: Range<usize>,
    steps: Range<usize>,
    (a, b): (&[f32], &[f32]),
    to: To,
) {
    let k = steps.len();
    let mut at = 0;
    for c in cols.clone().step_by(kernels.cols()) {
        let width = (cols.end - c).min(kernels.cols());
        let vectors = width.div_ceil(kernels.lanes);
        let stride = vectors * kernels.lanes;
        let (b, source) = if let Some(packed) = p.packed {
            let panel = c / kernels.cols() * panel_len(kernels, p.k);
            let from = panel + steps.start * stride;
            (&packed[from..], Source::Strided(stride))
        } else if cut.direct
            && width == stride
            && let Some(data) = p.b.data.single()
        {
            (
                &data[p.b.at + steps.start * p.b.row + c..],
                Source::Strided(p.b.row),
            )
        } else {
            at += stride * k;
            (&b[at - stride * k..], Source::Strided(stride))
        };
        for i in 0..panels {
            let (from, end) = (part(rows.len(), i, panels), part(rows.len(), i + 1, panels));
            let (c_at, c_row) = match to {
                To::Floats(out) => {
                    let at = (rows.start + from) * out.row + c;
                    (out.at.wrapping_add(at), out.row)
                }
                To::Rounded(_, _, tile) => (tile.at, tile.row),
            };
            let tile = Tile {
                k,
                a: a[from * k..].as_ptr(),
                a_step: end - from,
                b: b.as_ptr(),
                source,
                c: c_at,
                c_row,
                cols: width,
                add: p.add || steps.start > 0,
            };
            // SAFETY: panel and right operand hold `k` steps, the caller's output, or its memory, the tile; the kernel is one
            // of this processor's.
            unsafe {
                (kernels.tiles[end - from - 1][vectors - 1])(&tile);
                if let To::Rounded(out, row, _) = to {
                    let lines = std::slice::from_raw_parts(c_at, (end - from - 1) * c_row + width);
                    let to = out.from((rows.start + from) * row + c);
                    to.store_lines(lines, (c_row, width), row);
                }
            }
        }
    }
}
