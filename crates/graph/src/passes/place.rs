//! Pieces of a concatenation are computed where they belong: a map whose result is only copied into a part of a larger
//! slot, and perhaps read by steps that can read a part, writes there at once. So a recurrent layer's states and its
//! gates' gradients are not copied together at the end. Works on the plan alone, before temporaries get memory.

use crate::plan::{Expr, Inst, Kernel, Map, Place, Plan, SlotId};

/// Moves such results and drops their copies.
pub(super) fn in_place(plan: &mut Plan) {
    let mut users = Users::of(plan);
    for at in 0..plan.steps.len() {
        let piece = piece(plan, &users, at);
        if let Some(piece) = piece.filter(|piece| may_move(plan, &users, at, piece)) {
            users.drop_copy(plan, at);
            for step in users.relocate(&piece) {
                piece.relocate(&mut plan.steps[step]);
            }
        }
    }
    if users.dropped.contains(&true) {
        let mut dropped = users.dropped.iter();
        plan.steps.retain(|_| dropped.next() != Some(&true));
        super::rows::drop_unused_slots(plan);
    }
}

/// Who uses each slot, kept up to date.
struct Users {
    writers: Vec<Vec<usize>>,
    readers: Vec<Vec<usize>>,
    /// What all writers of a slot write together.
    written: Vec<Tally>,
    is_result: Vec<bool>,
    /// Steps that are gone; they stand in the lists still.
    dropped: Vec<bool>,
}

impl Users {
    fn of(plan: &Plan) -> Users {
        let mut users = Users {
            writers: vec![Vec::new(); plan.slots.len()],
            readers: vec![Vec::new(); plan.slots.len()],
            written: vec![Tally::default(); plan.slots.len()],
            is_result: vec![false; plan.slots.len()],
            dropped: vec![false; plan.steps.len()],
        };
        for (at, step) in plan.steps.iter().enumerate() {
            for slot in step.outputs() {
                users.writers[slot].push(at);
                users.written[slot].add(&step.kernel);
            }
            for (i, &slot) in step.inputs.iter().enumerate() {
                if !step.inputs[..i].contains(&slot) {
                    users.readers[slot].push(at);
                }
            }
        }
        let results = &mut users.is_result;
        plan.outputs.iter().for_each(|&slot| results[slot] = true);
        users
    }

    fn left<'a>(&'a self, list: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        list.iter().copied().filter(|&at| !self.dropped[at])
    }

    /// Step `at`, which only copies, goes.
    fn drop_copy(&mut self, plan: &Plan, at: usize) {
        let step = &plan.steps[at];
        self.dropped[at] = true;
        self.written[step.output].remove(&step.kernel);
    }

    /// Users of the piece become users of the whole; who they are.
    fn relocate(&mut self, piece: &Piece) -> Vec<usize> {
        let writers = std::mem::take(&mut self.writers[piece.slot]);
        let readers = std::mem::take(&mut self.readers[piece.slot]);
        let part = std::mem::take(&mut self.written[piece.slot]);
        self.written[piece.whole].elements += part.elements;
        let users = self.left(&writers).chain(self.left(&readers)).collect();
        self.writers[piece.whole].extend(writers);
        self.readers[piece.whole].extend(readers);
        users
    }
}

/// A slot that belongs into another, from element `offset` on.
struct Piece {
    slot: SlotId,
    whole: SlotId,
    offset: usize,
}

/// What step `at` copies, if it does nothing else.
fn piece(plan: &Plan, users: &Users, at: usize) -> Option<Piece> {
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
        && from.dtype.size() >= 2
        && matches!(from.place, Place::Temp(_))
        && !users.is_result[slot];
    let offset = usize::try_from(store.offset).ok()?;
    copies.then_some(Piece {
        slot,
        whole,
        offset,
    })
}

/// Whether everybody who writes or reads the piece can do so in the whole; step `copy` is its copy.
fn may_move(plan: &Plan, users: &Users, copy: usize, piece: &Piece) -> bool {
    let reads_whole = |at: usize| plan.steps[at].inputs.contains(&piece.whole);
    let mut readers = users.left(&users.readers[piece.slot]);
    let readers_can = readers.all(|at| {
        let step = &plan.steps[at];
        let other = reads_whole(at) || step.output == piece.whole;
        at == copy || (!other && reads_parts(&step.kernel))
    });
    let mut writers = users.left(&users.writers[piece.slot]);
    // Every element is written once, so nothing depends on the order.
    readers_can
        && !writers.any(reads_whole)
        && users.written[piece.whole].is_once(plan.slots[piece.whole].len)
        && users.written[piece.slot].is_once(plan.slots[piece.slot].len)
}

/// What maps write of a slot.
#[derive(Clone, Default)]
struct Tally {
    elements: usize,
    /// Writers that are no maps.
    others: usize,
}

impl Tally {
    fn add(&mut self, kernel: &Kernel) {
        match kernel {
            Kernel::Map(m) => self.elements += m.shape.iter().product::<usize>(),
            _ => self.others += 1,
        }
    }

    fn remove(&mut self, kernel: &Kernel) {
        match kernel {
            Kernel::Map(m) => self.elements -= m.shape.iter().product::<usize>(),
            _ => self.others -= 1,
        }
    }

    /// Whether maps write each of `len` elements once.
    fn is_once(&self, len: usize) -> bool {
        self.others == 0 && self.elements == len
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

#[cfg(test)]
mod tests {
    use super::super::tests::{planned, tensor};
    use crate::Tensor;
    use crate::plan::{Kernel, Plan};

    /// Maps, and stages of rows, that do nothing but copy.
    fn copies(plan: &Plan) -> usize {
        let programs = plan.steps.iter().flat_map(|s| match &s.kernel {
            Kernel::Map(m) => vec![&m.expr],
            Kernel::Rows(r) => r.stages.iter().map(|s| &s.expr).collect(),
            _ => Vec::new(),
        });
        programs.filter(|e| e.insts.len() == 1).count()
    }

    #[test]
    fn a_piece_that_a_product_reads_is_computed_in_the_whole() {
        let (x, y, w) = (tensor(&[4, 6]), tensor(&[3, 6]), tensor(&[6, 5]));
        let (a, b) = (x.tanh(), y.exp());
        let whole = Tensor::cat(&[&a, &b], 0);
        let plan = planned(&[&whole, &b.matmul(&w)]);
        // Two maps and no copy; the product reads the second part.
        assert_eq!((copies(&plan), plan.steps.len()), (0, 3));
        let product = plan.steps.iter().find_map(|s| match &s.kernel {
            Kernel::Matmul(m) => Some(m.a.offset),
            _ => None,
        });
        assert_eq!(product, Some(24));
    }

    #[test]
    fn a_piece_that_must_stand_alone_is_copied() {
        let (x, y) = (tensor(&[4, 6]), tensor(&[3, 6]));
        // A result, and the operand of a kernel that reads whole slots; `y` is copied anyway.
        let a = x.tanh();
        let plan = planned(&[&Tensor::cat(&[&a, &y], 0), &a]);
        assert_eq!(copies(&plan), 2);
        let plan = planned(&[&Tensor::cat(&[&a, &y], 0), &a.cumsum(1)]);
        assert_eq!(copies(&plan), 2);
    }
}
