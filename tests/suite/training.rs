//! Training the convolutional network: cpu and GPU agree, runs repeat to the bit, and gradients of gradients hold.

use crate::models::{CNN, CnnShape, Run, SMALL_CNN, images, relative};
use crate::support::{Random, executors, gpu};
use std::sync::OnceLock;
use wgrad::nn::{Context, Sequential, gradients};
use wgrad::reference::{Array, Evaluator};
use wgrad::train::Checkpoint;
use wgrad::{DType, Device, Module, Reduction, Tensor, eval, grad};

/// The cpu's run of 200 steps: losses, and checkpoints with the steps they were taken at.
struct Record {
    losses: Vec<f32>,
    checkpoints: Vec<(usize, Checkpoint)>,
}

const SEED: u64 = 1;

fn cpu_run() -> &'static Record {
    static RECORD: OnceLock<Record> = OnceLock::new();
    RECORD.get_or_init(|| {
        let mut run = Run::cnn(SEED, &Device::cpu());
        let mut record = Record {
            losses: Vec::new(),
            checkpoints: vec![(0, run.capture())],
        };
        for until in [30, 50, 100, 200] {
            let steps = until - record.losses.len();
            record.losses.extend(run.steps(steps).expect("steps"));
            record.checkpoints.push((until, run.capture()));
        }
        println!(
            "{}: cpu loss {:.4} at first, {:.4} after 200 steps",
            images().1,
            record.losses[0],
            record.losses[199]
        );
        record
    })
}

fn gpu_run() -> Option<&'static (Vec<f32>, Checkpoint)> {
    static RECORD: OnceLock<Option<(Vec<f32>, Checkpoint)>> = OnceLock::new();
    let run = |device: Device| {
        let mut run = Run::cnn(SEED, &device);
        let mut losses = run.steps(5).expect("steps");
        let checkpoint = run.capture();
        losses.extend(run.steps(15).expect("steps"));
        (losses, checkpoint)
    };
    RECORD.get_or_init(|| gpu().map(run)).as_ref()
}

fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn the_loss_falls() {
    let losses = &cpu_run().losses;
    assert!(losses[0] > 2.0 && losses[0] < 3.0, "{}", losses[0]);
    let last = losses[190..].iter().sum::<f32>() / 10.0;
    assert!(last < 0.6, "mean loss {last} of steps 190 to 200");
}

#[test]
fn first_losses_on_the_gpu_equal_those_on_the_cpu() {
    let Some((got, _)) = gpu_run() else { return };
    let want = &cpu_run().losses[..20];
    let differs = |(g, w): (&f32, &f32)| f64::from((g - w).abs() / w.abs());
    let each: Vec<f64> = got.iter().zip(want).map(differs).collect();
    let worst = each.iter().copied().fold(0.0, f64::max);
    println!("20 losses, gpu against cpu: worst relative difference {worst:.2e} of {each:?}");
    assert!(worst <= 1e-3, "gpu {got:?}\ncpu {want:?}");
}

#[test]
fn a_step_from_a_checkpoint_is_the_same_on_the_cpu_and_the_gpu() {
    let Some(gpu) = gpu() else { return };
    for (step, checkpoint) in &cpu_run().checkpoints {
        if *step == 30 {
            continue;
        }
        let [(cpu_loss, cpu), (gpu_loss, gpu)] =
            [Device::cpu(), gpu.clone()].map(|d| loss_and_gradients(checkpoint, *step, &d));
        let loss = f64::from((gpu_loss - cpu_loss).abs() / cpu_loss.abs());
        let mut worst = (0.0, "");
        for ((name, g), (_, w)) in gpu.iter().zip(&cpu) {
            let r = relative(g, w);
            if r >= worst.0 {
                worst = (r, name);
            }
        }
        let (gradient, name) = worst;
        println!(
            "step {step}: loss {cpu_loss:.6}, differs by {loss:.1e}; gradients by {gradient:.1e} ({name})"
        );
        assert!(
            loss <= 1e-5,
            "loss at step {step}: gpu {gpu_loss}, cpu {cpu_loss}"
        );
        assert!(
            gradient <= 1e-3,
            "gradient of {name} at step {step}: {gradient}"
        );
    }
}

