//! Products that go on with the element-wise work on their results: bias, rectifier, residual. What they would write and
//! another kernel read again never reaches memory. Works on the plan alone, before temporaries get memory.
//!
//! ```text
//!   two steps                                         one step
//!   a, b ─► product ─► t ─┐                           a, b ─► product ─► v ─┐   v: the sum, in the thread's register
//!                (memory) ├─► relu(t + bias) ─► y               bias ──────┴─► relu(v + bias) ─► y
//!                 bias ───┘
//! ```

use super::Limits;
use crate::dtype::DType;
use crate::plan::{Inst, Kernel, Map, Origin, Place, Plan, SlotId, Step, View};

/// Joins maps to the products that they follow.
pub(super) fn fuse(plan: &mut Plan, limits: &Limits) {
    let uses = Uses::of(plan);
    let mut joined_to_others = vec![false; plan.steps.len()];
    for at in 0..plan.steps.len() {
        if let Some(product) = product_below(plan, &uses, at, limits) {
            let dtype = plan.slots[plan.steps[product].output].dtype;
            plan.steps[at] = joined(&plan.steps[product], dtype, &plan.steps[at]);
            joined_to_others[product] = true;
        }
    }
    let mut gone = joined_to_others.into_iter();
    plan.steps.retain(|_| gone.next() != Some(true));
    super::rows::drop_unused_slots(plan);
}

/// Who writes and reads each slot.
struct Uses {
    /// The only step that writes it.
    writer: Vec<Option<usize>>,
    /// Steps that read it, results counted.
    readers: Vec<usize>,
}

impl Uses {
    fn of(plan: &Plan) -> Uses {
        let mut writers = vec![Vec::new(); plan.slots.len()];
        let mut readers = vec![0; plan.slots.len()];
        for (at, step) in plan.steps.iter().enumerate() {
            step.outputs().for_each(|slot| writers[slot].push(at));
            let mut inputs = step.inputs.clone();
            inputs.sort_unstable();
            inputs.dedup();
            inputs.iter().for_each(|&slot| readers[slot] += 1);
        }
        plan.outputs.iter().for_each(|&slot| readers[slot] += 1);
        let only = |all: Vec<usize>| <[usize; 1]>::try_from(all).ok().map(|[at]| at);
        Uses {
            writer: writers.into_iter().map(only).collect(),
            readers,
        }
    }
}

/// The product whose result the map at `at` alone reads, if it can take that map in; the latest of several.
fn product_below(plan: &Plan, uses: &Uses, at: usize, limits: &Limits) -> Option<usize> {
    let step = &plan.steps[at];
    let Kernel::Map(map) = &step.kernel else {
        return None;
    };
    let out = &plan.slots[step.output];
    let points: usize = map.shape.iter().product();
    let dense = map.store.is_contiguous(&map.shape) && points == out.len;
    let mut insts = map.expr.insts.iter();
    let stays = insts.any(|i| match i {
        Inst::Gather { .. } => true,
        Inst::Apply { op, .. } => op.is_long(),
        _ => false,
    });
    if !dense || stays || !out.dtype.is_float() || step.check != 0 {
        return None;
    }
    let fits = |&product: &usize| {
        let below = &plan.steps[product];
        is_product(&below.kernel)
            && below.then.is_none()
            && matches!(plan.slots[below.output].place, Place::Temp(_))
            && uses.readers[below.output] == 1
            && plan.slots[below.output].len == points
            && reads_point_by_point(map, step, below.output)
            && distinct(below, step) <= limits.max_inputs
    };
    let writers = step.inputs.iter().filter_map(|&slot| uses.writer[slot]);
    writers.filter(fits).max()
}

/// Whether it is a product of two operands with sums of something.
fn is_product(kernel: &Kernel) -> bool {
    match kernel {
        Kernel::Matmul(m) => m.batch * m.m * m.n * m.k > 0,
        Kernel::Conv(c) => {
            let sizes = [c.input, c.output, c.kernel];
            let channels = c.batch * c.groups * c.in_channels * c.out_channels;
            sizes.iter().flatten().product::<usize>() * channels > 0
        }
        _ => false,
    }
}

/// Whether the map reads the slot at the point that it writes, and nowhere else.
fn reads_point_by_point(map: &Map, step: &Step, slot: SlotId) -> bool {
    map.expr.insts.iter().all(|inst| match inst {
        Inst::Load { input, view } => step.inputs[*input] != slot || view.is_contiguous(&map.shape),
        _ => true,
    })
}

