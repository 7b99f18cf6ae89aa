//! The Scan family: inclusive scans along the middle of `[outer, length, inner]`.

use crate::call::Context;
use crate::dtype::DType;
use crate::math;
use crate::plan::{Scan, ScanKind};
use crate::sort::keys::float_key;

/// Runs `scan` on elements of `dtype`.
pub(crate) fn run(scan: &Scan, context: Context<'_>, out: &mut [u8], dtype: DType) {
    let input = context.words(0);
    let out: &mut [u32] = bytemuck::cast_slice_mut(out);
    let float = dtype.is_float();
    match scan.kind {
        ScanKind::Sum if float => scan_with(scan, context, input, out, 0.0, sum_f32),
        ScanKind::Sum => scan_with(scan, context, input, out, 0u32, |acc, x| {
            same(acc.wrapping_add(x))
        }),
        ScanKind::Prod if float => {
            scan_with(scan, context, input, out, 1.0f64, |acc, x| {
                let acc = acc * f64::from(f32::from_bits(x));
                (acc, (acc as f32).to_bits())
            });
        }
        ScanKind::Prod => scan_with(scan, context, input, out, 1u32, |acc, x| {
            same(acc.wrapping_mul(x))
        }),
        ScanKind::Max if float => {
            scan_with(
                scan,
                context,
                input,
                out,
                f32::NEG_INFINITY.to_bits(),
                |acc, x| {
                    same(if float_key(x) > float_key(acc) {
                        x
                    } else {
                        acc
                    })
                },
            );
        }
        ScanKind::Max if dtype == DType::I32 => {
            scan_with(scan, context, input, out, i32::MIN as u32, |acc, x| {
                same((acc as i32).max(x as i32) as u32)
            });
        }
        ScanKind::Max => scan_with(scan, context, input, out, 0u32, |acc, x| same(acc.max(x))),
        ScanKind::LogSumExp => scan_with(scan, context, input, out, LogSum::NOTHING, LogSum::add),
        ScanKind::Linear => linear(scan, context, out),
    }
}

fn same(x: u32) -> (u32, u32) {
    (x, x)
}

fn sum_f32(acc: f64, x: u32) -> (f64, u32) {
    let acc = acc + f64::from(f32::from_bits(x));
    (acc, (acc as f32).to_bits())
}

/// A running log-sum-exp: `max + ln(scaled)`, where `scaled = Σ exp(x - max)`.
#[derive(Clone, Copy)]
struct LogSum {
    max: f32,
    scaled: f64,
}

impl LogSum {
    const NOTHING: LogSum = LogSum {
        max: f32::NEG_INFINITY,
        scaled: 0.0,
    };

    fn add(self, x: u32) -> (LogSum, u32) {
        let x = f32::from_bits(x);
        let next = if x.is_nan() || self.max.is_nan() {
            LogSum {
                max: f32::NAN,
                scaled: 1.0,
            }
        } else if x == f32::NEG_INFINITY || self.max == f32::INFINITY {
            self
        } else if x > self.max {
            let scale = if self.scaled == 0.0 {
                0.0
            } else {
                f64::from(math::exp(self.max - x))
            };
            LogSum {
                max: x,
                scaled: self.scaled * scale + 1.0,
            }
        } else {
            LogSum {
                max: self.max,
                scaled: self.scaled + f64::from(math::exp(x - self.max)),
            }
        };
        (next, next.value().to_bits())
    }

    fn value(self) -> f32 {
        if self.max.is_finite() {
            self.max + math::log1p((self.scaled - 1.0) as f32)
        } else {
            self.max
        }
    }
}

/// The recurrence of factors, the first operand, and terms; in f64, as the other scans.
fn linear(scan: &Scan, context: Context<'_>, out: &mut [u32]) {
    let (factors, terms) = (context.words(0), context.words(1));
    let (length, inner) = (scan.length, scan.inner);
    let plane = length * inner;
    if plane == 0 {
        return;
    }
    let par = context.par.for_work(scan.outer * plane * 10);
    let planes = scan.outer.div_ceil(par.pieces());
    par.chunks(out, planes * plane, |first, out| {
        let mut values = vec![0.0f64; inner];
        for (p, out) in out.chunks_exact_mut(plane).enumerate() {
            for i in 0..length {
                let line = if scan.reverse { length - 1 - i } else { i } * inner;
                let at = first + p * plane + line;
                let terms = &terms[at..at + inner];
                let operands = factors[at..at + inner].iter().zip(terms);
                let values = values.iter_mut().zip(&mut out[line..line + inner]);
                for ((&a, &b), (value, out)) in operands.zip(values) {
                    let (a, b) = (f64::from(f32::from_bits(a)), f64::from(f32::from_bits(b)));
                    *value = if i == 0 { b } else { a * *value + b };
                    *out = (*value as f32).to_bits();
                }
            }
        }
    });
}

fn scan_with<A: Copy + Send + Sync>(
    scan: &Scan,
    context: Context<'_>,
    input: &[u32],
    out: &mut [u32],
    start: A,
    step: impl Fn(A, u32) -> (A, u32) + Sync + Send,
) {
    let (length, inner) = (scan.length, scan.inner);
    let plane = length * inner;
    if plane == 0 {
        return;
    }
    let par = context.par.for_work(scan.outer * plane * 10);
    let planes = scan.outer.div_ceil(par.pieces());
    par.chunks(out, planes * plane, |first, out| {
        let mut accs = vec![start; inner];
        let input = &input[first..first + out.len()];
        for (input, out) in input.chunks_exact(plane).zip(out.chunks_exact_mut(plane)) {
            accs.fill(start);
            for i in 0..length {
                let at = if scan.reverse { length - 1 - i } else { i } * inner;
                let row = input[at..at + inner].iter().zip(&mut out[at..at + inner]);
                for (acc, (&x, out)) in accs.iter_mut().zip(row) {
                    (*acc, *out) = step(*acc, x);
                }
            }
        }
    });
}
