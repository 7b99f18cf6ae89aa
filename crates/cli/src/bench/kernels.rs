//! The cases that time one operation, with what they count. Every run computes the results anew from the same inputs:
//! as a compiled function whose results keep their buffers, or recorded and evaluated each time.

use super::case::{Case, Env, Function, Unit, Work};
use super::timing::{self, Timing};
use crate::Result;
use wgrad::nn::compile;
use wgrad::{AttentionOptions, ConvOptions, Device, Element, Generator, GradOptions, Tensor};
use wgrad::{bf16, eval, f16, grad_with};

/// Times one operation.
pub fn time(env: &Env, inputs: fn(&Device) -> Vec<Tensor>, function: Function) -> Result<Timing> {
    let inputs = evaluated(inputs(env.device))?;
    let mut record = || {
        let outputs = function(&inputs)?;
        Ok(eval(&outputs.iter().collect::<Vec<_>>())?)
    };
    if env.options.uncompiled {
        return timing::measure(env.options.seconds, &mut record, &|| env.wait());
    }
    let mut results = evaluated(function(&inputs)?)?;
    let operands: Vec<&Tensor> = inputs.iter().collect();
    let mut compiled = compile(|results: &mut Vec<Tensor>, inputs: &[Tensor]| {
        *results = function(inputs)?;
        Ok(Vec::new())
    });
    let mut replay = || {
        let none: Vec<Tensor> = compiled.call(&mut results, &operands)?;
        debug_assert!(none.is_empty());
        Ok(())
    };
    timing::measure(env.options.seconds, &mut replay, &|| env.wait())
}

/// The same as leaves.
fn evaluated(tensors: Vec<Tensor>) -> Result<Vec<Tensor>> {
    eval(&tensors.iter().collect::<Vec<_>>())?;
    Ok(tensors
        .iter()
        .map(Tensor::detach)
        .collect::<wgrad::Result<_>>()?)
}

/// Uniform in [−1, 1).
fn random(seed: u64, shape: &[usize], device: &Device) -> Tensor {
    Generator::new(seed).uniform(shape, device) * 2.0 - 1.0
}

fn several(shapes: &[&[usize]], device: &Device) -> Vec<Tensor> {
    let all = shapes.iter().enumerate();
    all.map(|(seed, shape)| random(seed as u64, shape, device))
        .collect()
}

/// `y` and its gradients with respect to `inputs`, for the upstream gradient `dy`.
fn with_gradients(y: Tensor, inputs: &[&Tensor], dy: &Tensor) -> wgrad::Result<Vec<Tensor>> {
    let options = GradOptions {
        upstream: Some(dy.clone()),
        ..GradOptions::default()
    };
    let mut all = grad_with(&y, inputs, &options)?;
    all.push(y);
    Ok(all)
}

const fn case(
    name: &'static str,
    unit: Unit,
    [flops, bytes]: [f64; 2],
    inputs: fn(&Device) -> Vec<Tensor>,
    function: Function,
) -> Case {
    Case {
        name,
        unit,
        work: Work::Kernel {
            flops,
            bytes,
            inputs,
            function,
        },
    }
}

/// A product of square matrices: 2 n³ operations.
fn matmul<const N: usize, F: Element>(name: &'static str) -> Case {
    let n = N as f64;
    let size = F::DTYPE.size() as f64;
    let inputs = |device: &Device| {
        let dtype = F::DTYPE;
        let both = several(&[&[N, N], &[N, N]], device);
        both.iter().map(|t| t.cast(dtype)).collect()
    };
    let counts = [2.0 * n * n * n, 3.0 * size * n * n];
    case(name, Unit::Gflops, counts, inputs, |t| {
        Ok(vec![t[0].matmul(&t[1])])
    })
}

/// All of them.
pub fn cases() -> Vec<Case> {
    [products(), convolutions(), rows(), networks()].concat()
}

fn products() -> Vec<Case> {
    vec![
        matmul::<256, f32>("matmul_f32_256"),
        matmul::<512, f32>("matmul_f32_512"),
        matmul::<1024, f32>("matmul_f32_1024"),
        matmul::<2048, f32>("matmul_f32_2048"),
        matmul::<4096, f32>("matmul_f32_4096"),
        matmul::<1024, f16>("matmul_f16_1024"),
        matmul::<4096, f16>("matmul_f16_4096"),
        matmul::<1024, bf16>("matmul_bf16_1024"),
    ]
}

