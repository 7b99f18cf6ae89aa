//! Softmax over rows that lie together, in two passes for each: exponentials with their sum, and their quotients while the
//! next row's greatest element is found, so that reading, computing and writing go on at the same time. The bits are those
//! of the stages one by one. Reads no plan but to recognise it.

use crate::call::Context;
use crate::dtype::DType;
use crate::plan::{Function, Inst, ReduceKind, Rows, Stage, StageKind};
use crate::rows::recognise::{Known, same, usable};

/// A softmax over the last dimensions of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Softmax {
    input: usize,
    /// Points of a row.
    inner: usize,
}

/// The most points of a row: its exponentials stay in a second-level cache of 1 MiB beside the row.
const LONGEST: usize = 1 << 16;

impl Softmax {
    /// The softmax that `rows` is, if it is one and this processor has a way of its own for it.
    pub(crate) fn of(rows: &Rows) -> Option<Softmax> {
        let shape = [&rows.outer[..], &rows.inner[..]].concat();
        let inner: usize = rows.inner.iter().product();
        let fits = (1..=LONGEST).contains(&inner) && usable();
        let input = input(rows, &shape).filter(|_| fits)?;
        Some(Softmax { input, inner })
    }

    /// Writes all rows; past the caches if `stream`.
    pub(crate) fn run(&self, context: &Context<'_>, work: usize, out: &mut [u32], stream: bool) {
        let par = context.par.for_work(work);
        let x = context.words(self.input);
        let rows = out.len() / self.inner;
        let size = rows.div_ceil(par.pieces()) * self.inner;
        par.chunks(out, size, |first, piece| {
            let x = &x[first..first + piece.len()];
            run_rows(x, piece, self.inner, stream);
        });
    }
}

/// The first stages of a softmax that is read by more than its own last one, as by its gradient: the greatest element of a row,
/// the exponentials, their sum and its inverse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    input: usize,
    inner: usize,
}

impl Head {
    /// The head of `rows`, if they have one and this processor has a way of its own for it.
    pub(crate) fn of(rows: &Rows) -> Option<Head> {
        let shape = [&rows.outer[..], &rows.inner[..]].concat();
        let inner: usize = rows.inner.iter().product();
        let fits = (17..=LONGEST).contains(&inner) && usable();
        let input = head(rows, &shape).filter(|_| fits)?;
        Some(Head { input, inner })
    }

    /// The values of its stages for the rows from `first` on, one of each for a row but for the exponentials.
    pub(crate) fn run(&self, context: &Context<'_>, first: usize, values: [&mut [u32]; 4]) {
        let rows = values[0].len();
        let x = &context.words(self.input)[first * self.inner..][..rows * self.inner];
        head_rows(x, self.inner, values);
    }
}

/// The input of a softmax.
fn input(rows: &Rows, shape: &[usize]) -> Option<usize> {
    let input = head(rows, shape)?;
    let [_, _, _, _, quotient] = &rows.stages[..] else {
        return None;
    };
    let whole = [
        Known::Stage(1),
        Known::Stage(3),
        Known::Apply(Function::Mul, &[0, 1]),
    ];
    let last = quotient.kind == StageKind::Each
        && quotient.dtype == DType::F32
        && quotient.region.is_none()
        && quotient.output == Some(0);
    (last && same(&quotient.expr, &whole)).then_some(input)
}

