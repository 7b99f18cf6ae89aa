//! Results that take the place of a leaf, as an optimiser's new parameters and moments do: the buffer that the leaf lies in
//! becomes the result's. A caller says which leaf a result replaces; here alone is decided where that changes nothing else,
//! and written to `Plan::in_place`, which executors ask. Works on the plan alone, before temporaries get memory.
//!
//! ```text
//!   steps        0      1      2      3      4      5
//!                             may                          the last step that may fail: nothing is lost after it
//!                             fail
//!   leaf p     read   read                 read            ─► written from step 4 on, where it lies: step 4 reads it only
//!   result p'                             WRITE            ─►   at the point that it writes
//!
//!   leaf q     read                               read     ─► q' gets memory of its own: step 5 still needs the old q
//!   result q'                      WRITE
//!
//!   leaf r     read                                        ─► r' gets memory of its own: step 2 may fail after it is
//!   result r'         WRITE                                     written, and the old r must be whole then
//! ```

use super::Limits;
use crate::plan::{Expr, InPlace, Inst, Kernel, Place, Plan, Rows, SlotId, StageKind, Step};
use rustc_hash::FxHashMap;

/// Lets each result `r` take the place of leaf `replaced[r]`, if there is one and nobody needs the leaf afterwards.
///
/// A step that may fail comes before all that is written so: then nothing is lost.
pub(super) fn leaves(plan: &mut Plan, replaced: &[Option<usize>], limits: &Limits) {
    let fails = |step: &Step| step.check != 0 || matches!(step.kernel, Kernel::Custom(_));
    let safe_from = plan.steps.iter().rposition(fails).map_or(0, |at| at + 1);
    let pairs = replaced.iter().enumerate();
    let pairs = pairs.filter_map(|(output, &leaf)| {
        Some(InPlace {
            output,
            leaf: leaf?,
        })
    });
    let users = Users::of(plan);
    let mut found: Vec<Candidate> = pairs
        .filter_map(|pair| candidate(plan, &users, pair, safe_from))
        .collect();
    let mut held: FxHashMap<usize, usize> = FxHashMap::default();
    for c in found.iter().filter(|c| c.held) {
        *held.entry(c.writer).or_default() += 1;
    }
    let binds: Vec<bool> = found
        .iter()
        .map(|c| !c.held || buffers(&plan.steps[c.writer]) - held[&c.writer] <= limits.max_inputs)
        .collect();
    let mut binds = binds.into_iter();
    found.retain(|_| binds.next() == Some(true));
    for Candidate { pair, slot, .. } in found {
        plan.slots[slot].place = Place::Output(pair.output);
        plan.in_place.push(pair);
    }
}

/// A result that may take the place of a leaf.
struct Candidate {
    pair: InPlace,
    /// The leaf's.
    slot: SlotId,
    /// The step that writes the result first.
    writer: usize,
    /// It reads the leaf too.
    held: bool,
}

/// The only one of its kind.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

/// Who uses each slot.
struct Users {
    /// The slots of each leaf.
    leaves: Vec<Vec<SlotId>>,
    /// Steps that write a slot, in order.
    writers: Vec<Vec<usize>>,
    /// The last step that reads a slot.
    last_reader: Vec<Option<usize>>,
    /// How often a slot is a result.
    results: Vec<usize>,
}

impl Users {
    fn of(plan: &Plan) -> Users {
        let mut users = Users {
            leaves: vec![Vec::new(); plan.n_leaves],
            writers: vec![Vec::new(); plan.slots.len()],
            last_reader: vec![None; plan.slots.len()],
            results: vec![0; plan.slots.len()],
        };
        for (slot, s) in plan.slots.iter().enumerate() {
            if let Place::Leaf(leaf) = s.place {
                users.leaves[leaf].push(slot);
            }
        }
        for (at, step) in plan.steps.iter().enumerate() {
            step.outputs().for_each(|slot| users.writers[slot].push(at));
            let inputs = step.inputs.iter();
            inputs.for_each(|&slot| users.last_reader[slot] = Some(at));
        }
        plan.outputs
            .iter()
            .for_each(|&slot| users.results[slot] += 1);
        users
    }
}

