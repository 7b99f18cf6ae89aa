//! The memory of a run: buffers of results, temporaries and packed operands.

use super::Run;
use super::kernel::run_ready;
use super::ready::{Packed, Ready};
use crate::call::{Context, Operand};
use crate::matmul;
use crate::plan::{Kernel, Origin, Place, Plan, Rows, Slot, SlotId, Step};
use crate::storage::{HostBuffer, HostBufferMut, NoRoom};
use crate::threads::par::Par;
use std::panic::resume_unwind;
use wgrad_plan::profile;

/// Operands of a step that need no list of their own on the heap.
pub(super) const FEW: usize = 8;

/// What a plan that is run again keeps: buffers that results may be written to. Temporaries are the executor's arena's.
pub struct Memory {
    /// Bytes of each output buffer.
    sizes: Vec<usize>,
    pub(crate) offered: Vec<Option<HostBufferMut>>,
}

impl Memory {
    /// Memory for a plan.
    pub fn new(plan: &Plan) -> Memory {
        Memory {
            sizes: output_sizes(plan),
            offered: Vec::new(),
        }
    }

    /// Gives buffers for the next run's results, by number; those too small are not used. An output that takes
    /// the place of a leaf needs one with the leaf's contents.
    pub fn offer(&mut self, buffers: Vec<Option<HostBufferMut>>) {
        self.offered = buffers;
    }

    /// What was offered to a run that did not end.
    pub fn take_back(&mut self) -> Vec<Option<HostBufferMut>> {
        std::mem::take(&mut self.offered)
    }

    /// Gets a buffer for each output that none was offered for.
    pub(crate) fn complete(&mut self, plan: &Plan) -> Result<(), Lack> {
        let fits =
            |kept: &Option<HostBufferMut>, bytes| kept.as_ref().is_some_and(|k| k.len() == bytes);
        self.offered.resize_with(self.sizes.len(), || None);
        for (at, (place, &bytes)) in self.offered.iter_mut().zip(&self.sizes).enumerate() {
            if !fits(place, bytes) {
                let new = match place {
                    Some(kept) if kept.len() > bytes => {
                        HostBufferMut::copy_of(&kept.bytes()[..bytes])
                    }
                    _ => HostBufferMut::scratch(bytes),
                };
                *place = Some(new.map_err(|bytes| Lack::of(plan, Place::Output(at), bytes))?);
            }
        }
        Ok(())
    }
}

/// Memory that the host does not have.
#[derive(Debug)]
pub struct Lack {
    /// How many bytes.
    pub bytes: usize,
    /// The first step that needs them, where it is known.
    pub origin: Option<Origin>,
}

impl Lack {
    /// What a step that writes a place lacks.
    pub fn of(plan: &Plan, place: Place, bytes: usize) -> Lack {
        let writes = |step: &&Step| step.outputs().any(|slot| plan.slots[slot].place == place);
        let step = plan.steps.iter().find(writes);
        Lack {
            bytes,
            origin: step.map(|step| step.origin.clone()),
        }
    }
}

/// What step `at` unwound with, if it found no room; goes on with any other panic.
pub(crate) fn no_room(panic: Box<dyn std::any::Any + Send>, plan: &Plan, at: usize) -> Lack {
    match panic.downcast::<NoRoom>() {
        Ok(lack) => Lack {
            bytes: lack.bytes,
            origin: plan.steps.get(at).map(|step| step.origin.clone()),
        },
        Err(panic) => resume_unwind(panic),
    }
}

/// Bytes of each output buffer of a plan.
fn output_sizes(plan: &Plan) -> Vec<usize> {
    let mut sizes: Vec<usize> = Vec::new();
    for slot in &plan.slots {
        if let Place::Output(i) = slot.place {
            sizes.resize(sizes.len().max(i + 1), 0);
            sizes[i] = sizes[i].max(slot.len * slot.dtype.size());
        }
    }
    sizes
}

/// New buffers for the outputs of a plan.
pub(crate) fn new_outputs(plan: &Plan) -> Result<Vec<Option<HostBufferMut>>, Lack> {
    let scratch = |(at, bytes)| {
        let lack = |bytes| Lack::of(plan, Place::Output(at), bytes);
        HostBufferMut::scratch(bytes).map(Some).map_err(lack)
    };
    let sizes = output_sizes(plan).into_iter().enumerate();
    sizes.map(scratch).collect()
}

