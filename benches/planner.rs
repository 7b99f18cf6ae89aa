//! Micro-benchmarks of what the host does around a step: recording it, finding its plan in the cache, replaying it
//! compiled.
//!
//!     cargo bench -p wgrad-benches --bench planner

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use wgrad::nn::{Adam, Linear, compile, gradients};
use wgrad::{Device, Generator, Module, Optimizer, Reduction, Tensor, eval, explain};

/// 16-32-10: so small that the arithmetic hardly counts.
#[derive(Module)]
struct Net {
    hidden: Linear,
    out: Linear,
}

impl Net {
    fn new(device: &Device) -> Net {
        let mut rng = Generator::new(1);
        Net {
            hidden: Linear::new(16, 32, &mut rng, device),
            out: Linear::new(32, 10, &mut rng, device),
        }
    }

    fn loss(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let logits = self.out.forward(&self.hidden.forward(x).relu());
        logits.cross_entropy(y, Reduction::Mean)
    }
}

fn batch(device: &Device) -> (Tensor, Tensor) {
    let x = Generator::new(2).uniform(&[16, 16], device);
    let x = x.detach().expect("the cpu draws random numbers");
    (x, Tensor::new(&[1i32; 16], device))
}

/// Forward and backward, recorded and thrown away.
fn record(c: &mut Criterion) {
    let device = Device::cpu();
    let (net, (x, y)) = (Net::new(&device), batch(&device));
    eval(&net.parameters().iter().collect::<Vec<_>>()).expect("the cpu initialises");
    c.bench_function("record a step", |bench| {
        bench.iter(|| black_box(gradients(&net.loss(&x, &y), &net).expect("it has gradients")))
    });
}

/// A step whose plan is in the cache.
fn cached(c: &mut Criterion) {
    let device = Device::cpu();
    let (mut net, mut adam, (x, y)) = (Net::new(&device), Adam::new(1e-3), batch(&device));
    c.bench_function("a recorded step, its plan cached", |bench| {
        bench.iter(|| {
            let gradients = gradients(&net.loss(&x, &y), &net).expect("it has gradients");
            adam.step(&mut net, &gradients).expect("the cpu steps");
        })
    });
    let t = Tensor::new(&[1.0f32], &device);
    c.bench_function("one addition, its plan cached", |bench| {
        bench.iter_batched(
            || &t + 1.0,
            |sum| eval(&[black_box(&sum)]).expect("the cpu adds"),
            BatchSize::SmallInput,
        )
    });
}

/// The same step, compiled.
fn compiled(c: &mut Criterion) {
    let device = Device::cpu();
    let (x, y) = batch(&device);
    let mut state = (Net::new(&device), Adam::new(1e-3));
    let mut step = compile(|(net, adam): &mut (Net, Adam), inputs: &[Tensor]| {
        let loss = net.loss(&inputs[0], &inputs[1]);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    c.bench_function("a compiled step", |bench| {
        bench.iter(|| black_box(step.call(&mut state, &[&x, &y]).expect("the cpu steps")))
    });
}

/// From the recorded graph of a step to its plan, by way of its text.
fn plan(c: &mut Criterion) {
    let device = Device::cpu();
    let (net, (x, y)) = (Net::new(&device), batch(&device));
    let gradients = gradients(&net.loss(&x, &y), &net).expect("it has gradients");
    let all: Vec<&Tensor> = gradients.of().iter().collect();
    c.bench_function("plan a step and print it", |bench| {
        bench.iter(|| black_box(explain(&all).expect("it can be planned")))
    });
}

criterion_group!(planner, record, cached, compiled, plan);
criterion_main!(planner);
