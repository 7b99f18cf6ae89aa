//! The memory that a plan says it takes, against what a run of it then takes. Measured in a process of its own, for what the
//! host holds is counted for the whole process.

use crate::memory::alone_with;
use crate::models::{CNN, mlp, own_cpu, own_gpu};
use wgrad::nn::models::{Gpt2, Gpt2Config, ResNet};
use wgrad::nn::{Adam, AdamW, Context, Linear, Sequential, compile, gradients};
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Result, Tensor};

/// Says which model a process measures, and with how many samples.
const CASE: &str = "WGRAD_PREDICTED_CASE";

/// The most bytes of the process that were in memory; `None` where the system does not say it as Linux does.
fn most_resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

/// Trains `model` for three steps on `x` and `y`, and compares.
fn measure<M: Module>(
    model: M,
    (x, y): (Tensor, Tensor),
    forward: impl Fn(&mut M, &Tensor, &mut Context) -> Tensor,
) {
    let device = x.device().clone();
    let mut step = compile(
        move |(model, adam, context): &mut (M, Adam, Context), inputs: &[Tensor]| {
            let logits = forward(model, &inputs[0], context);
            let loss = logits.cross_entropy(&inputs[1], Reduction::Mean);
            let gradients = gradients(&loss, model)?;
            adam.step(model, &gradients)?;
            context.next_step();
            Ok(loss)
        },
    );
    let mut state = (model, Adam::new(1e-3), Context::train(1));
    let cost = step
        .cost(&mut state, &[&x, &y])
        .expect("a cost")
        .expect("a plan");
    let before = most_resident();
    let mut train = || -> Result<f32> {
        (0..2).try_for_each(|_| step.call(&mut state, &[&x, &y]).map(|_| ()))?;
        step.call(&mut state, &[&x, &y])?.item()
    };
    assert!(train().expect("three steps").is_finite());
    let peak = device.memory().peak_bytes;
    let off = cost.peak_bytes as f64 / peak as f64 - 1.0;
    println!(
        "{device}: {} kernels, {} multiply-adds, predicted {} bytes, taken {peak} ({:+.1} %), resident {before:?} -> {:?}",
        cost.kernels,
        cost.multiply_adds,
        cost.peak_bytes,
        100.0 * off,
        most_resident()
    );
    assert!(off.abs() < 0.05, "{device}: {off}");
    if let (false, Some(resident)) = (device.as_gpu().is_some(), most_resident()) {
        let (predicted, resident) = (cost.peak_bytes as f64, resident as f64);
        let allowed = 0.15 * resident + 100e6;
        assert!(
            (resident - predicted).abs() < allowed,
            "{predicted} for {resident}"
        );
    }
}

fn classes(n: usize, classes: usize, device: &Device) -> Tensor {
    let labels: Vec<i32> = (0..n).map(|i| (i % classes) as i32).collect();
    Tensor::from_slice(&labels, &[n], device)
}

fn case(device: &Device) {
    let case = std::env::var(CASE).expect("a case");
    let (name, n) = case.split_once(' ').expect("a model and a number");
    let n: usize = n.parse().expect("a number");
    let rng = &mut Generator::new(1);
    let images = |channels, size| Tensor::ones(&[n, channels, size, size], DType::F32, device);
    match name {
        "mlp" => measure(
            mlp(1, device),
            (images(1, 28), classes(n, 10, device)),
            |m, x, cx| m.forward(x, cx),
        ),
        "cnn" => {
            let data = (images(1, 28), classes(n, 10, device));
            measure(CNN.build(1, device), data, |m, x, cx| m.forward(x, cx));
        }
        "resnet18" => {
            let data = (images(3, 32), classes(n, 10, device));
            let net = ResNet::resnet18(10, rng, device);
            measure(net, data, |m, x, cx| m.forward(x, cx));
        }
        _ => {
            let config = Gpt2Config {
                vocab_size: 65,
                n_positions: 64,
                n_embd: 128,
                n_layer: 4,
                n_head: 4,
                ..Gpt2Config::default()
            };
            let tokens = classes(n * 64, 65, device).reshape(&[n as isize, 64]);
            let targets = classes(n * 64, 65, device);
            let net = Gpt2::new(&config, rng, device);
            measure(net, (tokens, targets), |m, x, cx| {
                m.forward(x, cx).reshape(&[-1, 65])
            });
        }
    }
}

#[test]
#[ignore = "run by the_cpu_takes_what_a_plan_says in a process of its own"]
fn cpu_process() {
    case(&own_cpu());
}

#[test]
#[ignore = "run by a_gpu_takes_what_a_plan_says in a process of its own"]
fn gpu_process() {
    if let Some(device) = own_gpu() {
        case(&device);
    }
}

#[test]
fn the_cpu_takes_what_a_plan_says() {
    for case in [
        "mlp 77",
        "mlp 3000",
        "cnn 48",
        "cnn 7",
        "gpt 3",
        "gpt 20",
        "resnet18 4",
        "resnet18 24",
    ] {
        alone_with("predicted::cpu_process", &[(CASE, case)]);
    }
}

#[test]
fn a_gpu_takes_what_a_plan_says() {
    for case in ["mlp 77", "mlp 3000", "cnn 20", "gpt 3"] {
        alone_with("predicted::gpu_process", &[(CASE, case)]);
    }
}

/// Parameters, gradients and two moments of forty layers, and next to nothing besides: the first call of a compiled step holds no copy of
/// what it writes over, squares of gradients are summed as they are read, and a clipped gradient becomes a part of its update.
#[test]
#[ignore = "run by a_step_holds_its_state_once in a process of its own"]
fn state_process() {
    let device = own_cpu();
    let rng = &mut Generator::new(1);
    let mut net = Sequential::new();
    for _ in 0..40 {
        net = net.push(Linear::new(512, 512, rng, &device));
    }
    let bytes = 4 * net.num_parameters() as u64;
    let mut step = compile(|(net, adam): &mut (Sequential, AdamW), x: &[Tensor]| {
        let loss = net.forward(&x[0], &mut Context::train(1)).square().mean();
        let gradients = gradients(&loss, net)?.clip_norm(1.0);
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let mut state = (net, AdamW::new(1e-3));
    let x = Tensor::ones(&[2, 512], DType::F32, &device);
    for _ in 0..2 {
        let loss = step
            .call(&mut state, &[&x])
            .and_then(|loss| loss.item::<f32>());
        assert!(loss.expect("a loss").is_finite());
    }
    let peak = device.memory().peak_bytes as f64 / bytes as f64;
    println!("{peak:.2} times the parameters");
    assert!(peak < 4.3, "{peak:.2} times the parameters");
}

#[test]
fn a_step_holds_its_state_once() {
    alone_with("predicted::state_process", &[]);
}
