//! One call of a kernel: what it is given, and the family that runs it.

#[cfg(test)]
use super::par;
use super::par::Par;
use super::prepared::Ready;
use crate::dtype::DType;
use crate::plan::{Kernel, Rows};
use crate::{conv, map, matmul, reduce, rows, scan, scatter_add, sort, window};
use std::sync::atomic::AtomicU32;

/// An input of a kernel: its element type and contents, aligned to 4 bytes at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    /// Element type.
    pub(crate) dtype: DType,
    /// Elements, as they lie in a buffer.
    pub(crate) bytes: &'a [u8],
}

impl Operand<'_> {
    pub(crate) const NONE: Operand<'static> = Operand {
        dtype: DType::F32,
        bytes: &[],
    };
}

/// What a kernel runs with.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) inputs: &'a [Operand<'a>],
    pub(crate) scalars: &'a [u32],
    pub(crate) check: u32,
    pub(crate) status: &'a AtomicU32,
    pub(crate) par: Par<'a>,
    /// The right operand of a product, packed, or the filters of a convolution made ready.
    pub(crate) packed: Option<&'a [f32]>,
}

impl<'a> Context<'a> {
    /// Input `i` as 32-bit words.
    pub(crate) fn words(&self, i: usize) -> &'a [u32] {
        bytemuck::cast_slice(self.inputs[i].bytes)
    }
}

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

/// Runs one kernel. The first of `outs` holds elements of `dtype`; all are aligned to 4 bytes.
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
    let out = std::mem::take(&mut outs[0]);
    match (kernel, ready) {
        (Kernel::Map(_), Ready::Map(Some(program))) => map::run(program, context, out, dtype),
        (Kernel::Reduce(_), Ready::Reduce(ready)) => reduce::run(ready, context, out, dtype),
        // Prepared as having nothing to do.
        (Kernel::Map(_) | Kernel::Reduce(_) | Kernel::Rows(_), _) => {}
        (Kernel::Matmul(matmul), _) => matmul::run(matmul, context, out),
        (Kernel::Conv(conv), _) => conv::run(conv, context, out),
        (Kernel::Window(window), _) => window::run(window, context, out),
        (Kernel::ScatterAdd(scatter), _) => scatter_add::run(scatter, context, out, dtype),
        (Kernel::Scan(scan), _) => scan::run(scan, context, out, dtype),
        (Kernel::ArgSort(sort), _) => sort::run(sort, context, out, context.inputs[0].dtype),
        (Kernel::Custom(custom), _) => run_custom(custom, &context, out),
    }
}

/// Prepares and runs one kernel on `threads` threads. `out` holds elements of `dtype`,
/// aligned to 4 bytes. An index out of range writes `check` to `status` if that is 0.
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
