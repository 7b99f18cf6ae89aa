//! A compute kernel of one's own on typed buffers: upload, run, read back. It uses the device layer alone and no
//! tensors; any adapter will do, a software one too.
//!
//!     cargo run --release --example custom_kernel

use wgrad::device::{Gpu, KernelSource, OpenOptions, Result};

const AXPY: &str = "
@group(0) @binding(0) var<storage, read> in_x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out_y: array<f32>;
override a: f32 = 1.0;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x < arrayLength(&in_x) { out_y[id.x] += a * in_x[id.x]; }
}";

fn main() -> Result<()> {
    let gpu = Gpu::open_blocking(OpenOptions {
        allow_software: true,
        ..OpenOptions::default()
    })?;
    let kernel = gpu.kernel(KernelSource::new("axpy", AXPY).constants(&[("a", 2.0)]))?;
    let x = gpu.buffer_from(&[1.0f32, 2.0, 3.0])?;
    let y = gpu.buffer_from(&[10.0f32, 20.0, 30.0])?;
    gpu.run(&kernel, &[&x, &y], [1, 1, 1])?;
    println!("{}: 2 x + y = {:?}", gpu.info(), y.read_blocking()?);
    Ok(())
}
