//! What the page checks of a device: each function does one thing on it and compares it with numbers computed in
//! plain Rust. `Ok` says what was seen, `Err` what differed. It must not touch the page.

use wgrad::data::DeviceDataset;
use wgrad::data::digits;
use wgrad::device::{Gpu, KernelSource};
use wgrad::{Device, ErrorKind, Settings};
use wgrad_web_training::{MLP, training_digits};

use crate::page;

/// What a check saw, or what differed.
pub(crate) type Outcome = Result<String, String>;

/// How long ten timers of 10 ms may take in a tab that is free, in milliseconds: far more than they do, far less
/// than a hang.
const RESPONSIVE: f64 = 3000.0;

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

/// The device has the limits that were asked for: WebGPU's default ones exactly, or no fewer. Where both devices
/// report the same, running the checks twice shows no more than running them once.
pub(crate) fn limits(gpu: &Gpu, settings: &Settings) -> Outcome {
    const DEFAULT: [u64; 4] = [8, 256, 16 << 10, 128 << 20];
    let limits = gpu.limits();
    let seen = [
        u64::from(limits.max_storage_buffers),
        u64::from(limits.max_invocations),
        u64::from(limits.workgroup_memory),
        limits.max_binding_bytes,
    ];
    let [buffers, invocations, memory, binding] = seen;
    let text = format!(
        "{buffers} storage buffers, {invocations} invocations, {} KiB of workgroup memory, {} MiB a binding",
        memory >> 10,
        binding >> 20
    );
    let held = if settings.minimum_limits {
        seen == DEFAULT
    } else {
        seen.iter()
            .zip(DEFAULT)
            .all(|(&seen, default)| seen >= default)
    };
    if held { Ok(text) } else { Err(text) }
}

/// One dispatch over a length that is no multiple of the workgroup's, read back.
pub(crate) async fn kernel(gpu: &Gpu) -> Outcome {
    const LENGTH: u16 = 1000;
    let x: Vec<f32> = (0..LENGTH).map(f32::from).collect();
    let seen = affine(gpu, &x).await.map_err(text)?;
    let wanted: Vec<f32> = x.iter().map(|x| x * 2.0 + 1.0).collect();
    compare(&seen, &wanted)
}

async fn affine(gpu: &Gpu, x: &[f32]) -> wgrad::device::Result<Vec<f32>> {
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
    let seen = affine(gpu, &[3.0]).await.map_err(text)?;
    compare(&seen, &[7.0])?;
    Ok("an error, then a kernel that runs".to_owned())
}

/// A batch with an index beyond the dataset reads as an error of that kind, and the next batch is right again.
pub(crate) async fn bad_index(device: &Device) -> Outcome {
    const COUNT: usize = 20;
    let images = digits::generate(COUNT, 1);
    let labels = |indices: [u32; 3]| indices.map(|ix| i32::from(images.labels()[ix as usize]));
    let dataset = DeviceDataset::new(&images, device).map_err(text)?;
    let (_, bad) = dataset.batch(&[0, COUNT as u32, 1]);
    let error = match bad.to_vec_async::<i32>().await {
        Ok(seen) => return Err(format!("no error, but {seen:?}")),
        Err(error) => error,
    };
    if error.kind() != ErrorKind::Index {
        return Err(format!("an error of another kind: {error}"));
    }
    let (_, good) = dataset.batch(&[0, COUNT as u32 - 1, 1]);
    let seen = good.to_vec_async::<i32>().await.map_err(text)?;
    let wanted = labels([0, COUNT as u32 - 1, 1]);
    if seen != wanted {
        return Err(format!("the next batch reads {seen:?}, not {wanted:?}"));
    }
    Ok(error.to_string())
}

/// With training steps still under way everything is dropped, the device last: the tab stays free, and a device
/// opened after that works.
pub(crate) async fn dropped(device: Device, settings: &Settings) -> Outcome {
    drop(MLP.train(&training_digits(), &device).map_err(text)?);
    drop(device);
    let begin = page::now();
    for _ in 0..10 {
        page::sleep(10).await;
    }
    let waited = page::now() - begin;
    if waited > RESPONSIVE {
        return Err(format!("ten timers of 10 ms took {waited:.0} ms"));
    }
    let next = Device::gpu_with(None, settings).await.map_err(text)?;
    kernel(gpu(&next)?).await?;
    Ok(format!(
        "ten timers of 10 ms took {waited:.0} ms; the next device works"
    ))
}

/// The layer below the tensors.
pub(crate) fn gpu(device: &Device) -> Result<&Gpu, String> {
    device.as_gpu().ok_or_else(|| format!("{device} is no GPU"))
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

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