fn candidate(plan: &Plan, users: &Users, pair: InPlace, safe_from: usize) -> Option<Candidate> {
    let result = *plan.outputs.get(pair.output)?;
    let slot = only(users.leaves.get(pair.leaf)?.iter().copied())?;
    let (from, to) = (&plan.slots[slot], &plan.slots[result]);
    let fits = users.results[result] == 1
        && to.place == Place::Output(pair.output)
        && (from.dtype, from.len) == (to.dtype, to.len)
        && to.dtype.size() == 4
        && users.results[slot] == 0;
    let writers = &users.writers[result];
    let writer = *writers.first()?;
    let read_later = users.last_reader[slot].is_some_and(|at| at > writer);
    if !fits || writer < safe_from || read_later {
        return None;
    }
    let held = plan.steps[writer].inputs.contains(&slot);
    if held && (writers.len() > 1 || !same_points(plan, &plan.steps[writer], slot, result)) {
        return None;
    }
    Some(Candidate {
        pair,
        slot,
        writer,
        held,
    })
}

/// Different buffers that a step reads and writes.
fn buffers(step: &Step) -> usize {
    let mut slots: Vec<SlotId> = step.inputs.iter().copied().chain(step.outputs()).collect();
    slots.sort_unstable();
    slots.dedup();
    slots.len()
}

/// Whether a step reads `leaf` only at the point of `result` that it writes, and not after that.
fn same_points(plan: &Plan, step: &Step, leaf: SlotId, result: SlotId) -> bool {
    let loads = |expr: &Expr| {
        let mut insts = expr.insts.iter();
        insts.any(|inst| input_of(inst).is_some_and(|i| step.inputs[i] == leaf))
    };
    let point_by_point = |expr: &Expr, shape: &[usize]| {
        expr.insts.iter().all(|inst| match inst {
            Inst::Load { input, view } => step.inputs[*input] != leaf || view.is_contiguous(shape),
            _ => input_of(inst).is_none_or(|i| step.inputs[i] != leaf),
        })
    };
    match &step.kernel {
        Kernel::Map(map) => {
            let dense = map.shape.iter().product::<usize>() == plan.slots[result].len;
            dense && map.store.is_contiguous(&map.shape) && point_by_point(&map.expr, &map.shape)
        }
        Kernel::Rows(rows) => {
            let number = step.outputs().position(|s| s == result);
            let writer = only((0..rows.stages.len()).filter(|&s| rows.stages[s].output == number));
            let Some(writer) = writer else { return false };
            let readers = (0..rows.stages.len()).filter(|&s| loads(&rows.stages[s].expr));
            let readers: Vec<usize> = readers.collect();
            let shape = [&rows.outer[..], &rows.inner[..]].concat();
            let each = |&s: &usize| {
                let stage = &rows.stages[s];
                stage.kind == StageKind::Each && stage.region.is_none()
            };
            let before = |&s: &usize| {
                s <= writer && each(&s) && point_by_point(&rows.stages[s].expr, &shape)
            };
            each(&writer) && readers.iter().all(before) && !computed_later(rows, writer, &readers)
        }
        _ => false,
    }
}

/// The input that an instruction reads.
fn input_of(inst: &Inst) -> Option<usize> {
    match inst {
        Inst::Load { input, .. } | Inst::Gather { input, .. } => Some(*input),
        _ => None,
    }
}

