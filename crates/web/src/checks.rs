//! What the page checks of a device: each function does one thing on it and compares it with numbers computed in
//! plain Rust. `Ok` says what was seen, `Err` what differed. It must not touch the page.

use wgrad::data::DeviceDataset;
use wgrad::data::digits;
use wgrad::device::{Gpu, KernelSource};
use wgrad::reference::Evaluator;
use wgrad::{DType, Device, ErrorKind, Settings, Tensor, eval};
use wgrad_shapes::Operation;
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

/// Operations that take each way through the cpu's vectors: products of ragged sizes, with packed panels, along rows and of single
/// columns; every way to compute a convolution; rows, channels, pools, recurrent steps.
const OPERATIONS: &str = r#"
{"kind": "linear", "input": [33, 77], "filters": 129}
{"kind": "linear", "input": [1, 131], "filters": 67}
{"kind": "linear", "input": [70, 600], "filters": 1}
{"kind": "bmm", "input": [3, 13, 22], "filters": 19}
{"kind": "conv2d", "input": [2, 16, 18, 17], "filters": 18, "kernel": 3, "padding": 1}
{"kind": "conv2d", "input": [3, 20, 9, 9], "filters": 7, "kernel": 3, "stride": 2, "padding": 1}
{"kind": "conv2d", "input": [2, 3, 15, 18], "filters": 9, "kernel": 3, "padding": 1}
{"kind": "conv2d", "input": [2, 13, 14, 13], "filters": 21, "kernel": 5, "padding": 2}
{"kind": "conv2d", "input": [2, 19, 7, 7], "filters": 23, "kernel": 1}
{"kind": "conv2d", "input": [2, 9, 17, 19], "filters": 9, "kernel": 3, "padding": 1, "groups": 9}
{"kind": "conv2d", "input": [2, 9, 17, 19], "filters": 9, "kernel": 3, "stride": 2, "padding": 1, "groups": 9}
{"kind": "conv2d", "input": [4, 12, 4, 4], "filters": 12, "kernel": 3, "padding": 1, "groups": 12}
{"kind": "conv_transpose2d", "input": [2, 11, 7, 7], "filters": 5, "kernel": 4, "stride": 2, "padding": 1}
{"kind": "softmax", "input": [5, 103]}
{"kind": "layer_norm", "input": [7, 61]}
{"kind": "batch_norm", "input": [5, 3, 7, 7]}
{"kind": "sum_last", "input": [9, 1003]}
{"kind": "gelu", "input": [777]}
{"kind": "add_relu", "input": [777]}
{"kind": "max_pool2d", "input": [2, 5, 11, 11], "kernel": 2}
{"kind": "avg_pool2d", "input": [2, 5, 11, 11], "kernel": 3, "stride": 2}
{"kind": "lstm", "input": [3, 5, 7], "filters": 6}
{"kind": "gru", "input": [3, 5, 7], "filters": 6}
{"kind": "embedding", "input": [12], "rows": 9, "filters": 5}"#;

/// Results and all gradients of operations on the tab's processor against the reference, in every float.
pub(crate) async fn operations() -> Outcome {
    let shapes = wgrad_shapes::read(OPERATIONS).map_err(text)?;
    let (mut furthest, mut count) = (0.0f64, 0);
    // Sums are f32; what is rounded to fewer bits is so once.
    for (dtype, tolerance) in [(DType::F32, 1e-4), (DType::F16, 2e-2), (DType::BF16, 1e-1)] {
        for shape in &shapes {
            let at = |what: String| format!("{} in {dtype}: {what}", shape.short());
            let distance = distance(shape, dtype).await.map_err(&at)?;
            if distance.is_nan() || distance > tolerance {
                return Err(at(format!("{distance:.1e} of the largest value apart")));
            }
            if dtype == DType::F32 {
                furthest = furthest.max(distance);
            }
            count += 1;
        }
    }
    Ok(format!(
        "{count} operations, in f32 within {furthest:.0e} of the largest value"
    ))
}

/// How far results and gradients are from the reference's, by the largest value of each.
async fn distance(shape: &wgrad_shapes::Shape, dtype: DType) -> Result<f64, String> {
    let cpu = Device::cpu();
    let operation = Operation::new(shape, &cpu, dtype).map_err(text)?;
    let upstream = operation.upstream(&cpu).map_err(text)?;
    let all = operation.with_gradients(&upstream, &operation.inputs);
    let all = all.map_err(text)?;
    // The reference goes first: values let go of what they were computed from.
    let mut wanted = Vec::new();
    let mut reference = Evaluator::exact();
    for tensor in &all {
        wanted.push(reference.evaluate_async(tensor).await.map_err(text)?);
    }
    eval(&all.iter().collect::<Vec<&Tensor>>()).map_err(text)?;
    let mut furthest = 0.0f64;
    for (tensor, wanted) in all.iter().zip(&wanted) {
        let seen = tensor.cast(DType::F32).to_vec_async::<f32>().await;
        let seen = seen.map_err(text)?;
        let largest = wanted
            .data
            .iter()
            .fold(1e-6f64, |most, x| most.max(x.abs()));
        for (&seen, &wanted) in seen.iter().zip(&wanted.data) {
            let apart = (f64::from(seen) - wanted).abs() / largest;
            // NaN stays.
            if apart.is_nan() || apart > furthest {
                furthest = apart;
            }
        }
    }
    Ok(furthest)
}

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