/// Different slots that both read together.
fn distinct(product: &Step, map: &Step) -> usize {
    let others = map.inputs.iter().filter(|&&s| s != product.output);
    let mut slots: Vec<SlotId> = product.inputs.iter().chain(others).copied().collect();
    slots.sort_unstable();
    slots.dedup();
    slots.len()
}

/// The step that does both, in the map's place; the product's result is of this dtype.
fn joined(product: &Step, dtype: DType, map: &Step) -> Step {
    let Kernel::Map(then) = &map.kernel else {
        return map.clone();
    };
    let mut then = then.clone();
    let mut inputs = product.inputs.clone();
    let mut dtypes = vec![dtype];
    let mut to = Vec::with_capacity(map.inputs.len());
    for (&slot, &dtype) in map.inputs.iter().zip(&then.expr.inputs) {
        if slot == product.output {
            to.push(0);
            continue;
        }
        to.push(dtypes.len());
        dtypes.push(dtype);
        inputs.push(slot);
    }
    for inst in &mut then.expr.insts {
        if let Inst::Load { input, view } = inst {
            *input = to[*input];
            if *input == 0 {
                *view = View::contiguous(&then.shape);
            }
        }
    }
    then.expr.inputs = dtypes;
    Step {
        kernel: product.kernel.clone(),
        inputs,
        then: Some(then),
        origin: Origin {
            name: format!("{}+{}", product.origin.name, map.origin.name),
            location: map.origin.location,
            node: map.origin.node,
        },
        ..map.clone()
    }
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use super::super::tests::{LIMITS, tensor};
    use super::super::{Limits, collect, plan};
    use crate::Tensor;
    use crate::plan::Plan;

    fn planned(outputs: &[&Tensor], max_inputs: usize) -> Plan {
        let limits = Limits {
            epilogues: true,
            max_inputs,
            ..LIMITS
        };
        plan(&collect(outputs).graph(), &limits)
    }

    fn n_joined(plan: &Plan) -> usize {
        plan.steps.iter().filter(|s| s.then.is_some()).count()
    }

    #[test]
    fn bias_rectifier_and_residual_join_the_product() {
        let (x, w, b) = (tensor(&[5, 4]), tensor(&[4, 6]), tensor(&[6]));
        let y = (x.matmul(&w) + &b).relu();
        let all = planned(&[&y], 8);
        assert_eq!((all.steps.len(), n_joined(&all)), (1, 1));
        let residual = (&y.matmul(&w.t()) + &b.narrow(0, 0, 4)) * 0.5 + &x;
        let all = planned(&[&residual], 8);
        assert_eq!((all.steps.len(), n_joined(&all)), (2, 2));
        // Two products: the later one takes the map.
        let both = planned(&[&(x.matmul(&w) + x.square().matmul(&w)).tanh()], 8);
        assert_eq!(n_joined(&both), 1);
        let filters = tensor(&[3, 2, 3, 3]);
        let y = tensor(&[2, 2, 6, 6]).conv2d(&filters, Some(&tensor(&[3])), &Default::default());
        let all = planned(&[&y.relu()], 8);
        assert_eq!((all.steps.len(), n_joined(&all)), (1, 1));
    }

    #[test]
    fn what_others_need_is_stored() {
        let (x, w, b) = (tensor(&[5, 4]), tensor(&[4, 6]), tensor(&[6]));
        let product = x.matmul(&w);
        assert_eq!(n_joined(&planned(&[&(&product + &b), &product], 8)), 0);
        assert_eq!(
            n_joined(&planned(&[&(&product + &b), &product.cumsum(0)], 8)),
            0
        );
        assert_eq!(
            n_joined(&planned(&[&(product.flip(&[0]) + 1.0)], 8)),
            0,
            "another order"
        );
        let wide = (0..4).fold(x.matmul(&w), |y, _| y + tensor(&[5, 6]));
        assert_eq!(
            n_joined(&planned(&[&wide], 4)),
            0,
            "more than a kernel binds"
        );
        assert_eq!(
            n_joined(&planned(
                &[&(x.narrow(1, 0, 0).matmul(&w.narrow(0, 0, 0)) + &b)],
                8
            )),
            0
        );
    }
}
