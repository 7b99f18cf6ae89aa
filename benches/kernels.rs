//! Micro-benchmarks of a few kernels on the cpu, as a user calls them: recorded and evaluated each time.
//!
//!     cargo bench -p wgrad-benches --bench kernels
//!
//! `wgrad bench` measures more of them, on any device and beside the machine's peak; these find a regression of a few
//! per cent.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use wgrad::{ConvOptions, Device, Generator, Tensor, eval};

/// Uniform in [0, 1), computed.
fn random(shape: &[usize]) -> Tensor {
    let x = Generator::new(1).uniform(shape, &Device::cpu());
    x.detach().expect("the cpu draws random numbers")
}

fn run(tensor: Tensor) {
    eval(&[black_box(&tensor)]).expect("the cpu computes it");
}

fn matmul(c: &mut Criterion) {
    let mut group = c.benchmark_group("matmul");
    for n in [16usize, 64, 256, 512] {
        let (a, b) = (random(&[n, n]), random(&[n, n]));
        group.throughput(Throughput::Elements(2 * (n as u64).pow(3)));
        group.bench_function(format!("{n}"), |bench| bench.iter(|| run(a.matmul(&b))));
    }
    let (a, b) = (random(&[128, 784]), random(&[256, 784]));
    group.throughput(Throughput::Elements(2 * 128 * 784 * 256));
    group.bench_function("128x784x256 transposed", |bench| {
        bench.iter(|| run(a.matmul(&b.t())))
    });
    group.finish();
}

fn convolution(c: &mut Criterion) {
    let options = ConvOptions::default().padding([1, 1]);
    let (x, w) = (random(&[8, 32, 14, 14]), random(&[64, 32, 3, 3]));
    c.bench_function("conv2d 8x32x14x14 k3", |bench| {
        bench.iter(|| run(x.conv2d(&w, None, &options)))
    });
}

fn memory_bound(c: &mut Criterion) {
    let x = random(&[1024, 1024]);
    let mut group = c.benchmark_group("1024x1024");
    group.throughput(Throughput::Bytes(4 << 20));
    group.bench_function("sum rows", |bench| {
        bench.iter(|| run(x.sum_dims(&[1], false)))
    });
    group.bench_function("sum columns", |bench| {
        bench.iter(|| run(x.sum_dims(&[0], false)))
    });
    group.throughput(Throughput::Bytes(8 << 20));
    group.bench_function("softmax", |bench| bench.iter(|| run(x.softmax(-1))));
    group.bench_function("gelu", |bench| bench.iter(|| run(x.gelu())));
    group.bench_function("transpose", |bench| bench.iter(|| run(x.t() + 0.0)));
    group.finish();
}

criterion_group!(kernels, matmul, convolution, memory_bound);
criterion_main!(kernels);
