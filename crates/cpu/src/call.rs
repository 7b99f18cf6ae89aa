//! What a kernel is called with: operands, numbers, threads, and where to report a bad index. It must not know a family.

use crate::dtype::DType;
use crate::threads::par::Par;
use std::sync::atomic::{AtomicU32, Ordering};

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

    /// Records that an index was out of range, if `check` is not 0 and nothing was recorded yet.
    pub(crate) fn report(&self, check: u32) {
        if check != 0 {
            let order = Ordering::Relaxed;
            let _ = self.status.compare_exchange(0, check, order, order);
        }
    }
}
