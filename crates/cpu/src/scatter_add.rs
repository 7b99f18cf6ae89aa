//! The ScatterAdd family: every row in the order of its elements, rows in parallel.

use crate::call::Context;
use crate::dtype::DType;
use crate::plan::ScatterAdd;
use crate::threads::par::Par;

/// Runs `scatter` on elements of `dtype`.
pub(crate) fn run(scatter: &ScatterAdd, context: Context<'_>, out: &mut [u8], dtype: DType) {
    let out: &mut [u32] = bytemuck::cast_slice_mut(out);
    if dtype.is_float() {
        with(scatter, context, out, |a, b| {
            (f32::from_bits(a) + f32::from_bits(b)).to_bits()
        });
    } else {
        with(scatter, context, out, u32::wrapping_add);
    }
}

fn with(
    scatter: &ScatterAdd,
    context: Context<'_>,
    out: &mut [u32],
    add: impl Fn(u32, u32) -> u32 + Sync + Send,
) {
    let ScatterAdd {
        outer,
        count,
        size,
        inner,
        ..
    } = *scatter;
    let (plane, source) = (size * inner, count * inner);
    if source == 0 {
        return out.fill(0);
    }
    if plane == 0 {
        if outer > 0 {
            context.report(context.check);
        }
        return;
    }
    let par = context.par.for_work(outer * source * 10);
    if outer >= 2 * par.threads() || par.threads() == 1 {
        let planes = outer.div_ceil(par.pieces());
        return par.chunks(out, planes * plane, |first, out| {
            for (i, out) in out.chunks_exact_mut(plane).enumerate() {
                rows(scatter, &context, first / plane + i, out, 0, &add);
            }
        });
    }
    // Few planes: every task looks at all indices and keeps those of its own range of destinations.
    let per_task = size.div_ceil(par.threads());
    for (o, out) in out.chunks_exact_mut(plane).enumerate() {
        Par::chunks(par, out, per_task * inner, |first, out| {
            rows(scatter, &context, o, out, first / inner, &add)
        });
    }
}

/// Clears `out` and adds the elements of plane `o` whose index lies in the part of the output that `out` is, from row `low` on.
fn rows(
    scatter: &ScatterAdd,
    context: &Context<'_>,
    o: usize,
    out: &mut [u32],
    low: usize,
    add: &impl Fn(u32, u32) -> u32,
) {
    let ScatterAdd {
        count,
        size,
        inner,
        index: [so, sj, si],
        ..
    } = *scatter;
    let (src, index) = (context.words(0), context.words(1));
    out.fill(0);
    let high = low + out.len() / inner;
    let mut bad = false;
    if (inner, sj, out.len()) == (1, 1, size) {
        let index = &index[o * so..][..count];
        for (&x, &to) in src[o * count..].iter().zip(index) {
            match out.get_mut(to as usize) {
                Some(out) => *out = add(*out, x),
                None => bad = true,
            }
        }
        if bad {
            context.report(context.check);
        }
        return;
    }
    for j in 0..count {
        let src = &src[(o * count + j) * inner..][..inner];
        let at = o * so + j * sj;
        if si == 0 || inner == 1 {
            let to = index[at] as usize;
            bad |= to >= size;
            if (low..high).contains(&to) {
                let out = &mut out[(to - low) * inner..][..inner];
                out.iter_mut()
                    .zip(src)
                    .for_each(|(out, &x)| *out = add(*out, x));
            }
            continue;
        }
        for (i, &x) in src.iter().enumerate() {
            let to = index[at + i * si] as usize;
            bad |= to >= size;
            if (low..high).contains(&to) {
                let out = &mut out[(to - low) * inner + i];
                *out = add(*out, x);
            }
        }
    }
    if bad {
        context.report(context.check);
    }
}
