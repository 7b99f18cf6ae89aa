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
