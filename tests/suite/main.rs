//! The integration tests, one binary so that pipelines and devices are shared. Every executor is compared with the
//! reference; `WGRAD_TEST_ALL=1` runs the full cross product, otherwise a fixed part of the variants.
//! With `WGRAD_REQUIRE_GPU=1` a missing adapter is a failure.

mod arena;
mod attention;
mod channels;
mod checkpoint;
mod digits;
mod distributions;
mod examples;
mod faults;
mod fuzz;
mod gradients;
mod half;
mod history;
mod limits;
mod loaders;
mod local;
mod long_loops;
mod memory;
mod mixed;
mod models;
mod ops;
mod outcomes;
mod plans;
mod predicted;
mod programs;
mod replay;
mod resume;
mod rounding;
mod scaling;
mod sizes;
mod special;
mod support;
mod table;
mod training;
mod transforms;
