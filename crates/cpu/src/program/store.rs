//! Moving lanes into outputs: narrowing, and stores past the caches. It must not know what the lanes hold.

use crate::halves::Half;
use crate::program::worker::Worker;
use crate::simd::{self, simd_fn};
use half::{bf16, f16};

simd_fn! {
    fn narrow_bytes(lanes: &[u32], out: &mut [u8]) {
        for (out, &lane) in out.iter_mut().zip(lanes) {
            *out = lane as u8;
        }
    }
}

/// An element type that results are stored as.
pub(crate) trait Stored: bytemuck::Pod + Send + Sync {
    /// Stores a block of lanes.
    fn narrow(lanes: &[u32], out: &mut [Self]);

    /// Evaluates the lanes from `start` on and stores them, past the caches if `stream`; `held` if what lies there is read.
    fn eval_into(
        worker: &mut Worker<'_, '_>,
        start: usize,
        out: &mut [Self],
        (_stream, _held): (bool, bool),
    ) {
        let n = out.len();
        Self::narrow(worker.eval(start, n), out);
    }
}

impl Stored for u32 {
    fn narrow(lanes: &[u32], out: &mut [u32]) {
        out.copy_from_slice(lanes);
    }

    fn eval_into(
        worker: &mut Worker<'_, '_>,
        start: usize,
        out: &mut [u32],
        (stream, held): (bool, bool),
    ) {
        if held {
            worker.before(0, out);
        }
        if stream {
            simd::stream(out, worker.eval(start, out.len()));
        } else {
            worker.eval_into(start, out);
        }
    }
}

impl Stored for f16 {
    fn narrow(lanes: &[u32], out: &mut [f16]) {
        Half::narrow(bytemuck::cast_slice(lanes), out);
    }
}

impl Stored for bf16 {
    fn narrow(lanes: &[u32], out: &mut [bf16]) {
        Half::narrow(bytemuck::cast_slice(lanes), out);
    }
}

impl Stored for u8 {
    fn narrow(lanes: &[u32], out: &mut [u8]) {
        narrow_bytes(lanes, out);
    }
}
