//! `wgrad bench --planning`: what it takes to plan programs of many operations. Each row is a program of some size; it is
//! run for the first time and once more, recorded anew each time and as a compiled function. The first time holds planning
//! (and, on a GPU, kernels that have to be compiled); the second one recording and finding the plan, or a replay.

use crate::Result;
use std::time::Instant;
use wgrad::nn::{Context, Lstm, RecurrentOptions, Sgd, compile, gradients};
use wgrad::{Device, Generator, Module, Optimizer, Tensor, eval};

/// A program whose size is to grow.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// A chain of this many multiplications and additions on 256 numbers, one after the other.
    Chain(usize),
    /// A training step of LSTM layers on so many steps in time, features and hidden size 32, 8 sequences.
    Lstm {
        steps: usize,
        layers: usize,
        bidirectional: bool,
    },
}

/// The rows of the table, by name.
fn rows() -> Vec<(String, Program)> {
    let chain = [1_000, 10_000, 100_000].map(|n| (format!("chain_{n}"), Program::Chain(n)));
    let lstm = [64, 512, 2048].map(|steps| {
        let program = Program::Lstm {
            steps,
            layers: 1,
            bidirectional: false,
        };
        (format!("lstm_{steps}"), program)
    });
    let both_ways = Program::Lstm {
        steps: 200,
        layers: 2,
        bidirectional: true,
    };
    let mut rows = chain.to_vec();
    rows.extend(lstm);
    rows.push(("lstm_200_two_layers_both_ways".into(), both_ways));
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
            Program::Lstm { .. } => {
                let (x, mut lstm) = self.lstm(device)?;
                let mut sgd = Sgd::new(0.01);
                Times::of(|| {
                    let loss = loss(&lstm, &x);
                    let gradients = gradients(&loss, &lstm)?;
                    sgd.step(&mut lstm, &gradients)?;
                    loss.item::<f32>()?;
                    Ok(())
                })
            }
        }
    }

    fn compiled(self, device: &Device) -> Result<Times> {
        match self {
            Program::Chain(n) => {
                let [x, a, b] = operands(device)?;
                let mut state = ();
                let mut run = compile(|_: &mut (), x: &[Tensor]| Ok(chain(n, &x[0], &x[1], &x[2])));
                Times::of(|| {
                    run.call(&mut state, &[&x, &a, &b])?;
                    wait(device)
                })
            }
            Program::Lstm { .. } => {
                let (x, lstm) = self.lstm(device)?;
                let mut state = (lstm, Sgd::new(0.01));
                let mut step = compile(|(lstm, sgd): &mut (Lstm, Sgd), x: &[Tensor]| {
                    let loss = loss(lstm, &x[0]);
                    let gradients = gradients(&loss, lstm)?;
                    sgd.step(lstm, &gradients)?;
                    Ok(loss)
                });
                Times::of(|| {
                    step.call(&mut state, &[&x])?.item::<f32>()?;
                    Ok(())
                })
            }
        }
    }

    /// Input and layer of an LSTM, with values.
    fn lstm(self, device: &Device) -> Result<(Tensor, Lstm)> {
        let Program::Lstm {
            steps,
            layers,
            bidirectional,
        } = self
        else {
            return Err("is no LSTM".into());
        };
        let mut rng = Generator::new(1);
        let options = RecurrentOptions::default()
            .num_layers(layers)
            .bidirectional(bidirectional);
        let lstm = Lstm::new(32, 32, &options, &mut rng, device);
        let x = rng.uniform(&[steps, 8, 32], device).detach()?;
        eval(&lstm.parameters().iter().collect::<Vec<_>>())?;
        wait(device)?;
        Ok((x, lstm))
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

fn loss(lstm: &Lstm, x: &Tensor) -> Tensor {
    let (outputs, _) = lstm.forward(x, None, &mut Context::eval());
    outputs.square().mean()
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
        rows.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let device = super::open(options)?;
    println!("{device}: seconds of the first call and of a later one, recorded anew and compiled");
    println!(
        "{:<30} {:>10} {:>10} {:>10} {:>10}",
        "", "recorded", "again", "compiled", "replayed"
    );
    for (name, program) in rows {
        let recorded = program.recorded(&device)?;
        let compiled = program.compiled(&device)?;
        println!(
            "{name:<30} {:>10.4} {:>10.4} {:>10.4} {:>10.6}",
            recorded.first, recorded.again, compiled.first, compiled.again
        );
    }
    Ok(())
}
