//! Runs a segment: which memory a part has, and its steps on one thread. It must not decide what is a segment.

use super::{Chunk, Segment, Source};
use crate::call::{Context, Operand};
use crate::conv;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::{Kernel, Plan, Rows, SlotId};
use crate::run::Run;
use crate::run::kernel::run_ready;
use crate::run::memory::Buffers;
use crate::threads::par::Par;
use std::ops::Range;

/// The slots that a segment writes, as memory that several threads write, each its parts.
struct Written {
    slots: Vec<(SlotId, *mut u8, usize)>,
}

// SAFETY: the threads use different parts.
unsafe impl Sync for Written {}

/// The partial sums of a segment, each written by one thread.
struct Sums(*mut f32);

// SAFETY: the threads use different parts.
unsafe impl Sync for Sums {}

impl Sums {
    /// The partial sum of part `part` of `parts` that share `range`.
    ///
    /// # Safety
    /// The range lies in the sums, and nobody else uses the part.
    #[allow(clippy::mut_from_ref, reason = "different parts are different memory")]
    unsafe fn of(&self, range: &Range<usize>, part: usize, parts: usize) -> &mut [f32] {
        let len = range.len() / parts;
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start + part * len), len) }
    }
}

impl Segment {
    /// Runs all parts.
    pub(crate) fn run(&self, plan: &Plan, buffers: &mut Buffers<'_>, run: Run<'_>, par: Par<'_>) {
        let mut taken = Vec::new();
        for chunk in &self.chunks {
            for source in &chunk.outputs {
                if let Source::Slot { slot, .. } = *source
                    && let Some(buffer) = buffers.written(plan.slots[slot].place)
                    && let Some(buffer) = buffer.take()
                {
                    taken.push((slot, buffer));
                }
            }
        }
        let slots = taken.iter_mut().map(|(slot, buffer)| {
            let bytes = buffer.bytes_mut();
            (*slot, bytes.as_mut_ptr(), bytes.len())
        });
        let written = Written {
            slots: slots.collect(),
        };
        let shared = &*buffers;
        with_scratch(self.packs, |packs| {
            for chunk in &self.chunks {
                if let (Some(range), Kernel::Conv(conv)) = (&chunk.pack, &chunk.kernel)
                    && let Source::Slot { slot, .. } = chunk.inputs[1]
                {
                    let weight = Floats::of(&shared.operand(plan, slot));
                    conv::pack(conv, weight, &mut packs[range.clone()], par);
                }
            }
            let packs = &*packs;
            with_scratch(self.sums, |sums| {
                let all = Sums(sums.as_mut_ptr());
                par.for_each(self.parts, |part| {
                    with_scratch(self.local, |own| {
                        for chunk in &self.chunks {
                            let packed = chunk.pack.as_ref().map(|range| &packs[range.clone()]);
                            // SAFETY: this thread alone works on this part.
                            unsafe {
                                let sum = chunk.sums.as_ref().map(|r| all.of(r, part, self.parts));
                                let memory = (own.as_mut_ptr(), &written);
                                self.part((chunk, packed, sum), plan, shared, run, (part, memory));
                            }
                        }
                    });
                });
                for chunk in &self.chunks {
                    if let (Some(range), Kernel::Conv(conv)) = (&chunk.sums, &chunk.kernel)
                        && let Some(way) = conv::sums(conv)
                        && let Source::Slot { slot, .. } = chunk.outputs[0]
                        && let Some(w) = written.slots.iter().find(|w| w.0 == slot)
                    {
                        // SAFETY: all parts are done, and the buffer is this segment's alone.
                        let out = unsafe { std::slice::from_raw_parts_mut(w.1, w.2) };
                        let out = &mut out[..plan.slots[slot].len * 4];
                        way.add_up(&mut sums[range.clone()], bytemuck::cast_slice_mut(out), par);
                    }
                }
            });
        });
        for (slot, buffer) in taken {
            if let Some(place) = buffers.written(plan.slots[slot].place) {
                *place = Some(buffer);
            }
        }
    }

    /// One step of one part.
    ///
    /// # Safety
    /// Nobody else works on the part.
    unsafe fn part(
        &self,
        (chunk, packed, sum): (&Chunk, Option<&[f32]>, Option<&mut [f32]>),
        plan: &Plan,
        buffers: &Buffers<'_>,
        run: Run<'_>,
        (part, (own, written)): (usize, (*mut f32, &Written)),
    ) {
        let memory = |source: Source| -> (*mut u8, usize) {
            match source {
                Source::Own { at, len, dtype } => (own.wrapping_add(at).cast(), len * dtype.size()),
                Source::Slot { slot, stride, .. } => {
                    let found = written.slots.iter().find(|w| w.0 == slot);
                    let nothing = std::ptr::dangling_mut::<u32>().cast();
                    let (start, len) = found.map_or((nothing, 0), |w| (w.1, w.2));
                    let size = plan.slots[slot].dtype.size();
                    let part_len = plan.slots[slot].len / self.parts * size;
                    assert!((part * stride + stride) * size <= len && part_len == stride * size);
                    (start.wrapping_add(part * part_len), part_len)
                }
            }
        };
        let operand = |&source: &Source| match source {
            Source::Slot {
                slot,
                stride,
                reach,
                written: false,
            } => {
                let whole = buffers.operand(plan, slot);
                let size = whole.dtype.size();
                Operand {
                    bytes: &whole.bytes[part * stride * size..][..reach * size],
                    ..whole
                }
            }
            _ => {
                let (start, len) = memory(source);
                let dtype = match source {
                    Source::Own { dtype, .. } => dtype,
                    Source::Slot { slot, .. } => plan.slots[slot].dtype,
                };
                // SAFETY: the part is this thread's, its earlier steps have written it, and no output of this step is
                // among its inputs.
                let bytes = unsafe { std::slice::from_raw_parts(start.cast_const(), len) };
                Operand { dtype, bytes }
            }
        };
        let inputs: Vec<Operand<'_>> = chunk.inputs.iter().map(operand).collect();
        if let (Some(sum), Kernel::Conv(conv)) = (sum, &chunk.kernel) {
            if let Some(way) = conv::sums(conv) {
                let [x, y] = [0, 1].map(|i| Floats::of(&inputs[i]));
                way.whole(x, y, sum);
            }
            return;
        }
        let mut outs = [(); Rows::MAX_OUTPUTS].map(|()| &mut [][..]);
        for (out, &source) in outs.iter_mut().zip(&chunk.outputs) {
            let (start, len) = memory(source);
            // SAFETY: as above; outputs of a step are different slots.
            *out = unsafe { std::slice::from_raw_parts_mut(start, len) };
        }
        let context = Context {
            inputs: &inputs,
            scalars: run.scalars,
            check: chunk.check,
            status: run.status,
            par: Par::SERIAL,
            packed,
        };
        run_ready(&chunk.kernel, &chunk.ready, context, outs, chunk.dtype);
    }
}
