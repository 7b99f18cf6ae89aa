//! A compute kernel of your own on typed buffers: upload, run, read back.
//!
//! `cargo run -p wgrad-device --example custom_kernel`

use wgrad_device::{Gpu, KernelSource, OpenOptions, Result};

const WGSL: &str = "
@group(0) @binding(0) var<storage, read> in_x: array<f32>;
@group(0) @binding(1) var<storage, read> in_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> out_z: array<f32>;
override scale: f32 = 1.0;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x < arrayLength(&in_x) {
        out_z[id.x] = scale * in_x[id.x] + in_y[id.x];
    }
}";

fn main() -> Result<()> {
    let gpu = Gpu::open_blocking(OpenOptions {
        allow_software: true,
        ..OpenOptions::default()
    })?;
    let kernel = gpu.kernel(KernelSource::new("axpy", WGSL).constants(&[("scale", 2.0)]))?;
    let x = gpu.buffer_from(&[1.0_f32, 2.0, 3.0])?;
    let y = gpu.buffer_from(&[10.0_f32, 20.0, 30.0])?;
    let z = gpu.zeros::<f32>(3)?;
    gpu.run(&kernel, &[&x, &y, &z], [1, 1, 1])?;
    let z = z.read_blocking()?;
    assert_eq!(z, [12.0, 24.0, 36.0]);
    println!("{}: 2 x + y = {z:?}", gpu.info());
    Ok(())
}
