//! The first stages of a normalisation: the sum of a row, its mean, what its points are away from that, and the sum of the squares
//! of these. A row is read once, then stays in the cache; rows in runs are first copied together. The bits are those of the stages
//! one by one, but where long rows lie in long runs, which these add in another order. Reads no plan but to recognise them.

use crate::call::Context;
use crate::dtype::DType;
use crate::plan::{Function, Inst, ReduceKind, RowRegion, Rows, Stage, StageKind};
use crate::program::load::copy_short;
use crate::rows::recognise::{Known, same, usable};

/// The first stages of rows that are such.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    input: usize,
    inner: usize,
    /// Where the rows lie in the input.
    from: RowRegion,
    /// The scalar that sums are divided by.
    count: usize,
}

impl Moments {
    /// The moments that `rows` begin with, if they do and this processor has a way of its own for it.
    pub(crate) fn of(rows: &Rows) -> Option<Moments> {
        let [sum, mean, centred, squares, ..] = &rows.stages[..] else {
            return None;
        };
        let kinds = [
            (sum, StageKind::Reduce(ReduceKind::Sum)),
            (mean, StageKind::Once),
            (centred, StageKind::Each),
            (squares, StageKind::Reduce(ReduceKind::Sum)),
        ];
        let plain = |s: &Stage| s.dtype == DType::F32 && s.output.is_none();
        let of_kinds = kinds.iter().all(|(s, kind)| s.kind == *kind && plain(s));
        let [Inst::Load { input, view }] = &sum.expr.insts[..] else {
            return None;
        };
        let [_, Inst::Scalar { scalar, .. }, ..] = mean.expr.insts[..] else {
            return None;
        };
        let quotient = [
            Known::Stage(0),
            Known::Other,
            Known::Apply(Function::Div, &[0, 1]),
        ];
        let difference = [
            Known::Load,
            Known::Stage(1),
            Known::Apply(Function::Neg, &[1]),
            Known::Apply(Function::Add, &[0, 2]),
        ];
        let square = [Known::Stage(2), Known::Apply(Function::Mul, &[0, 0])];
        let fits = of_kinds
            && usable()
            && sum.expr.inputs[*input] == DType::F32
            && same(&mean.expr, &quotient)
            && centred.expr.insts.first() == sum.expr.insts.first()
            && same(&centred.expr, &difference)
            && same(&squares.expr, &square);
        let size = |stride: i64| usize::try_from(stride).ok();
        let from = match (&rows.outer[..], &rows.inner[..], &view.strides[..]) {
            ([_], &[inner], &[pitch, 1]) => {
                RowRegion::together(size(view.offset)?, size(pitch)?, inner)
            }
            ([_], &[_, run], &[pitch, apart, 1]) => RowRegion {
                offset: size(view.offset)?,
                pitch: size(pitch)?,
                run,
                apart: size(apart)?,
            },
            _ => return None,
        };
        fits.then_some(Moments {
            input: *input,
            inner: rows.inner.iter().product(),
            from,
            count: scalar,
        })
    }

