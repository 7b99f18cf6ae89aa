//! The Window family: sums and argmaxima of windows slid over planes, tap by tap over whole lines.

use super::Context;
use super::order::float_key;
use super::simd::simd_fn;
use super::unfold::{Piece, Unfold};
use crate::plan::{Window, WindowKind};

/// Runs `window`.
pub(super) fn run(window: &Window, context: Context<'_>, out: &mut [u8]) {
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
    let (width, lines) = (w.input[2], w.output[1]);
    let planes = x.chunks_exact(w.input[1] * width);
    for (x, out) in planes.zip(out.chunks_exact_mut(lines * w.output[2])) {
        for (r, out) in out.chunks_exact_mut(w.output[2]).enumerate() {
            let at = 2 * r * width;
            let (top, bottom) = (&x[at..], &x[at + width..]);
            match w.kind {
                WindowKind::Sum => pair_sums(top, bottom, out),
                WindowKind::ArgMax => {
                    pair_greatest(
                        bytemuck::cast_slice(top),
                        bytemuck::cast_slice(bottom),
                        at as u32,
                        width as u32,
                        out,
                    );
                }
            }
        }
    }
}

simd_fn! {
    fn pair_sums(top: &[f32], bottom: &[f32], out: &mut [u32]) {
        for ((out, t), b) in out.iter_mut().zip(top.chunks_exact(2)).zip(bottom.chunks_exact(2)) {
            *out = (t[0] + t[1] + b[0] + b[1]).to_bits();
        }
    }
}

simd_fn! {
    fn pair_greatest(top: &[u32], bottom: &[u32], at: u32, width: u32, out: &mut [u32]) {
        for (i, ((out, t), b)) in out.iter_mut().zip(top.chunks_exact(2)).zip(bottom.chunks_exact(2)).enumerate() {
            let at = at + 2 * i as u32;
            let (mut best, mut position) = (float_key(t[0]), at);
            for (x, p) in [(t[1], at + 1), (b[0], at + width), (b[1], at + width + 1)] {
                let key = float_key(x);
                let more = key > best;
                best = if more { key } else { best };
                position = if more { p } else { position };
            }
            *out = position;
        }
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
    let mut totals = vec![0.0f64; out.len()];
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
