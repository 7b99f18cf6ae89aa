//! Loads at positions that another register holds: by row or by lane, with a check of each position. It must not know
//! what the positions mean.

use crate::dtype::DType;
use crate::program::load::Data;
use crate::program::worker::Worker;
use crate::program::{Instr, LANES, Program};
use crate::simd::{self, Upcoming};

impl Worker<'_, '_> {
    pub(super) fn gather(&self, op: &Instr, out: &mut [u32], odometer: &mut [usize]) {
        let program = self.program;
        let Instr::Gather {
            input,
            dtype,
            walk,
            index,
            size,
            stride,
            outside,
            by_row,
            check,
        } = *op
        else {
            return;
        };
        let data = self.data(input, dtype);
        let walk = &program.walks[walk];
        let index = self.value(index, out.len());
        let step = walk.step();
        let mut bad = false;
        walk.stretches(&program.nest, odometer, out.len(), |lane, n, at| {
            let out = &mut out[lane..lane + n];
            // One lane stands for all.
            let at_lane = |lane: usize| index[if index.len() == 1 { 0 } else { lane }];
            if by_row {
                let i = at_lane(lane) as usize;
                if i < size {
                    data.stretch(at + i as i64 * stride, step, out);
                } else {
                    bad = true;
                    out.fill(outside);
                }
                return;
            }
            let index = &index[lane..lane + n];
            if let (Data::Words(words), 0, 1) = (data, step, stride)
                && let Some(row) = usize::try_from(at)
                    .ok()
                    .and_then(|at| words.get(at..at + size))
            {
                bad |= simd::gather(row, index, outside, out);
                return;
            }
            for (k, (out, &i)) in out.iter_mut().zip(index).enumerate() {
                *out = if (i as usize) < size {
                    data.element((at + k as i64 * step + i as i64 * stride) as usize)
                } else {
                    bad = true;
                    outside
                };
            }
        });
        if bad {
            self.context.report(check);
        }
        if by_row && step == 1 {
            self.fetch_next_row(op, odometer);
        }
    }

    /// Fetches what [`Worker::gather`] reads for the row after this one, which lies anywhere in memory.
    fn fetch_next_row(&self, op: &Instr, next: &mut [usize]) {
        let Program {
            ops, walks, nest, ..
        } = self.program;
        let &Instr::Gather {
            input,
            dtype,
            walk,
            index,
            size,
            stride,
            ..
        } = op
        else {
            return;
        };
        let Instr::Load {
            input: from,
            dtype: DType::I32,
            walk: at,
        } = ops[index]
        else {
            return;
        };
        let Some(row) = next.len().checked_sub(2) else {
            return;
        };
        next.copy_from_slice(&self.memory.index);
        next[row] += 1;
        next[row + 1] = 0;
        if next[row] >= nest.shape[row] {
            return;
        }
        let i = self.context.words(from)[walks[at].offset_at(next) as usize] as usize;
        if i < size {
            let first = walks[walk].offset_at(next) + i as i64 * stride;
            let bytes = self.context.inputs[input].bytes;
            let (first, len) = (first as usize * dtype.size(), nest.row() * dtype.size());
            Upcoming::bytes(bytes, first).fetch(len.min(4 * LANES).div_ceil(4));
        }
    }
}