/// Whether a stage that waits for more reductions than `writer` needs values of `readers`: an executor may compute these
/// anew.
fn computed_later(rows: &Rows, writer: usize, readers: &[usize]) -> bool {
    let levels = rows.levels();
    let mut needs = vec![false; rows.stages.len()];
    for (s, stage) in rows.stages.iter().enumerate() {
        let each = |&o: &usize| rows.stages[o].kind == StageKind::Each;
        needs[s] = readers.contains(&s) || stage.operands().filter(each).any(|o| needs[o]);
    }
    (0..rows.stages.len()).any(|s| needs[s] && levels[s] > levels[writer])
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use super::super::tests::{planned_replacing, tensor};
    use crate::Tensor;
    use crate::plan::Plan;

    /// One step of Adam with decay for a parameter: the new parameter and moments.
    fn adam(p: &Tensor, [m, v]: [&Tensor; 2], g: &Tensor) -> [Tensor; 3] {
        let m = m * 0.9 + g * 0.1;
        let v = v * 0.999 + g.square() * 0.001;
        let p = p - &m / (v.sqrt() + 1e-8) * 0.01 - p * 0.001;
        [p, m, v]
    }

    fn n_in_place(plan: &Plan) -> usize {
        plan.in_place.len()
    }

    #[test]
    fn parameters_and_moments_are_updated_where_they_lie() {
        let (x, p) = (tensor(&[5, 6]), tensor(&[6, 4]));
        let (m, v) = (tensor(&[6, 4]) * 1.0, tensor(&[6, 4]) * 1.0);
        let (m, v) = (m.detach().unwrap(), v.detach().unwrap());
        let g = x.t().matmul(&x.matmul(&p).tanh());
        let new = adam(&p, [&m, &v], &g);
        let results: Vec<&Tensor> = new.iter().collect();
        let replaced = [Some(&p), Some(&m), Some(&v)];
        let plan = planned_replacing(&results, &replaced);
        assert_eq!(n_in_place(&plan), 3);
        let update = &plan.steps[plan.first_in_place()];
        assert_eq!((plan.held(update).len(), update.outputs().count()), (3, 3));
        // Nobody has said that they are replaced.
        assert_eq!(n_in_place(&planned_replacing(&results, &[None; 3])), 0);
    }

    #[test]
    fn what_is_read_later_or_elsewhere_stays() {
        let p = tensor(&[6, 6]);
        let in_place = |results: &[&Tensor]| {
            let mut replaced = vec![None; results.len()];
            replaced[0] = Some(&p);
            n_in_place(&planned_replacing(results, &replaced))
        };
        assert_eq!(in_place(&[&(&p * 2.0)]), 1);
        assert_eq!(in_place(&[&p.t().relu()]), 0, "another point");
        assert_eq!(in_place(&[&p.cumsum(0)]), 0, "not point by point");
        assert_eq!(
            in_place(&[&(&p / p.sum_dims(&[1], true))]),
            0,
            "a row's reduction reads it"
        );
        assert_eq!(
            in_place(&[&p.matmul(&p).matmul(&p).exp()]),
            1,
            "last read before"
        );
        let new = &p * 2.0;
        assert_eq!(in_place(&[&new, &p.cumsum(0)]), 0, "read later");
        assert_eq!(in_place(&[&new, &new]), 0, "two results");
        let sums = p.cumsum(0);
        assert_eq!(in_place(&[&(&p * 3.0), &sums]), 1, "read before");
    }

    #[test]
    fn what_may_fail_comes_first() {
        let (p, table) = (tensor(&[4]), tensor(&[9]));
        let index = Tensor::new(&[1, 2, 3, 4], table.device());
        let picked = table.index_select(0, &index);
        let first = planned_replacing(
            &[&(&p + &picked.exp().cumsum(0)), &picked],
            &[Some(&p), None],
        );
        assert_eq!(n_in_place(&first), 1);
        let new = &p * 2.0;
        let later = table.index_select(0, &index);
        let last = planned_replacing(&[&new, &later], &[Some(&p), None]);
        assert_eq!(n_in_place(&last), 0);
    }
}
