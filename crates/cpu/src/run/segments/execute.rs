//! Runs a segment: which memory a part has, and its steps on one thread. It must not decide what is a segment.

use super::{Chunk, Segment, Share, Source};
use crate::call::{Context, Operand};
use crate::conv;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::{Kernel, Plan, Rows, SlotId};
use crate::run::Run;
use crate::run::kernel::run_ready;
use crate::run::memory::{Buffers, FEW};
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use std::ops::Range;

/// A part at hand: its units, and where its own memory begins.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    height: usize,
    own: *mut f32,
}

impl Part {
    fn new(units: Range<usize>, own: &mut [f32]) -> Part {
        Part {
            first: units.start,
            height: units.len(),
            own: own.as_mut_ptr(),
        }
    }
}

/// The memory of each slot that a segment touches, which several threads write, each its parts.
pub(crate) struct Slots(Vec<(*mut u8, usize)>);

// SAFETY: the threads use different parts.
unsafe impl Sync for Slots {}

impl Slots {
    /// What is only read.
    pub(crate) fn read(bytes: &[u8]) -> (*mut u8, usize) {
        (bytes.as_ptr().cast_mut(), bytes.len())
    }

    /// What is written.
    pub(crate) fn write(bytes: &mut [u8]) -> (*mut u8, usize) {
        (bytes.as_mut_ptr(), bytes.len())
    }

    /// One for each of [`Segment::slots`].
    pub(crate) fn new(all: Vec<(*mut u8, usize)>) -> Slots {
        Slots(all)
    }

    /// Puts another memory in place of slot `number`'s.
    pub(crate) fn set(&mut self, number: usize, memory: (*mut u8, usize)) {
        self.0[number] = memory;
    }

    /// What a part touches of a slot; what it writes.
    fn of(&self, source: Source, part: Part, writes: bool) -> (*mut u8, usize) {
        match source {
            Source::Own { at, len, dtype } => {
                (part.own.wrapping_add(at).cast(), len * dtype.size())
            }
            Source::Slot {
                number,
                access,
                size,
                ..
            } => {
                let (start, len) = self.0[number];
                let from = access.base + part.first * access.stride;
                let n = match writes {
                    true => access.stride * part.height,
                    false => access.reach,
                };
                assert!((from + n) * size <= len, "a part ends beyond its slot");
                (start.wrapping_add(from * size), n * size)
            }
        }
    }
}

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
        self.pack(plan, buffers, par);
        let mut taken: Vec<(usize, SlotId, HostBufferMut)> = Vec::new();
        for (number, &(slot, written)) in self.slots.iter().enumerate() {
            if written
                && let Some(buffer) = buffers.written(plan.slots[slot].place)
                && let Some(buffer) = buffer.take()
            {
                taken.push((number, slot, buffer));
            }
        }
        let memory = self.slots.iter().map(|&(slot, written)| match written {
            true => Slots::write(&mut []),
            false => Slots::read(buffers.operand(plan, slot).bytes),
        });
        let mut slots = Slots::new(memory.collect());
        for (number, _, buffer) in &mut taken {
            slots.set(*number, Slots::write(buffer.bytes_mut()));
        }
        let (shared, slots) = (&*buffers, &slots);
        with_scratch(self.packs, |packs| {
            for chunk in &self.chunks {
                if let (Some(range), Kernel::Conv(conv)) = (&chunk.pack, &chunk.kernel)
                    && let Source::Slot { number, .. } = chunk.inputs[1]
                {
                    let weight = Floats::of(&shared.operand(plan, self.slots[number].0));
                    conv::pack(conv, weight, &mut packs[range.clone()], par);
                }
            }
            let packs = &*packs;
            with_scratch(self.sums, |sums| {
                let all = Sums(sums.as_mut_ptr());
                let parts = self.share.parts();
                par.for_each(parts, |part| {
                    with_scratch(self.local, |own| {
                        let (units, chunks) = self.of(part);
                        for chunk in chunks {
                            let packed = match (&chunk.pack, chunk.shared) {
                                (Some(range), _) => Some(&packs[range.clone()]),
                                (None, Some(p)) => shared.packed(p),
                                (None, None) => None,
                            };
                            // SAFETY: this thread alone works on this part.
                            unsafe {
                                let sum = chunk.sums.as_ref().map(|r| all.of(r, part, parts));
                                chunk.run((packed, sum), slots, run, Part::new(units.clone(), own));
                            }
                        }
                    });
                });
                for chunk in &self.chunks {
                    if let (Some(range), Kernel::Conv(conv)) = (&chunk.sums, &chunk.kernel)
                        && let Some(way) = conv::sums(conv)
                        && let Source::Slot { number, .. } = chunk.outputs[0]
                    {
                        let (start, len) = slots.0[number];
                        // SAFETY: all parts are done, and the buffer is this segment's alone.
                        let out = unsafe { std::slice::from_raw_parts_mut(start, len) };
                        let out = &mut out[..plan.slots[self.slots[number].0].len * 4];
                        way.add_up(&mut sums[range.clone()], bytemuck::cast_slice_mut(out), par);
                    }
                }
            });
        });
        for (_, slot, buffer) in taken {
            if let Some(place) = buffers.written(plan.slots[slot].place) {
                *place = Some(buffer);
            }
        }
    }

    /// The units of a part, and its steps.
    pub(crate) fn units(&self, part: usize) -> Range<usize> {
        let Share { units, height } = self.share;
        part * height..units.min((part + 1) * height)
    }

    fn of(&self, part: usize) -> (Range<usize>, &[Chunk]) {
        let units = self.units(part);
        match units.len() < self.share.height {
            true => (units, &self.last),
            false => (units, &self.chunks),
        }
    }

    /// Packs what several products read, where this segment has the first of them.
    pub(crate) fn pack(&self, plan: &Plan, buffers: &mut Buffers<'_>, par: Par<'_>) {
        for (chunk, step) in self.chunks.iter().zip(&plan.steps[self.steps.clone()]) {
            if let Some(packed) = chunk.shared {
                buffers.pack(plan, step, packed, par);
            }
        }
    }

    /// All steps of one part, where nothing is summed or made ready for all.
    ///
    /// # Safety
    /// Nobody else works on the part; each slot has its memory.
    pub(crate) unsafe fn part(
        &self,
        buffers: &Buffers<'_>,
        slots: &Slots,
        run: Run<'_>,
        (part, own): (usize, &mut [f32]),
    ) {
        let (units, chunks) = self.of(part);
        for chunk in chunks {
            let packed = chunk.shared.and_then(|p| buffers.packed(p));
            // SAFETY: the caller's.
            unsafe { chunk.run((packed, None), slots, run, Part::new(units.clone(), own)) };
        }
    }
}

