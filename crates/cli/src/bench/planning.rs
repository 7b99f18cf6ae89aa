//! `wgrad bench --planning`: what it takes to plan programs of many operations. Each row is a program of some size; it is
//! run for the first time and once more, recorded anew each time and as a compiled function. The first time holds planning
//! (and, on a GPU, kernels that have to be compiled); the second one recording and finding the plan, or a replay. Beside them
//! stands the most memory that the compiled plan takes, parameters and inputs included.

use crate::Result;
use std::time::Instant;
use wgrad::nn::{Context, Gru, Lengths, Lstm, RecurrentOptions, Sgd, compile, gradients};
use wgrad::{Device, Generator, Module, Optimizer, PlanCost, Tensor, eval};

/// A program whose size is to grow.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// A chain of this many multiplications and additions on 256 numbers, one after the other.
    Chain(usize),
    /// A training step of recurrent layers on so many steps in time.
    Recurrent(Recurrent),
}

/// Recurrent layers; one of the LSTM in one direction, on whole sequences, if nothing else is said.
#[derive(Clone, Copy, Debug)]
struct Recurrent {
    steps: usize,
    /// Sequences.
    batch: usize,
    /// Features, and the hidden size.
    width: usize,
    layers: usize,
    bidirectional: bool,
    gru: bool,
    /// The sequences end at different lengths, an input.
    lengths: bool,
}

/// A recurrent network.
#[derive(Module)]
enum Net {
    Lstm(Lstm),
    Gru(Gru),
}

impl Net {
    /// The mean square of the outputs of `x`, up to lengths if there are any.
    fn loss(&self, x: &Tensor, lengths: Option<&Tensor>) -> Tensor {
        let cx = &mut Context::eval();
        let lengths = lengths.map(Lengths::from);
        let outputs = match (self, lengths) {
            (Net::Lstm(net), None) => net.forward(x, None, cx).0,
            (Net::Lstm(net), Some(n)) => net.forward_lengths(x, n, None, cx).0,
            (Net::Gru(net), None) => net.forward(x, None, cx).0,
            (Net::Gru(net), Some(n)) => net.forward_lengths(x, n, None, cx).0,
        };
        outputs.square().mean()
    }
}

/// The rows of the table, by name.
fn rows() -> Vec<(String, Program)> {
    let chain = [1_000, 10_000, 100_000].map(|n| (format!("chain_{n}"), Program::Chain(n)));
    let plain = Recurrent {
        steps: 200,
        batch: 8,
        width: 32,
        layers: 1,
        bidirectional: false,
        gru: false,
        lengths: false,
    };
    let both = Recurrent {
        bidirectional: true,
        ..plain
    };
    let (lengths, layers) = (true, 2);
    let mut recurrent: Vec<(String, Recurrent)> = [64, 512, 2048]
        .map(|steps| (format!("lstm_{steps}"), Recurrent { steps, ..plain }))
        .to_vec();
    let wide = Recurrent {
        steps: 2048,
        batch: 32,
        width: 64,
        ..plain
    };
    recurrent.push(("lstm_2048_b32_h64".into(), wide));
    let stacked = Recurrent { layers, ..both };
    recurrent.push(("lstm_200_two_layers_both_ways".into(), stacked));
    let lstm = Recurrent { lengths, ..both };
    recurrent.push(("lstm_200_both_ways_lengths".into(), lstm));
    let gru = Recurrent { gru: true, ..lstm };
    recurrent.push(("gru_200_both_ways_lengths".into(), gru));
    let recurrent = recurrent.into_iter();
    let mut rows = chain.to_vec();
    rows.extend(recurrent.map(|(name, r)| (name, Program::Recurrent(r))));
    rows
}

/// Seconds of the first time, and the least of a few later ones.
#[derive(Clone, Copy, Debug)]
struct Times {
    first: f64,
    again: f64,
}

impl Times {
    fn of(mut run: impl FnMut() -> Result<()>) -> Result<Times> {
        let mut time = || -> Result<f64> {
            let began = Instant::now();
            run()?;
            Ok(began.elapsed().as_secs_f64())
        };
        let first = time()?;
        // The second time may still plan: parameters have other places then.
        time()?;
        let again = (0..3).map(|_| time()).collect::<Result<Vec<f64>>>()?;
        let again = again.into_iter().fold(f64::INFINITY, f64::min);
        Ok(Times { first, again })
    }
}

