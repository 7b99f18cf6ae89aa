//! Hand-written WGSL, by family.
//!
//! Source text and nothing else: it is assembled here, compiled and run elsewhere. Must not depend on
//! wgpu, tensors or plans.

pub mod kernels;
pub mod math;
