//! The Window family: sums and argmaxima of windows slid over planes, tap by tap over whole lines.

use crate::call::Context;
use crate::conv::unfold::{Piece, Unfold};
use crate::plan::{Window, WindowKind};
use crate::simd::simd_fn;
use crate::sort::keys::float_key;

/// Runs `window`.
pub(crate) fn run(window: &Window, context: Context<'_>, out: &mut [u8]) {
    let x: &[f32] = bytemuck::cast_slice(context.words(0));
    let out: &mut [u32] = bytemuck::cast_slice_mut(out);
    let (plane, result) = (
        window.input.iter().product::<usize>(),
        window.output.iter().product::<usize>(),
    );
    if result == 0 || window.planes == 0 {
        return;
    }
    let taps: usize = window.kernel.iter().product();
    let par = context
        .par
        .for_work(out.len().saturating_mul(taps).saturating_mul(5));
    let planes = window.planes.div_ceil(par.pieces());
    par.chunks(out, planes * result, |first, out| {
        let x = &x[first / result * plane..][..out.len() / result * plane];
        match window.kind {
            _ if halves(window) => pairs(window, x, out),
            WindowKind::Sum => sums(&unfold_of(window), x, out),
            WindowKind::ArgMax => positions(&unfold_of(window), x, out),
        }
    });
}

/// Whether this is the usual 2 by 2 window with stride 2 in a flat plane.
fn halves(w: &Window) -> bool {
    w.kernel == [1, 2, 2]
        && w.stride[1..] == [2, 2]
        && w.padding == [0; 3]
        && w.dilation[1..] == [1, 1]
        && w.input[0] == 1
        && w.output[0] == 1
        && w.output[1] * 2 <= w.input[1]
        && w.output[2] * 2 <= w.input[2]
}

fn pairs(w: &Window, x: &[f32], out: &mut [u32]) {
    let sizes = (
        w.input[1] * w.input[2],
        w.input[2],
        w.output[1],
        w.output[2],
    );
    match w.kind {
        WindowKind::Sum => pair_sums(bytemuck::cast_slice(x), sizes, out),
        WindowKind::ArgMax => pair_greatest(bytemuck::cast_slice(x), sizes, out),
    }
}

/// Results computed at once.
const LANES: usize = 16;

/// Two lines above one another.
type Lines<'x> = [&'x [u32; 2 * LANES]; 2];

