//! One call of a kernel: the family that runs it.

use super::ready::Ready;
use crate::call::Context;
#[cfg(test)]
use crate::call::Operand;
use crate::dtype::DType;
use crate::plan::{Kernel, Rows};
#[cfg(test)]
use crate::threads::par;
use crate::{attention, conv, map, matmul, reduce, rows, scan, scatter_add, sort, window};
#[cfg(test)]
use std::sync::atomic::AtomicU32;

/// Calls the user's function.
fn run_custom(custom: &crate::plan::Custom, context: &Context<'_>, out: &mut [u8]) {
    let inputs: Vec<(&[f32], &[usize])> = context
        .inputs
        .iter()
        .zip(&custom.inputs)
        .map(|(operand, shape)| (bytemuck::cast_slice(operand.bytes), shape.as_slice()))
        .collect();
    (custom.kernel.cpu)(&inputs, bytemuck::cast_slice_mut(out), &custom.output);
}

/// Elements of 4 bytes; an empty slice may lie anywhere.
fn words(bytes: &mut [u8]) -> &mut [u32] {
    match bytes.len() {
        0 => &mut [],
        _ => bytemuck::cast_slice_mut(bytes),
    }
}

/// Runs one kernel. The first of `outs` holds elements of `dtype`; all are aligned to their elements.
pub(crate) fn run_ready(
    kernel: &Kernel,
    ready: &Ready,
    context: Context<'_>,
    mut outs: [&mut [u8]; Rows::MAX_OUTPUTS],
    dtype: DType,
) {
    if let Ready::Rows(ready) = ready {
        return rows::run(ready, context, outs.map(words));
    }
    if let Kernel::Attention(attention) = kernel {
        return attention::run(attention, context, &mut outs.map(words));
    }
    let out = std::mem::take(&mut outs[0]);
    match (kernel, ready) {
        (Kernel::Map(_), Ready::Map(Some(program))) => map::run(program, context, out, dtype),
        (Kernel::Reduce(_), Ready::Reduce(ready)) => reduce::run(ready, context, out, dtype),
        // Prepared as having nothing to do; a loop runs where its buffers are.
        (
            Kernel::Map(_)
            | Kernel::Reduce(_)
            | Kernel::Rows(_)
            | Kernel::Attention(_)
            | Kernel::Loop(_),
            _,
        ) => {}
        (Kernel::Matmul(matmul), _) => matmul::run(matmul, context, out, dtype),
        (Kernel::Conv(conv), _) => conv::run(conv, context, out, dtype),
        (Kernel::Window(window), _) => window::run(window, context, out),
        (Kernel::ScatterAdd(scatter), _) => scatter_add::run(scatter, context, out, dtype),
        (Kernel::Scan(scan), _) => scan::run(scan, context, out, dtype),
        (Kernel::ArgSort(sort), _) => sort::run(sort, context, out, context.inputs[0].dtype),
        (Kernel::Custom(custom), _) => run_custom(custom, &context, out),
    }
}

/// Prepares and runs one kernel on `threads` threads. `out` holds elements of `dtype`,
/// aligned to its elements. An index out of range writes `check` to `status` if that is 0.
#[cfg(test)]
pub(crate) fn run_kernel(
    kernel: &Kernel,
    inputs: &[Operand<'_>],
    (out, dtype): (&mut [u8], DType),
    scalars: &[u32],
    (check, status): (u32, &AtomicU32),
    threads: usize,
) {
    let mut outs = [(); Rows::MAX_OUTPUTS].map(|()| &mut [][..]);
    outs[0] = out;
    par::with_threads(threads, |par| {
        let context = Context {
            inputs,
            scalars,
            check,
            status,
            par,
            packed: None,
        };
        run_ready(
            kernel,
            &Ready::new(kernel, dtype, &[]),
            context,
            outs,
            dtype,
        );
    });
}
