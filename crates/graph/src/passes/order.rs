//! Two kinds of steps wait. Gradients of convolutions' weights, until the gradients of their inputs have gone on to the layer before:
//! these do the same for each image, and an executor can take an image through all of them if nothing stands between. And
//! element-wise steps, until somebody reads them: a clipped gradient, until its parameter is updated. Must
//! not move anything else: the order of recording is what keeps memory small.

use super::Limits;
use super::rows::NEAR;
use crate::plan::{ConvKind, Kernel, Place, Plan, Step};

/// Moves element-wise steps before their first reader, if that is too far to become one step with them. What they read is about as large
/// as what they write, so that little is held for longer.
pub(super) fn maps_to_readers(plan: &mut Plan, limits: &Limits) {
    let uses = Uses::of(plan);
    let steps = plan.steps.iter().enumerate();
    let before: Vec<Option<usize>> = steps
        .map(|(at, step)| uses.later(plan, limits, (at, step)))
        .collect();
    if before.iter().any(Option::is_some) {
        reorder(plan, &before);
    }
}

/// Who reads and writes each slot.
struct Uses {
    first_reader: Vec<usize>,
    readers: Vec<usize>,
    writers: Vec<usize>,
    last_writer: Vec<usize>,
}

impl Uses {
    fn of(plan: &Plan) -> Uses {
        let of_slots = |n: usize| vec![n; plan.slots.len()];
        let mut uses = Uses {
            first_reader: of_slots(plan.steps.len()),
            readers: of_slots(0),
            writers: of_slots(0),
            last_writer: of_slots(0),
        };
        for (at, step) in plan.steps.iter().enumerate() {
            for &slot in &step.inputs {
                uses.first_reader[slot] = uses.first_reader[slot].min(at);
                uses.readers[slot] += 1;
            }
            for slot in step.outputs() {
                uses.writers[slot] += 1;
                uses.last_writer[slot] = at;
            }
        }
        uses
    }

    /// Before which step this one is to stand.
    fn later(&self, plan: &Plan, limits: &Limits, (at, step): (usize, &Step)) -> Option<usize> {
        let is_temp = |slot: usize| matches!(plan.slots[slot].place, Place::Temp(_));
        let bytes = |slot: usize| plan.slots[slot].len * plan.slots[slot].dtype.size();
        let (slot, first) = (step.output, self.first_reader[step.output]);
        // What can fail stays in order.
        let moves = matches!(step.kernel, Kernel::Map(_))
            && step.check == 0
            && step.more_outputs.is_empty()
            && self.writers[slot] == 1
            && is_temp(slot);
        let far = first < plan.steps.len() && first > at + FAR;
        let reads: usize = step.inputs.iter().map(|&input| bytes(input)).sum();
        let fits = !step.inputs.is_empty() && reads <= bytes(slot) + SMALL;
        // Leaves may be written over by results.
        let stays = |&input: &usize| {
            is_temp(input) && self.writers[input] == 1 && !self.joins(plan, limits, at, input)
        };
        (moves && far && fits && step.inputs.iter().all(stays)).then_some(first)
    }

    /// Whether a step may become one with the writer of its input, which stands at its place then.
    fn joins(&self, plan: &Plan, limits: &Limits, at: usize, input: usize) -> bool {
        let writer = self.last_writer[input];
        match plan.steps[writer].kernel {
            Kernel::Matmul(_) | Kernel::Conv(_) => limits.epilogues && self.readers[input] == 1,
            Kernel::Map(_) | Kernel::Reduce(_) => {
                let slot = &plan.slots[input];
                at <= writer + FAR && slot.len * slot.dtype.size() > SMALL
            }
            _ => false,
        }
    }
}

/// Steps beyond which a reader is far.
const FAR: usize = NEAR / 4;

/// Bytes of operands that do not count: a number, or one for each channel.
const SMALL: usize = 1 << 12;

