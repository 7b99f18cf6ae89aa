//! The device layer on whatever adapter is there, a software one included.
//!
//! With `WGRAD_REQUIRE_GPU=1` a machine without an adapter fails; without it each test
//! says that it was skipped.

mod adapters;
mod arena;
mod buffers;
mod commands;
mod kernels;
mod sharing;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use wgrad_device::{Error, Gpu, OpenOptions};

const DOUBLE: &str = "
@group(0) @binding(0) var<storage, read> in_x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out_y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x < arrayLength(&in_x) { out_y[id.x] = 2.0 * in_x[id.x]; }
}";

/// Adds `step.value` to every element; a uniform and one storage buffer.
const ADD: &str = "
struct Step { value: u32 }
@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read_write> out_x: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x < arrayLength(&out_x) { out_x[id.x] += step.value; }
}";

fn software() -> OpenOptions {
    OpenOptions {
        allow_software: true,
        ..OpenOptions::default()
    }
}

/// Opens a device of the test's own, or says that there is none.
fn open(options: OpenOptions) -> Option<Gpu> {
    match Gpu::open_blocking(options) {
        Ok(gpu) => Some(gpu),
        Err(error @ Error::NoAdapter { .. }) => {
            let required = std::env::var_os("WGRAD_REQUIRE_GPU").is_some_and(|v| v == "1");
            assert!(!required, "WGRAD_REQUIRE_GPU=1, but {error}");
            println!("skipped: no adapter");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The device that most tests share.
fn shared() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| open(software())).as_ref()
}

/// Held by tests that count what the shared device does.
fn alone() -> MutexGuard<'static, ()> {
    static COUNTING: Mutex<()> = Mutex::new(());
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device of its own, so that counters are this test's alone.
fn own() -> Option<(MutexGuard<'static, ()>, Gpu)> {
    let guard = alone();
    open(software()).map(|gpu| (guard, gpu))
}
