//! What the page checks: each function does one thing on the tab's device and compares it with numbers
//! computed in plain Rust. `Ok` says what was seen, `Err` what differed. It must not touch the page.

use wgrad_device::{Gpu, KernelSource};

/// What a check saw, or what differed.
pub(crate) type Outcome = Result<String, String>;

/// 256 invocations fill the smallest device that WebGPU allows.
const AFFINE: &str = "
@group(0) @binding(0) var<storage, read> in_x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out_y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&out_y) {
        out_y[id.x] = in_x[id.x] * 2.0 + 1.0;
    }
}
";

/// One dispatch over a length that is no multiple of the workgroup's, read back.
pub(crate) async fn kernel(gpu: &Gpu) -> Outcome {
    const LENGTH: u16 = 1000;
    let x: Vec<f32> = (0..LENGTH).map(f32::from).collect();
    let seen = affine(gpu, &x).await.map_err(|error| error.to_string())?;
    let wanted: Vec<f32> = x.iter().map(|x| x * 2.0 + 1.0).collect();
    compare(&seen, &wanted)
}

async fn affine(gpu: &Gpu, x: &[f32]) -> wgrad_device::Result<Vec<f32>> {
    let kernel = gpu.kernel(KernelSource::new("affine", AFFINE))?;
    let (input, output) = (gpu.buffer_from(x)?, gpu.zeros::<f32>(x.len())?);
    let groups = x.len().div_ceil(256) as u32;
    gpu.run(&kernel, &[input.buffer(), output.buffer()], [groups, 1, 1])?;
    output.read().await
}

/// WGSL that is not valid gives an error that says so, and the device goes on working.
pub(crate) async fn refused_kernel(gpu: &Gpu) -> Outcome {
    let broken = AFFINE.replace("2.0", "two");
    let error = match gpu.kernel(KernelSource::new("broken", &broken)) {
        Ok(_) => return Err("an undefined name was accepted".to_owned()),
        Err(error) => error.to_string(),
    };
    if !error.contains("two") {
        return Err(format!(
            "the error does not name what is undefined: {error}"
        ));
    }
    let seen = affine(gpu, &[3.0])
        .await
        .map_err(|error| error.to_string())?;
    compare(&seen, &[7.0])
}

/// Fails at the first value that is not bit for bit the wanted one.
fn compare(seen: &[f32], wanted: &[f32]) -> Outcome {
    if seen.len() != wanted.len() {
        return Err(format!("{} values, not {}", seen.len(), wanted.len()));
    }
    let differs = |(seen, wanted): (&f32, &f32)| seen.to_bits() != wanted.to_bits();
    match seen.iter().zip(wanted).position(differs) {
        Some(ix) => Err(format!("value {ix} is {}, not {}", seen[ix], wanted[ix])),
        None => Ok(format!("{} values", seen.len())),
    }
}
