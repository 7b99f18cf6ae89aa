//! Moving elements between buffers and lanes: loads along walks, widening and narrowing.

use crate::dtype::DType;
use crate::program::walk::{Nest, Walk};
use crate::program::worker::Worker;
use crate::simd::simd_fn;
use crate::{Context, simd};
use half::f16;
use half::slice::HalfFloatSliceExt;

/// The elements of an input.
#[derive(Clone, Copy)]
pub(crate) enum Data<'a> {
    /// 4-byte elements.
    Words(&'a [u32]),
    /// Halves, widened to f32.
    Halves(&'a [f16]),
    /// Bytes, widened to u32.
    Bytes(&'a [u8]),
}

impl<'a> Data<'a> {
    /// Input `input` of a kernel.
    pub(crate) fn of(context: &Context<'a>, input: usize, dtype: DType) -> Data<'a> {
        let bytes = context.inputs[input].bytes;
        match dtype {
            DType::U8 => Data::Bytes(bytes),
            DType::F16 => Data::Halves(bytemuck::cast_slice(bytes)),
            _ => Data::Words(bytemuck::cast_slice(bytes)),
        }
    }

    /// The lanes from linear position `start`, loop indices `index`, on.
    pub(crate) fn load(
        self,
        walk: &Walk,
        nest: &Nest,
        start: usize,
        index: &mut [usize],
        out: &mut [u32],
    ) {
        if walk.flat {
            return self.stretch(walk.offset + start as i64, 1, out);
        }
        if let (Data::Words(words), Some(rows)) = (self, walk.crosses(nest, index, out.len())) {
            return transpose(words, walk.offset_at(index), walk.step(), rows, out);
        }
        let step = walk.step();
        walk.stretches(nest, index, out.len(), |lane, n, at| {
            self.stretch(at, step, &mut out[lane..lane + n]);
        });
    }

    /// `out[i]` = element `at + i * step`.
    pub(crate) fn stretch(self, at: i64, step: i64, out: &mut [u32]) {
        let n = out.len();
        let from = at as usize;
        match (self, step) {
            (_, 0) => out.fill(self.element(from)),
            (Data::Words(words), 1) => out.copy_from_slice(&words[from..from + n]),
            (Data::Halves(halves), 1) => {
                halves[from..from + n].convert_to_f32_slice(bytemuck::cast_slice_mut(out));
            }
            (Data::Bytes(bytes), 1) => widen_bytes(&bytes[from..from + n], out),
            _ => {
                let mut at = at;
                for out in out {
                    *out = self.element(at as usize);
                    at += step;
                }
            }
        }
    }

    /// One element.
    #[inline(always)]
    pub(crate) fn element(self, at: usize) -> u32 {
        match self {
            Data::Words(words) => words[at],
            Data::Halves(halves) => halves[at].to_f32().to_bits(),
            Data::Bytes(bytes) => u32::from(bytes[at]),
        }
    }
}

simd_fn! {
    fn widen_bytes(bytes: &[u8], out: &mut [u32]) {
        for (out, &byte) in out.iter_mut().zip(bytes) {
            *out = u32::from(byte);
        }
    }
}

simd_fn! {
    fn narrow_bytes(lanes: &[u32], out: &mut [u8]) {
        for (out, &lane) in out.iter_mut().zip(lanes) {
            *out = lane as u8;
        }
    }
}

/// Loads `rows` rows of lanes whose neighbours down a column are neighbours in memory.
fn transpose(words: &[u32], at: i64, step: i64, rows: usize, out: &mut [u32]) {
    let width = out.len() / rows;
    for c in 0..width {
        let from = (at + c as i64 * step) as usize;
        let column = &words[from..from + rows];
        column
            .iter()
            .zip(out[c..].iter_mut().step_by(width))
            .for_each(|(&x, out)| *out = x);
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
        out.convert_from_f32_slice(bytemuck::cast_slice(lanes));
    }
}

impl Stored for u8 {
    fn narrow(lanes: &[u32], out: &mut [u8]) {
        narrow_bytes(lanes, out);
    }
}
