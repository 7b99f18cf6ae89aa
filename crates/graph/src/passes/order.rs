//! Gradients of convolutions' weights wait until the gradients of their inputs have gone on to the layer before: these
//! do the same for each image, and an executor can take an image through all of them if nothing stands between. Must
//! not move anything else: the order of recording is what keeps memory small.

use crate::plan::{ConvKind, Kernel, Plan, Step};

/// Moves such steps behind the element-wise steps, windows and convolutions that follow and do not need them.
pub(super) fn weight_gradients_last(plan: &mut Plan) {
    for at in (0..plan.steps.len()).rev() {
        if !matches!(&plan.steps[at].kernel, Kernel::Conv(c) if c.kind == ConvKind::WeightGrad) {
            continue;
        }
        let passes = |step: &&Step| by_image(step) && !step.inputs.contains(&plan.steps[at].output);
        let n = plan.steps[at + 1..].iter().take_while(passes).count();
        plan.steps[at..=at + n].rotate_left(1);
    }
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