/// Moves gradients of convolutions' weights behind the element-wise steps, windows and convolutions that follow and do not need them.
pub(super) fn weight_gradients_last(plan: &mut Plan) {
    let n = plan.steps.len();
    let is_last =
        |step: &Step| matches!(&step.kernel, Kernel::Conv(c) if c.kind == ConvKind::WeightGrad);
    // From the end: before which step the next one has to stand at the latest.
    let mut before: Vec<Option<usize>> = vec![None; n];
    let mut stop = n;
    let mut first_reader = vec![n; plan.slots.len()];
    for (at, step) in plan.steps.iter().enumerate().rev() {
        if is_last(step) {
            // One that was moved already stands in the way.
            stop = stop.min(first_reader[step.output]);
            before[at] = Some(stop);
        } else if !by_image(step) {
            stop = at;
        }
        if before[at].is_none() {
            let inputs = step.inputs.iter();
            inputs.for_each(|&slot| first_reader[slot] = at);
        }
    }
    if before.iter().any(Option::is_some) {
        reorder(plan, &before);
    }
}

/// Puts steps before others, where that is said; all else stays in order.
fn reorder(plan: &mut Plan, before: &[Option<usize>]) {
    let place = |(at, before): (usize, &Option<usize>)| match before {
        Some(stop) => (*stop, 0, at),
        None => (at, 1, at),
    };
    let mut order: Vec<(usize, usize, usize)> = before.iter().enumerate().map(place).collect();
    order.sort_unstable();
    let mut steps: Vec<Option<Step>> = std::mem::take(&mut plan.steps)
        .into_iter()
        .map(Some)
        .collect();
    let moved = order.iter().filter_map(|&(.., at)| steps[at].take());
    plan.steps = moved.collect();
}

fn by_image(step: &Step) -> bool {
    match &step.kernel {
        Kernel::Map(_) | Kernel::ScatterAdd(_) | Kernel::Window(_) => true,
        Kernel::Conv(c) => c.kind != ConvKind::WeightGrad,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{planned, tensor};
    use crate::plan::{ConvKind, Kernel};
    use crate::{ConvOptions, grad};

    #[test]
    fn an_inputs_gradient_goes_on_first() {
        let (x, v, w) = (
            tensor(&[8, 2, 9, 9]),
            tensor(&[3, 2, 3, 3]),
            tensor(&[4, 3, 3, 3]),
        );
        let options = ConvOptions::default();
        let y = x
            .conv2d(&v, None, &options)
            .relu()
            .conv2d(&w, None, &options);
        let g = grad(&y.square().sum(), &[&v, &w]).expect("gradients");
        let plan = planned(&[&g[0], &g[1]]);
        let kinds: Vec<Option<ConvKind>> = plan
            .steps
            .iter()
            .map(|s| match &s.kernel {
                Kernel::Conv(c) => Some(c.kind),
                _ => None,
            })
            .collect();
        let n = kinds.len();
        assert_eq!(kinds[n - 2..], [Some(ConvKind::WeightGrad); 2], "{kinds:?}");
        assert_eq!(
            kinds[n - 4..n - 2],
            [Some(ConvKind::InputGrad), None],
            "{kinds:?}"
        );
    }

    /// Clipped gradients are all recorded before the first update; each becomes a part of its own one, however many there are.
    #[test]
    fn what_one_reads_is_computed_where_it_is_read() {
        let n = 90;
        let all: Vec<_> = (0..n).map(|i| tensor(&[6, 8 + i]).cumsum(0)).collect();
        let norm = all.iter().map(|g| g.square().sum()).reduce(|a, b| a + b);
        let scale = 1.0 / norm.expect("a sum").sqrt();
        let clipped: Vec<_> = all.iter().map(|g| g * &scale).collect();
        let new: Vec<_> = clipped.iter().map(|g| (g.tanh(), g.square())).collect();
        let results: Vec<_> = new.iter().flat_map(|(a, b)| [a, b]).collect();
        let plan = planned(&results);
        let outputs = |step: &crate::plan::Step| step.outputs().count();
        let updates = plan.steps.iter().filter(|s| outputs(s) == 2).count();
        assert_eq!(updates, n, "{} steps", plan.steps.len());
    }
}
