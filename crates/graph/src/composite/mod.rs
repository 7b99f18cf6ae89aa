//! Functions composed of primitives: their shapes, gradients and reference follow from the expansion.

mod adaptive_pool;
mod attention;
mod calculus;
mod class_loss;
mod distance;
mod einsum;
mod embedding_loss;
mod fold;
mod fourier;
mod fractional_pool;
mod grid;
mod local;
mod loss;
mod normalization;
mod products;
mod resize;
mod softmax;
#[cfg(test)]
mod tests;
mod units;
mod unpool;

pub use attention::AttentionOptions;
pub use class_loss::CrossEntropyOptions;
pub use embedding_loss::TripletMarginOptions;
pub use fold::UnfoldOptions;
pub use fourier::FftNorm;
pub use grid::{GridMode, GridPadding, GridSampleOptions};
pub use loss::{LossOptions, PoissonNllOptions, Reduction};
pub use normalization::LocalResponseNormOptions;
pub use resize::{InterpolateOptions, Interpolation};