type Named = Vec<(String, Vec<f32>)>;

/// Loss and gradients of the batch with this number, from a checkpoint.
fn loss_and_gradients(checkpoint: &Checkpoint, number: usize, device: &Device) -> (f32, Named) {
    let mut run = Run::cnn(SEED + 7, device);
    run.restore(checkpoint);
    let indices: Vec<u32> = (0..64)
        .map(|i| (number as u32 * 64 + i) % images().0.len() as u32)
        .collect();
    let batch = run.loader.dataset().batch(&indices);
    let loss = run.loss(&batch);
    let g = gradients(&loss, &run.model).expect("gradients");
    let names = run.model.named_parameters().into_iter().map(|(n, _)| n);
    let list: Vec<Tensor> = g.of().to_vec();
    eval(&list.iter().chain([&loss]).collect::<Vec<_>>()).expect("a run");
    let read = |(name, t): (String, &Tensor)| (name, t.to_vec().expect("a gradient"));
    (
        loss.item().expect("a loss"),
        names.zip(&list).map(read).collect(),
    )
}

#[test]
fn a_run_repeated_on_the_cpu_is_the_same_to_the_bit() {
    let record = cpu_run();
    let mut run = Run::cnn(SEED, &Device::cpu());
    let losses = run.steps(30).expect("steps");
    assert_eq!(bits(&losses), bits(&record.losses[..30]));
    assert_eq!(run.capture(), record.checkpoints[1].1, "after 30 steps");
}

#[test]
fn a_run_repeated_on_the_gpu_is_the_same_to_the_bit() {
    let (Some(device), Some((first, checkpoint))) = (gpu(), gpu_run()) else {
        return;
    };
    let mut run = Run::cnn(SEED, &device);
    let losses = run.steps(5).expect("steps");
    assert_eq!(bits(&losses), bits(&first[..5]));
    assert_eq!(run.capture(), *checkpoint, "after 5 steps");
}

/// A network with given weights, images and labels of a given number.
struct Problem {
    model: Sequential,
    loss: Tensor,
    parameters: Vec<Tensor>,
}

fn problem(shape: &CnnShape, weights: &[Vec<f32>], n: usize, device: &Device) -> Problem {
    let mut model = shape.build(5, device);
    let names: Vec<(String, Tensor)> = model.named_parameters();
    let placed = |((name, old), w): ((String, Tensor), &Vec<f32>)| {
        let tensor = Tensor::from_slice(w, old.shape(), device);
        (name, tensor)
    };
    let state: Vec<(String, Tensor)> = names.into_iter().zip(weights).map(placed).collect();
    model.load_state(&state).expect("weights");
    let mut rng = Random(3);
    let pixels: Vec<f32> = (0..n * shape.size * shape.size)
        .map(|_| rng.uniform(-1.0, 2.0) as f32)
        .collect();
    let x = Tensor::from_slice(&pixels, &[n, 1, shape.size, shape.size], device);
    let labels: Vec<i32> = (0..n as i32).map(|i| (3 * i + 1) % 10).collect();
    let logits = model.forward(&x, &mut Context::train(0));
    let loss = logits.cross_entropy(&Tensor::new(&labels, device), Reduction::Mean);
    let parameters = model.parameters();
    Problem {
        model,
        loss,
        parameters,
    }
}

/// Weights of a network, the same for every device.
fn weights(shape: &CnnShape) -> Vec<Vec<f32>> {
    let model = shape.build(5, &Device::cpu());
    let read = |t: &Tensor| t.to_vec().expect("a weight");
    model.parameters().iter().map(read).collect()
}

/// A direction of length 1 in the space of all weights.
fn direction(weights: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut rng = Random(11);
    let mut v: Vec<Vec<f64>> = weights
        .iter()
        .map(|w| w.iter().map(|_| rng.uniform(-1.0, 1.0)).collect())
        .collect();
    let length = v.iter().flatten().map(|x| x * x).sum::<f64>().sqrt();
    v.iter_mut().flatten().for_each(|x| *x /= length);
    v.into_iter()
        .map(|t| t.into_iter().map(|x| x as f32).collect())
        .collect()
}

