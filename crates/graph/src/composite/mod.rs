//! Functions composed of primitives: their shapes, gradients and reference follow from the expansion.

mod loss;
mod softmax;

pub use loss::Reduction;
