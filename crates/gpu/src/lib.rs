//! The gpu executor: turns a [`Plan`](crate::plan::Plan) into compute dispatches and replays them.
//!
//! `lower` and the family modules make, for each step, the WGSL text, the numbers and the grid of its
//! dispatches: pure functions of the step, tested without a device. `prepared` compiles them and lays out their
//! parameters once; `run` records and submits them. Sizes are numbers in a uniform block, never in the text, so
//! that steps of other shapes share pipelines. Must not know of graphs or tensors, nor of wgpu: the device is
//! `wgrad_device`'s.

mod argsort;
mod attention;
mod call;
mod choices;
mod columns;
mod conv;
mod conv_direct;
mod conv_shape;
mod cores;
mod custom;
mod exact;
mod expr;
mod finish;
mod gemm;
mod halves;
mod lower;
mod map;
mod matmul;
mod prepared;
mod reduce;
mod rounds;
mod row_loop;
mod rows;
mod run;
mod scan;
mod scatter;
mod source;
mod states;
mod status;
mod step;
mod table;
mod target;
mod texts;
mod trace;
mod wide;
mod window;

#[cfg(test)]
mod tests;

#[cfg(not(target_arch = "wasm32"))]
pub use choices::{Choice, Choices};
pub use prepared::Prepared;
pub use run::{Executor, Job, Ran, Read};
pub use status::{INHERITED, Word, Words};
pub use table::{Config, class_of, config};
pub use texts::{Text, texts};
use wgrad_plan::{DeviceClass, dtype, plan, profile};