/// `[32, 64, 28, 28]` by 64 filters of 3 x 3 with padding 1: images, filters, and the upstream gradient.
fn images<F: Element>(device: &Device) -> Vec<Tensor> {
    let image: &[usize] = &[32, 64, 28, 28];
    let all = several(&[image, &[64, 64, 3, 3], image], device);
    all.iter().map(|t| t.cast(F::DTYPE)).collect()
}

fn convolve(t: &[Tensor]) -> Tensor {
    t[0].conv2d(&t[1], None, &ConvOptions::default().padding([1, 1]))
}

fn convolutions() -> Vec<Case> {
    // 2 N Co Ci 9 H W; three times that with both gradients.
    let flops = 2.0 * 32.0 * 64.0 * 64.0 * 9.0 * 28.0 * 28.0;
    let image = 4.0 * 32.0 * 64.0 * 28.0 * 28.0;
    let filters = 4.0 * 64.0 * 64.0 * 9.0;
    let forward = |name, inputs, share| {
        let counts = [flops, share * (2.0 * image + filters)];
        case(name, Unit::Gflops, counts, inputs, |t| {
            Ok(vec![convolve(t)])
        })
    };
    vec![
        forward("conv2d_fwd_32x64x28x28_k3", images::<f32>, 1.0),
        forward("conv2d_fwd_f16_32x64x28x28_k3", images::<f16>, 0.5),
        forward("conv2d_fwd_bf16_32x64x28x28_k3", images::<bf16>, 0.5),
        case(
            "conv2d_fwdbwd_32x64x28x28_k3",
            Unit::Gflops,
            [3.0 * flops, 6.0 * image + 3.0 * filters],
            images::<f32>,
            |t| with_gradients(convolve(t), &[&t[0], &t[1]], &t[2]),
        ),
    ]
}

fn square(device: &Device) -> Vec<Tensor> {
    several(&[&[4096, 4096]], device)
}

/// Those that memory bounds. Counted are the bytes of operands and results, each once.
fn rows() -> Vec<Case> {
    let n = 4096.0 * 4096.0;
    vec![
        case(
            "softmax_4096x1024",
            Unit::Gbytes,
            [5.0 * n / 4.0, 8.0 * n / 4.0],
            |d| several(&[&[4096, 1024]], d),
            |t| Ok(vec![t[0].softmax(-1)]),
        ),
        case(
            "sum_axis0_4096x4096",
            Unit::Gbytes,
            [n, 4.0 * n],
            square,
            |t| Ok(vec![t[0].sum_dims(&[0], false)]),
        ),
        case(
            "sum_axis1_4096x4096",
            Unit::Gbytes,
            [n, 4.0 * n],
            square,
            |t| Ok(vec![t[0].sum_dims(&[1], false)]),
        ),
        case(
            "muladdrelu_4096x4096",
            Unit::Gbytes,
            [3.0 * n, 8.0 * n],
            square,
            |t| Ok(vec![(&t[0] * 2.0 + 1.0).relu()]),
        ),
    ]
}

/// Layer normalisation of `[4096, 1024]`: x, weight, bias, upstream gradient.
fn normalised(device: &Device) -> Vec<Tensor> {
    several(&[&[4096, 1024], &[1024], &[1024], &[4096, 1024]], device)
}

/// Queries, keys, values and the upstream gradient, `[batch 8, heads 8, length 512, features 64]`.
fn heads(device: &Device) -> Vec<Tensor> {
    several(&[&[8, 8, 512, 64][..]; 4], device)
}

fn networks() -> Vec<Case> {
    let n = 4096.0 * 1024.0;
    let (pairs, features) = (8.0 * 8.0 * 512.0 * 512.0, 64.0);
    let heads_bytes = 4.0 * 8.0 * 8.0 * 512.0 * features;
    vec![
        // Forward reads x and writes y; backward reads x and dy and writes dx: 5 x 4 bytes an element.
        case(
            "layernorm_fwdbwd_4096x1024",
            Unit::Gbytes,
            [16.0 * n, 20.0 * n],
            normalised,
            |t| {
                let y = t[0].layer_norm(&[1024], Some(&t[1]), Some(&t[2]), 1e-5);
                with_gradients(y, &[&t[0], &t[1], &t[2]], &t[3])
            },
        ),
        // Two products of 2 · pairs · features forward, twice as many backward.
        case(
            "attention_fwdbwd_b8h8s512d64",
            Unit::Gflops,
            [12.0 * pairs * features, 12.0 * heads_bytes],
            heads,
            |t| {
                let options = AttentionOptions::default();
                let y = t[0].scaled_dot_product_attention(&t[1], &t[2], &options);
                with_gradients(y, &[&t[0], &t[1], &t[2]], &t[3])
            },
        ),
    ]
}