    /// The values of the stages for the rows from `first` on, one of each for a row but for the differences.
    pub(crate) fn run(&self, context: &Context<'_>, first: usize, values: [&mut [u32]; 4]) {
        let x = context.words(self.input);
        let count = f32::from_bits(context.scalars[self.count]);
        let [sums, means, rows, squares] = values;
        let RowRegion {
            offset,
            pitch,
            run,
            apart,
        } = self.from;
        for (i, row) in rows.chunks_exact_mut(self.inner).enumerate() {
            let at = offset + (first + i) * pitch;
            let together = run == self.inner;
            if !together {
                for (r, row) in row.chunks_exact_mut(run).enumerate() {
                    copy_short(&x[at + r * apart..][..run], row);
                }
            }
            let from = together.then(|| &x[at..][..self.inner]);
            let [sum, mean, square] = centre(from, row, count);
            (sums[i], means[i], squares[i]) = (sum.to_bits(), mean.to_bits(), square.to_bits());
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn centre(_: Option<&[u32]>, _: &mut [u32], _: f32) -> [f32; 3] {
    unreachable!("no way of its own on this processor")
}

/// The sum, the mean and the sum of squared differences of a row, given or in `row`, which becomes the differences.
#[cfg(target_arch = "x86_64")]
fn centre(from: Option<&[u32]>, row: &mut [u32], count: f32) -> [f32; 3] {
    let row = bytemuck::cast_slice_mut(row);
    // SAFETY: the processor has AVX-512, as `Moments::of` asked.
    unsafe { x86::centre(from.map(bytemuck::cast_slice), row, count) }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::program::LANES;
    use crate::reduce::avx512::{N, load, mask, sum};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub(super) fn centre(from: Option<&[f32]>, row: &mut [f32], count: f32) -> [f32; 3] {
        let of = |block: &[f32]| match block.len() {
            ..=N => block.iter().map(|&x| f64::from(x)).sum::<f64>(),
            len => f64::from(sum(len, |at| load(block, at, 0.0))),
        };
        let blocks = from.unwrap_or(row).chunks(LANES);
        // An empty sum of the standard library is −0.
        let sum_of_row = (0.0 + blocks.map(of).sum::<f64>()) as f32;
        let mean = sum_of_row / count;
        let all = _mm512_set1_ps(mean);
        let mut total = 0.0;
        for first in (0..row.len()).step_by(LANES) {
            let row = &mut row[first..];
            let len = row.len().min(LANES);
            let row = &mut row[..len];
            let from = from.map(|from| &from[first..first + len]);
            let square = sum(len, |at| {
                let x = match from {
                    Some(from) => load(from, at, 0.0),
                    None => load(row, at, 0.0),
                };
                let lanes = mask(len - at);
                let away = _mm512_sub_ps(x, all);
                // SAFETY: the mask lets through what lies in the block.
                unsafe { _mm512_mask_storeu_ps(row.as_mut_ptr().add(at), lanes, away) };
                _mm512_maskz_mul_ps(lanes, away, away)
            });
            total += match len {
                ..=N => row.iter().map(|&c| f64::from(c * c)).sum(),
                _ => f64::from(square),
            };
        }
        [sum_of_row, mean, total as f32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Kernel;
    use crate::rows::compiled::without;
    use crate::rows::recognise::planned;
    use crate::{Operand, run_kernel};
    use wgrad_graph::{Device, Tensor};

    /// All values of the stages of `rows`, by themselves or together.
    fn values(rows: &Rows, x: &[f32], count: f32, together: bool) -> Vec<Vec<u32>> {
        let mut rows = rows.clone();
        rows.stages.truncate(4);
        let outer: usize = rows.outer.iter().product();
        let inner: usize = rows.inner.iter().product();
        if together {
            let scalars = [count.to_bits(); 8];
            let moments = Moments::of(&rows).expect("moments");
            let mut values = [1, 1, inner, 1].map(|width| vec![0; outer * width]);
            let bytes = bytemuck::cast_slice(x);
            let inputs = [Operand {
                dtype: DType::F32,
                bytes,
            }];
            let context = Context {
                inputs: &inputs,
                scalars: &scalars,
                check: 0,
                status: &0.into(),
                par: crate::threads::par::Par::SERIAL,
                packed: None,
            };
            moments.run(&context, 0, values.each_mut().map(|v| &mut v[..]));
            return values.into();
        }
        let stages = rows.stages.clone();
        let one = |s: usize| {
            let mut rows = rows.clone();
            rows.stages = stages[..=s].to_vec();
            rows.stages[s].output = Some(0);
            assert!(Moments::of(&rows).is_none(), "{s}");
            let width = if s == 2 { inner } else { 1 };
            let mut out = vec![0u32; outer * width];
            let input = Operand {
                dtype: DType::F32,
                bytes: bytemuck::cast_slice(x),
            };
            let scalars = [count.to_bits(); 8];
            let kernel = Kernel::Rows(rows);
            let to = (bytemuck::cast_slice_mut(&mut out), DType::F32);
            without(|| run_kernel(&kernel, &[input], to, &scalars, (0, &0.into()), 1));
            out
        };
        (0..4).map(one).collect()
    }

    #[test]
    fn moments_have_the_bits_of_the_stages() {
        if !usable() {
            return println!("skipped: this processor has no AVX-512");
        }
        let numbers = |n: usize| -> Vec<f32> {
            let special = [f32::NAN, f32::INFINITY, 1e30];
            let value = |i: usize| match i % 997 {
                s @ 901..904 => special[s - 901],
                _ => ((i * 37 % 101) as f32 - 50.0) * 0.3,
            };
            (0..n).map(value).collect()
        };
        let device = Device::cpu();
        for inner in [15, 16, 17, 64, 100, 512, 513, 768, 1024, 1030, 2064, 4100] {
            let x = numbers(20 * inner);
            let t = Tensor::from_slice(&x, &[20, inner], &device);
            let rows = planned(&t.layer_norm(&[inner], None, None, 1e-5)).expect("rows");
            assert!(Moments::of(&rows).is_some(), "{inner}");
            let [one, all] =
                [false, true].map(|together| values(&rows, &x, inner as f32, together));
            assert!(same_values(&one, &all), "{inner}");
        }
        for [images, channels, side] in [[3, 16, 4], [5, 17, 6], [2, 33, 9], [40, 20, 7]] {
            let x = numbers(images * channels * side * side);
            let t = Tensor::from_slice(&x, &[images, channels, side, side], &device);
            let rows = planned(&t.batch_norm_train(None, None, 1e-5).0).expect("rows");
            assert_eq!(rows.outer, [channels]);
            let count = (images * side * side) as f32;
            let [one, all] = [false, true].map(|together| values(&rows, &x, count, together));
            let long = images * side * side > 512 && side * side >= 32;
            assert!(
                long || same_values(&one, &all),
                "{images} {channels} {side}"
            );
            assert!(close(&one, &all), "{images} {channels} {side}");
        }
    }

    fn close(a: &[Vec<u32>], b: &[Vec<u32>]) -> bool {
        let near = |(&a, &b): (&u32, &u32)| {
            let (a, b) = (f32::from_bits(a), f32::from_bits(b));
            a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-4 * (1.0 + a.abs())
        };
        let of_stage = |(a, b): (&Vec<u32>, &Vec<u32>)| a.iter().zip(b).all(near);
        a.iter().zip(b).all(of_stage)
    }

    fn same_values(a: &[Vec<u32>], b: &[Vec<u32>]) -> bool {
        let nan = |w: u32| f32::from_bits(w).is_nan();
        let same = |(&a, &b): (&u32, &u32)| a == b || nan(a) && nan(b);
        let of_stage =
            |(a, b): (&Vec<u32>, &Vec<u32>)| a.len() == b.len() && a.iter().zip(b).all(same);
        a.iter().zip(b).all(of_stage)
    }
}
