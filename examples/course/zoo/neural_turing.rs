//! A neural Turing machine: a network beside a memory `M [slots, width]` that it reads and writes through weights `w` over all
//! slots, so that all of it has a gradient. A head finds slots by content, `softmax(β cos(k, M))`, mixes these with where it
//! was, shifts by −1, 0 or 1, and sharpens, `w^γ / Σ w^γ`; reading is `r = wᵀ M`, writing `M ← M (1 − w eᵀ) + w aᵀ`. The task:
//! rows of random bits, then the same again. Trained on at most eight rows, it copies sixteen: it has learned a procedure.
//! Source: Graves, Wayne, Danihelka, Neural Turing Machines, 2014; Collier and Beel, Implementing Neural Turing Machines, 2018.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Linear, compile, gradients};
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

const BITS: usize = 6;
const SLOTS: usize = 24;
const WIDTH: usize = 10;
/// What a head is told: a key, three shifts, and β, gate, γ.
const HEAD: usize = WIDTH + 6;

#[derive(Module)]
struct Machine {
    controller: Linear,
    heads: Linear,
    out: Linear,
}

/// Where a head looks `[batch, slots]`, from what it is told `[batch, HEAD]` and where it was.
fn address(told: &Tensor, was: &Tensor, memory: &Tensor) -> Tensor {
    let key = told.narrow(1, 0, WIDTH).tanh().unsqueeze(2);
    let length = |t: &Tensor, along: isize| (t.square().sum_dims(&[along], false) + 1e-6).sqrt();
    let alike = memory.matmul(&key).squeeze(2) / (length(memory, 2) * length(&key, 1));
    let number = |at: usize| told.narrow(1, WIDTH + 3 + at, 1);
    let content = (alike * number(0).softplus()).softmax(1);
    let w = was.lerp(&content, &number(1).sigmoid());
    let shift = told.narrow(1, WIDTH, 3).softmax(1);
    let moved = |by: isize| w.roll(&[by], &[1]) * shift.narrow(1, (by + 1) as usize, 1);
    let w = moved(-1) + moved(0) + moved(1);
    ((w + 1e-6).log() * (number(2).softplus() + 1.0)).softmax(1)
}

impl Machine {
    fn new(rng: &mut Generator, device: &Device) -> Machine {
        Machine {
            controller: Linear::new(BITS + 1 + WIDTH, 64, rng, device),
            heads: Linear::new(64, 2 * HEAD + 2 * WIDTH, rng, device),
            out: Linear::new(64 + WIDTH, BITS, rng, device),
        }
    }

    /// Logits `[batch, length, bits]` of the rows said again, and where the heads were `[2 · length, batch, slots]` as they
    /// wrote and read.
    fn forward(&self, rows: &Tensor) -> (Tensor, [Tensor; 2]) {
        let ([batch, length], device) = ([rows.size(0), rows.size(1)], rows.device());
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, device);
        let mut memory = zeros(&[batch, SLOTS, WIDTH]) + 1e-3;
        let mut read = zeros(&[batch, WIDTH]);
        let start = zeros(&[batch, SLOTS]).set_scalar((.., 0), 1.0);
        let (mut writer, mut reader) = (start.clone(), start);
        let (mut said, mut places) = (Vec::new(), [Vec::new(), Vec::new()]);
        for t in 0..2 * length {
            let asked = t >= length;
            let row = if asked {
                zeros(&[batch, BITS])
            } else {
                rows.select(1, t as isize)
            };
            let flag = Tensor::full(&[batch, 1], f64::from(u8::from(asked)), DType::F32, device);
            let hidden = self
                .controller
                .forward(&Tensor::cat(&[&row, &flag, &read], 1))
                .tanh();
            let told = self.heads.forward(&hidden);
            writer = address(&told.narrow(1, 0, HEAD), &writer, &memory);
            let erase = told.narrow(1, 2 * HEAD, WIDTH).sigmoid().unsqueeze(1);
            let add = told.narrow(1, 2 * HEAD + WIDTH, WIDTH).tanh().unsqueeze(1);
            let w = writer.unsqueeze(2);
            memory = &memory * (1.0 - &w * erase) + w * add;
            reader = address(&told.narrow(1, HEAD, HEAD), &reader, &memory);
            read = (reader.unsqueeze(2) * &memory).sum_dims(&[1], false);
            if asked {
                said.push(self.out.forward(&Tensor::cat(&[&hidden, &read], 1)));
            }
            places[0].push(writer.clone());
            places[1].push(reader.clone());
        }
        let all = |list: &[Tensor], dim| Tensor::stack(&list.iter().collect::<Vec<_>>(), dim);
        (all(&said, 1), places.map(|list| all(&list, 0)))
    }
}

fn bits(count: usize, length: usize, rng: &mut Generator, device: &Device) -> Tensor {
    rng.bernoulli(0.5, &[count, length, BITS], device)
        .cast(DType::F32)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let mut state = (Machine::new(&mut rng, device), Adam::new(0.005));
    let mut step = compile(|(net, adam): &mut (Machine, Adam), b: &[Tensor]| {
        let loss = net
            .forward(&b[0])
            .0
            .binary_cross_entropy_with_logits(&b[0], Reduction::Mean);
        let gradients = gradients(&loss, net)?.clip_norm(1.0);
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let steps = lesson.pick(1000, 400);
    let (mut at, mut losses) = (Vec::new(), Vec::new());
    for t in 0..steps {
        // Short rows first.
        let length = [2, 4, 8][t % (1 + 4 * t / steps).min(3)];
        let loss = step.call(&mut state, &[&bits(32, length, &mut rng, device)])?;
        if t % 20 == 19 {
            at.push(t + 1);
            losses.push(loss.item::<f32>()?);
        }
    }
    let mut copied = |length: usize| -> Result<f64> {
        let rows = bits(100, length, &mut rng, device);
        let said = state.0.forward(&rows).0.gt_scalar(0.0).cast(DType::F32);
        Ok(said.eq(&rows).cast(DType::F32).mean().item::<f32>()?.into())
    };
    let (seen, beyond) = (copied(8)?, copied(16)?);
    lesson.at_least("bits right, eight rows", seen, lesson.pick(0.999, 0.75))?;
    lesson.at_least("bits right, sixteen rows", beyond, lesson.pick(0.99, 0.75))?;

    let (_, places) = state.0.forward(&bits(1, 12, &mut rng, device));
    let mut grid = Grid::new(2);
    for (name, map) in [("writes", &places[0]), ("reads", &places[1])] {
        let map = map.select(1, 0).t().to_vec::<f32>()?;
        let figure = Figure::new(format!("Where it {name}"))
            .x("step")
            .y("slot")
            .size(420, 380);
        grid = grid.figure(figure.heat_map(SLOTS, 24, &map));
    }
    lesson.grid(
        "heads",
        "It writes row by row, goes back, and reads row by row",
        &grid,
    )?;
    let figure = Figure::new("Copying").x("step").y("nats of a bit");
    lesson.figure(
        "loss",
        "A procedure is found",
        &figure.line("train", &at, &losses),
    )
}
