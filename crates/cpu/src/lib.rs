//! The fast executor on all cores: runs a [`Plan`](wgrad_plan::plan::Plan) with blocked, vectorised loops. Reads plans as
//! plain data; knows no graph, no tensors and no other executor.
//!
//! ```text
//!  run      who computes: the order of steps, memory, segments; below all, `threads` and `call`, what a kernel is given
//!   │
//!   ├─ map, reduce, rows ──► program     element-wise programs in blocks of lanes, fused loops, loads along walks
//!   ├─ matmul ──► matmul::gemm           panels, tiles, instruction sets
//!   ├─ conv ──► winograd, implicit, unfold, weight…
//!   ├─ attention ──► matmul::gemm        forward and backward, scores in blocks that stay in the caches
//!   └─ window, scan, sort, scatter_add
//! ```
//!
//! Each family of kernels is a room of that name; what a family works out once for a plan is kept in
//! [`Prepared`].

mod attention;
mod call;
mod conv;
mod halves;
mod lanes;
mod map;
mod matmul;
#[cfg(all(target_arch = "x86_64", any(unix, windows), not(miri)))]
mod native;
mod program;
mod reduce;
mod rows;
mod run;
mod scan;
mod scatter_add;
mod sort;
#[cfg(test)]
mod tests;
mod threads;
mod window;

#[cfg(test)]
use call::{Context, Operand};
#[cfg(not(target_arch = "wasm32"))]
pub use conv::fit::{Choice as FitChoice, Fit, FitOptions, fit as fit_convolutions};
pub use run::{Executor, Lack, Memory, Observer, Prepared};
#[cfg(test)]
use run::{Ready, run_kernel, run_ready};
#[cfg(test)]
use wgrad_plan::guard;
use wgrad_plan::{caches, dtype, math, plan, simd, storage};