impl Chunk {
    /// One step of one part.
    ///
    /// # Safety
    /// Nobody else works on the part.
    unsafe fn run(
        &self,
        (packed, sum): (Option<&[f32]>, Option<&mut [f32]>),
        slots: &Slots,
        run: Run<'_>,
        part: Part,
    ) {
        let operand = |&source: &Source| {
            let (start, len) = slots.of(source, part, false);
            // SAFETY: the part is this thread's, its earlier steps have written it or nobody writes it, and no output of this
            // step is among its inputs.
            let bytes = unsafe { std::slice::from_raw_parts(start.cast_const(), len) };
            let (Source::Slot { dtype, .. } | Source::Own { dtype, .. }) = source;
            Operand { dtype, bytes }
        };
        let mut few = [Operand::NONE; FEW];
        let many: Vec<Operand<'_>>;
        let n = self.inputs.len();
        let inputs = if n <= FEW {
            for (place, source) in few.iter_mut().zip(&self.inputs) {
                *place = operand(source);
            }
            &few[..n]
        } else {
            many = self.inputs.iter().map(operand).collect();
            &many[..]
        };
        if let (Some(sum), Kernel::Conv(conv)) = (sum, &self.kernel) {
            if let Some(way) = conv::sums(conv) {
                let [x, y] = [0, 1].map(|i| Floats::of(&inputs[i]));
                way.whole(x, y, sum);
            }
            return;
        }
        let mut outs = [(); Rows::MAX_OUTPUTS].map(|()| &mut [][..]);
        for (out, &source) in outs.iter_mut().zip(&self.outputs) {
            let (start, len) = slots.of(source, part, true);
            // SAFETY: as above; outputs of a step are different slots.
            *out = unsafe { std::slice::from_raw_parts_mut(start, len) };
        }
        let context = Context {
            inputs,
            scalars: run.scalars,
            check: self.check,
            status: run.status,
            par: Par::SERIAL,
            packed,
        };
        run_ready(&self.kernel, &self.ready, context, outs, self.dtype);
    }
}
