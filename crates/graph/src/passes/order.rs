//! Gradients of convolutions' weights wait until the gradients of their inputs have gone on to the layer before: these
//! do the same for each image, and an executor can take an image through all of them if nothing stands between. Must
//! not move anything else: the order of recording is what keeps memory small.

use crate::plan::{ConvKind, Kernel, Plan, Step};

/// Moves such steps behind the element-wise steps, windows and convolutions that follow and do not need them.
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
    if before.iter().all(Option::is_none) {
        return;
    }
    let mut order: Vec<(usize, usize, usize)> = (0..n)
        .map(|at| match before[at] {
            Some(stop) => (stop, 0, at),
            None => (at, 1, at),
        })
        .collect();
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
}
