//! The executors: `cpu` and `gpu` run a [`Plan`](crate::plan::Plan), `reference` evaluates the recorded graph.

#[cfg(feature = "cpu")]
pub(crate) mod cpu;
/// Without the cpu executor only what the op files need of it.
#[cfg(not(feature = "cpu"))]
#[allow(dead_code, unused_imports, reason = "the executor uses the rest")]
pub(crate) mod cpu {
    pub(crate) mod exponential;
    pub(crate) mod simd;
}
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
pub mod reference;
