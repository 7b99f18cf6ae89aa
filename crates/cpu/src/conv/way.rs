//! The names of the ways that a convolution can be computed. Knows nothing about them.

/// A way from input to output, or of the adjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    Winograd,
    Depthwise,
    Rows,
    Product,
    Implicit,
    Batched,
    Interleaved,
    Phases,
}

/// A way to the gradient of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputGrad {
    Depthwise,
    AsForward(Forward),
    Fold,
    Interleaved,
    Phases,
}

/// A way to the gradient of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightGrad {
    Winograd,
    Depthwise,
    Implicit,
    FewChannels,
    Batched,
    Rows,
    Interleaved,
    Phases,
}

/// A way of any of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Forward(Forward),
    InputGrad(InputGrad),
    WeightGrad(WeightGrad),
}