/// What a plan is given.
pub(crate) enum Leaf<'r> {
    /// A whole buffer.
    Whole(&'r HostBuffer),
    /// Part of one, from its first byte on.
    Part(&'r [u8]),
    /// What the run itself has made.
    Own(HostBufferMut),
}

impl Leaf<'_> {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Leaf::Whole(buffer) => buffer.bytes(),
            Leaf::Part(bytes) => bytes,
            Leaf::Own(buffer) => buffer.bytes(),
        }
    }
}

/// The memory of one run.
pub(crate) struct Buffers<'r> {
    pub(crate) leaves: Vec<Leaf<'r>>,
    /// None while a step writes it, likewise below.
    pub(crate) outputs: Vec<Option<HostBufferMut>>,
    pub(crate) temps: Vec<Option<HostBufferMut>>,
    /// Operands that are packed for several products.
    pub(crate) packs: Vec<Option<HostBufferMut>>,
    /// Those of what is the same in all rounds of a loop are there from an earlier round.
    pub(crate) packed: bool,
}

impl<'r> Buffers<'r> {
    /// Of a run of `plan`; `taken` are its temporaries and its packed operands.
    pub(crate) fn new(
        plan: &Plan,
        leaves: &'r [&'r HostBuffer],
        outputs: Vec<Option<HostBufferMut>>,
        taken: Vec<Option<HostBufferMut>>,
    ) -> Self {
        let mut temps = taken;
        let packs = temps.split_off(plan.temps.len());
        Buffers {
            leaves: leaves.iter().map(|b| Leaf::Whole(b)).collect(),
            outputs,
            temps,
            packs,
            packed: false,
        }
    }

    /// Its temporaries and packed operands, for the next run of any plan.
    pub(crate) fn take_temporary(&mut self) -> impl Iterator<Item = Option<HostBufferMut>> {
        let temps = std::mem::take(&mut self.temps);
        temps.into_iter().chain(std::mem::take(&mut self.packs))
    }

    /// Memory that lives no longer than a step, without leaves.
    ///
    /// Unwinds as [`HostBufferMut::within_step`] where there is no room.
    pub(crate) fn within_step(plan: &Plan, floats: &[usize]) -> Self {
        let some = |bytes: usize| Some(HostBufferMut::within_step(bytes));
        Buffers {
            leaves: Vec::new(),
            outputs: output_sizes(plan).into_iter().map(some).collect(),
            temps: plan.temps.iter().copied().map(some).collect(),
            packs: floats.iter().map(|&n| some(4 * n)).collect(),
            packed: false,
        }
    }

    /// Runs a step: a kernel, or a loop.
    pub(crate) fn step(
        &mut self,
        plan: &Plan,
        step: &Step,
        ready: &Ready,
        run: Run<'_>,
        par: Par<'_>,
    ) {
        if let (Kernel::Loop(l), Ready::Loop(body)) = (&step.kernel, ready) {
            let began = profile::begin();
            self.rounds((plan, step), (l, body), run, par);
            return profile::cpu_step(began, step);
        }
        self.call(plan, step, ready, run, par);
    }

    fn call(&mut self, plan: &Plan, step: &Step, ready: &Ready, run: Run<'_>, par: Par<'_>) {
        let began = profile::begin();
        let mut outs: [Option<HostBufferMut>; Rows::MAX_OUTPUTS] = Default::default();
        for (out, slot) in outs.iter_mut().zip(step.outputs()) {
            *out = self.written(plan.slots[slot].place).and_then(Option::take);
        }
        let packed = match *ready {
            Ready::Matmul(p) => {
                self.pack(plan, step, p, par);
                self.packed(p)
            }
            _ => None,
        };
        let mut few = [Operand::NONE; FEW];
        let many: Vec<Operand<'_>>;
        let n = step.inputs.len();
        let inputs = if n <= FEW {
            for (operand, &id) in few.iter_mut().zip(&step.inputs) {
                *operand = self.input(plan, step, id);
            }
            &few[..n]
        } else {
            many = step
                .inputs
                .iter()
                .map(|&id| self.input(plan, step, id))
                .collect();
            &many[..]
        };
        let context = Context {
            inputs,
            scalars: run.scalars,
            check: step.check,
            status: run.status,
            par,
            packed,
        };
        let mut slices = [(); Rows::MAX_OUTPUTS].map(|()| &mut [][..]);
        for ((slice, out), slot) in slices.iter_mut().zip(&mut outs).zip(step.outputs()) {
            let slot = &plan.slots[slot];
            if let Some(out) = out {
                *slice = &mut out.bytes_mut()[..slot.len * slot.dtype.size()];
            }
        }
        run_ready(
            &step.kernel,
            ready,
            context,
            slices,
            plan.slots[step.output].dtype,
        );
        for (out, slot) in outs.into_iter().zip(step.outputs()) {
            if let Some(place) = self.written(plan.slots[slot].place) {
                *place = out;
            }
        }
        profile::cpu_step(began, step);
    }

    /// Packs the right operand of a product for all that read it, where this is the first.
    pub(super) fn pack(&mut self, plan: &Plan, step: &Step, p: Packed, par: Par<'_>) {
        let Kernel::Matmul(matmul) = &step.kernel else {
            return;
        };
        if !p.first || (self.packed && p.constant) {
            return;
        }
        if let Some(mut buffer) = self.packs[p.pack].take() {
            let right = self.input(plan, step, step.inputs[1]);
            let out = bytemuck::cast_slice_mut(buffer.bytes_mut());
            matmul::pack(matmul, &right, out, par);
            self.packs[p.pack] = Some(buffer);
        }
    }

    /// What was packed.
    pub(super) fn packed(&self, p: Packed) -> Option<&[f32]> {
        let buffer = self.packs[p.pack].as_ref();
        buffer.map(|buffer| bytemuck::cast_slice(buffer.bytes()))
    }

    /// The buffer that steps with this output place write; none for leaves, which no valid plan writes.
    pub(crate) fn written(&mut self, place: Place) -> Option<&mut Option<HostBufferMut>> {
        match place {
            Place::Leaf(_) => None,
            Place::Output(i) => Some(&mut self.outputs[i]),
            Place::Temp(i) => Some(&mut self.temps[i]),
        }
    }

    /// An input of a step; none if it is what an output holds before, which the step itself has then.
    pub(crate) fn input(&self, plan: &Plan, step: &Step, id: SlotId) -> Operand<'_> {
        if plan.is_held(step, id) {
            return Operand::NONE;
        }
        self.operand(plan, id)
    }

    pub(crate) fn operand(&self, plan: &Plan, id: SlotId) -> Operand<'_> {
        let Slot { dtype, len, place } = plan.slots[id];
        let bytes = match place {
            Place::Leaf(i) => self.leaves[i].bytes(),
            Place::Output(i) => contents(&self.outputs[i]),
            Place::Temp(i) => contents(&self.temps[i]),
        };
        Operand {
            dtype,
            bytes: &bytes[..len * dtype.size()],
        }
    }

    /// The results; its outputs are gone then.
    pub(crate) fn finish(&mut self, plan: &Plan) -> Result<Vec<HostBuffer>, Lack> {
        let outputs = std::mem::take(&mut self.outputs).into_iter().flatten();
        let frozen: Vec<HostBuffer> = outputs.map(HostBufferMut::freeze).collect();
        let copy = |bytes: &[u8], place| {
            let copy = HostBufferMut::copy_of(bytes).map(HostBufferMut::freeze);
            copy.map_err(|bytes| Lack::of(plan, place, bytes))
        };
        let result = |&id: &SlotId| {
            let slot = &plan.slots[id];
            match slot.place {
                Place::Leaf(i) => match &self.leaves[i] {
                    Leaf::Whole(buffer) => Ok((*buffer).clone()),
                    other => copy(other.bytes(), slot.place),
                },
                Place::Output(i) => Ok(frozen[i].clone()),
                Place::Temp(i) => {
                    let bytes = &contents(&self.temps[i])[..slot.len * slot.dtype.size()];
                    copy(bytes, slot.place)
                }
            }
        };
        plan.outputs.iter().map(result).collect()
    }
}

fn contents(buffer: &Option<HostBufferMut>) -> &[u8] {
    buffer.as_ref().map_or(&[], HostBufferMut::bytes)
}