/// What is computed from two lines. Functions and loops that are plain enough to become vector instructions.
trait Pair {
    /// The results of [`LANES`] windows, the first of which begins at `at` in a plane `width` wide.
    fn of(lines: Lines<'_>, at: u32, width: u32, out: &mut [u32; LANES]);
}

struct Sums;

impl Pair for Sums {
    #[inline(always)]
    fn of([top, bottom]: Lines<'_>, _: u32, _: u32, out: &mut [u32; LANES]) {
        let f = f32::from_bits;
        for i in 0..LANES {
            let sum = f(top[2 * i]) + f(top[2 * i + 1]) + f(bottom[2 * i]) + f(bottom[2 * i + 1]);
            out[i] = sum.to_bits();
        }
    }
}

struct Greatest;

impl Pair for Greatest {
    #[inline(always)]
    fn of([top, bottom]: Lines<'_>, at: u32, width: u32, out: &mut [u32; LANES]) {
        let mut keys = [[0i32; LANES]; 4];
        for i in 0..LANES {
            keys[0][i] = float_key(top[2 * i]);
            keys[1][i] = float_key(top[2 * i + 1]);
            keys[2][i] = float_key(bottom[2 * i]);
            keys[3][i] = float_key(bottom[2 * i + 1]);
        }
        let mut step = [0u32; LANES];
        let mut best = keys[0];
        for (keys, to) in keys[1..].iter().zip([1, width, width + 1]) {
            for i in 0..LANES {
                step[i] = if keys[i] > best[i] { to } else { step[i] };
                best[i] = best[i].max(keys[i]);
            }
        }
        for i in 0..LANES {
            out[i] = at + 2 * i as u32 + step[i];
        }
    }
}

/// Computes `P` of every two lines. `sizes` are those of a plane, its lines, and of the result: lines and columns.
#[inline(always)]
fn each_pair<P: Pair>(
    x: &[u32],
    (plane, width, lines, columns): (usize, usize, usize, usize),
    out: &mut [u32],
) {
    let mut to = 0;
    for first in (0..x.len() / plane).map(|p| p * plane) {
        for line in 0..lines {
            for column in (0..columns).step_by(LANES) {
                let at = 2 * (line * width + column);
                let (top, bottom) = (&x[first + at..], &x[first + at + width..]);
                let n = (columns - column).min(LANES);
                let rest = &mut out[to..];
                to += n;
                // What is written beyond the line is written again by the next.
                if let (Some(top), Some(bottom), Some(out)) = (
                    top.first_chunk(),
                    bottom.first_chunk(),
                    rest.first_chunk_mut(),
                ) {
                    P::of([top, bottom], at as u32, width as u32, out);
                    continue;
                }
                let (mut words, mut results) = ([[0; 2 * LANES]; 2], [0; LANES]);
                words[0][..2 * n].copy_from_slice(&top[..2 * n]);
                words[1][..2 * n].copy_from_slice(&bottom[..2 * n]);
                P::of(
                    [&words[0], &words[1]],
                    at as u32,
                    width as u32,
                    &mut results,
                );
                rest[..n].copy_from_slice(&results[..n]);
            }
        }
    }
}

simd_fn! {
    fn pair_sums(x: &[u32], sizes: (usize, usize, usize, usize), out: &mut [u32]) {
        each_pair::<Sums>(x, sizes, out);
    }
}

simd_fn! {
    fn pair_greatest(x: &[u32], sizes: (usize, usize, usize, usize), out: &mut [u32]) {
        each_pair::<Greatest>(x, sizes, out);
    }
}

fn unfold_of(w: &Window) -> Unfold {
    Unfold {
        input: w.input,
        output: w.output,
        kernel: w.kernel,
        stride: w.stride,
        dilation: w.dilation,
        padding: w.padding.map(|p| p as i64),
    }
}

/// Sums in f64, so that wide windows stay exact to the last bit or so.
fn sums(shape: &Unfold, x: &[f32], out: &mut [u32]) {
    let mut totals: Vec<f64> = crate::storage::reserved(out.len());
    totals.resize(out.len(), 0.0);
    let (plane, result, step) = (shape.plane(), shape.positions(), shape.stride[2]);
    shape.each_tap(0..result, |pieces| {
        for (x, totals) in x.chunks_exact(plane).zip(totals.chunks_exact_mut(result)) {
            for &Piece { at, count, source } in pieces {
                add_strided(&mut totals[at..at + count], &x[source..], step);
            }
        }
    });
    out.iter_mut()
        .zip(&totals)
        .for_each(|(out, &total)| *out = (total as f32).to_bits());
}

/// Positions of first maxima; taps come in the order of positions.
fn positions(shape: &Unfold, x: &[f32], out: &mut [u32]) {
    let x: &[u32] = bytemuck::cast_slice(x);
    let mut best = vec![i32::MIN; out.len()];
    let (plane, result, step) = (shape.plane(), shape.positions(), shape.stride[2]);
    shape.each_tap(0..result, |pieces| {
        let planes = best
            .chunks_exact_mut(result)
            .zip(out.chunks_exact_mut(result));
        for (x, (best, out)) in x.chunks_exact(plane).zip(planes) {
            for &Piece { at, count, source } in pieces {
                raise_strided(
                    &mut best[at..at + count],
                    &mut out[at..at + count],
                    &x[source..],
                    step,
                    source as u32,
                );
            }
        }
    });
}

simd_fn! {
    fn add_strided(totals: &mut [f64], x: &[f32], step: usize) {
        if step == 1 {
            totals.iter_mut().zip(x).for_each(|(total, &x)| *total += f64::from(x));
        } else {
            totals.iter_mut().zip(x.iter().step_by(step)).for_each(|(total, &x)| *total += f64::from(x));
        }
    }
}

simd_fn! {
    fn raise_strided(best: &mut [i32], out: &mut [u32], x: &[u32], step: usize, source: u32) {
        // The least key is that of no float: the first tap inside always takes the place.
        for (i, (best, out)) in best.iter_mut().zip(out).enumerate() {
            let key = float_key(x[i * step]);
            let more = key > *best;
            *best = if more { key } else { *best };
            *out = if more { source + (i * step) as u32 } else { *out };
        }
    }
}