/// The input of what is a softmax's but for its last stage.
fn head(rows: &Rows, shape: &[usize]) -> Option<usize> {
    let [greatest, exp, sum, recip, ..] = &rows.stages[..] else {
        return None;
    };
    let kinds = [
        (greatest, StageKind::Reduce(ReduceKind::Max)),
        (exp, StageKind::Each),
        (sum, StageKind::Reduce(ReduceKind::Sum)),
        (recip, StageKind::Once),
    ];
    let all_f32 = |s: &Stage| s.dtype == DType::F32 && s.region.is_none() && s.output.is_none();
    let of_kinds = kinds
        .iter()
        .all(|(stage, kind)| stage.kind == *kind && all_f32(stage));
    let [Inst::Load { input, view }] = &greatest.expr.insts[..] else {
        return None;
    };
    let difference = [
        Known::Load,
        Known::Stage(0),
        Known::Apply(Function::Neg, &[1]),
        Known::Apply(Function::Add, &[0, 2]),
        Known::Apply(Function::Exp, &[3]),
    ];
    let is_softmax = of_kinds
        && view.is_contiguous(shape)
        && greatest.expr.inputs[*input] == DType::F32
        && exp.expr.insts.first() == greatest.expr.insts.first()
        && same(&exp.expr, &difference)
        && same(&sum.expr, &[Known::Stage(1)])
        && same(
            &recip.expr,
            &[Known::Stage(2), Known::Apply(Function::Recip, &[0])],
        );
    is_softmax.then_some(*input)
}

#[cfg(not(target_arch = "x86_64"))]
fn run_rows(_: &[u32], _: &mut [u32], _: usize, _: bool) {}

#[cfg(not(target_arch = "x86_64"))]
fn head_rows(_: &[u32], _: usize, _: [&mut [u32]; 4]) {}

