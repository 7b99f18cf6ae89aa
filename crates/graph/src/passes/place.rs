//! Pieces of a concatenation are computed where they belong: a map whose result is only copied into a part of a larger
//! slot, and perhaps read by steps that can read a part, writes there at once. So a recurrent layer's states and its
//! gates' gradients are not copied together at the end. Works on the plan alone, before temporaries get memory.

use crate::plan::{Expr, Inst, Kernel, Map, Place, Plan, SlotId};

/// Moves such results and drops their copies.
pub(super) fn in_place(plan: &mut Plan) {
    let before = plan.steps.len();
    let mut at = 0;
    while at < plan.steps.len() {
        match piece(plan, at).filter(|piece| may_move(plan, at, piece)) {
            Some(piece) => {
                plan.steps.remove(at);
                plan.steps.iter_mut().for_each(|step| piece.relocate(step));
            }
            None => at += 1,
        }
    }
    if plan.steps.len() < before {
        super::rows::drop_unused_slots(plan);
    }
}

/// A slot that belongs into another, from element `offset` on.
struct Piece {
    slot: SlotId,
    whole: SlotId,
    offset: usize,
}

/// What step `at` copies, if it does nothing else.
fn piece(plan: &Plan, at: usize) -> Option<Piece> {
    let step = &plan.steps[at];
    let Kernel::Map(Map { shape, expr, store }) = &step.kernel else {
        return None;
    };
    let [Inst::Load { input, view }] = &expr.insts[..] else {
        return None;
    };
    let (slot, whole) = (step.inputs[*input], step.output);
    let len: usize = shape.iter().product();
    let (from, to) = (&plan.slots[slot], &plan.slots[whole]);
    let along = |strides: &[i64]| crate::plan::View {
        offset: 0,
        strides: strides.to_vec(),
    };
    let copies = view.is_contiguous(shape)
        && along(&store.strides).is_contiguous(shape)
        && len == from.len
        && len < to.len
        && from.dtype == to.dtype
        && from.dtype.size() == 4
        && matches!(from.place, Place::Temp(_))
        && !plan.outputs.contains(&slot);
    let offset = usize::try_from(store.offset).ok()?;
    copies.then_some(Piece {
        slot,
        whole,
        offset,
    })
}

/// Whether everybody who writes or reads the piece can do so in the whole; step `copy` is its copy.
fn may_move(plan: &Plan, copy: usize, piece: &Piece) -> bool {
    let (mut whole, mut part) = (Tally::default(), Tally::default());
    for (at, step) in plan.steps.iter().enumerate() {
        if at != copy && step.inputs.contains(&piece.slot) {
            let other = step.inputs.contains(&piece.whole) || step.output == piece.whole;
            if other || !reads_parts(&step.kernel) {
                return false;
            }
        }
        if step.output == piece.slot {
            if step.inputs.contains(&piece.whole) || !part.add(&step.kernel) {
                return false;
            }
        } else if step.output == piece.whole && !whole.add(&step.kernel) {
            return false;
        }
    }
    // Every element is written once, so nothing depends on the order.
    whole.elements == plan.slots[piece.whole].len && part.elements == plan.slots[piece.slot].len
}

/// What maps write of a slot.
#[derive(Default)]
struct Tally {
    elements: usize,
}

impl Tally {
    fn add(&mut self, kernel: &Kernel) -> bool {
        match kernel {
            Kernel::Map(m) => {
                self.elements += m.shape.iter().product::<usize>();
                true
            }
            _ => false,
        }
    }
}

/// Whether the inputs may begin anywhere in their slots.
fn reads_parts(kernel: &Kernel) -> bool {
    matches!(
        kernel,
        Kernel::Map(_) | Kernel::Reduce(_) | Kernel::Matmul(_)
    )
}

impl Piece {
    /// Makes a step use the part instead of the piece.
    fn relocate(&self, step: &mut crate::plan::Step) {
        if step.output == self.slot {
            step.output = self.whole;
            if let Kernel::Map(m) = &mut step.kernel {
                m.store.offset += self.offset as i64;
            }
        }
        for (input, slot) in step.inputs.iter_mut().enumerate() {
            if *slot != self.slot {
                continue;
            }
            *slot = self.whole;
            match &mut step.kernel {
                Kernel::Map(m) => self.shift(&mut m.expr, input),
                Kernel::Reduce(r) => self.shift(&mut r.expr, input),
                Kernel::Matmul(m) => {
                    let operand = if input == 0 { &mut m.a } else { &mut m.b };
                    operand.offset += self.offset;
                }
                _ => {}
            }
        }
    }

    fn shift(&self, expr: &mut Expr, from: usize) {
        for inst in &mut expr.insts {
            if let Inst::Load { input, view } | Inst::Gather { input, view, .. } = inst
                && *input == from
            {
                view.offset += self.offset as i64;
            }
        }
    }
}