impl Program {
    fn recorded(self, device: &Device) -> Result<Times> {
        match self {
            Program::Chain(n) => {
                let [x, a, b] = operands(device)?;
                Times::of(|| {
                    eval(&[&chain(n, &x, &a, &b)])?;
                    wait(device)
                })
            }
            Program::Recurrent(recurrent) => {
                let (inputs, mut net) = recurrent.net(device)?;
                let mut sgd = Sgd::new(0.01);
                Times::of(|| {
                    let loss = net.loss(&inputs[0], inputs.get(1));
                    let gradients = gradients(&loss, &net)?;
                    sgd.step(&mut net, &gradients)?;
                    loss.item::<f32>()?;
                    Ok(())
                })
            }
        }
    }

    /// Times, and the most bytes that a run takes.
    fn compiled(self, device: &Device) -> Result<(Times, u64)> {
        device.empty_cache();
        let before = device.memory().live_bytes;
        let beyond =
            |cost: Option<PlanCost>| cost.map_or(0, |c| c.peak_bytes.saturating_sub(before));
        match self {
            Program::Chain(n) => {
                let [x, a, b] = operands(device)?;
                let mut state = ();
                let mut run = compile(|_: &mut (), x: &[Tensor]| Ok(chain(n, &x[0], &x[1], &x[2])));
                let times = Times::of(|| {
                    run.call(&mut state, &[&x, &a, &b])?;
                    wait(device)
                })?;
                Ok((times, beyond(run.cost(&mut state, &[&x, &a, &b])?)))
            }
            Program::Recurrent(recurrent) => {
                let (inputs, net) = recurrent.net(device)?;
                let mut state = (net, Sgd::new(0.01));
                let mut step = compile(|(net, sgd): &mut (Net, Sgd), x: &[Tensor]| {
                    let loss = net.loss(&x[0], x.get(1));
                    let gradients = gradients(&loss, net)?;
                    sgd.step(net, &gradients)?;
                    Ok(loss)
                });
                let inputs: Vec<&Tensor> = inputs.iter().collect();
                let times = Times::of(|| {
                    step.call(&mut state, &inputs)?.item::<f32>()?;
                    Ok(())
                })?;
                Ok((times, beyond(step.cost(&mut state, &inputs)?)))
            }
        }
    }
}

impl Recurrent {
    /// Inputs, with lengths from a part of the steps to all of them, and layers, with values.
    fn net(self, device: &Device) -> Result<(Vec<Tensor>, Net)> {
        let rng = &mut Generator::new(1);
        let Recurrent { batch, width, .. } = self;
        let options = RecurrentOptions::default()
            .num_layers(self.layers)
            .bidirectional(self.bidirectional);
        let net = match self.gru {
            true => Net::Gru(Gru::new(width, width, &options, rng, device)),
            false => Net::Lstm(Lstm::new(width, width, &options, rng, device)),
        };
        let mut inputs = vec![rng.uniform(&[self.steps, batch, width], device).detach()?];
        if self.lengths {
            let lengths = (1..=batch).map(|i| (self.steps * i / batch) as i32);
            let lengths: Vec<i32> = lengths.collect();
            inputs.push(Tensor::new(&lengths, device));
        }
        eval(&net.parameters().iter().collect::<Vec<_>>())?;
        wait(device)?;
        Ok((inputs, net))
    }
}

fn operands(device: &Device) -> Result<[Tensor; 3]> {
    let mut rng = Generator::new(1);
    let [x, a, b] = [(); 3].map(|()| rng.uniform(&[256], device).detach());
    let operands = [x?, a?, b?];
    wait(device)?;
    Ok(operands)
}

/// `n` nodes.
fn chain(n: usize, x: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
    (0..n / 2).fold(x.clone(), |t, _| t * a + b)
}

fn wait(device: &Device) -> Result<()> {
    if let Some(gpu) = device.as_gpu() {
        gpu.synchronize_blocking()?;
    }
    Ok(())
}

/// Prints a line for each row that the filter picks.
pub fn run(options: &super::Options) -> Result<()> {
    let mut rows = rows();
    if let Some(filter) = &options.filter {
        rows.retain(|(name, _)| super::picks(filter, name));
    }
    if rows.is_empty() {
        return Err("no row has such a name; --list shows all of them".into());
    }
    if options.list {
        rows.iter().for_each(|(name, _)| outln!("{name}"));
        return Ok(());
    }
    let device = super::open(options)?;
    outln!(
        "{device}: seconds of the first call and of a later one, recorded anew and compiled; MB at the most"
    );
    outln!(
        "{:<30} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "",
        "recorded",
        "again",
        "compiled",
        "replayed",
        "MB"
    );
    for (name, program) in rows {
        let recorded = program.recorded(&device)?;
        let (compiled, bytes) = program.compiled(&device)?;
        outln!(
            "{name:<30} {:>10.4} {:>10.4} {:>10.4} {:>10.6} {:>10.3}",
            recorded.first,
            recorded.again,
            compiled.first,
            compiled.again,
            bytes as f64 / 1e6
        );
    }
    Ok(())
}