#[cfg(target_arch = "x86_64")]
use x86::{head_rows, run_rows};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::matmul::gemm::scratch::with_scratch;
    use crate::program::LANES;
    use crate::reduce::avx512::{N, load, mask, sum};
    use crate::simd::exponential::x86::exponential;
    use crate::simd::{Upcoming, stream_end};
    use std::arch::x86_64::*;

    /// The rows of `inner` points of `x`.
    pub(crate) fn run_rows(x: &[u32], out: &mut [u32], inner: usize, stream: bool) {
        let (x, out): (&[f32], &mut [f32]) =
            (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(out));
        // What is written past the caches is whole lines.
        let lines = inner.is_multiple_of(N) && out.as_ptr().align_offset(64) == 0;
        with_scratch(inner, |exps| {
            // SAFETY: the processor has AVX-512; what is streamed is aligned, as rows are whole vectors.
            match stream && lines {
                true => unsafe { rows::<true>(x, out, exps, inner) },
                false => unsafe { rows::<false>(x, out, exps, inner) },
            }
        });
        if stream {
            stream_end();
        }
    }

    /// Greatest elements, exponentials, sums and their inverses of the rows of `inner` points of `x`.
    pub(crate) fn head_rows(x: &[u32], inner: usize, values: [&mut [u32]; 4]) {
        let [greatest, exps, sums, inverses] = values.map(bytemuck::cast_slice_mut);
        // SAFETY: the processor has AVX-512.
        unsafe {
            heads(
                bytemuck::cast_slice(x),
                inner,
                (greatest, exps),
                (sums, inverses),
            )
        }
    }

    #[target_feature(enable = "avx512f")]
    fn heads(
        x: &[f32],
        inner: usize,
        (greatest, exps): (&mut [f32], &mut [f32]),
        (sums, inverses): (&mut [f32], &mut [f32]),
    ) {
        let rows = x.chunks_exact(inner).zip(exps.chunks_exact_mut(inner));
        for (i, (row, exps)) in rows.enumerate() {
            let mut most = Greatest::new();
            for at in (0..inner).step_by(N) {
                most.add(load(row, at, f32::NEG_INFINITY));
            }
            greatest[i] = most.value();
            sums[i] = exponentials(row, exps, greatest[i], None);
            inverses[i] = 1.0 / sums[i];
        }
    }

    /// # Safety
    /// AVX-512; with `STREAM`, `out` begins on a line of the cache and rows are whole lines.
    #[target_feature(enable = "avx512f")]
    unsafe fn rows<const STREAM: bool>(x: &[f32], out: &mut [f32], exps: &mut [f32], inner: usize) {
        let mut greatest = Greatest::new();
        let Some(first) = x.get(..inner) else { return };
        for at in (0..inner).step_by(N) {
            greatest.add(load(first, at, f32::NEG_INFINITY));
        }
        let mut rows = x.chunks_exact(inner).peekable();
        for out in out.chunks_exact_mut(inner) {
            let Some(row) = rows.next() else { return };
            let next = rows.peek().copied();
            let sum = exponentials(row, exps, greatest.value(), next);
            let factor = _mm512_set1_ps(1.0 / sum);
            greatest = Greatest::new();
            for at in (0..inner).step_by(N) {
                let quotient = _mm512_mul_ps(load(exps, at, 0.0), factor);
                // SAFETY: the mask lets through what lies in the row, which is aligned where it has to be, says the caller.
                unsafe {
                    let out = out.as_mut_ptr().add(at);
                    match STREAM {
                        true => _mm512_stream_ps(out, quotient),
                        false => _mm512_mask_storeu_ps(out, mask(inner - at), quotient),
                    }
                }
                if let Some(next) = next {
                    greatest.add(load(next, at, f32::NEG_INFINITY));
                }
            }
        }
    }

    /// The greatest of many; NaN if one is.
    struct Greatest {
        chains: [__m512; 2],
        nan: __mmask16,
    }

    impl Greatest {
        #[target_feature(enable = "avx512f")]
        #[inline]
        fn new() -> Greatest {
            Greatest {
                chains: [_mm512_set1_ps(f32::NEG_INFINITY); 2],
                nan: 0,
            }
        }

        #[target_feature(enable = "avx512f")]
        #[inline]
        fn add(&mut self, x: __m512) {
            self.nan |= _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            let [a, b] = self.chains;
            self.chains = [b, _mm512_max_ps(a, x)];
        }

        #[target_feature(enable = "avx512f")]
        #[inline]
        fn value(&self) -> f32 {
            match self.nan {
                0 => _mm512_reduce_max_ps(_mm512_max_ps(self.chains[0], self.chains[1])),
                _ => f32::NAN,
            }
        }
    }

    /// exp(x - greatest) of a row, and the sum: by 64 chains for each block, the blocks' sums joined in f64; at most 16 one
    /// after the other. Fetches the next row meanwhile.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn exponentials(row: &[f32], exps: &mut [f32], greatest: f32, next: Option<&[f32]>) -> f32 {
        let all = _mm512_set1_ps(greatest);
        let mut upcoming = next.map(|next| Upcoming::new(next.as_ptr().cast(), 0));
        let mut total = 0.0;
        for (row, exps) in row.chunks(LANES).zip(exps.chunks_mut(LANES)) {
            let len = row.len();
            assert!(exps.len() >= len);
            let sum = sum(len, |at| {
                let e = exponential(_mm512_sub_ps(load(row, at, 0.0), all));
                let lanes = mask(len - at);
                let e = _mm512_maskz_mov_ps(lanes, e);
                // SAFETY: the mask lets through what lies in the block.
                unsafe { _mm512_mask_storeu_ps(exps.as_mut_ptr().add(at), lanes, e) };
                if at % (4 * N) == 3 * N
                    && let Some(upcoming) = &mut upcoming
                {
                    upcoming.fetch(4 * N);
                }
                e
            });
            total += match len {
                ..=N => exps[..len].iter().map(|&e| f64::from(e)).sum(),
                _ => f64::from(sum),
            };
        }
        total as f32
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

    fn data(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let mut values: Vec<f32> = (0..n)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.3)
            .collect();
        // Rows with what is not finite, and one of nothing but −∞.
        let inner = shape[shape.len() - 1];
        if n / inner > 4 {
            values[inner + inner / 3] = f32::NAN;
            values[2 * inner + inner / 2] = f32::INFINITY;
            values[3 * inner..4 * inner].fill(f32::NEG_INFINITY);
            values[4 * inner + inner / 4] = f32::NEG_INFINITY;
        }
        Tensor::from_slice(&values, shape, &Device::cpu())
    }

    #[test]
    fn a_softmax_is_recognised() {
        if !usable() {
            return println!("skipped: this processor has no AVX-512");
        }
        let of = |y: &Tensor| planned(y).and_then(|rows| Softmax::of(&rows)).is_some();
        let x = data(&[6, 128]);
        assert!(of(&x.softmax(1)));
        assert!(!of(&x.log_softmax(1)) && !of(&(x.softmax(1) * 2.0)) && !of(&x.relu().softmax(1)));
        assert!(of(&data(&[6, 72]).softmax(1)) && of(&data(&[60, 56]).softmax(1)));
        assert!(!of(&x.t().softmax(1)) && !of(&x.softmax(0)));
    }

    /// With one stage more, which nobody reads, it is no softmax.
    fn by_stages(mut rows: Rows, x: &[f32]) -> Vec<u32> {
        rows.stages.push(rows.stages[3].clone());
        let mut out = vec![0; x.len()];
        let input = Operand {
            dtype: DType::F32,
            bytes: bytemuck::cast_slice(x),
        };
        let bytes = bytemuck::cast_slice_mut(&mut out);
        let kernel = Kernel::Rows(rows);
        let out_of = (bytes, DType::F32);
        without(|| run_kernel(&kernel, &[input], out_of, &[], (0, &0.into()), 1));
        out
    }

    #[test]
    fn a_gradient_begins_as_a_softmax() {
        if !usable() {
            return println!("skipped: this processor has no AVX-512");
        }
        for inner in [17, 33, 56, 100, 1000, 1040] {
            let shape = [9, inner];
            let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) * 0.1;
            let x: Vec<f32> = (0..9 * inner).map(value).collect();
            let dy: Vec<f32> = (0..9 * inner).map(|i| value(i * 7 + 3)).collect();
            let at = |v: &[f32]| Tensor::from_slice(v, &shape, &Device::cpu());
            let (x_at, dy_at) = (at(&x), at(&dy));
            let y = x_at.softmax(1);
            let loss = (&y * &dy_at).sum();
            let dx = wgrad_graph::grad(&loss, &[&x_at])
                .expect("a gradient")
                .remove(0);
            let plan = wgrad_graph::planning::planned(&[&y, &dx], &[])
                .expect("a plan")
                .plan;
            let begun =
                |kernel: &Kernel| matches!(kernel, Kernel::Rows(r) if Head::of(r).is_some());
            assert!(plan.steps.iter().any(|s| begun(&s.kernel)), "{inner}");
            let got = dx.to_vec::<f32>().expect("values");
            for ((x, dy), got) in x.chunks(inner).zip(dy.chunks(inner)).zip(got.chunks(inner)) {
                let exps: Vec<f64> = x.iter().map(|&x| f64::from(x).exp()).collect();
                let sum: f64 = exps.iter().sum();
                let dot: f64 = exps.iter().zip(dy).map(|(e, &d)| e * f64::from(d)).sum();
                for ((e, &d), &got) in exps.iter().zip(dy).zip(got) {
                    let want = e / sum * (f64::from(d) - dot / sum);
                    assert!(
                        (f64::from(got) - want).abs() < 1e-6,
                        "{inner}: {got} and {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn it_has_the_bits_of_the_stages() {
        if !usable() {
            return println!("skipped: this processor has no AVX-512");
        }
        for inner in [
            17, 33, 56, 64, 65, 80, 96, 500, 512, 1000, 1024, 1025, 1040, 1088, 2064, 4096, 4100,
        ] {
            let x = data(&[7, inner]);
            let rows = planned(&x.softmax(1)).expect("rows");
            let softmax = Softmax::of(&rows).expect("a softmax");
            let x = x.to_vec::<f32>().expect("values");
            let want = by_stages(rows, &x);
            for stream in [false, true] {
                let mut out = crate::storage::HostBufferMut::within_step(4 * x.len());
                let out: &mut [u32] = out.slice_mut();
                run_rows(bytemuck::cast_slice(&x), out, softmax.inner, stream);
                let nan = |w: u32| f32::from_bits(w).is_nan();
                let same = |(&a, &b): (&u32, &u32)| a == b || (nan(a) && nan(b));
                assert!(out.iter().zip(&want).all(same), "{inner}");
            }
        }
    }
}