impl Problem {
    fn leaves(&self) -> Vec<&Tensor> {
        self.parameters.iter().collect()
    }

    fn gradient(&self) -> Vec<Tensor> {
        grad(&self.loss, &self.leaves()).expect("a gradient")
    }

    /// `H v`: the gradient of `g · v`.
    fn hessian_times(&self, v: &[Vec<f32>]) -> Vec<Tensor> {
        let dot = self.gradient().into_iter().zip(v).map(|(g, v)| {
            let v = Tensor::from_slice(v, g.shape(), g.device());
            (g * v).sum()
        });
        let total = dot.reduce(|a, b| a + b).expect("parameters");
        grad(&total, &self.leaves()).expect("a gradient of the gradient")
    }

    fn read(&self, tensors: &[Tensor]) -> Vec<Vec<f32>> {
        eval(&tensors.iter().collect::<Vec<_>>()).expect("a run");
        let read = |t: &Tensor| t.to_vec().expect("values");
        tensors.iter().map(read).collect()
    }

    /// What tensors are in f64 with the weights moved by `h v`.
    fn exact(&self, tensors: &[Tensor], v: &[Vec<f32>], h: f64) -> Vec<Vec<f64>> {
        let mut evaluator = Evaluator::exact();
        for (leaf, v) in self.parameters.iter().zip(v) {
            let at: Vec<f32> = leaf.to_vec().expect("a weight");
            let moved = at.iter().zip(v);
            let data = moved
                .map(|(&w, &v)| f64::from(w) + h * f64::from(v))
                .collect();
            let point = Array {
                shape: leaf.shape().to_vec(),
                dtype: DType::F32,
                data,
            };
            evaluator.replace(leaf, point);
        }
        let values = |t: &Tensor| evaluator.evaluate(t).expect("a value").data;
        tensors.iter().map(values).collect()
    }
}

fn narrow(v: &[Vec<f64>]) -> Vec<Vec<f32>> {
    v.iter()
        .map(|t| t.iter().map(|&x| x as f32).collect())
        .collect()
}

fn worst(got: &[Vec<f32>], want: &[Vec<f32>]) -> f64 {
    let each = got.iter().zip(want).map(|(g, w)| relative(g, w));
    each.fold(0.0, f64::max)
}

/// Gradients of gradients of the loss: in f64 against central differences of the gradient, which are sharp there; and
/// on every executor against those in f64.
fn check_products(what: &str, shape: &CnnShape, n: usize) {
    let weights = weights(shape);
    let v = direction(&weights);
    let oracle = problem(shape, &weights, n, &Device::reference());
    assert_eq!(oracle.model.len(), 10);
    let product = oracle.exact(&oracle.hessian_times(&v), &v, 0.0);
    // The gradient is smooth but for kinks of ReLU and max-pool, which so short a way meets none of. In f32 it would
    // have to be so long that a large network meets hundreds.
    let h = 1e-6;
    let gradient = oracle.gradient();
    let [up, down] = [h, -h].map(|h| oracle.exact(&gradient, &v, h));
    let mut off = 0.0f64;
    for ((p, up), down) in product.iter().zip(&up).zip(&down) {
        let largest = p.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        assert!(largest > 0.0, "a product of zeros shows nothing");
        for ((p, up), down) in p.iter().zip(up).zip(down) {
            off = off.max((p - (up - down) / (2.0 * h)).abs() / largest);
        }
    }
    println!("{what}: H v and central differences in f64 differ by {off:.1e}");
    assert!(off <= 1e-6, "{what}: {off}");
    for s in executors() {
        let p = problem(shape, &weights, n, &s.device);
        let got = p.read(&p.hessian_times(&v));
        let off = worst(&got, &narrow(&product));
        println!("{what}: H v on {} and in f64 differ by {off:.1e}", s.name);
        assert!(off <= 1e-4, "{what} on {}: {off}", s.name);
    }
}

#[test]
fn hessian_vector_products_of_a_small_network() {
    check_products("small network", &SMALL_CNN, 4);
}

#[test]
fn hessian_vector_products_of_the_whole_network() {
    check_products("whole network", &CNN, 2);
}
