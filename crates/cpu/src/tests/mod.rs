//! Every family against obvious loops, in f64 where sums are involved, on one thread and on several.

mod attention;
mod contraction;
mod convolution_ways;
mod elementwise;
#[cfg(unix)]
mod guarded;
mod panics;
mod plans;
#[cfg(unix)]
mod ragged;
mod reduction;
mod rest;
mod rows;
mod segments;
mod small;

use crate::dtype::{Class, DType};
use crate::plan::{BlockFn, Expr, Inst, Kernel, ScalarOp, View};
use crate::simd::{block1, block2, block3};
use crate::storage::HostBufferMut;
use crate::{Operand, run_kernel};
use std::sync::atomic::AtomicU32;

/// A small generator for test data.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n.max(1)
    }

    pub(crate) fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n)
            .map(|_| self.next() as f32 / (1u32 << 30) as f32 - 1.0)
            .collect()
    }
}

fn wgsl(_: &[&str], _: Class, _: Class) -> String {
    String::new()
}

fn add(operand: Class, _: Class) -> Option<BlockFn> {
    Some(match operand {
        Class::F32 => block2!(|a: f32, b: f32| -> f32 { a + b }),
        _ => block2!(|a: u32, b: u32| -> u32 { a.wrapping_add(b) }),
    })
}

fn mul(_: Class, _: Class) -> Option<BlockFn> {
    Some(block2!(|a: f32, b: f32| -> f32 { a * b }))
}

fn less(_: Class, _: Class) -> Option<BlockFn> {
    Some(block2!(|a: f32, b: f32| -> bool { a < b }))
}

fn select(_: Class, _: Class) -> Option<BlockFn> {
    Some(block3!(|c: bool, a: u32, b: u32| -> u32 {
        if c { a } else { b }
    }))
}

fn square(_: Class, _: Class) -> Option<BlockFn> {
    Some(block1!(|a: f32| -> f32 { a * a }))
}

fn to_float(operand: Class, _: Class) -> Option<BlockFn> {
    Some(match operand {
        Class::I32 => block1!(|a: i32| -> f32 { a as f32 }),
        _ => block1!(|a: u32| -> f32 { a as f32 }),
    })
}

pub(crate) static ADD: ScalarOp = ScalarOp {
    name: "add",
    wgsl,
    cpu: add,
    cost: 1,
    ..ScalarOp::PLAIN
};
pub(crate) static MUL: ScalarOp = ScalarOp {
    name: "mul",
    wgsl,
    cpu: mul,
    cost: 1,
    ..ScalarOp::PLAIN
};
pub(crate) static LESS: ScalarOp = ScalarOp {
    name: "less",
    wgsl,
    cpu: less,
    cost: 1,
    ..ScalarOp::PLAIN
};
pub(crate) static SELECT: ScalarOp = ScalarOp {
    name: "where",
    wgsl,
    cpu: select,
    cost: 1,
    ..ScalarOp::PLAIN
};
pub(crate) static SQUARE: ScalarOp = ScalarOp {
    name: "square",
    wgsl,
    cpu: square,
    cost: 1,
    ..ScalarOp::PLAIN
};
pub(crate) static TO_FLOAT: ScalarOp = ScalarOp {
    name: "to_float",
    wgsl,
    cpu: to_float,
    cost: 1,
    ..ScalarOp::PLAIN
};

fn apply(op: &'static ScalarOp, args: &[usize], input: DType, dtype: DType) -> Inst {
    Inst::Apply {
        op,
        args: args.to_vec(),
        input,
        dtype,
    }
}

fn load(input: usize, view: View) -> Inst {
    Inst::Load { input, view }
}

fn view(offset: i64, strides: &[i64]) -> View {
    View {
        offset,
        strides: strides.to_vec(),
    }
}

/// Inputs in memory as the executor's.
fn buffers(inputs: &[(DType, &[u8])]) -> Vec<(DType, HostBufferMut)> {
    let copy =
        |&(dtype, bytes): &(DType, &[u8])| (dtype, HostBufferMut::copy_of(bytes).expect("room"));
    inputs.iter().map(copy).collect()
}

/// Floats in memory as the executor's.
pub(crate) fn held(floats: &[f32]) -> HostBufferMut {
    HostBufferMut::copy_of(bytes(floats)).expect("room")
}

/// Runs a kernel on one thread and on three, checks that the bits agree and returns them with the status word. What products and
/// convolutions give as floats of two bytes has to be the same, rounded.
fn run_into(
    kernel: &Kernel,
    inputs: &[(DType, &[u8])],
    dtype: DType,
    before: &[u8],
    scalars: &[u32],
) -> (Vec<u8>, u32) {
    let (got, status) = run_alike(kernel, inputs, dtype, before, scalars);
    if matches!(kernel, Kernel::Matmul(_) | Kernel::Conv(_)) && dtype == DType::F32 {
        let wide: Vec<f32> = values(&got);
        let before = &before[..before.len() / 2];
        let halves: Vec<half::f16> = wide.iter().map(|&x| half::f16::from_f32(x)).collect();
        let uppers: Vec<half::bf16> = wide.iter().map(|&x| half::bf16::from_f32(x)).collect();
        for (dtype, want) in [(DType::F16, bytes(&halves)), (DType::BF16, bytes(&uppers))] {
            let (got, _) = run_alike(kernel, inputs, dtype, before, scalars);
            assert!(got == want, "{kernel:?} as {dtype:?}");
        }
    }
    (got, status)
}

fn run_alike(
    kernel: &Kernel,
    inputs: &[(DType, &[u8])],
    dtype: DType,
    before: &[u8],
    scalars: &[u32],
) -> (Vec<u8>, u32) {
    let inputs = buffers(inputs);
    let operands: Vec<Operand<'_>> = inputs
        .iter()
        .map(|(dtype, buffer)| Operand {
            dtype: *dtype,
            bytes: buffer.bytes(),
        })
        .collect();
    let mut results = [1, 3].map(|threads| {
        let mut out = HostBufferMut::copy_of(before).expect("room");
        let status = AtomicU32::new(0);
        run_kernel(
            kernel,
            &operands,
            (out.bytes_mut(), dtype),
            scalars,
            (7, &status),
            threads,
        );
        (out.bytes().to_vec(), status.into_inner())
    });
    assert!(
        results[0] == results[1],
        "results depend on the number of threads: {kernel:?}"
    );
    std::mem::take(&mut results[0])
}

fn run(
    kernel: &Kernel,
    inputs: &[(DType, &[u8])],
    dtype: DType,
    len: usize,
    scalars: &[u32],
) -> (Vec<u8>, u32) {
    run_into(
        kernel,
        inputs,
        dtype,
        &vec![0xAB; len * dtype.size()],
        scalars,
    )
}

fn bytes<T: bytemuck::Pod>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}

fn values<T: bytemuck::Pod>(bytes: &[u8]) -> Vec<T> {
    bytes
        .chunks_exact(size_of::<T>())
        .map(bytemuck::pod_read_unaligned)
        .collect()
}

fn close(got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let (got, want) = (f64::from(got), want);
        let same = got == want || (got.is_nan() && want.is_nan());
        assert!(
            same || (got - want).abs() <= tolerance * (1.0 + want.abs()),
            "element {i}: {got}, expected {want}"
        );
    }
}

/// All loop indices of `shape` in order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let n: usize = shape.iter().product();
    (0..n)
        .map(|p| {
            let mut rest = p;
            let mut index = vec![0; shape.len()];
            for d in (0..shape.len()).rev() {
                index[d] = rest % shape[d];
                rest /= shape[d];
            }
            index
        })
        .collect()
}

fn at(view: &View, index: &[usize]) -> i64 {
    view.offset
        + view
            .strides
            .iter()
            .zip(index)
            .map(|(&s, &i)| s * i as i64)
            .sum::<i64>()
}

fn read(bytes: &[u8], dtype: DType, at: i64) -> u32 {
    let at = usize::try_from(at).expect("in bounds");
    match dtype {
        DType::U8 => u32::from(bytes[at]),
        DType::F16 => half::f16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]])
            .to_f32()
            .to_bits(),
        DType::BF16 => u32::from_le_bytes([0, 0, bytes[2 * at], bytes[2 * at + 1]]),
        _ => u32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().expect("four bytes")),
    }
}

/// The value of `expr` at one point, instruction by instruction; the flag tells of an index out of range.
fn eval(expr: &Expr, index: &[usize], inputs: &[&[u8]], scalars: &[u32]) -> (u32, bool) {
    eval_after(expr, index, inputs, scalars, &|_| unreachable!("no stages"))
}

/// As [`eval`], after stages with these values.
fn eval_after(
    expr: &Expr,
    index: &[usize],
    inputs: &[&[u8]],
    scalars: &[u32],
    stages: &dyn Fn(usize) -> u32,
) -> (u32, bool) {
    let mut regs: Vec<u32> = Vec::new();
    let mut bad = false;
    for inst in &expr.insts {
        let value = match inst {
            Inst::Load { input, view } => {
                read(inputs[*input], expr.inputs[*input], at(view, index))
            }
            Inst::Gather {
                input,
                view,
                index: reg,
                size,
                stride,
                ..
            } => {
                let i = regs[*reg] as i32;
                if i >= 0 && (i as usize) < *size {
                    read(
                        inputs[*input],
                        expr.inputs[*input],
                        at(view, index) + i64::from(i) * stride,
                    )
                } else {
                    bad = true;
                    if expr.inputs[*input].is_float() {
                        f32::NAN.to_bits()
                    } else {
                        0
                    }
                }
            }
            Inst::Index { view } => at(view, index) as u32,
            Inst::Random { view, scalar } => {
                let w = at(view, index) as u64;
                let s = &scalars[*scalar..];
                crate::math::philox4x32_10([(w / 4) as u32, s[4], s[2], s[3]], [s[0], s[1]])
                    [(w % 4) as usize]
            }
            Inst::Stage { stage, .. } => stages(*stage),
            Inst::Scalar { scalar, .. } => scalars[*scalar],
            Inst::Literal { value, dtype } => match dtype.class() {
                Class::F32 => (*value as f32).to_bits(),
                _ => *value as u32,
            },
            Inst::Apply {
                op,
                args,
                input,
                dtype,
            } => {
                let args: Vec<[u32; 1]> = args.iter().map(|&a| [regs[a]]).collect();
                let args: Vec<&[u32]> = args.iter().map(|a| &a[..]).collect();
                let mut out = [0];
                (op.cpu)(input.class(), dtype.class()).expect("defined")(&mut out, &args);
                out[0]
            }
        };
        regs.push(value);
    }
    (regs[expr.result()], bad)
}
